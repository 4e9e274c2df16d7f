"""Which paths fit a path of the rule file, and in which form both are compared."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from proxy.rules.model import PathMatch
from proxy.rules.regex import searcher

_UNRESERVED = re.compile(rb"%(2[DE]|3[0-9]|4[1-9A-F]|5[0-9AF]|6[1-9A-F]|7[0-9AE])", re.IGNORECASE)
_ESCAPE = re.compile(rb"%[0-9A-Fa-f]{2}")
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))


def spellings(path: str) -> tuple[bytes, ...]:
    """A path of the file in the form of `RequestHead.path`: unreserved characters decoded, other escapes in upper case.

    A path with characters beyond ASCII has two: escaped, as browsers send it, and raw, as some clients do.
    """
    escaped = _ESCAPE.sub(lambda escape: escape[0].upper(), quote(path, safe=_PRINTABLE).encode())
    escaped = _UNRESERVED.sub(lambda escape: bytes.fromhex(escape[1].decode()), escaped)
    return (escaped,) if path.isascii() else (escaped, path.encode())


def prefixes(path: str) -> tuple[bytes, ...]:
    """As spellings, without slashes at the end: `/v2/` takes the same paths as `/v2`, and `/` is empty."""
    return tuple(spelling.rstrip(b"/") for spelling in spellings(path))


def path_test(match: PathMatch) -> Callable[[bytes], Any]:
    """Whether a path fits, as any true or false value."""
    if match.kind == "exact":
        return frozenset(spellings(match.value)).__contains__
    if match.kind == "regex":
        return searcher(match.value)
    heads = prefixes(match.value)
    if heads == (b"",):
        return lambda path: True
    exact, below = frozenset(heads), tuple(head + b"/" for head in heads)
    return lambda path: path in exact or path.startswith(below)
