"""proxy/http/headers.py: what belongs to one connection, what a proxy adds, whom it believes."""

from __future__ import annotations

import ipaddress

import pytest

from proxy.errors import BadRequest
from proxy.http.h1 import RequestReader, read_request_head, read_response_head
from proxy.http.headers import (
    NOMINATED_MAX,
    Peer,
    forward_request,
    forward_response,
    nominated,
    wanted_upgrade,
    wants_close,
)
from proxy.http.message import Fields, RequestHead
from tests.talk import wire

PROXIES = tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "2001:db8::/32")))
NAMES = frozenset((b"x-user_id", b"x-grayscale", b"x-gray-id", b"cookie"))


def head(*fields: str, line: str = "GET / HTTP/1.1", host: str | None = "a") -> RequestHead:
    return read_request_head(wire(line, *([f"Host: {host}"] if host is not None else []), *fields), NAMES)


def sent(one: RequestHead, peer: Peer, upgrade: bytes = b"", admitted: bool = True) -> list[str]:
    if admitted:
        peer.admit(one)
    raw = forward_request(one, peer, b"ID", b"Via: 1.1 grayhound\r\n\r\n", upgrade, b"up:80")
    return raw.decode("latin-1").split("\r\n")[:-2]


@pytest.mark.parametrize(
    ("chain", "client"),
    [
        ((), "10.0.0.1"),
        (("6.6.6.6",), "6.6.6.6"),
        (("1.1.1.1, 6.6.6.6",), "6.6.6.6"),
        (("6.6.6.6, 10.1.1.1, 10.2.2.2",), "6.6.6.6"),
        (("6.6.6.6", "10.1.1.1"), "6.6.6.6"),
        (("10.3.3.3,10.2.2.2",), "10.3.3.3"),
        (("2001:db8::1, 2001:db8:1::2",), "2001:db8::1"),
        (("2001:4860::8, 2001:db8::1",), "2001:4860::8"),
        (("6.6.6.6, nonsense, 10.2.2.2",), "10.2.2.2"),
        (("6.6.6.6, , 10.2.2.2",), "10.2.2.2"),
        (("6.6.6.6:80",), "10.0.0.1"),
        (("",), "10.0.0.1"),
        (("\xe9",), "10.0.0.1"),
    ],
)
def test_client_behind_trusted_proxies(chain: tuple[str, ...], client: str) -> None:
    """The right-most address that is no trusted proxy's; what is no address ends the chain."""
    one = head(*(f"X-Forwarded-For: {hop}" for hop in chain))
    Peer("10.0.0.1", b"http", PROXIES).admit(one)
    assert one.client == client


@pytest.mark.parametrize("address", ["6.6.6.6", "::1", "", "fe80::1%eth0"])
def test_client_that_is_no_trusted_proxy_is_not_believed(address: str) -> None:
    """Neither its address nor its scheme; the rules do not see what it says of itself."""
    raw = wire("GET / HTTP/1.1", "Host: a", "X-Forwarded-For: 1.1.1.1", "X-Forwarded-Proto: https", "X-Gray-Id: 1")
    one = RequestReader(NAMES).read(raw)
    peer = Peer(address, b"http", PROXIES)
    peer.admit(one)
    assert not peer.trusted
    assert (one.client, one.scheme) == (address, b"http")
    assert set(one.fields) == {b"host"}


@pytest.mark.parametrize("address", ["10.255.0.1", "::ffff:10.0.0.1", "2001:db8::7"])
def test_trusted_in_every_spelling(address: str) -> None:
    """An IPv4 address in IPv6 clothes is the same address."""
    assert Peer(address, b"http", PROXIES).trusted


@pytest.mark.parametrize(
    ("proto", "scheme"), [("https", b"https"), ("HTTP", b"http"), ("ws", b"https"), ("", b"https")]
)
def test_scheme_a_trusted_proxy_tells(proto: str, scheme: bytes) -> None:
    """http or https, else the connection's own."""
    raw = wire("GET / HTTP/1.1", "Host: a", f"X-Forwarded-Proto: {proto}")
    one = RequestReader(NAMES).read(raw)
    Peer("10.0.0.1", b"https", PROXIES).admit(one)
    assert one.scheme == scheme


