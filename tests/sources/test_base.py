"""Contents of a source."""

from __future__ import annotations

import pytest

from proxy.errors import RuleError
from proxy.sources.base import LINE_MAX, Content


def test_equal_bytes_have_equal_digests() -> None:
    """The digest is that of the bytes alone, as sha256sum prints it."""
    assert Content("a", b"").digest == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert Content("a", b"x").digest == Content("b", b"x").digest != Content("a", b"y").digest


def test_text_is_utf8_without_byte_order_mark() -> None:
    """Editors on Windows put a mark in front; it is no part of the text."""
    assert Content("a", "\ufeffé: 1\n".encode()).text() == "é: 1\n"


def test_lines_are_told_by_number_as_editors_count_them() -> None:
    """Whatever ends them, and even where they are not UTF-8; a long one is cut; no line 0."""
    content = Content("r.yaml", b"\xef\xbb\xbfa: 1\r\n\r\ncaf\xe9\n" + b"x" * (LINE_MAX + 1))
    assert content.lines({0, 1, 3, 9}) == {1: "a: 1", 3: "caf\ufffd"}
    assert len(content.lines({4})[4]) == LINE_MAX
    assert content.lines(()) == {}


@pytest.mark.parametrize(
    ("data", "where"),
    [(b"\xff", "r.yaml:1:1"), (b"a: b\n# caf\xe9\n", "r.yaml:2:6"), ("é ".encode() + b"\xff\n", "r.yaml:1:3")],
)
def test_other_encodings_are_faults_with_their_place(data: bytes, where: str) -> None:
    """Bytes that are not UTF-8 are reported by line and column, like every fault."""
    with pytest.raises(RuleError) as caught:
        Content("r.yaml", data).text()
    assert str(caught.value).startswith(f"{where}: this is not UTF-8 text (byte 0x")
