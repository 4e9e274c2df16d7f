"""Alone knows what a line of the access log looks like, as JSON and as text, and what its flags mean.

Whatever a client sends is escaped, so that no request can forge a line or end one, and cut to a length, so that a line
is written to a pipe in one piece.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final

from proxy.http.trace import trace_id
from proxy.observe.counts import Labels

LINE_BYTES_MAX: Final = 4096
"""One line with its end. Linux writes as much to a pipe in one piece (PIPE_BUF): workers' lines stay apart."""
TARGET_BYTES_MAX: Final = 2048
"""Of path and query; what is longer is mostly one value that nobody reads in a log."""
USER_AGENT_BYTES_MAX: Final = 512
"""Browsers send some 120, the longest that apps build some 400."""
HOST_BYTES_MAX: Final = 255
"""A name in DNS has 253 characters at most."""
METHOD_BYTES_MAX: Final = 32
REQUEST_ID_BYTES_MAX: Final = 128
"""Ours have 24; a trusted proxy's may be longer."""
CLIENT_BYTES_MAX: Final = 64
"""An IPv6 address with a zone."""
SHORT_BYTES_MAX: Final = 128
"""Target and user agent in a line that is too long nevertheless, because everything in it is."""
ESCAPE_GROWTH_MAX: Final = 6
"""Characters that one byte becomes at worst: \\u00ff."""
REMEMBERED_MAX: Final = 1024
"""Values whose quoted form is remembered, per field: clients, hosts and user agents come again and again."""
REMEMBERED_MICROSECONDS_MAX: Final = 10_000
"""Durations whose text is remembered: those of a service for which the cost of a line matters."""

FLAGS: Final = {
    "client_bad_request": "The request is malformed or ambiguous and was refused; no service saw it.",
    "client_max_forwards": "Max-Forwards let an OPTIONS or TRACE go no further; the proxy itself answered.",
    "client_timeout": "The request's head or body did not come in time.",
    "client_gone": "The client left before the answer was complete; status 499 if it had not begun.",
    "client_slow": "The client did not take the answer in time; it was cut short.",
    "client_overload": "The address has as many connections open as one may.",
    "upstream_connect": "No connection to any endpoint that was tried.",
    "upstream_timeout": "The endpoint did not accept, answer or go on in time.",
    "upstream_reset": "The endpoint closed the connection before its answer was complete.",
    "upstream_protocol": "What the endpoint sent is not HTTP, or its framing is ambiguous.",
    "upstream_no_endpoint": "Every endpoint is ejected or fails its health check.",
    "upstream_overload": "All connections to the endpoint are busy, and as many requests wait as may.",
    "proxy_no_route": "No route takes this host and path.",
    "proxy_rule": "The rules say that the proxy itself answers so.",
    "proxy_overload": "The proxy has as many connections open as it may.",
    "proxy_drain": "The worker ended, and its drain time-out had passed.",
}
"""Who failed and how: side and flag of the ProxyError, and what no error stands for. Empty if all went well."""

Entry = tuple[
    float, float, int, int, str, str, bytes, bytes, int, bytes, int, Labels, str, int, float, bytes, bytes, bytes, int
]  # fmt: skip
"""One request that has ended, as raw values: when it ended (Unix time), how long it took (seconds), bytes of the
request's body and of the response's, flag; client, method, target, minor (of HTTP/1.x; -1 unknown), host, status,
labels (route, service, version, rule, reason), endpoint, tries, seconds to the response's head (negative: none came),
request id, traceparent, user agent, generation. A tuple, since one is made for each request."""

_PLAIN: Final = bytes(code for code in range(ord(" "), 0x7F) if code not in b'"\\')
"""What stands in a JSON string as it is."""
_bare = re.compile(r"[A-Za-z0-9_.:/\[\]-]+").fullmatch


