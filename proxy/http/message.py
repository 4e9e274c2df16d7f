"""The words of HTTP in this house: the head of a request and of a response.

A head keeps its bytes as they came (`raw`) and knows the few fields that the house or the rules read (`fields`);
everything else passes through unread.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_to_bytes

_SEMICOLON: Final = ord(";")
_QUOTE: Final = ord('"')

# Field values by lower-case name, in order of arrival; a name that stands once has one value.
Fields = dict[bytes, tuple[bytes, ...]]

# RFC 9110 section 7.6.1; the Proxy- fields speak to the proxy itself. Transfer-Encoding stays where the chunks do.
HOP_BY_HOP: Final = frozenset(
    (b"connection", b"keep-alive", b"te", b"upgrade",
     b"proxy-connection", b"proxy-authorization", b"proxy-authenticate")
)  # fmt: skip
COOKIE_NAMES_MAX: Final = 1024
"""Cookie names whose finder is kept; the rules name a few."""


class RequestHead:
    """The head of one request.

    method, target: as sent. host: lower case, without port, b"" if none. path: what routes are matched against
    (unreserved characters decoded, dot segments resolved: proxy/http/paths.py). query: after the `?`, as sent.
    minor: 0 or 1, of HTTP/1.x. fields: only the names that the reader was asked for. raw: all bytes of the head,
    with the empty line. cut: names of fields that must not pass on. client: the client's address, without trusted
    proxies; scheme: b"http" or b"https", as the client came. plain: HTTP/1.1, a Host, a target that begins
    with `/`, and no field asks for a second look: none speaks of a body, of another protocol, of the connection but
    that it ends or stays, or (but for heads that repeat the one before) in a proxy's name. onward: of a head that
    others may repeat, once it has passed on: its lines after the first as they pass on, up to those of its sender
    (Peer.own), and from there to the value of X-Request-Id.
    """

    __slots__ = (
        "_arguments",
        "client",
        "cut",
        "fields",
        "host",
        "method",
        "minor",
        "onward",
        "path",
        "plain",
        "query",
        "raw",
        "scheme",
        "target",
    )

    def __init__(
        self,
        method: bytes,
        target: bytes,
        minor: int,
        host: bytes,
        path: bytes,
        query: bytes,
        fields: Fields,
        raw: bytes,
        client: str = "",
        scheme: bytes = b"http",
        plain: bool = False,
    ) -> None:
        self.method = method
        self.target = target
        self.minor = minor
        self.host = host
        self.path = path
        self.query = query
        self.fields = fields
        self.raw = raw
        self.client = client
        self.scheme = scheme
        self.plain = plain
        self.cut: Sequence[bytes] = ()
        self.onward: tuple[bytes, bytes] | None = None
        self._arguments: Fields | None = None

    def cookie(self, name: bytes) -> bytes | None:
        """The value of the first cookie of that name, read as servers do (RFC 6265 section 4.2.1): a pair without `=`
        is none, white space and quotes around a value are taken off."""
        for line in self.fields.get(b"cookie", ()):
            if line.find(name) < 0:
                continue  # PERF: 0.3 of the time of a search in vain, which is what most requests would make
            for found in _cookie_finder(name)(line):
                before = line[: found.start()].rstrip(b" \t")
                if not before or before[-1] == _SEMICOLON:
                    value: bytes = found[1].strip(b" \t")
                    return value[1:-1] if len(value) >= 2 and value[0] == value[-1] == _QUOTE else value
        return None

    @property
    def arguments(self) -> Fields:
        """Query arguments by name, percent-decoded, `+` as a space. Read when first asked for."""
        if self._arguments is None:
            self._arguments = _read_arguments(self.query)
        return self._arguments


class ResponseHead:
    """The head of one response: status (100 to 999), minor of HTTP/1.x, fields and raw as in RequestHead.

    plain: HTTP/1.1, a status that has a body, and of the connection or of the body speaks no field but one good
    Content-Length or a Transfer-Encoding that says chunked. length: of the body, where the head is plain, or
    framing.CHUNKED; else see framing.response_length. dated: it has a Date. size: of the head as it came, in bytes;
    that of raw, unless rules have changed that.
    """

    __slots__ = ("dated", "fields", "length", "minor", "plain", "raw", "size", "status")

    def __init__(
        self, status: int, minor: int, fields: Fields, raw: bytes, length: int = -1, *, plain: bool = False,
        dated: bool = False, size: int = 0,
    ) -> None:  # fmt: skip
        self.status = status
        self.minor = minor
        self.fields = fields
        self.raw = raw
        self.length = length
        self.plain = plain
        self.dated = dated
        self.size = size or len(raw)


@lru_cache(maxsize=COOKIE_NAMES_MAX)
def _cookie_finder(name: bytes) -> Callable[[bytes], Iterator[re.Match[bytes]]]:
    # PERF: a search for one name takes 0.2 of taking the whole field apart, and rules ask for one or two names.
    return re.compile(re.escape(name) + rb"[ \t]*=([^;]*)").finditer


def _read_arguments(query: bytes) -> Fields:
    """All of them: behind a limit on their number, one could hide. The target has a limit, and at it they take no
    longer than small requests of as many bytes do."""
    found: dict[bytes, list[bytes]] = {}
    for pair in query.replace(b"+", b" ").split(b"&"):
        if pair:
            name, _, value = pair.partition(b"=")
            found.setdefault(_unquoted(name), []).append(_unquoted(value))
    return {name: tuple(values) for name, values in found.items()}


def _unquoted(text: bytes) -> bytes:
    return unquote_to_bytes(text) if text.find(b"%") >= 0 else text
