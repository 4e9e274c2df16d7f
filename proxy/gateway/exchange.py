"""One request and its response passing through. Knows neither protocol: only the two streams it stands between.

    start -> decide -> attempt -> (wait for a connection) -> send -> response head -> response body -> finish
                          ^                                    |
                          +------ another try <---- failure ---+
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

from proxy.clock import NEVER
from proxy.downstream.stream import ClientStream
from proxy.errors import BadRequest, ProxyError
from proxy.gateway import retry
from proxy.gateway.snapshot import Lane
from proxy.gateway.tunnel import Tunnel
from proxy.http.headers import wanted_upgrade
from proxy.http.message import RequestHead, ResponseHead
from proxy.observe.counters import VersionCounts
from proxy.rules.decision import Decision
from proxy.upstream.endpoint import Endpoint
from proxy.upstream.http1 import upstream_error
from proxy.upstream.stream import UpstreamStream

if TYPE_CHECKING:
    from proxy.gateway.gateway import Gateway

NO_ROUTE: Final = ProxyError("proxy", "no_route", 404, "no route for this request")
NO_ENDPOINT: Final = ProxyError("upstream", "no_endpoint", 503, "no endpoint of the service is available")
OVERLOADED: Final = ProxyError("upstream", "overload", 503, "the service has no free connection")
CLIENT_GONE: Final = 499
"""The status counted for a request whose client left before the answer; nginx's number for it."""
RETRY_AFTER: Final = b"Retry-After: 1\r\n"
STALE_TRIES_MAX: Final = 3
"""Fresh tries after pooled connections that had died idle; they use up no retry, as nothing had gone wrong."""

_CONNECTING, _AWAITING, _ANSWERING, _ENDED = range(4)