def escaped(value: bytes, bytes_max: int) -> str:
    """`value` as it stands between the quotes of a JSON string: ASCII, no control character, at most `bytes_max` and
    three dots where it was cut."""
    if len(value) <= bytes_max and (value.isalnum() or not value.translate(None, _PLAIN)):
        return str(value, "ascii")
    text = _json(value[:bytes_max])
    if len(text) > bytes_max:
        value, bytes_max = value[: bytes_max // ESCAPE_GROWTH_MAX] + b"x", bytes_max // ESCAPE_GROWTH_MAX
        text = _json(value[:bytes_max])
    return text + "..." if len(value) > bytes_max else text


def _json(value: bytes) -> str:
    text = json.dumps(value.decode("utf-8", "backslashreplace"))[1:-1]
    return text.replace("\x7f", "\\u007f")


class _Escaped(dict[bytes, str]):
    """Values of one field to their escaped form, remembered up to a bound."""

    def __init__(self, bytes_max: int) -> None:
        super().__init__()
        self._bytes_max = bytes_max

    def __missing__(self, value: bytes) -> str:
        text = escaped(value, self._bytes_max)
        if len(value) <= self._bytes_max:
            if len(self) >= REMEMBERED_MAX:
                self.clear()
            self[value] = text
        return text


class _Wheres(dict[tuple[Labels, str], str]):
    """What comes from the rules (labels, endpoint), ready to stand in a line; remembered, as it is the same for all
    requests of a decision to one endpoint."""

    def __init__(self, make: Callable[[Labels, str], str]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, key: tuple[Labels, str]) -> str:
        if len(self) >= REMEMBERED_MAX:
            self.clear()
        text = self[key] = self._make(*key)
        return text


class _Milliseconds(dict[int, str]):
    """Microseconds as milliseconds with three decimals. PERF: 0.3 of formatting a float, which short times need not."""

    def __missing__(self, microseconds: int) -> str:
        text = f"{microseconds // 1000}.{microseconds % 1000:03d}"
        if microseconds < REMEMBERED_MICROSECONDS_MAX:
            self[microseconds] = text
        return text


_MS: Final = _Milliseconds()


class Lines:
    """Makes lines from entries. form: `json` or `text`."""

    def __init__(self, form: str) -> None:
        self._line = self._json_line if form == "json" else self._text_line
        self._wheres = _Wheres(_json_where if form == "json" else _text_where)
        self._methods = _Escaped(METHOD_BYTES_MAX)
        self._hosts = _Escaped(HOST_BYTES_MAX)
        self._agents = _Escaped(USER_AGENT_BYTES_MAX)
        self._millisecond = -1
        self._time = ""

    def render(self, entries: Iterable[Entry]) -> bytes:
        """One line each."""
        return "".join([self.line(entry) for entry in entries]).encode()

    def line(self, entry: Entry) -> str:
        """With its end; at most LINE_BYTES_MAX ASCII characters."""
        line = self._line(entry, escaped(entry[7], TARGET_BYTES_MAX), self._agents[entry[17]])
        if len(line) <= LINE_BYTES_MAX:
            return line
        return self._line(entry, escaped(entry[7], SHORT_BYTES_MAX), escaped(entry[17], SHORT_BYTES_MAX))

    # PERF: a literal with its values takes 0.7 of one `%` on a template, and that 0.5 of json.dumps of a dict.
    def _json_line(self, entry: Entry, target: str, agent: str) -> str:
        (ended, took_s, request_bytes, response_bytes, flag, client, method, _, _, host, status, labels, endpoint,
         tries, upstream_s, request_id, traceparent, _, generation) = entry  # fmt: skip
        began = ended - took_s
        if int(began * 1000.0) != self._millisecond:
            self._tick(began)
        return (
            f'{{"time":"{self._time}","client":"{_of_client(client)}","method":"{self._methods[method]}",'
            f'"host":"{self._hosts[host]}","target":"{target}","status":{status},"flag":"{flag}",'
            f'{self._wheres[labels, endpoint]},"tries":{tries},"duration_ms":{_MS[int(took_s * 1000000.0)]},'
            f'"upstream_ms":{_MS[int(upstream_s * 1000000.0)] if upstream_s >= 0 else "null"},'
            f'"request_bytes":{request_bytes},"response_bytes":{response_bytes},'
            f'"request_id":"{escaped(request_id, REQUEST_ID_BYTES_MAX)}",'
            f'"trace_id":"{trace_id(traceparent) if traceparent else ""}",'
            f'"user_agent":"{agent}","generation":{generation}}}\n'
        )

    def _text_line(self, entry: Entry, target: str, agent: str) -> str:
        (ended, took_s, request_bytes, response_bytes, flag, client, method, _, minor, host, status, labels, endpoint,
         tries, upstream_s, request_id, traceparent, _, generation) = entry  # fmt: skip
        began = ended - took_s
        if int(began * 1000.0) != self._millisecond:
            self._tick(began)
        return (
            f'{_of_client(client) or "-"} - - [{self._time}] "{self._methods[method] or "-"} {target or "-"} '
            f'{_MINORS[minor]}" {status} {response_bytes} "-" "{agent or "-"}" host="{self._hosts[host]}" '
            f"flag={flag or '-'} {self._wheres[labels, endpoint]} tries={tries} "
            f"duration_ms={_MS[int(took_s * 1000000.0)]} "
            f"upstream_ms={_MS[int(upstream_s * 1000000.0)] if upstream_s >= 0 else '-'} "
            f"request_bytes={request_bytes} "
            f'request_id="{escaped(request_id, REQUEST_ID_BYTES_MAX)}" '
            f"trace_id={trace_id(traceparent) if traceparent else '-'} generation={generation}\n"
        )

    def _tick(self, moment: float) -> None:
        """Make the time of a line: ISO 8601, UTC, with milliseconds. At full load several lines have the same."""
        self._millisecond = int(moment * 1000.0)
        second, millisecond = divmod(self._millisecond, 1000)
        self._time = f"{_second(second)}.{millisecond:03d}Z"


@lru_cache(maxsize=4)
def _second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


_MINORS: Final = ("HTTP/1.0", "HTTP/1.1", "-")  # the last one, at -1: unknown
_NAMES: Final = ("route", "service", "version", "rule", "reason", "endpoint")


@lru_cache(maxsize=REMEMBERED_MAX)
def _of_client(client: str) -> str:
    """A trusted proxy may name a client with any zone: `fe80::1%"x`. In the text form it stands without quotes."""
    text = escaped(client.encode(), CLIENT_BYTES_MAX)
    return text.replace('\\"', "\\u0022").replace(" ", "\\u0020")


def _json_where(labels: Labels, endpoint: str) -> str:
    pairs = zip(_NAMES, (*labels, endpoint), strict=True)
    return ",".join(f'"{name}":{json.dumps(value)}' for name, value in pairs)


def _text_where(labels: Labels, endpoint: str) -> str:
    values = (value if _bare(value) else json.dumps(value) if value else "-" for value in (*labels, endpoint))
    return " ".join(f"{name}={value}" for name, value in zip(_NAMES, values, strict=True))
