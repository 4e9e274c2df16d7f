"""proxy/http/known.py: a head whose lines came before means what it would mean if it were read."""

from __future__ import annotations

import ipaddress

import pytest

from proxy.http import known
from proxy.http.h1 import RequestReader
from proxy.http.headers import Peer, forward_request
from proxy.http.message import RequestHead
from tests.talk import wire

TRUSTED = (ipaddress.ip_network("10.0.0.0/8"),)
ALICE, BOB = Peer("192.0.2.1", b"http", TRUSTED), Peer("192.0.2.2", b"https", TRUSTED)
BALANCERS = [Peer(f"10.0.0.{number}", b"http", TRUSTED) for number in (1, 2)]
BROWSER = ("Host: a", "Cookie: uid=7", "Accept: */*")


def raw(line: str, *fields: str) -> bytes:
    return wire(line, *(fields or BROWSER))


def read(reader: RequestReader, data: bytes, peer: Peer) -> RequestHead:
    """As a connection does that does not know it."""
    head = reader.read(data)
    peer.admit(head)
    reader.known.add(data, head, peer)
    return head


def meaning(head: RequestHead, peer: Peer) -> list[object]:
    onward = forward_request(head, peer, b"ID", b"Via: 1.1 x\r\n\r\n", b"", b"up:80")
    return [
        *(head.method, head.target, head.minor, head.host, head.path, head.query, head.fields, head.raw),
        *(head.client, head.scheme, onward),
    ]


@pytest.mark.parametrize("peer", [ALICE, BOB, BALANCERS[0]])
@pytest.mark.parametrize(
    "fields",
    [
        BROWSER,
        (*BROWSER, "Connection: keep-alive"),
        (*BROWSER, "Connection: close"),
        (*BROWSER, "Connection: x-mine", "X-Mine: 1"),
        (*BROWSER, "X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https", "X-Real-IP: 6.6.6.6"),
    ],
)
@pytest.mark.parametrize("line", ["GET / HTTP/1.1", "POST /a/b?c=d&e HTTP/1.1", "GET /other HTTP/1.1"])
def test_the_same_as_if_it_were_read(peer: Peer, fields: tuple[str, ...], line: str) -> None:
    """Whoever sent these lines first, and whether that request has passed on or not."""
    fresh = read(RequestReader(frozenset({b"cookie"})), raw(line, *fields), peer)
    for first in (ALICE, BOB, BALANCERS[0]):
        for passed_on in (False, True):
            reader = RequestReader(frozenset({b"cookie"}))
            before = read(reader, raw("GET /first HTTP/1.1", *fields), first)
            if passed_on:
                meaning(before, first)
            again = reader.known.read(raw(line, *fields), peer)
            if first.trusted == peer.trusted:
                assert again is not None
                assert meaning(again, peer) == meaning(fresh, peer)
            else:
                assert again is None, "what a trusted proxy says is believed"


def test_what_one_trusted_proxy_says_another_has_not_said() -> None:
    """The chain that passes on ends with the proxy's own address."""
    reader = RequestReader()
    read(reader, raw("GET / HTTP/1.1"), BALANCERS[0])
    assert reader.known.read(raw("GET / HTTP/1.1"), BALANCERS[1]) is None


@pytest.mark.parametrize(
    "data",
    [
        raw("GET / HTTP/1.1", "Host: b", "Cookie: uid=7", "Accept: */*"),
        raw("GET / HTTP/1.1")[:-1],
        raw("GET / HTTP/1.1") * 2,
        raw("GET / HTTP/1.1") + b"X",
        raw("GET / HTTP/1.0"),
        raw("GET / HTTP/1.2"),
        raw("GET  / HTTP/1.1"),
        raw("GET /a/../b HTTP/1.1"),
        raw("GET /%61 HTTP/1.1"),
        raw("GET /\x7f HTTP/1.1"),
        raw("GET http://b/ HTTP/1.1"),
        raw("OPTIONS * HTTP/1.1"),
        raw("BREW / HTTP/1.1"),
        raw(f"GET /{'a' * 2 * known.HEAD_BYTES_MAX} HTTP/1.1"),
        b"\n" + raw("GET / HTTP/1.1"),
        b"",
        b"\r\n",
    ],
)
def test_what_is_not_surely_the_same_is_read(data: bytes) -> None:
    """Other lines, a part, more than one head, and first lines that leave something to decide."""
    reader = RequestReader()
    read(reader, raw("GET / HTTP/1.1"), ALICE)
    assert reader.known.read(raw("GET / HTTP/1.1"), ALICE) is not None
    assert reader.known.read(data, ALICE) is None


@pytest.mark.parametrize(
    "fields",
    [
        ("Host: a", "Content-Length: 0"),
        ("Host: a", "Transfer-Encoding: chunked"),
        ("Host: a", "Expect: 100-continue"),
        ("Host: a", "Max-Forwards: 3"),
        ("Host: a", "Connection: upgrade", "Upgrade: websocket"),
        ("Host: a", "X-Request-Id: 1"),
        ("Host: a", f"Cookie: {'a' * known.HEAD_BYTES_MAX}"),
    ],
)
def test_what_is_one_of_its_kind_is_not_remembered(fields: tuple[str, ...]) -> None:
    reader = RequestReader()
    read(reader, raw("GET / HTTP/1.1", *fields), BALANCERS[0])
    assert reader.known.read(raw("GET / HTTP/1.1", *fields), BALANCERS[0]) is None


def test_who_comes_again_is_remembered_and_who_does_not_is_forgotten() -> None:
    """There is room for two times HEADS_MAX; who is asked for has a place among the last."""
    reader = RequestReader()

    def person(number: int) -> bytes:
        return raw("GET / HTTP/1.1", "Host: a", f"Cookie: uid={number}")

    for number in range(2 * known.HEADS_MAX):
        read(reader, person(number), ALICE)
        assert reader.known.read(person(0), ALICE) is not None
    read(reader, person(2 * known.HEADS_MAX), ALICE)
    assert reader.known.read(person(0), ALICE) is not None
    assert reader.known.read(person(1), ALICE) is None
