"""proxy/run/token.py: the file of the admin port's token."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.errors import StartError
from proxy.run.token import read_token


@pytest.mark.parametrize("text", ["s3cret", "s3cret\n", " s3cret \r\n", "a-b.c_d~e+f/g=="])
def test_the_one_line_of_the_file_is_the_token(tmp_path: Path, text: str) -> None:
    """Space around it is nobody's token: editors end files with a line break."""
    file = tmp_path / "token"
    file.write_text(text)
    assert read_token(str(file)) == text.strip()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is empty"),
        ("\n", "is empty"),
        ("a b", "letters, digits"),
        ("one\ntwo", "letters, digits"),
        ("é", "letters"),
    ],
)
def test_what_is_no_token_is_one_line(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "token"
    file.write_text(text)
    with pytest.raises(StartError, match=told) as caught:
        read_token(str(file))
    assert str(file) in str(caught.value) and "\n" not in str(caught.value) and (text.strip() or "-") not in told


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(StartError, match=rf"--admin-token-file: .*{path}") as caught:
            read_token(str(path))
        assert "\n" not in str(caught.value)
