"""The words of HTTP in this house: the head of a request and of a response.

A head keeps its bytes as they came (`raw`) and knows the few fields that the house or the rules read (`fields`);
everything else passes through unread.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote_to_bytes

# Field values by lower-case name, in order of arrival; a name that stands once has one value.
Fields = dict[bytes, tuple[bytes, ...]]

COOKIES_MAX: Final = 200
"""Cookies read from one request; browsers keep at most some 180 per site (RFC 6265 section 6.1 asks for 50)."""
ARGUMENTS_MAX: Final = 1000
"""Query arguments read from one request; the rest cannot be matched. Django and PHP stop at 1,000 as well."""


class RequestHead:
    """The head of one request.

    method, target: as sent. host: lower case, without port, b"" if none. path: what routes are matched against
    (unreserved characters decoded, dot segments resolved: proxy/http/paths.py). query: after the `?`, as sent.
    minor: 0 or 1, of HTTP/1.x. fields: only the names that the reader was asked for. raw: all bytes of the head,
    with the empty line. cut: names of fields that must not pass on. client: the client's address, without trusted
    proxies; scheme: b"http" or b"https", as the client came. plain: no field speaks of the connection, of a body, or
    in a proxy's name, so that the head passes on as it is. like: another head with the same fields.
    """

    __slots__ = (
        "_arguments",
        "_cookies",
        "client",
        "cut",
        "fields",
        "host",
        "method",
        "minor",
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
        like: RequestHead | None = None,
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
        self.cut: list[bytes] = []
        self._cookies: dict[bytes, bytes] | None = None if like is None else like._cookies
        self._arguments: Fields | None = None

    @property
    def cookies(self) -> dict[bytes, bytes]:
        """Cookies by name; the first of a name counts. Read when first asked for."""
        if self._cookies is None:
            self._cookies = _read_cookies(self.fields.get(b"cookie", ()))
        return self._cookies

    @property
    def arguments(self) -> Fields:
        """Query arguments by name, percent-decoded, `+` as a space. Read when first asked for."""
        if self._arguments is None:
            self._arguments = _read_arguments(self.query)
        return self._arguments


class ResponseHead:
    """The head of one response: status (100 to 999), minor of HTTP/1.x, fields and raw as in RequestHead.

    plain: HTTP/1.1, and no field but one Content-Length speaks of the connection or of the body.
    """

    __slots__ = ("fields", "minor", "plain", "raw", "status")

    def __init__(self, status: int, minor: int, fields: Fields, raw: bytes, plain: bool = False) -> None:
        self.status = status
        self.minor = minor
        self.fields = fields
        self.raw = raw
        self.plain = plain


def _read_cookies(lines: tuple[bytes, ...]) -> dict[bytes, bytes]:
    """Read as servers do (RFC 6265 section 4.2.1): a pair without `=` is skipped, quotes around a value go."""
    cookies: dict[bytes, bytes] = {}
    pairs = b";".join(lines).split(b";", COOKIES_MAX)
    for pair in pairs[:COOKIES_MAX]:
        name, equals, value = pair.partition(b"=")
        if equals:
            value = value.strip(b" \t")
            if len(value) >= 2 and value[:1] == value[-1:] == b'"':
                value = value[1:-1]
            cookies.setdefault(name.strip(b" \t"), value)
    return cookies


def _read_arguments(query: bytes) -> Fields:
    arguments: Fields = {}
    if query:
        for pair in query.split(b"&", ARGUMENTS_MAX)[:ARGUMENTS_MAX]:
            if pair:
                name, _, value = pair.replace(b"+", b" ").partition(b"=")
                name = unquote_to_bytes(name)
                arguments[name] = (*arguments.get(name, ()), unquote_to_bytes(value))
    return arguments
