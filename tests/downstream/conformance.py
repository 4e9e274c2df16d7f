"""What RFC 9110 and 9112 ask of a proxy, case by case: what was sent, what each side saw, and where it is written.

Refused: nothing of it reaches an upstream, and the connection ends. Passed: a request and its response, both whole.
What other proxies do with the same cases: `python -m benchmarks.conformance`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final

from tests.talk import NOW, OK, Answer, dateless, forwarded, own, wire

MUST: Final = "must"
"""A proxy does as the case says, or lets only something sound of it pass (RFC 9110 section 2.2)."""
REFUSE: Final = "must refuse"
"""The RFC leaves no choice but to refuse."""
OURS: Final = "may"
"""The RFC leaves it to the proxy."""


@dataclass(frozen=True)
class Refused:
    """name; section of the RFC; what the client says; the status it hears. body: the head itself may pass.

    demand: how much of it the RFC demands of every proxy: MUST, REFUSE or OURS.
    """

    name: str
    section: str
    says: bytes
    status: int = 400
    body: bool = False
    demand: str = MUST


Demanded: Final = partial(Refused, demand=REFUSE)
Chosen: Final = partial(Refused, demand=OURS)


@dataclass(frozen=True)
class Passed:
    """name; section; what the client says; what the upstream hears, masked, and answers; what the client hears.

    ends: the proxy ends the connection after it. trusted: the client is a trusted proxy. demand: as in Refused.
    """

    name: str
    section: str
    says: bytes
    hears: bytes
    answer: Answer | bytes = OK
    heard: bytes = OK
    ends: bool = False
    trusted: bool = False
    demand: str = MUST


Offered: Final = partial(Passed, demand=OURS)


def get(*fields: str, line: str = "GET / HTTP/1.1", host: str = "a") -> bytes:
    return wire(line, f"Host: {host}", *fields)


def post(*fields: str, body: bytes) -> bytes:
    return wire("POST / HTTP/1.1", "Host: a", *fields, body=body)


def chunked(body: bytes) -> bytes:
    return post("Transfer-Encoding: chunked", body=body)


def target(text: str) -> bytes:
    return wire(f"GET {text} HTTP/1.1", "Host: a")


REFUSED: Final = (
    # --- the request line
    Refused("two spaces before the target", "9112 3", b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
    Refused("two spaces after the target", "9112 3", b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n"),
    Refused("tab for a space", "9112 3", b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    Refused("space before the method", "9112 3", b" GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    Refused("space at the line's end", "9112 3", b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n"),
    Refused("space in the target", "9112 3.2", b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"),
    Refused("no version", "9112 3", b"GET /\r\nHost: a\r\n\r\n"),
    Refused("no version and no fields", "9112 3", b"GET /\r\n\r\n"),
    Refused("nothing but line ends", "9112 3", b"\n\r\n\r\n"),
    Refused("an empty target", "9112 3", b"CONNECT  HTTP/1.1\r\nHost: a\r\n\r\n"),
    Refused("no target", "9112 3", b"GET HTTP/1.1\r\nHost: a\r\n\r\n"),
    Refused("version in lower case", "9112 2.3", b"GET / http/1.1\r\nHost: a\r\n\r\n"),
    Refused("version of one digit", "9112 2.3", b"GET / HTTP/1\r\nHost: a\r\n\r\n"),
    Refused("version of three digits", "9112 2.3", b"GET / HTTP/1.10\r\nHost: a\r\n\r\n"),
    Refused("HTTP/0.9", "9110 2.5", b"GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505),
    Refused("HTTP/2.0", "9110 2.5", b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    Refused("HTTP/3.0", "9110 2.5", b"GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505),
    Refused("the preface of HTTP/2", "9113 3.4", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    Chosen("unknown method", "9110 9.1", get(line="BREW / HTTP/1.1"), 501),
    Chosen("method in lower case", "9110 9.1", get(line="get / HTTP/1.1"), 501),
    Chosen("CONNECT", "9110 9.3.6", wire("CONNECT a:443 HTTP/1.1", "Host: a:443"), 501),
    Refused("another protocol", "9112 2.3", b"DESCRIBE / RTSP/1.0\r\nHost: a\r\n\r\n"),
    Refused("a TLS hello's noise before a head", "9112 3", b"\x16\x03\x01\x02\x00\x01\r\n\r\n"),
    # --- the target
    Refused("asterisk with GET", "9112 3.2.4", target("*")),
    Refused("fragment", "9112 3.2", target("/a#b")),
    Refused("fragment in absolute-form", "9112 3.2.2", target("http://a/#b")),
    Refused("fragment in the query", "9112 3.2", target("/a?b#c")),
    Refused("neither slash nor scheme", "9112 3.2", target("a")),
    Refused("authority-form with GET", "9112 3.2.3", target("a:80")),
    Refused("another scheme", "9112 3.2.2", target("ftp://a/")),
    Refused("no host in absolute-form", "9110 4.2.1", target("http:///a")),
    Refused("port without host in absolute-form", "9110 4.2.1", target("http://:80/a")),
    Refused("user information", "9110 4.2.4", target("http://u:p@a/")),
    Chosen("above the root", "3986 5.2.4", target("/../a")),
    Chosen("above the root, encoded", "3986 5.2.4", target("/a/%2e%2E/../b")),
    Chosen("above the root at the end", "3986 5.2.4", target("/..")),
    Chosen("above the root in absolute-form", "3986 5.2.4", target("http://a/../b")),
    Refused("broken escape", "3986 2.1", target("/%zz")),
    Refused("half an escape", "3986 2.1", target("/a%2")),
    Chosen("encoded NUL", "3986 7.3", target("/a%00")),
    Refused("NUL in the target", "9112 3.2", target("/a\x00b")),
    Refused("DEL in the target", "9112 3.2", target("/a\x7fb")),
    Chosen("target too long", "9112 3", target("/" + "a" * 16 * 1024), 414),
    Chosen("target longer than a head", "9112 3", target("/" + "a" * 70_000), 414),
    # --- Host
    Demanded("no Host", "9112 3.2", wire("GET / HTTP/1.1")),
    Demanded("no Host with absolute-form", "9112 3.2", wire("GET http://a/ HTTP/1.1")),
    Demanded("two Hosts", "9112 3.2", wire("GET / HTTP/1.1", "Host: a", "Host: b")),
    Demanded("the same Host twice", "9112 3.2", wire("GET / HTTP/1.1", "Host: a", "host: a")),
    Demanded("two Hosts in HTTP/1.0", "9112 3.2", wire("GET / HTTP/1.0", "Host: a", "Host: b")),
    Demanded("two Hosts with absolute-form", "9112 3.2", wire("GET http://a/ HTTP/1.1", "Host: a", "Host: a")),
    Demanded("bad Host with absolute-form", "9112 3.2", wire("GET http://a/ HTTP/1.1", "Host: a/b")),
    Demanded("a path in Host", "9112 3.2", get(host="a/b")),
    Demanded("a space in Host", "9112 3.2", get(host="a b")),
    Demanded("a list in Host", "9112 3.2", get(host="a, b")),
    Demanded("user information in Host", "9110 7.2", get(host="u@a")),
    Demanded("a port of letters", "9110 7.2", get(host="a:b")),
    Chosen("a port without host", "9110 4.2.1", get(host=":80")),
    Demanded("a broken escape in Host", "9112 3.2", get(host="a%2")),
    Demanded("no address in brackets", "3986 3.2.2", get(host="[::1::2]")),
    Demanded("an IPv4 address in brackets", "3986 3.2.2", get(host="[127.0.0.1]")),
    Demanded("no address in absolute-form", "3986 3.2.2", wire("GET http://[:::]/ HTTP/1.1", "Host: a")),
    Demanded("a bracket left open", "9110 7.2", get(host="[::1")),
    Refused("a HEAD without Host", "9110 9.3.2", wire("HEAD / HTTP/1.1")),
    # --- how far it goes
    Demanded("OPTIONS that goes no further", "9110 7.6.2", get("Max-Forwards: 0", line="OPTIONS / HTTP/1.1"), 200),
    Demanded("TRACE that goes no further", "9110 7.6.2", get("Max-Forwards: 00", line="TRACE / HTTP/1.1"), 200),
    Chosen("Max-Forwards that is no number", "9110 7.6.2", get("Max-Forwards: a", line="OPTIONS / HTTP/1.1")),
    Chosen("two Max-Forwards", "9110 7.6.2", get("Max-Forwards: 1", "Max-Forwards: 2", line="TRACE / HTTP/1.1")),
    # --- how the body is framed
    Refused("two lengths", "9112 6.3", post("Content-Length: 2", "Content-Length: 2", body=b"ab")),
    Demanded("two different lengths", "9112 6.3", post("Content-Length: 2", "Content-Length: 3", body=b"abc")),
    Refused("a list of lengths", "9112 6.3", post("Content-Length: 2, 2", body=b"ab")),
    Demanded("a length with plus", "9110 8.6", post("Content-Length: +2", body=b"ab")),
    Demanded("a negative length", "9110 8.6", post("Content-Length: -2", body=b"ab")),
    Demanded("a space in the length", "9110 8.6", post("Content-Length: 1 2", body=b"ab")),
    Demanded("an empty length", "9110 8.6", post("Content-Length:", body=b"ab")),
    Demanded("a hexadecimal length", "9110 8.6", post("Content-Length: 0x2", body=b"ab")),
    Demanded("a length with a fraction", "9110 8.6", post("Content-Length: 2.0", body=b"ab")),
    Chosen("a huge length", "9110 8.6", post("Content-Length: " + "9" * 19, body=b"ab")),
    Refused("a length beyond 64 bits", "9110 8.6", post("Content-Length: 18446744073709551618", body=b"ab")),
    Refused("both", "9112 6.3", post("Content-Length: 3", "Transfer-Encoding: chunked", body=b"0\r\n\r\n")),
    Refused("both, the other way round", "9112 6.3",
            post("Transfer-Encoding: chunked", "Content-Length: 5", body=b"0\r\n\r\n")),
    Demanded("gzip", "9112 6.1", post("Transfer-Encoding: gzip", body=b"0\r\n\r\n")),
    Chosen("gzip before chunked", "9112 7", post("Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n")),
    Demanded("chunked not last", "9112 6.3", post("Transfer-Encoding: chunked, gzip", body=b"0\r\n\r\n")),
    Refused("chunked twice", "9112 6.1", post("Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n")),
    Refused("chunked in two fields", "9112 6.1",
            post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked", body=b"0\r\n\r\n")),
    Refused("chunked and identity in two fields", "9112 6.1",
            post("Transfer-Encoding: identity", "Transfer-Encoding: chunked", body=b"0\r\n\r\n")),
    Demanded("identity", "9112 7", post("Transfer-Encoding: identity", body=b"0\r\n\r\n")),
    Demanded("xchunked", "9112 6.1", post("Transfer-Encoding: xchunked", body=b"0\r\n\r\n")),
    Demanded("chunked in quotes", "9112 6.1", post('Transfer-Encoding: "chunked"', body=b"0\r\n\r\n")),
    Refused("chunked with a parameter", "9112 7.1", post("Transfer-Encoding: chunked;a=b", body=b"0\r\n\r\n")),
    Refused("vertical tab before chunked", "9112 6.1", post("Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n")),
    Refused("an empty coding", "9112 6.1", post("Transfer-Encoding:", body=b"0\r\n\r\n")),
    Demanded("a space before the colon of Transfer-Encoding", "9112 5.1",
            post("Transfer-Encoding : chunked", body=b"0\r\n\r\n")),
    Refused("chunked in HTTP/1.0", "9112 6.1",
            wire("POST / HTTP/1.0", "Host: a", "Transfer-Encoding: chunked", body=b"0\r\n\r\n")),
    # --- chunks
    Demanded("a chunk size that is no number", "9112 7.1", chunked(b"g\r\n"), body=True),
    Demanded("an empty chunk size", "9112 7.1", chunked(b"\r\n\r\n"), body=True),
    Demanded("a negative chunk size", "9112 7.1", chunked(b"-1\r\n"), body=True),
    Demanded("a chunk size with plus", "9112 7.1", chunked(b"+1\r\na\r\n0\r\n\r\n"), body=True),
    Demanded("a chunk size with 0x", "9112 7.1", chunked(b"0x1\r\na\r\n0\r\n\r\n"), body=True),
    Demanded("a chunk size with an underscore", "9112 7.1", chunked(b"1_0\r\na\r\n0\r\n\r\n"), body=True),
    Refused("a chunk size with a space before it", "9112 7.1", chunked(b" 1\r\na\r\n0\r\n\r\n"), body=True),
    Demanded("a chunk size beyond 60 bits", "9112 7.1", chunked(b"f" * 16 + b"\r\n"), body=True),
    Refused("a chunk size with a bare LF", "9112 7.1", chunked(b"1\na\r\n0\r\n\r\n"), body=True),
    Refused("a bare CR after the chunk size", "9112 7.1", chunked(b"1\ra\r\n0\r\n\r\n"), body=True),
    Refused("a chunk shorter than its size", "9112 7.1", chunked(b"3\r\nab\r\n0\r\n\r\n"), body=True),
    Demanded("a chunk longer than its size", "9112 7.1", chunked(b"1\r\nab\r\n0\r\n\r\n"), body=True),
    Demanded("a chunk without its line end", "9112 7.1", chunked(b"1\r\na0\r\n\r\n"), body=True),
    Refused("a chunk that ends with a bare LF", "9112 7.1", chunked(b"1\r\na\n0\r\n\r\n"), body=True),
    Refused("CTL in a chunk extension", "9112 7.1.1", chunked(b"1;a=\x01\r\na\r\n0\r\n\r\n"), body=True),
    Refused("bare CR in a chunk extension", "9112 7.1.1", chunked(b"1;a\rb\r\na\r\n0\r\n\r\n"), body=True),
    Chosen("an endless chunk extension", "9112 7.1.1", chunked(b"1;" + b"a" * 5000), body=True),
    Chosen("a trailer that frames", "9110 6.5.1", chunked(b"0\r\nContent-Length: 5\r\n\r\n"), body=True),
    Chosen("a trailer that routes", "9110 6.5.1", chunked(b"0\r\nhost: b\r\n\r\n"), body=True),
    Chosen("a trailer that authorizes", "9110 6.5.1", chunked(b"0\r\nAuthorization: b\r\n\r\n"), body=True),
    Chosen("a trailer that forges who the client is", "9110 6.5.1",
            chunked(b"0\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n"), body=True),
    Chosen("a trailer that names the version", "9110 6.5.1", chunked(b"0\r\nx_gray_version: v2\r\n\r\n"), body=True),
    Refused("a trailer of one connection", "9110 7.6.1", chunked(b"0\r\nKeep-Alive: 1\r\n\r\n"), body=True),
    Refused("a trailer that Connection names", "9110 7.6.1",
            post("Connection: x, y_z", "Transfer-Encoding: chunked", body=b"0\r\nY_Z: 1\r\n\r\n"), body=True),
    Refused("a trailer that is no field", "9112 7.1.2", chunked(b"0\r\nabc\r\n\r\n"), body=True),
    Refused("a space before a trailer's colon", "9112 7.1.2", chunked(b"0\r\na : b\r\n\r\n"), body=True),
    Refused("a folded trailer", "9112 5.2", chunked(b"0\r\na: b\r\n c\r\n\r\n"), body=True),
    Chosen("trailers too large", "9112 7.1.2", chunked(b"0\r\n" + b"a: %b\r\n" % (b"b" * 3000) * 6), body=True),
    # --- fields
    Refused("bare LF ends the request line", "9112 2.2", b"GET / HTTP/1.1\nHost: a\r\n\r\n"),
    Refused("bare LF ends a field", "9112 2.2", b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n"),
    Refused("bare LF ends the head", "9112 2.2", b"GET / HTTP/1.1\r\nHost: a\r\n\n"),
    Refused("bare LF everywhere", "9112 2.2", b"GET / HTTP/1.1\nHost: a\n\n"),
    Refused("bare LF before the head's end", "9112 2.2", b"GET / HTTP/1.1\r\nHost: a\n\r\n"),
    Refused("bare CR in a value", "9112 2.2", get("X: a\rb")),
    Refused("bare CR ends a field", "9112 2.2", b"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n"),
    Refused("CR before CRLF", "9112 2.2", get("X: a\r")),
    Refused("a folded line", "9112 5.2", get("X: a", " b")),
    Refused("a folded line with a tab", "9112 5.2", get("X: a", "\tb")),
    Refused("a space before the first field", "9112 2.2", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
    Demanded("a space before the colon", "9112 5.1", get("X : a")),
    Demanded("a tab before the colon", "9112 5.1", get("X\t: a")),
    Refused("NUL in a value", "9110 5.5", get("X: a\x00b")),
    Refused("CTL in a value", "9110 5.5", get("X: a\x01b")),
    Refused("DEL in a value", "9110 5.5", get("X: a\x7fb")),
    Refused("an empty name", "9110 5.1", get(": a")),
    Refused("a line without a colon", "9112 5", get("abc")),
    Refused("a name with a space", "9110 5.1", get("a b: c")),
    Refused("a name with a slash", "9110 5.1", get("a/b: c")),
    Refused("a name with a byte above 127", "9110 5.1", get("\xe9: c")),
    Refused("NUL in a name", "9110 5.1", get("a\x00b: c")),
    Chosen("too many fields", "9110 5.4", get(*["a: b"] * 200), 431),
    Chosen("a head too large", "9110 5.4", get("X: " + "a" * 64 * 1024), 431),
    Chosen("more names in Connection than are looked at", "9110 7.6.1",
            get("Connection: " + ", ".join(f"x{n}" for n in range(40)))),
)  # fmt: skip

H: Final = "Host: a"
CHUNKS: Final = b'2\r\nab\r\n3;x="y z"\r\ncde\r\n0\r\n\r\n'
CHUNKED_ANSWER: Final = wire("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=CHUNKS)
CLOSING: Final = wire("HTTP/1.1 200 OK", "Content-Length: 2", "Connection: close", body=b"ok")

UPGRADE: Final = (
    get("Connection: Upgrade", "Upgrade: WebSocket, x"),
    forwarded("GET / HTTP/1.1", H).replace(b"Via:", b"Connection: Upgrade\r\nUpgrade: websocket, x\r\nVia:"),
)
BAD: Final = own("HTTP/1.1 502 Bad Gateway", "Content-Type: text/plain; charset=utf-8", "Content-Length: *", body=b"*")

REQUESTS: Final = (
    Passed("GET", "9112 3", get(), forwarded("GET / HTTP/1.1", H)),
    Passed("the target byte for byte", "9112 3.2.1", target("/a/./b/../%7Ec%2Fd?x=%41&&y"),
           forwarded("GET /a/./b/../%7Ec%2Fd?x=%41&&y HTTP/1.1", H)),
    Passed("dots within a segment", "3986 3.3", target("/..a/.b/..."), forwarded("GET /..a/.b/... HTTP/1.1", H)),
    Passed("fields byte for byte, in order", "9110 5.3", get("b:  x\t", "A:y", "b: ", "C: \xe9"),
           forwarded("GET / HTTP/1.1", H, "b:  x\t", "A:y", "b: ", "C: \xe9")),
    Passed("Host kept as sent", "9110 7.2", wire("GET / HTTP/1.1", "hOST:  A.Example:8080 "),
           forwarded("GET / HTTP/1.1", "hOST:  A.Example:8080 ", host="A.Example:8080")),
    Passed("Host of an IPv6 address", "9110 7.2", get(host="[::1]:80"),
           forwarded("GET / HTTP/1.1", "Host: [::1]:80", host="[::1]:80")),
    Passed("Host with an escape", "3986 3.2.2", get(host="a%2Db"),
           forwarded("GET / HTTP/1.1", "Host: a%2Db", host="a%2Db")),
    Passed("Host of an IPv4 address within IPv6", "3986 3.2.2", get(host="[::ffff:127.0.0.1]"),
           forwarded("GET / HTTP/1.1", "Host: [::ffff:127.0.0.1]", host="[::ffff:127.0.0.1]")),
    Passed("Host empty", "9112 3.2", wire("GET / HTTP/1.1", "Host:"),
           forwarded("GET / HTTP/1.1", host="")),
    Passed("absolute-form overrides Host", "9112 3.2.2", wire("GET http://B:80/x?y HTTP/1.1", "Host: a", "X: z"),
           forwarded("GET /x?y HTTP/1.1", "X: z", host="B:80")),
    Passed("absolute-form without a path", "9112 3.2.1", wire("GET HTTP://b HTTP/1.1", "Host: b"),
           forwarded("GET / HTTP/1.1", host="b")),
    Passed("absolute-form with a query alone", "9112 3.2.1", wire("GET http://b?x/y HTTP/1.1", "Host: b"),
           forwarded("GET /?x/y HTTP/1.1", host="b")),
    Passed("OPTIONS in asterisk-form", "9112 3.2.4", get(line="OPTIONS * HTTP/1.1"),
           forwarded("OPTIONS * HTTP/1.1", H)),
    Passed("OPTIONS in absolute-form without a path", "9112 3.2.4", wire("OPTIONS http://b HTTP/1.1", "Host: b"),
           forwarded("OPTIONS * HTTP/1.1", host="b")),
    Offered("an empty line before the request", "9112 2.2", b"\r\n" + get(), forwarded("GET / HTTP/1.1", H)),
    Offered("two empty lines before the request", "9112 2.2", b"\r\n\r\n" + get(), forwarded("GET / HTTP/1.1", H)),
    Offered("200 fields", "9110 5.4", get(*["a: b"] * 199), forwarded("GET / HTTP/1.1", H, *["a: b"] * 199)),
    Offered("a target of 16 KiB", "9110 4.1", target("/" + "a" * (16 * 1024 - 1)),
           forwarded("GET /" + "a" * (16 * 1024 - 1) + " HTTP/1.1", H)),
    # --- versions and persistence
    Passed("HTTP/1.1 close", "9112 9.6", get("Connection: close"), forwarded("GET / HTTP/1.1", H),
           heard=CLOSING, ends=True),
    Passed("HTTP/1.1 close among others", "9112 9.6", get("Connection: keep-alive, Close"),
           forwarded("GET / HTTP/1.1", H), heard=CLOSING, ends=True),
    Passed("HTTP/1.1 keep-alive", "9112 9.3", get("Connection: keep-alive"), forwarded("GET / HTTP/1.1", H)),
    Passed("HTTP/1.0", "9112 9.3", wire("GET / HTTP/1.0", H), forwarded("GET / HTTP/1.1", H, via="1.0"),
           heard=CLOSING, ends=True),
    Passed("HTTP/1.0 keep-alive", "9112 9.3", wire("GET / HTTP/1.0", H, "Connection: Keep-Alive"),
           forwarded("GET / HTTP/1.1", H, via="1.0"),
           heard=wire("HTTP/1.1 200 OK", "Content-Length: 2", "Connection: keep-alive", body=b"ok")),
    Passed("HTTP/1.0 without Host", "9112 3.2", wire("GET / HTTP/1.0"),
           forwarded("GET / HTTP/1.1", host="", via="1.0"), heard=CLOSING, ends=True),
    Passed("HTTP/1.0 without Host forges nothing", "9110 7.6.1",
           wire("GET / HTTP/1.0", "X-Forwarded-For: 6.6.6.6"),
           forwarded("GET / HTTP/1.1", host="", via="1.0"), heard=CLOSING, ends=True),
    Passed("HTTP/1.0 without Host, hop-by-hop", "9110 7.6.1", wire("GET / HTTP/1.0", "Connection: keep-alive"),
           forwarded("GET / HTTP/1.1", host="", via="1.0"),
           heard=wire("HTTP/1.1 200 OK", "Content-Length: 2", "Connection: keep-alive", body=b"ok")),
    Offered("a later minor version", "9110 2.5", get(line="GET / HTTP/1.2"), forwarded("GET / HTTP/1.1", H)),
    Passed("OPTIONS that goes further", "9110 7.6.2", get("A: b", "MAX-forwards:  010", line="OPTIONS / HTTP/1.1"),
           forwarded("OPTIONS / HTTP/1.1", H, "A: b", "MAX-forwards:  9")),
    Offered("TRACE that goes one hop further", "9110 7.6.2", get("Max-Forwards: 1", "A: b", line="TRACE /x HTTP/1.1"),
           forwarded("TRACE /x HTTP/1.1", H, "Max-Forwards: 0", "A: b")),
    Passed("OPTIONS that goes further than anybody", "9110 7.6.2",
           get("Max-Forwards: " + "9" * 40, line="OPTIONS / HTTP/1.1"),
           forwarded("OPTIONS / HTTP/1.1", H, "Max-Forwards: 999999999")),
    Offered("Max-Forwards of other methods", "9110 7.6.2", get("Max-Forwards: 0"),
            forwarded("GET / HTTP/1.1", H, "Max-Forwards: 0")),
    Passed("credentials", "9110 11.6.2", get("Authorization: Basic a", "authorization: b"),
           forwarded("GET / HTTP/1.1", H, "Authorization: Basic a", "authorization: b")),
    Passed("conditions and ranges", "9110 13.1", get("If-None-Match: x", "If-Range: y", "Range: bytes=0-1"),
           forwarded("GET / HTTP/1.1", H, "If-None-Match: x", "If-Range: y", "Range: bytes=0-1")),
    Passed("Expect in HTTP/1.0 means nothing", "9110 10.1.1",
           wire("POST / HTTP/1.0", H, "Expect: 100-continue", "Content-Length: 2", body=b"ab"),
           forwarded("POST / HTTP/1.1", H, "Content-Length: 2", body=b"ab", via="1.0"), heard=CLOSING, ends=True),
    Passed("Expect in HTTP/1.0 without Host", "9110 10.1.1",
           wire("POST / HTTP/1.0", "expect: 100-continue", "Content-Length: 2", body=b"ab"),
           forwarded("POST / HTTP/1.1", "Content-Length: 2", host="", body=b"ab", via="1.0"), heard=CLOSING, ends=True),
    # --- bodies
    Passed("a body of a length", "9112 6.2", post("Content-Length: 5", body=b"a\r\n\r\nb"[:5]),
           forwarded("POST / HTTP/1.1", H, "Content-Length: 5", body=b"a\r\n\r\n")),
    Passed("a length with zeros before it", "9110 8.6", post("Content-Length: 002", body=b"ab"),
           forwarded("POST / HTTP/1.1", H, "Content-Length: 002", body=b"ab")),
    Passed("a length of zero", "9110 8.6", post("Content-Length: 0", body=b""),
           forwarded("POST / HTTP/1.1", H, "Content-Length: 0")),
    Passed("POST without a body", "9112 6.3", post(body=b""), forwarded("POST / HTTP/1.1", H)),
    Passed("GET with a body", "9110 9.3.1", wire("GET / HTTP/1.1", H, "Content-Length: 2", body=b"ab"),
           forwarded("GET / HTTP/1.1", H, "Content-Length: 2", body=b"ab")),
    Passed("a chunked body", "9112 7.1", chunked(CHUNKS),
           forwarded("POST / HTTP/1.1", H, "Transfer-Encoding: chunked", body=CHUNKS)),
    Passed("chunked in capitals, with spaces", "9112 7", post("transfer-encoding: \tCHUNKED ", body=CHUNKS),
           forwarded("POST / HTTP/1.1", H, "transfer-encoding: \tCHUNKED ", body=CHUNKS)),
    Passed("a chunk size with zeros, in capitals", "9112 7.1", chunked(b"00A\r\n0123456789\r\n000\r\n\r\n"),
           forwarded("POST / HTTP/1.1", H, "Transfer-Encoding: chunked", body=b"00A\r\n0123456789\r\n000\r\n\r\n")),
    Offered("trailers", "9112 7.1.2", chunked(b"1\r\na\r\n0\r\nX-Sum: 1\r\ny:\r\n\r\n"),
           forwarded("POST / HTTP/1.1", H, "Transfer-Encoding: chunked",
                     body=b"1\r\na\r\n0\r\nX-Sum: 1\r\ny:\r\n\r\n")),
    # --- what belongs to one connection
    Offered("hop-by-hop fields", "9110 7.6.1",
           get("Keep-Alive: 5", "TE: trailers", "Proxy-Connection: x", "Proxy-Authorization: y", "Upgrade: z", "A: b"),
           forwarded("GET / HTTP/1.1", H, "A: b")),
    Passed("fields that Connection names", "9110 7.6.1",
           get("A: 1", "Connection: b, C", "B: 2", "c: 3", "D: 4", "b: 5"),
           forwarded("GET / HTTP/1.1", H, "A: 1", "D: 4")),
    Passed("Connection in two fields", "9110 7.6.1", get("Connection: a", "A: 1", "connection: b", "B: 2"),
           forwarded("GET / HTTP/1.1", H)),
    Passed("a field whose name begins like one that is named", "9110 7.6.1", get("Connection: a", "Ab: 1", "b-a: 2"),
           forwarded("GET / HTTP/1.1", H, "Ab: 1", "b-a: 2")),
    Passed("Connection may not name what frames or addresses", "9110 7.6.1",
           post("Connection: host, content-length, cookie", "Content-Length: 2", "Cookie: a=b", body=b"ab"),
           forwarded("POST / HTTP/1.1", H, "Content-Length: 2", "Cookie: a=b", body=b"ab")),
    Passed("Connection may not name Transfer-Encoding", "9112 6.1",
           post("Connection: transfer-encoding", "Transfer-Encoding: chunked", body=CHUNKS),
           forwarded("POST / HTTP/1.1", H, "Transfer-Encoding: chunked", body=CHUNKS)),
    Passed("Connection may name what the proxy adds, and it is added all the same", "9110 7.6.1",
           get("Connection: x-forwarded-for, x-gray-version, via"), forwarded("GET / HTTP/1.1", H)),
    Passed("h2c refused", "9113 3.1", get("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAM"),
           forwarded("GET / HTTP/1.1", H)),
    Offered("h2c among others refused", "9113 3.1", get("Connection: Upgrade", "Upgrade: websocket, h2c"),
           forwarded("GET / HTTP/1.1", H)),
    Offered("an upgrade that Connection does not name", "9110 7.8", get("Upgrade: websocket"),
           forwarded("GET / HTTP/1.1", H)),
    Passed("an upgrade asked for in HTTP/1.0", "9110 7.8",
           wire("GET / HTTP/1.0", H, "Connection: upgrade", "Upgrade: websocket"),
           forwarded("GET / HTTP/1.1", H, via="1.0"), heard=CLOSING, ends=True),
    Offered("an upgrade passed, and not taken up", "9110 7.8",
           get("Connection: Upgrade, x", "Upgrade: WebSocket", "X: 1"),
           forwarded("GET / HTTP/1.1", H).replace(b"Via:", b"Connection: Upgrade\r\nUpgrade: websocket\r\nVia:")),
    Passed("an upgrade to another protocol than was offered", "9110 7.8", *UPGRADE,
           wire("HTTP/1.1 101 x", "Connection: Upgrade", "Upgrade: y"), BAD, demand=OURS),
    Passed("an upgrade to more protocols than were offered", "9110 7.8", *UPGRADE,
           wire("HTTP/1.1 101 x", "Connection: Upgrade", "Upgrade: websocket, y"), BAD, demand=OURS),
    Passed("an upgrade to nobody knows what", "9110 15.2.2", *UPGRADE, wire("HTTP/1.1 101 x"), BAD, demand=OURS),
    # --- what only a trusted proxy may say
    Offered("a client forges nothing", "7239 8.1",
           get("X-Forwarded-For: 6.6.6.6", "x-forwarded-proto: https", "X-Forwarded-Host: b", "X-Forwarded-Port: 1",
               "X-Real-IP: 6.6.6.6", "Forwarded: for=6.6.6.6", "X-Gray-Version: v9", "X-Request-Id: 1"),
           forwarded("GET / HTTP/1.1", H)),
    Offered("nor with underscores", "7239 8.1",
           get("X_Forwarded_For: 6.6.6.6", "X-Forwarded_Proto: https", "X_Gray_Version: v9", "X_Real_IP: 6.6.6.6"),
           forwarded("GET / HTTP/1.1", H)),
    Passed("fields that only look alike pass", "9110 5.1", get("X-Forward: 1", "X-Grayscale: 2", "XForwarded-For: 3"),
           forwarded("GET / HTTP/1.1", H, "X-Forward: 1", "X-Grayscale: 2", "XForwarded-For: 3")),
    Passed("Via of others stays", "9110 7.6.3", get("Via: 1.0 x"), forwarded("GET / HTTP/1.1", H, "Via: 1.0 x")),
    Offered("a trusted proxy is believed", "7239 8.1",
           get("X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https", "X-Forwarded-Host: b", "X-Request-Id: 1",
               "X-Real-IP: 6.6.6.6", "Forwarded: for=6.6.6.6"),
           wire("GET / HTTP/1.1", H, "X-Forwarded-Proto: https", "X-Forwarded-Host: b", "X-Request-Id: 1",
                "X-Real-IP: 6.6.6.6", "Forwarded: for=6.6.6.6", "X-Forwarded-For: 6.6.6.6, 127.0.0.1",
                "Via: 1.1 grayhound", "X-Gray-Version: v1"), trusted=True),
    Offered("a trusted proxy does not name the version", "9110 7.6.1", get("X-Gray-Version: v9", "X_Gray_Version: v9"),
           forwarded("GET / HTTP/1.1", H), trusted=True),
)  # fmt: skip

GET: Final = (get(), forwarded("GET / HTTP/1.1", H))
HEAD: Final = (get(line="HEAD / HTTP/1.1"), forwarded("HEAD / HTTP/1.1", H))
OLD: Final = (wire("GET / HTTP/1.0", H), forwarded("GET / HTTP/1.1", H, via="1.0"))
OLD_KEPT: Final = (wire("GET / HTTP/1.0", H, "Connection: keep-alive"), OLD[1])
OLD_HEAD: Final = (wire("HEAD / HTTP/1.0", H), forwarded("HEAD / HTTP/1.1", H, via="1.0"))
TO_CLOSE: Final = Answer(wire("HTTP/1.1 200 OK", "A: b", body=b"abc"), close=True)
IN_CHUNKS: Final = b"3\r\nabc\r\n0\r\n\r\n"


def bad(name: str, section: str, answer: bytes, says: tuple[bytes, bytes] = GET, demand: str = MUST) -> Passed:
    """A response that may not be passed on: 502, and the connection to the client stays."""
    return Passed(name, section, *says, answer, BAD, demand=demand)


def passed_on(name: str, section: str, *lines: str) -> Passed:
    """A response that goes on as it came."""
    return Passed(name, section, *GET, wire(*lines), wire(*lines))


def undated(name: str, answer: Answer | bytes, heard: bytes, says: tuple[bytes, bytes] = GET) -> Passed:
    """A response without a Date, which is to get that of the moment."""
    return Passed(name, "9110 6.6.1", *says, answer, heard)


def fatal(name: str, section: str, answer: bytes) -> Passed:
    """A response of which nothing sound can be made."""
    return bad(name, section, answer, demand=REFUSE)


RESPONSES: Final = (
    Passed("fields byte for byte, in order", "9110 5.3", *GET,
           wire("HTTP/1.1 299 \xe9 x", "b:  x ", "A:y", "Set-Cookie: a", "Set-Cookie: b", "Content-Length: 0"),
           wire("HTTP/1.1 299 \xe9 x", "b:  x ", "A:y", "Set-Cookie: a", "Set-Cookie: b", "Content-Length: 0")),
    Passed("no reason phrase", "9112 4", *GET, wire("HTTP/1.1 200 ", "Content-Length: 0"),
           wire("HTTP/1.1 200 ", "Content-Length: 0")),
    Passed("no reason phrase and no space", "9112 4", *GET, wire("HTTP/1.1 200", "Content-Length: 0"),
           wire("HTTP/1.1 200", "Content-Length: 0")),
    Passed("hop-by-hop fields", "9110 7.6.1", *GET,
           wire("HTTP/1.1 200 OK", "Connection: keep-alive, x", "Keep-Alive: 5", "X: 1", "Y: 2", "Content-Length: 0"),
           wire("HTTP/1.1 200 OK", "Y: 2", "Content-Length: 0")),
    Passed("close is the upstream's own", "9112 9.6", *GET,
           Answer(wire("HTTP/1.1 200 OK", "Connection: close", "Content-Length: 2", body=b"ok"), close=True)),
    Passed("Connection may not name what frames", "9110 7.6.1", *GET,
           wire("HTTP/1.1 200 OK", "Connection: content-length", "Content-Length: 2", body=b"ok")),
    Passed("HTTP/1.0", "9112 2.3", *GET,
           Answer(wire("HTTP/1.0 200 OK", "Content-Length: 2", body=b"ok"), close=True)),
    Passed("chunks", "9112 7.1", *GET, CHUNKED_ANSWER, CHUNKED_ANSWER),
    Offered("chunks with trailers", "9112 7.1.2", *GET,
           wire("HTTP/1.1 200 OK", "Trailer: x", "Transfer-Encoding: chunked", body=b"1\r\na\r\n0\r\nX: 1\r\n\r\n"),
           wire("HTTP/1.1 200 OK", "Trailer: x", "Transfer-Encoding: chunked", body=b"1\r\na\r\n0\r\nX: 1\r\n\r\n")),
    Passed("chunks to HTTP/1.0", "9112 6.1", *OLD, CHUNKED_ANSWER,
           wire("HTTP/1.1 200 OK", "Connection: close", body=b"abcde"), ends=True),
    Passed("chunks to HTTP/1.0 keep-alive", "9112 6.1", *OLD_KEPT, CHUNKED_ANSWER,
           wire("HTTP/1.1 200 OK", "Connection: close", body=b"abcde"), ends=True),
    Passed("until the close becomes chunks", "9112 6.3", *GET, TO_CLOSE,
           wire("HTTP/1.1 200 OK", "A: b", "Transfer-Encoding: chunked", body=IN_CHUNKS)),
    Passed("until the close, to HTTP/1.0", "9112 6.3", *OLD_KEPT, TO_CLOSE,
           wire("HTTP/1.1 200 OK", "A: b", "Connection: close", body=b"abc"), ends=True),
    Passed("until the close, nothing", "9112 6.3", *GET, Answer(wire("HTTP/1.1 200 OK"), close=True),
           wire("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=b"0\r\n\r\n")),
    Offered("a later minor version", "9110 2.5", *GET, wire("HTTP/1.2 200 OK", "Content-Length: 2", body=b"ok")),
    *(passed_on(*line) for line in (
        ("206", "9110 15.3.7", "HTTP/1.1 206 x", "Content-Range: bytes 0-0/5", "Content-Length: 0"),
        ("307", "9110 15.4.8", "HTTP/1.1 307 x", "Location: /b", "Content-Length: 0"),
        ("401", "9110 11.6.1", "HTTP/1.1 401 x", "WWW-Authenticate: a", "www-authenticate: b", "Content-Length: 0"),
        ("405", "9110 10.2.1", "HTTP/1.1 405 x", "Allow: GET,, PUT", "Allow:", "Content-Length: 0"),
        ("416", "9110 15.5.17", "HTTP/1.1 416 x", "Content-Range: bytes */5", "Content-Length: 0"),
        ("503", "9110 10.2.3", "HTTP/1.1 503 x", "Retry-After: 7", "Content-Length: 0"),
        ("cookies", "6265 3", "HTTP/1.1 200 OK", "Set-Cookie: a=1, x", "set-cookie: b=2; c", "Content-Length: 0"),
        ("Via of others in a response", "9110 7.6.3", "HTTP/1.1 200 OK", "Via: 1.0 x", "Content-Length: 0"),
    )),
    Passed("426 names what to change to", "9110 15.5.22", *GET,
           wire("HTTP/1.1 426 x", "Connection: close, Upgrade", "Upgrade: a/1, b", "Content-Length: 0"),
           wire("HTTP/1.1 426 x", "Content-Length: 0", "Connection: Upgrade", "Upgrade: a/1, b")),
    Offered("an upgrade that is on offer", "9110 7.8", *GET,
            wire("HTTP/1.1 200 OK", "Connection: Upgrade", "Upgrade: a", "Content-Length: 0"),
            wire("HTTP/1.1 200 OK", "Content-Length: 0")),
    # --- responses without a body
    Passed("HEAD with a length", "9110 9.3.2", *HEAD, wire("HTTP/1.1 200 OK", "Content-Length: 2"),
           wire("HTTP/1.1 200 OK", "Content-Length: 2")),
    Passed("HEAD with chunked", "9112 6.1", *HEAD, wire("HTTP/1.1 200 OK", "Transfer-Encoding: chunked"),
           wire("HTTP/1.1 200 OK", "Transfer-Encoding: chunked")),
    Passed("HEAD with neither", "9110 9.3.2", *HEAD, wire("HTTP/1.1 200 OK"), wire("HTTP/1.1 200 OK")),
    Passed("HEAD with chunked, to HTTP/1.0", "9112 6.1", *OLD_HEAD,
           wire("HTTP/1.1 200 OK", "Transfer-Encoding: chunked"), wire("HTTP/1.1 200 OK", "Connection: close"),
           ends=True),
    Passed("204", "9110 15.3.5", *GET, wire("HTTP/1.1 204 No Content"), wire("HTTP/1.1 204 No Content")),
    Passed("204 with a length", "9110 8.6", *GET, wire("HTTP/1.1 204 No Content", "Content-Length: 0"),
           wire("HTTP/1.1 204 No Content")),
    Offered("204 with chunked", "9112 6.1", *GET, wire("HTTP/1.1 204 No Content", "Transfer-Encoding: chunked"),
           wire("HTTP/1.1 204 No Content")),
    Passed("304", "9110 15.4.5", *GET, wire("HTTP/1.1 304 Not Modified", "ETag: x"),
           wire("HTTP/1.1 304 Not Modified", "ETag: x")),
    Passed("304 with a length", "9110 8.6", *GET, wire("HTTP/1.1 304 Not Modified", "Content-Length: 5"),
           wire("HTTP/1.1 304 Not Modified", "Content-Length: 5")),
    # --- 1xx
    Passed("103", "9110 15.2", *GET, wire("HTTP/1.1 103 Early Hints", "Link: x") + OK,
           wire("HTTP/1.1 103 Early Hints", "Link: x") + OK),
    Passed("several 1xx", "9110 15.2", *GET, wire("HTTP/1.1 102 Processing") * 3 + OK,
           wire("HTTP/1.1 102 Processing") * 3 + OK),
    Passed("1xx are nothing for HTTP/1.0", "9110 15.2", *OLD, wire("HTTP/1.1 103 Early Hints", "Link: x") + OK,
           CLOSING, ends=True),
    Offered("100 from the upstream", "9110 10.1.1",
           post("Expect: 100-continue", "Content-Length: 2", body=b"ab"),
           forwarded("POST / HTTP/1.1", H, "Expect: 100-continue", "Content-Length: 2", body=b"ab"),
           Answer(at_head=wire("HTTP/1.1 100 Continue")), wire("HTTP/1.1 100 Continue") + OK),
    fatal("101 unasked", "9110 15.2.2", wire("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: x")),
    Offered("too many 1xx", "9110 15.2", *GET, wire("HTTP/1.1 102 Processing") * 17 + OK,
           wire("HTTP/1.1 102 Processing") * 16 + BAD),
    Passed("103 with a length", "9110 8.6", *GET, wire("HTTP/1.1 103 x", "Content-Length: 5") + OK,
           wire("HTTP/1.1 103 x") + OK),
    Passed("103 with chunked", "9112 6.1", *GET, wire("HTTP/1.1 103 x", "Transfer-Encoding: chunked") + OK,
           wire("HTTP/1.1 103 x") + OK),
    # --- a space before the colon is taken out
    Passed("a space before the colon", "9112 5.1", *GET,
           wire("HTTP/1.1 200 OK", "A : b : c", "Content-Length: 2", "B \t :d", body=b"ok"),
           wire("HTTP/1.1 200 OK", "A: b : c", "Content-Length: 2", "B:d", body=b"ok")),
    Passed("a space before the colon of what frames", "9112 5.1", *GET,
           wire("HTTP/1.1 200 OK", "Content-Length : 2", body=b"ok"),
           wire("HTTP/1.1 200 OK", "Content-Length: 2", body=b"ok")),
    Passed("a tab before the colon of Transfer-Encoding", "9112 5.1", *GET,
           wire("HTTP/1.1 200 OK", "Transfer-Encoding\t: chunked", body=CHUNKS), CHUNKED_ANSWER),
    Passed("a space before the colon, with hop-by-hop fields", "9112 5.1", *GET,
           wire("HTTP/1.1 200 OK", "Keep-Alive : 5", "Connection : x", "x : 1", "Content-Length: 0"),
           wire("HTTP/1.1 200 OK", "Content-Length: 0")),
    Passed("a space before the colon of Date", "9112 5.1", *GET,
           dateless("HTTP/1.1 200 OK", "Date : x", "Content-Length: 0"),
           dateless("HTTP/1.1 200 OK", "Date: x", "Content-Length: 0")),
    bad("a space before the colon, both lengths", "9112 6.3",
        wire("HTTP/1.1 200 OK", "Content-Length : 5", "Transfer-Encoding: chunked", body=b"0\r\n\r\n")),
    # --- Date
    undated("no Date", dateless("HTTP/1.1 200 OK", "Content-Length: 2", body=b"ok"),
            dateless("HTTP/1.1 200 OK", "Content-Length: 2", NOW, body=b"ok")),
    undated("no Date, 500", dateless("HTTP/1.1 500 x", "A: b", "Content-Length: 0"),
            dateless("HTTP/1.1 500 x", "A: b", "Content-Length: 0", NOW)),
    undated("no Date, 404 in chunks", dateless("HTTP/1.1 404 x", "Transfer-Encoding: chunked", body=CHUNKS),
            dateless("HTTP/1.1 404 x", "Transfer-Encoding: chunked", NOW, body=CHUNKS)),
    undated("no Date, 304", dateless("HTTP/1.1 304 x", "ETag: x"), dateless("HTTP/1.1 304 x", "ETag: x", NOW)),
    undated("no Date, 204", dateless("HTTP/1.1 204 x"), dateless("HTTP/1.1 204 x", NOW)),
    undated("no Date, HEAD", dateless("HTTP/1.1 200 OK", "Content-Length: 2"),
            dateless("HTTP/1.1 200 OK", "Content-Length: 2", NOW), HEAD),
    undated("no Date, until the close", Answer(dateless("HTTP/1.1 200 OK", "A: b", body=b"abc"), close=True),
            dateless("HTTP/1.1 200 OK", "A: b", NOW, "Transfer-Encoding: chunked", body=IN_CHUNKS)),
    undated("no Date from HTTP/1.0",
            Answer(dateless("HTTP/1.0 200 OK", "Content-Length: 2", body=b"ok"), close=True),
            dateless("HTTP/1.1 200 OK", "Content-Length: 2", NOW, body=b"ok")),
    undated("no Date in 103", dateless("HTTP/1.1 103 x", "Link: x") + OK,
            dateless("HTTP/1.1 103 x", "Link: x", NOW) + OK),
    undated("fields that only look like a Date",
            dateless("HTTP/1.1 200 OK", "X-Date: 1", "Dated: 2", "A: Date: 3", "Content-Length: 0"),
            dateless("HTTP/1.1 200 OK", "X-Date: 1", "Dated: 2", "A: Date: 3", "Content-Length: 0", NOW)),
    undated("a Date that Connection names", wire("HTTP/1.1 200 OK", "Connection: date", "Content-Length: 0"),
            dateless("HTTP/1.1 200 OK", "Content-Length: 0", NOW)),
    Passed("no Date, to HTTP/1.0", "9110 6.6.1", *OLD, dateless("HTTP/1.1 200 OK", "Content-Length: 2", body=b"ok"),
           dateless("HTTP/1.1 200 OK", "Content-Length: 2", NOW, "Connection: close", body=b"ok"), ends=True),
    Offered("a Date in lower case, of long ago", "9110 6.6.1", *GET,
            dateless("HTTP/1.1 200 OK", "date:Sun, 06 Nov 1994 08:49:37 GMT", "Content-Length: 0"),
            dateless("HTTP/1.1 200 OK", "date:Sun, 06 Nov 1994 08:49:37 GMT", "Content-Length: 0")),
    Offered("a Date that is none", "9110 6.6.1", *GET, dateless("HTTP/1.1 200 OK", "DATE: x", "Content-Length: 0"),
            dateless("HTTP/1.1 200 OK", "DATE: x", "Content-Length: 0")),
    # --- what may not pass
    bad("no status line", "9112 4", b"hello\r\n\r\n"),
    bad("a status of two digits", "9112 4", wire("HTTP/1.1 20 OK", "Content-Length: 0")),
    bad("a status of four digits", "9112 4", wire("HTTP/1.1 2000 OK", "Content-Length: 0")),
    bad("a status below 100", "9110 15", wire("HTTP/1.1 099 OK", "Content-Length: 0"), demand=OURS),
    bad("HTTP/2.0", "9112 2.3", wire("HTTP/2.0 200 OK", "Content-Length: 0")),
    bad("another protocol", "9112 2.3", wire("ICY 200 OK", "Content-Length: 0")),
    bad("CTL in the reason phrase", "9112 4", wire("HTTP/1.1 200 O\x01K", "Content-Length: 0")),
    bad("a space in a name", "9110 5.1", wire("HTTP/1.1 200 OK", "A a : b", "Content-Length: 0")),
    bad("a folded line", "9112 5.2", wire("HTTP/1.1 200 OK", "A: b", " c", "Content-Length: 0")),
    bad("a line without a colon", "9112 5", wire("HTTP/1.1 200 OK", "abc", "Content-Length: 0")),
    bad("an empty name", "9110 5.1", wire("HTTP/1.1 200 OK", ": b", "Content-Length: 0")),
    bad("NUL in a value", "9110 5.5", wire("HTTP/1.1 200 OK", "A: b\x00", "Content-Length: 0")),
    bad("bare CR in a value", "9112 2.2", wire("HTTP/1.1 200 OK", "A: b\rc", "Content-Length: 0")),
    bad("bare LF in the head", "9112 2.2", b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n"),
    bad("both", "9112 6.3",
        wire("HTTP/1.1 200 OK", "Content-Length: 5", "Transfer-Encoding: chunked", body=b"0\r\n\r\n")),
    fatal("two lengths", "9112 6.3", wire("HTTP/1.1 200 OK", "Content-Length: 2", "Content-Length: 3", body=b"abc")),
    fatal("a length that is no number", "9112 6.3", wire("HTTP/1.1 200 OK", "Content-Length: a", body=b"abc")),
    fatal("a negative length", "9112 6.3", wire("HTTP/1.1 200 OK", "Content-Length: -1", body=b"abc")),
    fatal("a list of lengths", "9112 6.3", wire("HTTP/1.1 200 OK", "Content-Length: 2, 3", body=b"abc")),
    bad("gzip", "9112 6.1", wire("HTTP/1.1 200 OK", "Transfer-Encoding: gzip", body=b"abc"), demand=OURS),
    bad("chunked twice", "9112 6.1", wire("HTTP/1.1 200 OK", "Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n")),
    bad("chunked in HTTP/1.0", "9112 6.1", wire("HTTP/1.0 200 OK", "Transfer-Encoding: chunked", body=b"0\r\n\r\n")),
    bad("a HEAD's ambiguous framing", "9112 6.3",
        wire("HTTP/1.1 200 OK", "Content-Length: 5", "Transfer-Encoding: chunked"), HEAD),
)  # fmt: skip
