"""Exchanges and tunnels that tell an observer what they came to: the access log, or a span of tracing.

PERF: classes of their own, made instead of the plain ones where there is an observer: without one, a request counts
nothing and asks nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import monotonic, time
from typing import Any, Final

from proxy.downstream.stream import ClientStream
from proxy.errors import ProxyError
from proxy.gateway.exchange import ENDED, TUNNELLED, Exchange
from proxy.gateway.state import State
from proxy.gateway.tunnel import Tunnel
from proxy.http.message import RequestHead, ResponseHead
from proxy.observe.access_log import AccessLog, Recorder
from proxy.observe.counts import Labels
from proxy.observe.observer import Observer, Tracer

What = tuple[str, bytes, bytes, int, bytes, int, Labels, str, int, float, bytes, bytes, bytes, int]
"""The part of an Entry that is known when the answer begins: all from the client on."""
_NO_FIELD: Final = (b"",)
_NONE_LEFT: Final = (0, "")


def exchanges(state: State, observer: Observer | None) -> Callable[[ClientStream, RequestHead], Exchange]:
    """What makes the exchange of each request."""
    if observer is None:
        return partial(Exchange, state)
    if isinstance(observer, AccessLog):
        return partial(LoggedExchange, state, observer)
    return partial(_traced, state, observer)


def _traced(state: State, tracer: Tracer, client: ClientStream, head: RequestHead) -> Exchange:
    head, recorder = tracer.begin(head)
    return Exchange(state, client, head) if recorder is None else LoggedExchange(state, recorder, client, head)


class LoggedExchange(Exchange):
    """Counts its bytes and tries, and notes who failed.

    PERF: what every request comes through calls Exchange by name: super() makes an object for each call, 0.1 us.
    """

    __slots__ = ("_flag", "_generation", "_left", "_log", "_request_bytes", "_response_bytes", "_upstream_s")

    def __init__(self, state: State, log: Recorder, client: ClientStream, head: RequestHead) -> None:
        Exchange.__init__(self, state, client, head)
        self._log = log
        self._flag = ""
        self._generation = state.snapshot.generation
        self._request_bytes = self._response_bytes = 0
        self._upstream_s = -1.0
        self._left = _NONE_LEFT  # tries that are over, and the endpoint of the last of them

    # --- what is counted ---------------------------------------------------------------------------------------

    def start(self, body: bytes, done: bool) -> None:
        if body:
            self._request_bytes = len(body)
        Exchange.start(self, body, done)

    def request_body(self, data: bytes, done: bool) -> None:
        self._request_bytes += len(data)
        Exchange.request_body(self, data, done)

    def response_head(self, head: ResponseHead, length: int, data: bytes, done: bool) -> None:
        self._upstream_s = monotonic() - self._tried_at
        self._response_bytes = len(data) - head.size
        Exchange.response_head(self, head, length, data, done)

    def response_body(self, data: bytes, done: bool) -> None:
        self._response_bytes += len(data)
        Exchange.response_body(self, data, done)

    def response_upgraded(self, head: ResponseHead, rest: bytes) -> None:
        self._upstream_s = monotonic() - self._tried_at
        super().response_upgraded(head, rest)

    def _again(self) -> None:
        self._upstream_s = -1.0
        super()._again()

    def _leave_endpoint(self) -> None:
        if self._endpoint is not None:
            self._left = self._left[0] + 1, self._endpoint.url
        super()._leave_endpoint()

    # --- who failed --------------------------------------------------------------------------------------------

    def request_failed(self, error: ProxyError) -> None:
        self._flag = f"{error.side}_{error.flag}"
        super().request_failed(error)

    def response_failed(self, error: ProxyError, started: bool) -> None:
        self._flag = f"{error.side}_{error.flag}"
        super().response_failed(error, started)
        self._forgive()

    def overdue(self, now: float) -> None:
        self._flag = "client_slow" if self._blocked else "upstream_timeout"
        super().overdue(now)
        self._forgive()

    def _forgive(self) -> None:
        """It was not the end: there is a further try, or the client is slow but not too slow."""
        if self._phase != ENDED:
            self._flag = ""

    def client_gone(self) -> None:
        self._flag = "proxy_drain" if self._log.ending else "client_gone"
        super().client_gone()

    def _answer(self, error: ProxyError) -> None:
        self._flag = f"{error.side}_{error.flag}"
        self._response_bytes = 0
        super()._answer(error)

    # --- the end -----------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        # Before the rest: that may begin the connection's next request, whose line comes after this one.
        if self._phase < TUNNELLED:
            self._log.record((
                time(), monotonic() - self._started, self._request_bytes, self._response_bytes, self._flag,
                *self._what(),
            ))  # fmt: skip
        Exchange._finish(self)

    def _what(self) -> What:
        head, endpoint = self._head, self._endpoint
        fields = head.fields
        tries, url = self._left if endpoint is None else (self._left[0] + 1, endpoint.url)
        traces = fields.get(b"traceparent", _NO_FIELD)
        return (
            head.client, head.method, head.target, head.minor, head.host, self._status, self._lane.decided.labels,
            url, tries, self._upstream_s, fields[b"x-request-id"][-1] if b"x-request-id" in fields else self._id,
            traces[0] if len(traces) == 1 else b"", fields.get(b"user-agent", _NO_FIELD)[0], self._generation,
        )  # fmt: skip

    def _tunnel(self, *parts: Any) -> Tunnel:
        self._phase = TUNNELLED  # the tunnel leaves the line
        return LoggedTunnel(*parts).keep(self._log, self._started, self._what())


class LoggedTunnel(Tunnel):
    """Leaves its line when it ends: only then its bytes are known. `keep` first."""

    __slots__ = ("_flag", "_log", "_request_bytes", "_response_bytes", "_started", "_what")

    def keep(self, log: Recorder, started: float, what: What) -> LoggedTunnel:
        """What to say at the end. started: when the request came."""
        self._log = log
        self._started = started
        self._what = what
        self._request_bytes = self._response_bytes = 0
        self._flag = ""
        return self

    def begin(self, head: ResponseHead, from_client: bytes, from_upstream: bytes) -> None:
        self._request_bytes = len(from_client)
        self._response_bytes = len(from_upstream)
        super().begin(head, from_client, from_upstream)

    def count(self, end: Any, size: int) -> None:
        super().count(end, size)
        if end is self.client:
            self._request_bytes += size
        else:
            self._response_bytes += size

    def give_up(self, end: Any) -> None:
        self._flag = "client_slow" if end is self.client else "upstream_timeout"
        super().give_up(end)

    def hang_up(self) -> None:
        self._flag = "proxy_drain"
        super().hang_up()

    def close(self) -> None:
        self._flag = "proxy_drain"
        super().close()

    def ended(self, end: Any) -> None:
        super().ended(end)
        if not self._open:
            self._log.record((
                time(), monotonic() - self._started, self._request_bytes, self._response_bytes,
                self._flag, *self._what,
            ))  # fmt: skip