def test_what_an_upstream_is_told() -> None:
    """Byte for byte what came, then the proxy's lines."""
    lines = sent(head("B:  x", "A: y"), Peer("6.6.6.6", b"https", ()))
    assert lines == ["GET / HTTP/1.1", "Host: a", "B:  x", "A: y", "X-Forwarded-For: 6.6.6.6",
                     "X-Forwarded-Proto: https", "X-Forwarded-Host: a", "X-Request-Id: ID",
                     "Via: 1.1 grayhound"]  # fmt: skip


def test_what_a_trusted_proxy_said_is_kept_and_completed() -> None:
    """The chain grows by its address; what it did not say is said here."""
    lines = sent(head("X-Forwarded-For: 1.1.1.1", "X-Forwarded-For: 6.6.6.6", "X-Request-Id: 7"),
                 Peer("10.0.0.1", b"http", PROXIES))  # fmt: skip
    assert lines[2:] == ["X-Request-Id: 7", "X-Forwarded-For: 1.1.1.1, 6.6.6.6, 10.0.0.1", "X-Forwarded-Proto: http",
                         "X-Forwarded-Host: a", "Via: 1.1 grayhound"]  # fmt: skip
    lines = sent(head("X-Forwarded-Proto: https", "X-Forwarded-Host: b", "Forwarded: x", "X-Real-IP: 6.6.6.6"),
                 Peer("10.0.0.1", b"http", PROXIES))  # fmt: skip
    assert lines[2:6] == ["X-Forwarded-Proto: https", "X-Forwarded-Host: b", "Forwarded: x", "X-Real-IP: 6.6.6.6"]


@pytest.mark.parametrize("address", ["6.6.6.6", "10.0.0.1"])
def test_names_that_only_look_private_pass(address: str) -> None:
    """Also when the rules read them."""
    one = head("X-User_Id: 1", "X-Grayscale: 2")
    lines = sent(one, Peer(address, b"http", PROXIES))
    assert "X-User_Id: 1" in lines and "X-Grayscale: 2" in lines
    assert one.fields[b"x-user_id"] == (b"1",)


@pytest.mark.parametrize("address", ["6.6.6.6", "10.0.0.1"])
def test_nobody_names_the_version(address: str) -> None:
    """X-Gray-* is this proxy's own word."""
    lines = sent(head("X-Gray-Version: v9", "x_gray-id: 1"), Peer(address, b"http", PROXIES))
    assert not [line for line in lines if "gray" in line.lower() and not line.startswith("Via")]


def test_connection_may_name_so_many() -> None:
    """At the limit, and one past it."""
    peer = Peer("6.6.6.6", b"http", ())
    names = [f"n{number}" for number in range(NOMINATED_MAX)]
    lines = sent(head("Connection: " + ", ".join(names), *(f"{name}: x" for name in names)), peer)
    assert not [line for line in lines if line.startswith("n")]
    with pytest.raises(BadRequest):
        peer.admit(head("Connection: " + ", ".join([*names, "one-more"])))


@pytest.mark.parametrize(
    ("fields", "minor", "close"),
    [
        ({}, 1, False),
        ({}, 0, True),
        ({b"connection": (b"keep-alive",)}, 0, False),
        ({b"connection": (b"Keep-Alive, x",)}, 0, False),
        ({b"connection": (b"close",)}, 1, True),
        ({b"connection": (b"x", b"CLOSE")}, 1, True),
        ({b"connection": (b"keep-alive, close",)}, 1, True),
        ({b"connection": (b"",)}, 1, False),
        ({b"connection": (b"closed",)}, 1, False),
    ],
)
def test_who_ends_the_connection(fields: Fields, minor: int, close: bool) -> None:
    """RFC 9112 9.3."""
    assert wants_close(fields, minor) is close


def test_nominated_names() -> None:
    """In lower case, without what frames, addresses or identifies."""
    assert nominated({b"connection": (b"A, host,", b"\tb ,Close,transfer-encoding,content-length,cookie")}) == [
        b"a",
        b"b",
    ]


@pytest.mark.parametrize(
    ("fields", "line", "wanted"),
    [
        (("Connection: Upgrade", "Upgrade: WebSocket"), "GET / HTTP/1.1", b"websocket"),
        (("Connection: keep-alive, upgrade", "Upgrade: a, b"), "GET / HTTP/1.1", b"a, b"),
        (("Upgrade: websocket",), "GET / HTTP/1.1", b""),
        (("Connection: upgrade",), "GET / HTTP/1.1", b""),
        (("Connection: upgrade", "Upgrade: websocket"), "GET / HTTP/1.0", b""),
        (("Connection: upgrade", "Upgrade: H2C"), "GET / HTTP/1.1", b""),
        (("Connection: upgrade", "Upgrade: websocket, TLS/1.0"), "GET / HTTP/1.1", b""),
    ],
)
def test_upgrade_asked_for(fields: tuple[str, ...], line: str, wanted: bytes) -> None:
    """RFC 9110 7.8; never one that would carry requests past the rules."""
    assert wanted_upgrade(head(*fields, line=line)) == wanted


