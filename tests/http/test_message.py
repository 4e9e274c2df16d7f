"""proxy/http/message.py: what a head knows when it is asked."""

from __future__ import annotations

import pytest

from proxy.http.h1 import read_request_head
from proxy.http.message import RequestHead, ResponseHead


def head(query: bytes = b"", *cookies: bytes) -> RequestHead:
    lines = b"".join(b"Cookie: %b\r\n" % line for line in cookies)
    return read_request_head(b"GET /?%b HTTP/1.1\r\nHost: a\r\n%b\r\n" % (query, lines), frozenset((b"cookie",)))


@pytest.mark.parametrize(
    ("lines", "cookies"),
    [
        ((), {}),
        ((b"a=b",), {b"a": b"b"}),
        ((b"a=b; c=d;e=f ;g= h ",), {b"a": b"b", b"c": b"d", b"e": b"f", b"g": b"h"}),
        ((b"a=1; a=2", b"a=3; b=4"), {b"a": b"1", b"b": b"4"}),
        ((b'a="b c"; d="; e="',), {b"a": b"b c", b"d": b'"', b"e": b'"'}),
        ((b"a; =b; c==d; A=x",), {b"c": b"=d", b"A": b"x"}),
        ((b"a=%20\xe9",), {b"a": b"%20\xe9"}),
        ((b"xa=1; b=a=2; c=x a=3;a =4; a=5",), {b"a": b"4", b"b": b"a=2"}),
    ],
)
def test_cookies(lines: tuple[bytes, ...], cookies: dict[bytes, bytes]) -> None:
    """RFC 6265 4.2.1, read as servers do: the first of a name counts, names keep their case, quotes go."""
    one = head(b"", *lines)
    assert {name: one.cookie(name) for name in cookies} == cookies
    assert one.cookie(b"z") is None


@pytest.mark.parametrize(
    ("query", "arguments"),
    [
        (b"", {}),
        (b"a=b", {b"a": (b"b",)}),
        (b"a=1&b=&a=2&&c", {b"a": (b"1", b"2"), b"b": (b"",), b"c": (b"",)}),
        (b"a+b=c+d&%61=%2B%zz", {b"a b": (b"c d",), b"a": (b"+%zz",)}),
        (b"A=1&a==2;b=3", {b"A": (b"1",), b"a": (b"=2;b=3",)}),
    ],
)
def test_arguments(query: bytes, arguments: dict[bytes, tuple[bytes, ...]]) -> None:
    """Percent-decoded, `+` is a space, names keep their case, repeated ones all their values."""
    assert head(query).arguments == arguments


def test_read_once() -> None:
    """The second question costs nothing."""
    one = head(b"a=b", b"a=b")
    assert one.arguments is one.arguments


@pytest.mark.parametrize("filling", [b"a&", b"&", b"%61&", b"a=b&"])
def test_no_argument_hides_behind_others(filling: bytes) -> None:
    """As many as a target has room for are read."""
    query = filling * (16_000 // len(filling)) + b"last=1"
    assert head(query).arguments[b"last"] == (b"1",)


def test_response_head_keeps_what_it_is_given() -> None:
    """Plain words."""
    one = ResponseHead(200, 1, {}, b"raw")
    assert (one.status, one.minor, one.fields, one.raw) == (200, 1, {}, b"raw")
