"""proxy.run.cookie_keys, and how keys come to the rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.errors import RuleError, StartError
from proxy.rules.pin import KEY_CHARACTERS_MIN
from proxy.run.cookie_keys import KEYS_MAX, check_key_file, read_keys
from proxy.run.load import load, read_files
from proxy.sources.base import Content

KEY = b"0123456789abcdef"
RULES = Content(
    "rules.yaml",
    b"""services: {shop: {versions: {v1: {endpoints: [http://127.0.0.1:1]}}}}
routes:
  - service: shop
    rules:
      - {split: {v1: 1}, sticky: {cookie: id}, match: {method: PUT}}
      - {split: {v1: 1}, sticky: {cookie: gray, mode: pin}, match: {method: GET}}
      - {split: {v1: 1}, sticky: {cookie: gray, mode: pin}}
""",
)


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        (KEY, (KEY,)),
        (KEY + b"\n", (KEY,)),
        (b"# this year\r\n  " + KEY + b"x \r\n\n# last year\n" + KEY, (KEY + b"x", KEY)),
        (b"\n".join([KEY] * KEYS_MAX), (KEY,) * KEYS_MAX),
    ],
)
def test_a_key_a_line_the_first_signs(text: bytes, keys: tuple[bytes, ...]) -> None:
    """White space, empty lines and comments are none."""
    assert len(KEY) == KEY_CHARACTERS_MIN
    assert read_keys(text) == keys


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b"", "openssl rand"),
        (b"# nothing\n\n", "openssl rand"),
        (KEY + b"\n\n" + KEY[1:], "^line 3: a key has at least 16 characters$"),
        (b"\n".join([KEY] * (KEYS_MAX + 1)), "more than 16 keys"),
        ("cannot read /keys: Permission denied", "Permission denied"),
    ],
)
def test_what_is_wrong_is_said_without_the_key(text: bytes | str, fault: str) -> None:
    """A log is no place for it."""
    with pytest.raises(ValueError, match=fault) as error:
        read_keys(text)
    assert KEY.decode()[1:] not in str(error.value)


def test_a_file_without_keys_prevents_the_start(tmp_path: Path) -> None:
    """One line that names the option; without the option there is nothing to see."""
    check_key_file("")
    with pytest.raises(StartError, match=r"^--cookie-key-file: cannot read .*/keys: No such file or directory$"):
        check_key_file(str(tmp_path / "keys"))
    (tmp_path / "keys").write_bytes(KEY)
    check_key_file(str(tmp_path / "keys"))


def test_keys_ride_with_the_rules(tmp_path: Path) -> None:
    """And are no part of what is printed. A file that has none any more refuses the rules, as every fault does."""
    file = tmp_path / "keys"
    file.write_bytes(KEY)
    loaded = load(RULES, str(file))
    assert loaded.rule_file.cookie_keys == (KEY,) and loaded.warnings == ()
    assert KEY.decode() not in repr(loaded.rule_file)
    assert read_files(loaded.rule_file, str(file)) == loaded.rule_file.files == {str(file): KEY}
    file.write_bytes(b"short")
    with pytest.raises(RuleError) as error:
        load(RULES, str(file))
    assert str(error.value) == f"{file}:1:1: line 1: a key has at least 16 characters"


def test_pins_that_anybody_can_forge_are_warned_about() -> None:
    """Once, where they are served; who only checks the rules need not know of keys."""
    assert [str(warning) for warning in load(RULES, "").warnings] == [
        "rules.yaml:6:55: routes[0].rules[1].sticky.mode: without --cookie-key-file FILE anybody can forge a pin"
    ]
    assert load(RULES).warnings == load(RULES, None).warnings == ()
    hashed = Content("rules.yaml", RULES.data.replace(b", mode: pin", b""))
    assert load(hashed, "").warnings == ()