class Exchange:
    """From the head of a request to the end of its response.

    deadline: when to call `overdue`. Implements downstream.stream.Exchange and upstream.stream.ResponseSink.
    """

    __slots__ = (
        "_attempts",
        "_blocked",
        "_body",
        "_cause",
        "_client",
        "_decision",
        "_end_by",
        "_endpoint",
        "_gateway",
        "_head",
        "_lane",
        "_phase",
        "_replayable",
        "_request_done",
        "_retrying",
        "_stale_tries",
        "_stalled",
        "_started",
        "_status",
        "_tried",
        "_tried_at",
        "_upgrade",
        "_upstream",
        "deadline",
    )

    def __init__(self, gateway: Gateway, client: ClientStream, head: RequestHead) -> None:
        self._gateway = gateway
        self._client = client
        self._head = head
        self._started = monotonic()
        self._phase = _CONNECTING
        self._lane: Lane | None = None
        self._endpoint: Endpoint | None = None
        self._upstream: UpstreamStream | None = None
        self._body = b""
        self._request_done = False
        self._replayable = True
        self._blocked = False
        self._retrying: VersionCounts | None = None
        self._cause = ""
        self._stalled = False
        self._tried_at = 0.0
        self._decision: Decision | None = None
        self._attempts = 0
        self._stale_tries = 0
        self._status = 0
        self._tried: list[Endpoint] = []
        self._end_by = NEVER
        self._upgrade = b""
        self.deadline = NEVER

    # --- the request -------------------------------------------------------------------------------------------

    def start(self, body: bytes, done: bool) -> None:
        head = self._head
        snapshot = self._gateway.snapshot
        decision = self._decision = snapshot.table.match(head)
        self._body = body
        self._request_done = done
        if decision is None:
            self._answer(NO_ROUTE)
            return
        lane = snapshot.lanes[decision.number]
        if lane is None:
            self._answer(ProxyError("proxy", "rule", decision.status, "this route answers so by its rules"))
            return
        if b"upgrade" in head.fields and done and not body:
            self._upgrade = wanted_upgrade(head)
        if lane.timeouts.request:
            self._end_by = self._gateway.clock.now + lane.timeouts.request
        self._take_lane(lane)
        if body:
            lane.counts.request_bytes += len(body)
        self._attempt()

    def _take_lane(self, lane: Lane) -> None:
        self._lane = lane
        lane.counts.in_flight += 1
        lane.counts.dirty = True

    def _leave_lane(self) -> None:
        if self._lane is not None:
            self._lane.counts.in_flight -= 1
            self._lane = None

    def _attempt(self) -> None:
        """Choose an endpoint of the lane's version, or of the lanes it falls back to, and go there."""
        lane = self._lane
        assert lane is not None
        key = self._head.client.encode() if lane.version.balanced_by_key else b""
        endpoint = lane.version.pick(key, self._tried)
        if endpoint is None and self._tried and not (self._cause == "connect" and lane.fallback):
            endpoint = lane.version.pick(key)  # every other endpoint has been tried or is out: the same one again
        if endpoint is None:
            self._fall_back(lane)
            return
        self._endpoint = endpoint
        endpoint.in_flight += 1
        self._tried_at = monotonic()
        stream = endpoint.pool.take()
        if stream is not None:
            self._send(stream)
            return
        self._phase = _CONNECTING
        self._set_deadline(lane.timeouts.connect)
        if not self._request_done:
            self._client.pause()
        if not endpoint.pool.ask(self, lane.timeouts.connect):
            self._leave_endpoint()
            self._count_error("connect")
            self._answer(OVERLOADED)

    def _fall_back(self, lane: Lane) -> None:
        if lane.fallback is None:
            self._count_error("no_endpoint")
            self._answer(NO_ENDPOINT)
            return
        self._count_error("no_endpoint")
        self._leave_lane()
        self._tried = []
        self._take_lane(lane.fallback)
        self._attempt()

    def connected(self, stream: UpstreamStream) -> None:
        self._send(stream)
        if not self._request_done and not self._stalled:
            self._client.resume()

    def _send(self, stream: UpstreamStream) -> None:
        lane, body = self._lane, self._body
        assert lane is not None
        self._upstream = stream
        self._phase = _AWAITING
        self._set_deadline(lane.timeouts.response if self._request_done else lane.timeouts.idle)
        if len(body) > retry.REPLAYED_BYTES_MAX:
            self._replayable = False
            self._body = b""
        stream.send_request(
            self, self._head, self._client.peer, self._gateway.request_id(), lane.tail, self._upgrade,
            body, self._request_done,
        )  # fmt: skip

    def request_body(self, data: bytes, done: bool) -> None:
        self._request_done = done
        lane = self._lane
        if lane is None:
            return
        lane.counts.request_bytes += len(data)
        if self._phase == _CONNECTING:
            self._body += data
            return
        if self._replayable:
            self._replayable = len(self._body) + len(data) <= retry.REPLAYED_BYTES_MAX
            self._body = self._body + data if self._replayable else b""
        if self._upstream is not None:
            self._upstream.send_body(data, done)
        if self._phase == _AWAITING:
            self._set_deadline(lane.timeouts.response if done else lane.timeouts.idle)

    def request_failed(self, error: ProxyError) -> None:
        self._drop_upstream()
        if self._phase == _ANSWERING:
            self._client.abort()
            self._finish()
        else:
            self._answer(error)

    def client_gone(self) -> None:
        self._drop_upstream()
        if not self._status:
            self._status = CLIENT_GONE
        self._finish()

    # --- the response ------------------------------------------------------------------------------------------

    def interim_head(self, head: ResponseHead) -> None:
        self._client.send_interim(head)

    def response_head(self, head: ResponseHead, length: int, body: bytes, done: bool) -> None:
        lane, endpoint = self._lane, self._endpoint
        assert lane is not None and endpoint is not None
        counts = lane.counts
        counts.dirty = True
        counts.upstream.observe(monotonic() - self._tried_at)
        status = head.status
        if lane.version.passive is not None:
            self._judge(lane, endpoint, status < 500)
        if status >= 500 and self._try_again("status", status):
            return
        self._status = status
        self._phase = _ANSWERING
        self._body = b""
        decision = self._decision
        assert decision is not None
        added = b"Set-Cookie: %b\r\n" % decision.set_cookie if decision.set_cookie else b""
        if done:
            self._upstream = None
        else:
            self._set_deadline(lane.timeouts.idle)
        if body:
            counts.response_bytes += len(body)
        self._client.send_head(head, added, length, body, done)
        if done:
            self._finish()

    def response_body(self, data: bytes, done: bool) -> None:
        lane = self._lane
        assert lane is not None
        counts = lane.counts
        counts.dirty = True
        counts.response_bytes += len(data)
        if done:
            self._upstream = None
            self._client.send_body(data, True)
            self._finish()
        else:
            self._client.send_body(data, False)
            self._set_deadline(lane.timeouts.idle)

    def response_upgraded(self, head: ResponseHead, rest: bytes) -> None:
        lane, upstream = self._lane, self._upstream
        assert lane is not None and upstream is not None
        if not self._upgrade:
            upstream.reset()
            self.response_failed(upstream_error("protocol", "the upstream changed to another protocol unasked"), True)
            return
        self._status = 101
        self._upstream = None
        client, early = self._client.detach()
        tunnel = Tunnel(self._gateway, lane, client, upstream.detach())
        self._finish()
        tunnel.begin(head, early, rest)

    # --- trouble -----------------------------------------------------------------------------------------------

    def connect_failed(self, error: ProxyError) -> None:
        self._failed("connect", error)

    def response_failed(self, error: ProxyError, started: bool) -> None:
        upstream, self._upstream = self._upstream, None
        if self._phase == _ANSWERING:
            self._count_error(error.flag)
            self._client.abort()
            self._finish()
            return
        stale = upstream is not None and upstream.reused and error.flag == "reset" and not started
        if stale and self._stale_tries < STALE_TRIES_MAX and self._may_repeat("reset"):
            self._stale_tries += 1
            self._leave_endpoint()
            self._attempt()
            return
        self._failed(error.flag, error)

    def _failed(self, cause: str, error: ProxyError) -> None:
        """An attempt has failed before the response's head: try again, or tell the client."""
        lane, endpoint = self._lane, self._endpoint
        assert lane is not None and endpoint is not None
        self._count_error(error.flag)
        self._judge(lane, endpoint, False)
        if not self._try_again(cause, 0):
            self._answer(error)

    def _judge(self, lane: Lane, endpoint: Endpoint, good: bool) -> None:
        if good:
            lane.version.succeeded(endpoint)
        else:
            lane.version.failed(endpoint, self._gateway.clock.now)

    def _may_repeat(self, cause: str) -> bool:
        return self._replayable and retry.repeatable(self._head.method, cause)

    def _try_again(self, cause: str, status: int) -> bool:
        """Begin another attempt, if the rules, the method and the budget allow one."""
        lane, endpoint = self._lane, self._endpoint
        assert lane is not None and endpoint is not None
        self._cause = cause
        if not self._may_repeat(cause) or self._end_by <= self._gateway.clock.now:
            return False
        policy = lane.retry
        again = self._attempts < policy.attempts and retry.wanted(policy, cause, status)
        if again and retry.within_budget(policy, lane.counts):
            self._attempts += 1
            self._tried.append(endpoint)
            self._count_retry(str(status) if status else "connect_failure" if cause == "connect" else cause)
            self._drop_upstream()
            self._attempt()
            return True
        if lane.rescue is not None:
            self._count_retry("rescue")
            self._drop_upstream()
            self._leave_lane()
            self._tried = []
            self._take_lane(lane.rescue)
            self._attempt()
            return True
        return False

    def overdue(self, now: float) -> None:
        """The connection, the response's head or the next byte of a body did not come in time."""
        if self._phase == _ANSWERING:
            self._drop_upstream(timeout=not self._blocked)
            self._client.abort()
            self._finish()
        elif self._phase == _AWAITING and not self._request_done and not self._stalled and now < self._end_by:
            self._drop_upstream()
            self._answer(BadRequest("the request's body did not come in time", 408, "timeout"))
        elif self._phase == _AWAITING or now >= self._end_by:
            self._drop_upstream(timeout=True)
            self._answer(upstream_error("timeout", "the upstream did not answer in time", 504))
        elif self._endpoint is not None:
            self._endpoint.pool.forget(self)
            self._failed("connect", upstream_error("timeout", "no connection to the upstream in time", 504))

    def _set_deadline(self, seconds: float) -> None:
        deadline = self._gateway.clock.now + seconds if seconds else NEVER
        self.deadline = deadline if deadline < self._end_by else self._end_by

    # --- flow --------------------------------------------------------------------------------------------------

    def response_blocked(self) -> None:
        self._blocked = True
        if self._upstream is not None:
            self._upstream.pause()

    def response_unblocked(self) -> None:
        self._blocked = False
        if self._upstream is not None:
            self._upstream.resume()

    def request_blocked(self) -> None:
        self._stalled = True
        self._client.pause()

    def request_unblocked(self) -> None:
        self._stalled = False
        self._client.resume()

    # --- the end -----------------------------------------------------------------------------------------------

    def _count_error(self, kind: str) -> None:
        if self._lane is not None:
            counts = self._lane.counts
            counts.dirty = True
            counts.errors[kind] = counts.errors.get(kind, 0) + 1

    def _count_retry(self, reason: str) -> None:
        assert self._lane is not None
        counts = self._lane.counts
        counts.dirty = True
        counts.retries[reason] = counts.retries.get(reason, 0) + 1
        if self._retrying is None:
            self._retrying = counts
            counts.retrying += 1

    def _leave_endpoint(self) -> None:
        if self._endpoint is not None:
            self._endpoint.in_flight -= 1
            self._endpoint = None

    def _drop_upstream(self, timeout: bool = False) -> None:
        """Give up what is under way to the endpoint. timeout: because the endpoint was too slow."""
        if timeout and self._lane is not None and self._endpoint is not None:
            self._count_error("timeout")
            self._judge(self._lane, self._endpoint, False)
        if self._upstream is not None:
            self._upstream.reset()
            self._upstream = None
        elif self._phase == _CONNECTING and self._endpoint is not None:
            self._endpoint.pool.forget(self)
        self._leave_endpoint()

    def _answer(self, error: ProxyError) -> None:
        """The proxy's own answer."""
        self._status = error.status
        extra = RETRY_AFTER if error.status == 503 else b""
        decision = self._decision
        if decision is not None and decision.set_cookie:
            extra += b"Set-Cookie: %b\r\n" % decision.set_cookie
        self._client.answer(error, extra, head_only=self._head.method == b"HEAD")
        self._finish()

    def _finish(self) -> None:
        if self._phase == _ENDED:
            return
        self._phase = _ENDED
        self._leave_endpoint()
        if self._retrying is not None:
            self._retrying.retrying -= 1
        self._gateway.finished(self._head.method, self._status, self._lane, self._started)
        self._leave_lane()
        self._client.exchange_ended()

