"""The path that routes are matched against: one form for all spellings, so that no spelling slips past a rule."""

from __future__ import annotations

import re
from typing import Final

from proxy.errors import BadRequest

_UNRESERVED: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})?")


def matched_path(path: bytes, target: bytes) -> bytes:
    """`path` with unreserved characters decoded, other escapes in upper case (RFC 3986 section 6.2.2), and dot segments
    resolved as the services behind would resolve them. An encoded slash stays encoded: it never makes a new element.

    Raises BadRequest for a broken escape, an encoded NUL, a fragment, or dot segments that lead above the root.
    """
    if b"#" in target:
        raise BadRequest("a request target has no fragment")
    if b"%" in path:
        path = _ESCAPE.sub(_decoded, path)
    if b"/." in path:
        path = _without_dots(path)
    return path


def _decoded(escape: re.Match[bytes]) -> bytes:
    digits = escape[1]
    if digits is None or digits == b"00":
        raise BadRequest("malformed percent-encoding in the path")
    byte = int(digits, 16)
    return bytes((byte,)) if byte in _UNRESERVED else b"%" + digits.upper()


def _without_dots(path: bytes) -> bytes:
    """RFC 3986 section 5.2.4; unlike it, a path that leads above the root is refused."""
    kept: list[bytes] = []
    segments = path.split(b"/")
    for segment in segments[1:]:
        if segment == b"..":
            if not kept:
                raise BadRequest("the path leads above the root")
            kept.pop()
        elif segment != b".":
            kept.append(segment)
    if segments[-1] in (b".", b".."):
        kept.append(b"")
    return b"/" + b"/".join(kept)