def test_upgrade_passes_as_its_own() -> None:
    """Connection and Upgrade are the proxy's own lines then."""
    one = head("Connection: Upgrade, x", "Upgrade: websocket", "X: 1")
    lines = sent(one, Peer("6.6.6.6", b"http", ()), upgrade=b"websocket")
    assert "X: 1" not in lines and lines[-3:-1] == ["Connection: Upgrade", "Upgrade: websocket"]


@pytest.mark.parametrize(
    ("line", "plain"),
    [
        ("Connection: close", True),
        ("connection:Keep-Alive ", False),
        ("CONNECTION: keep-alive ", True),
        ("Connection: x", False),
        ("Connection: close\r\nConnection: close", False),
    ],
)
def test_connection_never_passes(line: str, plain: bool) -> None:
    """However it is written, and though a plain head that says no more than this is not admitted."""
    one = head("A: b", line, "X: 1")
    assert one.plain == plain
    lines = sent(one, Peer("6.6.6.6", b"http", ()), admitted=not plain)
    assert not [line for line in lines if line.lower().startswith("connection")]
    assert "A: b" in lines and ("X: 1" in lines) == (line != "Connection: x")


@pytest.mark.parametrize(("line", "host", "first", "told"), [
    ("GET http://B/x HTTP/1.1", "a", "GET /x HTTP/1.1", "Host: B"),
    ("GET http://B HTTP/1.1", "a", "GET / HTTP/1.1", "Host: B"),
    ("GET http://B?x HTTP/1.1", "a", "GET /?x HTTP/1.1", "Host: B"),
    ("OPTIONS http://B HTTP/1.1", "a", "OPTIONS * HTTP/1.1", "Host: B"),
    ("GET /x HTTP/1.0", "a", "GET /x HTTP/1.1", "Host: a"),
    ("GET /x HTTP/1.0", None, "GET /x HTTP/1.1", "Host: up:80"),
    ("GET /x HTTP/1.1", "", "GET /x HTTP/1.1", "Host: up:80"),
])  # fmt: skip
def test_request_line_is_the_proxys_own(line: str, host: str | None, first: str, told: str) -> None:
    """RFC 9112 3.2: origin-form, HTTP/1.1, and exactly one Host."""
    lines = sent(head(line=line, host=host), Peer("6.6.6.6", b"http", ()))
    assert lines[0] == first
    assert [one for one in lines if one.lower().startswith("host")] == [told]


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        (
            wire("HTTP/1.1 200 OK", "A: b", "Content-Length: 0", date=""),
            ["HTTP/1.1 200 OK", "A: b", "Content-Length: 0", "N: 1"],
        ),
        (wire("HTTP/1.0 200 OK", "A: b", date=""), ["HTTP/1.1 200 OK", "A: b", "N: 1"]),
        (wire("HTTP/1.1 200 OK", "Connection: x", "X: 1", "Keep-Alive: 2", date=""), ["HTTP/1.1 200 OK", "N: 1"]),
        (wire("HTTP/1.1 204 x", "Content-Length: 0", date=""), ["HTTP/1.1 204 x", "N: 1"]),
        (wire("HTTP/1.1 204 x", "Transfer-Encoding: chunked", date=""), ["HTTP/1.1 204 x", "N: 1"]),
    ],
)
def test_what_a_client_is_told(raw: bytes, kept: list[str]) -> None:
    """Byte for byte, without what belongs to the other connection."""
    assert forward_response(read_response_head(raw), b"N: 1\r\n").decode().split("\r\n")[:-2] == kept


def test_chunks_that_are_taken_off() -> None:
    """Transfer-Encoding goes with them; an upgrade keeps its two fields."""
    raw = wire("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "A: b")
    assert forward_response(read_response_head(raw), b"", chunked=False) == wire("HTTP/1.1 200 OK", "A: b")
    raw = wire("HTTP/1.1 101 x", "Connection: upgrade", "Upgrade: x", "Keep-Alive: 1")
    assert forward_response(read_response_head(raw), b"", upgrade=True) == raw.replace(b"Keep-Alive: 1\r\n", b"")
