"""proxy/http/h1.py: heads from bytes and to bytes. What is refused is in tests/downstream/conformance.py."""

from __future__ import annotations

import pytest

from proxy.errors import BadRequest, BadResponse
from proxy.http.h1 import (
    HOST_BYTES_MAX,
    HOSTS_REMEMBERED_MAX,
    RequestReader,
    answer,
    field_finder,
    read_request_head,
    read_response_head,
    status_line,
)
from tests.talk import DATE, wire


@pytest.mark.parametrize(
    ("line", "host", "read"),
    [
        ("GET /a%2e?x=%41 HTTP/1.1", "A.Example:80", (b"GET", b"/a%2e?x=%41", 1, b"a.example", b"/a.", b"x=%41")),
        ("PUT / HTTP/1.0", "a.", (b"PUT", b"/", 0, b"a", b"/", b"")),
        ("GET /?a?b HTTP/1.1", "[::1]:80", (b"GET", b"/?a?b", 1, b"[::1]", b"/", b"a?b")),
        ("GET HTTP://B:8/c?d HTTP/1.1", "a", (b"GET", b"HTTP://B:8/c?d", 1, b"b", b"/c", b"d")),
        ("GET http://b HTTP/1.1", "a", (b"GET", b"http://b", 1, b"b", b"/", b"")),
        ("OPTIONS * HTTP/1.1", "a", (b"OPTIONS", b"*", 1, b"a", b"*", b"")),
        ("OPTIONS http://b HTTP/1.1", "a", (b"OPTIONS", b"http://b", 1, b"b", b"*", b"")),
        ("OPTIONS http://b/ HTTP/1.1", "a", (b"OPTIONS", b"http://b/", 1, b"b", b"/", b"")),
    ],
)
def test_request_line_and_host(line: str, host: str, read: tuple[object, ...]) -> None:
    """Method, target, version as sent; host, path, query as the rules read them."""
    head = read_request_head(wire(line, f"Host: {host}"))
    assert (head.method, head.target, head.minor, head.host, head.path, head.query) == read
    assert head.raw == wire(line, f"Host: {host}")


def test_only_what_is_asked_for_is_kept() -> None:
    """By lower-case name, values in order of arrival, without spaces around."""
    raw = wire("GET / HTTP/1.1", "Host: a", "X-User:  1 ", "x-USER:\t2", "Other: 3", "X-User-Id: 4", "Cookie: ")
    head = read_request_head(raw, frozenset((b"x-user", b"cookie")))
    assert head.fields == {b"host": (b"a",), b"x-user": (b"1", b"2"), b"cookie": (b"",)}
    assert set(read_request_head(raw).fields) == {b"host"}


def test_value_that_looks_like_a_field_is_none() -> None:
    """Only a line's begin is a name."""
    head = read_request_head(wire("GET /x-user:1 HTTP/1.1", "Host: a", "A: X-User: 5"), frozenset((b"x-user",)))
    assert b"x-user" not in head.fields


def test_hosts_are_remembered_within_limits() -> None:
    """A scanner's thousands of names do not stay, nor one that is none of DNS."""
    reader = RequestReader()
    for number in range(HOSTS_REMEMBERED_MAX + 10):
        assert reader.read(wire("GET / HTTP/1.1", f"Host: H{number}")).host == b"h%d" % number
    assert len(reader._hosts) <= HOSTS_REMEMBERED_MAX
    reader, long = RequestReader(), b"h" * HOST_BYTES_MAX
    assert reader.read(wire("GET / HTTP/1.1", f"Host: {long.decode()}")).host == long
    assert reader.read(wire("GET / HTTP/1.1", f"Host: {long.decode()}H")).host == long + b"h"
    assert list(reader._hosts) == [long]
    assert reader.read(wire("GET / HTTP/1.0")).host == b""


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (wire("BREW / HTTP/1.1", "Host: a"), 501),
        (wire("CONNECT a:1 HTTP/1.1", "Host: a"), 501),
        (wire("GET / HTTP/2.0", "Host: a"), 505),
        (wire("GET / HTTP/1.1"), 400),
        (b"\r\n\r\n", 400),
        (b" \r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
    ],
)
def test_what_is_refused(raw: bytes, status: int) -> None:
    """BadRequest, with the status that fits."""
    with pytest.raises(BadRequest) as caught:
        read_request_head(raw)
    assert caught.value.status == status and caught.value.side == "client"


def test_response_head() -> None:
    """Status, version, and the fields of the connection."""
    raw = wire("HTTP/1.0 404 Not Found", "connection: Close", "X: y", "Content-Length: 3")
    head = read_response_head(raw)
    assert (head.status, head.minor, head.raw) == (404, 0, raw)
    assert head.fields == {b"connection": (b"Close",), b"content-length": (b"3",)}
    with pytest.raises(BadResponse) as caught:
        read_response_head(b"nonsense\r\n\r\n")
    assert caught.value.status == 502


def test_heads_that_upgrade_are_read() -> None:
    """The C parser stops at them; the head is whole all the same."""
    lines = ("Connection: upgrade", "Upgrade: websocket")
    assert read_request_head(wire("GET / HTTP/1.1", "Host: a", *lines)).fields[b"upgrade"] == (b"websocket",)
    assert read_response_head(wire("HTTP/1.1 101 x", *lines)).status == 101


def test_answers_of_the_proxys_own() -> None:
    """Whole responses; kept open only if asked for; no body and no length where the status has none."""
    plain = b"Content-Type: text/plain\r\n"
    date = f"{DATE}\r\n".encode()
    assert answer(404, plain, b"no\n", date, keep=True) == wire(
        "HTTP/1.1 404 Not Found", "Content-Type: text/plain", "Content-Length: 3", body=b"no\n"
    )
    assert b"\r\nConnection: close\r\n\r\nno\n" in answer(404, plain, b"no\n", date)
    assert answer(503, b"A: b\r\n", b"x", date, head_only=True) == wire(
        "HTTP/1.1 503 Service Unavailable", "A: b", "Content-Length: 1", "Connection: close"
    )
    assert answer(204, b"", b"no", date, keep=True) == wire(
        "HTTP/1.1 204 No Content"
    )  # RFC 9110 section 8.6: no length
    assert answer(304, b"", b"no", date, keep=True) == wire("HTTP/1.1 304 Not Modified")
    for own in (b"Date: x\r\n", b"A: b\r\ndATE:x\r\n"):  # that the rules say
        assert answer(304, own, b"", date, keep=True) == b"HTTP/1.1 304 Not Modified\r\n%b\r\n" % own
    assert b"\r\nX-Date: 1\r\n" in answer(304, b"X-Date: 1\r\n", b"", date) != answer(304, b"X-Date: 1\r\n", b"", b"")
    assert status_line(299) == b"HTTP/1.1 299 \r\n" and status_line(451).startswith(b"HTTP/1.1 451 ")


def test_longest_name_is_found_first() -> None:
    """A name that begins another one does not hide it."""
    find = field_finder(frozenset((b"x-a", b"x-a-b")))
    assert find(b"\r\nX-A-B: 1\r\nx-a: 2\r\n") == [(b"X-A-B", b"1"), (b"x-a", b"2")]
