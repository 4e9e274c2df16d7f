"""The file of keys that sign the cookies of sticky rules in mode pin."""

from __future__ import annotations

from typing import Final

from proxy.errors import StartError
from proxy.rules.pin import KEY_CHARACTERS_MIN
from proxy.run.files import Content, read_file

KEYS_MAX: Final = 16
"""Each is tried on a cookie that none of them signed; a key and the one before it are enough."""


def read_keys(content: Content) -> tuple[bytes, ...]:
    """One key a line, the signing one first; empty lines and those that begin with `#` are none.

    Raises ValueError with what is wrong, and no part of a key.
    """
    if isinstance(content, str):
        raise ValueError(content)
    lines = [(number, line.strip()) for number, line in enumerate(content.splitlines(), 1)]
    keys = [(number, line) for number, line in lines if line and not line.startswith(b"#")]
    if not keys:
        raise ValueError("there is no key in it; make one with: openssl rand -hex 32")
    if len(keys) > KEYS_MAX:
        raise ValueError(f"more than {KEYS_MAX} keys")
    for number, key in keys:
        if len(key) < KEY_CHARACTERS_MIN:
            raise ValueError(f"line {number}: a key has at least {KEY_CHARACTERS_MIN} characters")
    return tuple(key for _, key in keys)


def check_key_file(name: str) -> None:
    """See whether there are keys in it, if there is one. Raises StartError."""
    try:
        if name:
            read_keys(read_file(name))
    except ValueError as error:
        raise StartError(f"--cookie-key-file: {error}") from None
