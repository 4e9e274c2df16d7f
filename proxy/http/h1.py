"""Heads of HTTP/1.1 messages from bytes and to bytes. The only file that knows the C parser (httptools).

A head is read twice, by two readers that share nothing: llhttp checks every byte of it and refuses what is malformed
(bare CR or LF, a space before the colon, folded lines, both lengths); one regex then finds the few fields that
someone asked for. A field that nobody reads costs nothing but that check.

PERF: llhttp without a callback per field and one regex take 0.6 of the time of llhttp with callbacks.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final

import httptools

from proxy.errors import BadRequest, BadResponse
from proxy.http.framing import BODILESS, CHUNKED, LENGTH_DIGITS_MAX
from proxy.http.headers import CLOSE, USUAL_CONNECTIONS, find_date, nominated
from proxy.http.known import KnownHeads
from proxy.http.message import Fields, RequestHead, ResponseHead
from proxy.http.paths import matched_path

REQUEST_FIELDS: Final = frozenset(
    (b"host", b"connection", b"content-length", b"transfer-encoding", b"te", b"upgrade", b"expect", b"keep-alive",
     b"max-forwards", b"proxy-connection", b"proxy-authorization", b"forwarded", b"x-request-id")
)  # fmt: skip
"""What the house reads of a request; the rules add theirs. Fields of FORGEABLE are read as well."""
RESPONSE_FIELDS: Final = frozenset(
    (b"connection", b"content-length", b"transfer-encoding", b"te", b"upgrade", b"keep-alive", b"proxy-connection",
     b"proxy-authenticate")
)  # fmt: skip
HOSTS_REMEMBERED_MAX: Final = 16384
"""Host values whose checked form is remembered by a reader. PERF: 0.75 of the time of reading a head where 10,000
hosts are asked for in turn. A scanner may fill it, with some 10 MB."""
HOST_BYTES_MAX: Final = 260
"""Of one that is remembered: a name of DNS, and a port."""
STATUS_LINES_REMEMBERED_MAX: Final = 256
"""Status lines whose meaning is remembered; services send some twenty."""

# What says something of the client or the version: only a trusted proxy may send it. Some servers take `_` for `-`.
FORGEABLE: Final = rb"x[-_](?:(?:forwarded|gray)[-_][^:]*|real[-_]ip)"
_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})+)(?::[0-9]{0,5})?|").fullmatch
_METHOD = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+ ").match
_OTHER_VERSION = re.compile(rb"[^ \r\n]+ [^ \r\n]+ HTTP/(?!1\.[01]\r)[0-9]\.[0-9]\r\n").match
_UNUSUAL = re.compile(rb"[%#]|/\.").search  # what may make a path to be matched differ from the one sent
_ZERO: Final = ord("0")
_LATER_MINOR = re.compile(rb"([^ \r\n]+ [^ \r\n]+ HTTP/1\.)[2-9](?=\r\n)").match  # read as 1.1 (RFC 9110 section 2.5)
_SLASH: Final = ord("/")
_CONNECTION: Final = (b"connection",)
_CAPITAL_A: Final = ord("A")
_REQUEST_PARSER: Final = httptools.HttpRequestParser
_RESPONSE_PARSER: Final = httptools.HttpResponseParser
_ABSOLUTE = re.compile(rb"https?://([^/?#]*)([^#]*)", re.IGNORECASE).fullmatch


@lru_cache(maxsize=64)
def field_finder(names: frozenset[bytes], pattern: bytes = b"") -> Any:
    """The `findall` of a regex that gives (name, value) of each field of these names in a head."""
    first_letters = {name[:1] for name in names} | ({b"x"} if pattern else set())
    letters = b"".join(re.escape(letter.lower() + letter.upper()) for letter in sorted(first_letters))
    words = sorted(map(re.escape, names), key=lambda word: (-len(word), word)) + ([pattern] if pattern else [])
    return re.compile(rb"(?i:\r\n(?=[%b])(%b):[ \t]*([^\r]*))" % (letters, b"|".join(words))).findall


def _fields(found: list[tuple[bytes, bytes]]) -> Fields:
    fields: Fields = {}
    for name, value in found:
        name = name.lower()
        value = value.rstrip(b" \t")
        fields[name] = (*fields[name], value) if name in fields else (value,)
    return fields


class _Nobody:
    """Stands where httptools expects an object with callbacks; having none is what makes it quick."""


_NOBODY: Final = _Nobody()


class RequestReader:
    """Reads request heads, keeping the fields that the house and the rules (`needs`) read. known: what came lately."""

    __slots__ = ("_find", "_hosts", "_plain", "known")

    def __init__(self, needs: frozenset[bytes] = frozenset()) -> None:
        spoken_for = field_finder(REQUEST_FIELDS - {b"host"}, FORGEABLE)
        self._plain = frozenset(name for name in needs if not spoken_for(b"\r\n%b:" % name)) | {b"host", b"connection"}
        self._find = field_finder(REQUEST_FIELDS | needs, FORGEABLE)
        self._hosts: dict[bytes, bytes] = {}
        self.known = KnownHeads()

    def read(self, raw: bytes) -> RequestHead:
        """The head in `raw`, which ends with its empty line. Raises BadRequest (400, 501, 505)."""
        try:
            # A parser that has seen nothing else: no state of one head can reach another.
            _REQUEST_PARSER(_NOBODY).feed_data(raw)
        except httptools.HttpParserUpgrade:
            pass  # a well-formed head that asks for another protocol
        except httptools.HttpParserError as error:
            if later := _LATER_MINOR(raw):
                return self.read(b"%b1%b" % (later[1], raw[later.end() :]))
            raise _refusal(raw, error) from None
        try:
            method, target, rest = raw.split(b" ", 2)
        except ValueError:  # empty lines, or a request line of HTTP/0.9: the parser lets both through
            raise BadRequest("malformed request line") from None
        if rest[:7] != b"HTTP/1." or not target or raw[0] < _CAPITAL_A:
            raise _other_version(raw) or BadRequest("malformed request line")
        minor = rest[7] - _ZERO
        fields = _fields(self._find(raw))
        if target[0] == _SLASH:
            path, _, query = target.partition(b"?")
        else:
            path, query, fields = _other_target(method, target, minor, fields)
        hosts = fields.get(b"host", ())
        if len(hosts) == 1:
            host = self._hosts.get(hosts[0]) or self._new_host(hosts[0])
        elif hosts or minor:
            raise BadRequest("a request has exactly one Host")
        else:
            host = b""
        if _UNUSUAL(target):
            path = matched_path(path, target)
        plain = (
            minor == 1 and host != b"" and target[0] == _SLASH and fields.keys() <= self._plain
            and fields.get(b"connection", CLOSE) in USUAL_CONNECTIONS
        )  # fmt: skip
        head = RequestHead(method, target, minor, host, path, query, fields, raw, plain=plain)
        if plain and b"connection" in fields:
            head.cut = _CONNECTION
        return head

    def _new_host(self, value: bytes) -> bytes:
        host = _host_of(value)
        if host is None:
            raise BadRequest("Host is not a host")
        host = host.lower().removesuffix(b".")
        if len(self._hosts) >= HOSTS_REMEMBERED_MAX:
            self._hosts.clear()
        if len(value) <= HOST_BYTES_MAX:
            self._hosts[value] = host = value if value == host else host  # one object less to keep and to fetch
        return host


def _host_of(value: bytes) -> bytes | None:
    """The host that a Host field names, b"" if it is empty, None if it is malformed (RFC 3986 section 3.2)."""
    match = _HOST(value)
    host = (match[1] or b"") if match else None
    if host and host.startswith(b"["):
        try:
            ipaddress.IPv6Address(host[1:-1].decode())
        except ValueError:
            return None
    return host


def _refusal(raw: bytes, error: httptools.HttpParserError) -> BadRequest:
    if isinstance(error, httptools.HttpParserInvalidMethodError):
        return BadRequest("unknown method", 501 if _METHOD(raw) else 400)
    return _other_version(raw) or BadRequest(f"malformed request: {error}")


def _other_version(raw: bytes) -> BadRequest | None:
    return BadRequest("only HTTP/1.0 and HTTP/1.1 are spoken here", 505) if _OTHER_VERSION(raw) else None


def read_request_head(raw: bytes, needs: frozenset[bytes] = frozenset()) -> RequestHead:
    """Read one request head, as the data plane reads it. Raises BadRequest."""
    return RequestReader(needs).read(raw)


def _other_target(method: bytes, target: bytes, minor: int, fields: Fields) -> tuple[bytes, bytes, Fields]:
    """Targets that do not begin with `/` (RFC 9112 section 3.2): path, query, the fields with the host that counts."""
    if method == b"CONNECT":
        raise BadRequest("CONNECT is not offered", 501)
    if target == b"*" and method == b"OPTIONS":
        return target, b"", fields
    match = _ABSOLUTE(target)
    if match is None or not match[1] or b"@" in match[1]:
        raise BadRequest("malformed request target")
    hosts = fields.get(b"host", (b"",) if minor == 0 else ())
    if len(hosts) != 1 or _host_of(hosts[0]) is None:  # RFC 9112 section 3.2: 400 even though it is overridden
        raise BadRequest("a request has exactly one Host")
    path, _, query = match[2].partition(b"?")
    if method == b"OPTIONS" and not match[2]:
        path = b"*"  # RFC 9112 section 3.2.4
    return path or b"/", query, {**fields, b"host": (match[1],)}


_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: [^\x00-\x08\x0a-\x1f\x7f]*)?").fullmatch
_LATER_STATUS_LINE: Final = re.compile(rb"\AHTTP/1\.[2-9] ").sub
_SPACE_BEFORE_COLON: Final = re.compile(rb"(\r\n[!#$%&'*+\-.^_`|~0-9A-Za-z]+)[ \t]+:").sub
_status_lines: dict[bytes, tuple[int, int]] = {}
_CONTENT_LENGTH: Final = (b"Content-Length", b"content-length")
_TRANSFER_ENCODING: Final = (b"Transfer-Encoding", b"transfer-encoding")
_find_response_fields = field_finder(RESPONSE_FIELDS)


def read_response_head(raw: bytes) -> ResponseHead:
    """The head in `raw`, which ends with its empty line. Raises BadResponse."""
    try:
        _RESPONSE_PARSER(_NOBODY).feed_data(raw)
    except httptools.HttpParserUpgrade:
        pass  # 101, or a status that only a tunnel's opening has
    except httptools.HttpParserError:
        return _read_mended(raw)
    line = raw[: raw.find(b"\r\n")]
    status, minor = _status_lines.get(line) or _read_status_line(line)
    found = _find_response_fields(raw)
    if minor and len(found) == 1 and status >= 200 and status not in BODILESS:
        name, value = found[0]
        dated = find_date(raw) is not None
        if name in _CONTENT_LENGTH and value.isdigit() and len(value) <= LENGTH_DIGITS_MAX:
            return ResponseHead(status, 1, {b"content-length": (value,)}, raw, int(value), plain=True, dated=dated)
        if value == b"chunked" and name in _TRANSFER_ENCODING:
            return ResponseHead(status, 1, {b"transfer-encoding": (value,)}, raw, CHUNKED, plain=True, dated=dated)
    fields = _fields(found)
    dated = find_date(raw) is not None and (b"connection" not in fields or b"date" not in nominated(fields))
    return ResponseHead(status, minor, fields, raw, dated=dated)


def _read_mended(raw: bytes) -> ResponseHead:
    """Without the spaces before colons, which a proxy takes out (RFC 9112 section 5.1), and with a later minor version
    read as 1.1 (RFC 9110 section 2.5); it mends nothing else."""
    mended = _LATER_STATUS_LINE(b"HTTP/1.1 ", _SPACE_BEFORE_COLON(rb"\1:", raw), 1)
    if mended == raw:
        raise BadResponse("malformed response") from None
    head = read_response_head(mended)
    # Not plain: its bytes are not those that came.
    return ResponseHead(head.status, head.minor, head.fields, mended, dated=head.dated, size=len(raw))


def _read_status_line(line: bytes) -> tuple[int, int]:
    match = _STATUS_LINE(line)
    if match is None:
        raise BadResponse("malformed status line")
    if len(_status_lines) >= STATUS_LINES_REMEMBERED_MAX:
        _status_lines.clear()
    status, minor = _status_lines[line] = int(match[2]), int(match[1])
    return status, minor


def answer(
    status: int, lines: bytes, body: bytes, date: bytes, *, keep: bool = False, head_only: bool = False
) -> bytes:
    """A whole response of the proxy's own. lines: its fields, but those of the connection and the body's length.
    date: the line of its Date, if `lines` has none."""
    bodiless = status in BODILESS  # they have no length either (RFC 9110 section 8.6)
    return b"".join((
        status_line(status),
        b"" if find_date(b"\r\n" + lines) else date,
        lines,
        b"" if bodiless else b"Content-Length: %d\r\n" % len(body),
        b"\r\n" if keep else b"Connection: close\r\n\r\n",
        b"" if head_only or bodiless else body,
    ))  # fmt: skip


def status_line(status: int) -> bytes:
    """The status line of a response of the proxy's own."""
    return _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status


_STATUS_LINES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
