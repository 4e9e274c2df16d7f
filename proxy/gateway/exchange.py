"""One request and its response passing through. Knows neither protocol: only the two streams it stands between.

start -> decide -> attempt -> (wait for a connection) -> send -> response head -> response body -> finish
                      ^                                    |
                      +------ another try <---- failure ---+
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import ClassVar

from proxy.clock import NEVER
from proxy.downstream.limits import BYTES_PER_S_MIN, RETRY_AFTER
from proxy.downstream.pace import prolonged
from proxy.downstream.stream import ClientStream
from proxy.errors import BadRequest, ProxyError
from proxy.gateway import retry
from proxy.gateway.lane import Lane
from proxy.gateway.mirror import watched
from proxy.gateway.refusals import NO_ENDPOINT, NO_ROUTE, OVERLOADED
from proxy.gateway.state import State
from proxy.gateway.tunnel import Tunnel
from proxy.http.headers import takes_up, wanted_upgrade
from proxy.http.message import RequestHead, ResponseHead
from proxy.upstream.endpoint import Endpoint
from proxy.upstream.http1 import upstream_error
from proxy.upstream.stream import UpstreamStream

_CONNECTING, _AWAITING, _ANSWERING, TUNNELLED, ENDED = range(5)


class Exchange:
    """From the head of a request to the end of its response.

    deadline: when to call `overdue`. Implements downstream.stream.Exchange and upstream.stream.ResponseSink.
    """

    __slots__ = (
        "_blocked", "_body", "_client", "_end_by", "_endpoint", "_head", "_id", "_lane", "_phase", "_replayable",
        "_request_done", "_set_cookie", "_stalled", "_started", "_state", "_status", "_tried_at", "_tries", "_upstream",
        "deadline",
    )  # fmt: skip
    _tunnel: ClassVar[Callable[..., Tunnel]] = Tunnel

    def __init__(self, state: State, client: ClientStream, head: RequestHead) -> None:
        self._state = state
        self._client = client
        self._head = head
        self._id = state.request_id()  # one for all tries
        self._started = self._tried_at = monotonic()
        self._phase = _CONNECTING
        self._lane = state.snapshot.nowhere
        self._set_cookie = b""
        self._endpoint: Endpoint | None = None
        self._upstream: UpstreamStream | None = None
        self._tries: retry.Tries | None = None
        self._status = 0
        self._replayable = True
        self._blocked = False  # the client does not keep up with the response
        self._stalled = False  # the upstream does not keep up with the request
        self._end_by = self.deadline = NEVER

    # --- the request -------------------------------------------------------------------------------------------

    def start(self, body: bytes, done: bool) -> None:
        self._body = body
        self._request_done = done
        snapshot = self._state.snapshot
        decision = snapshot.table.match(self._head)
        if decision is None:
            self._enter(snapshot.nowhere)
            self._answer(NO_ROUTE)
            return
        lane = snapshot.lanes[decision.number]
        self._enter(lane)
        if decision.set_cookie:
            self._set_cookie = b"Set-Cookie: %b\r\n" % decision.set_cookie
        if lane.version is None:
            self._answer(lane.answer(self._head))
            return
        if lane.timeouts.request:
            self._end_by = self._state.clock.now + lane.timeouts.request
        if body:
            lane.counts.request_bytes += len(body)
        self._attempt(lane)

    def _enter(self, lane: Lane) -> None:
        self._lane = lane
        counts = lane.counts
        counts.begun += 1
        counts.dirty = True

    def _change_lane(self, lane: Lane) -> None:
        """Another version instead, from here on."""
        self._lane.counts.ended += 1
        if self._tries is not None:
            self._tries.endpoints = []
        self._enter(lane)

    def _attempt(self, lane: Lane) -> None:
        """Choose an endpoint of the lane's version, or of the lanes it falls back to, and go there."""
        tries = self._tries
        endpoint = lane.pick_for(self._head, tries) if lane.picks_by_request or tries else lane.pick()
        if endpoint is None:
            self._count_error("no_endpoint")
            if lane.fallback is None:
                self._answer(NO_ENDPOINT)
            else:
                self._change_lane(lane.fallback)
                self._attempt(lane.fallback)
            return
        self._endpoint = endpoint
        endpoint.in_flight += 1
        stream = endpoint.pool.take()
        if stream is not None:
            self._send(lane, stream)
            return
        self._phase = _CONNECTING
        self._set_deadline(lane.timeouts.connect)
        if not self._request_done:
            self._client.pause()
        if not endpoint.pool.ask(self, lane.timeouts.connect):
            self._leave_endpoint()
            self._count_error("connect")
            self._answer(OVERLOADED)

    def connected(self, stream: UpstreamStream) -> None:
        self._send(self._lane, stream)

    def _send(self, lane: Lane, stream: UpstreamStream) -> None:
        self._upstream = stream
        self._phase = _AWAITING
        head, body, done, upgrade = self._head, self._body, self._request_done, b""
        deadline = self._state.clock.now + (lane.response_s if done else lane.idle_s)
        self.deadline = deadline if deadline < self._end_by else self._end_by
        if not head.plain:
            if len(body) > retry.REPLAYED_BYTES_MAX:
                self._replayable = False
                self._body = b""
            if done and not body:
                upgrade = wanted_upgrade(head)
        if lane.request_edits is not None:
            head = lane.request_edits(head)
        stream.send_request(self, head, self._client.peer, self._id, lane.tail, upgrade, body, done)
        if not done and not self._stalled:
            self._client.resume()

    def request_body(self, data: bytes, done: bool) -> None:
        self._request_done = done
        lane = self._lane
        lane.counts.request_bytes += len(data)
        if self._phase == _CONNECTING:
            self._body += data
            return
        if self._replayable:
            self._replayable = len(self._body) + len(data) <= retry.REPLAYED_BYTES_MAX
            self._body = self._body + data if self._replayable else b""
        if self._upstream is not None:
            self._upstream.send_body(data, done)
        if not done:
            due = prolonged(self.deadline, len(data), self._state.clock.now, lane.timeouts.idle)
            self.deadline = due if due < self._end_by else self._end_by
        elif self._phase == _AWAITING:
            self._set_deadline(lane.timeouts.response)

    def request_failed(self, error: ProxyError) -> None:
        self._drop_upstream()
        if self._phase == _ANSWERING:
            self._client.abort()
            self._finish()
        else:
            self._answer(error)

    def client_gone(self) -> None:
        self._drop_upstream()
        self._status = self._status or self._lane.decided.left(monotonic() - self._started)
        self._finish()

    # --- the response ------------------------------------------------------------------------------------------

    def interim_head(self, head: ResponseHead) -> None:
        self._client.send_interim(head)

    def response_head(self, head: ResponseHead, length: int, data: bytes, done: bool) -> None:
        lane = self._lane
        status = head.status
        if done:
            self._upstream = None  # back in the pool, perhaps at work for another already
        lane.counts.upstream.observe(monotonic() - self._tried_at)
        if lane.judges:
            self._judge(lane, status < 500)
        if status >= 500 and self._try_again("status", status):
            return
        if lane.mirrors is not None:
            sent = self._body if self._replayable and self._request_done else None
            self._client = watched(self._client, lane.mirrors, self._head, self._id, sent, head, length)
        if lane.response_edits is not None:
            head = lane.response_edits.response(head)
        self._status = status
        self._phase = _ANSWERING
        lane.counts.response_bytes += len(data) - head.size
        if done:
            self._client.send_head(head, self._set_cookie, length, data, True)
            self._finish()
        else:
            self._body = b""
            self._set_deadline(lane.timeouts.idle)
            self._client.send_head(head, self._set_cookie, length, data, False)

    def response_body(self, data: bytes, done: bool) -> None:
        lane = self._lane
        lane.counts.dirty = True
        lane.counts.response_bytes += len(data)
        if done:
            self._upstream = None
            self._client.send_body(data, True)
            self._finish()
        else:
            self._client.send_body(data, False)
            deadline = self._state.clock.now + lane.idle_s
            self.deadline = deadline if deadline < self._end_by else self._end_by

    def response_upgraded(self, head: ResponseHead, rest: bytes) -> None:
        lane, endpoint, upstream = self._lane, self._endpoint, self._upstream
        assert endpoint is not None and upstream is not None
        if not takes_up(self._head, head):
            upstream.reset()
            self.response_failed(upstream_error("protocol", "the upstream changed to another protocol unasked"), True)
            return
        if lane.response_edits is not None:
            head = lane.response_edits.response(head)
        self._status = 101
        self._upstream = None
        client, early = self._client.detach()
        tunnel = self._tunnel(self._state, self._client.peer, lane.counts, endpoint, client, upstream.detach())
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
        if stale and self._may_repeat("reset") and self._failures().take_stale():
            self._leave_endpoint()
            self._again()
            return
        self._failed(error.flag, error)

    def _failed(self, cause: str, error: ProxyError) -> None:
        """An attempt has failed before the response's head: try again, or tell the client."""
        self._count_error(error.flag)
        self._judge(self._lane, False)
        if not self._try_again(cause, 0):
            self._answer(error)

    def _judge(self, lane: Lane, good: bool) -> None:
        assert lane.version is not None and self._endpoint is not None
        if good:
            lane.version.succeeded(self._endpoint)
        else:
            lane.version.failed(self._endpoint, self._state.clock.now)

    def _failures(self) -> retry.Tries:
        self._tries = self._tries or retry.Tries()
        return self._tries

    def _may_repeat(self, cause: str) -> bool:
        return self._replayable and self._end_by > self._state.clock.now and retry.repeatable(self._head.method, cause)

    def _try_again(self, cause: str, status: int) -> bool:
        """Begin another attempt, if the rules, the method and the budget allow one."""
        lane, endpoint, tries = self._lane, self._endpoint, self._failures()
        tries.cause = cause
        if not self._may_repeat(cause):
            return False
        if endpoint is not None and tries.take_retry(lane.retry, lane.counts, status, self._state.clock.now):
            tries.endpoints.append(endpoint)
            lane.counts.retried(retry.reason(cause, status))
        elif lane.rescue is not None:
            lane.counts.retried("rescue")
            self._change_lane(lane.rescue)
        elif lane.fallback is not None and tries.unreachable(lane.version, endpoint):
            self._count_error("no_endpoint")
            self._change_lane(lane.fallback)
        else:
            return False
        self._drop_upstream()
        self._phase = _CONNECTING
        self._set_deadline(0)
        if not self._request_done:
            self._client.pause()
        tries.when_due(self._again)
        return True

    def _again(self) -> None:
        self._tried_at = monotonic()
        self._attempt(self._lane)

    def overdue(self, now: float) -> None:
        """The connection, the response's head or the next byte of a body did not come in time."""
        if self._phase == _ANSWERING:
            idle_s = self._lane.timeouts.idle
            if self._blocked and now < self._end_by and self._client.has_read(int(BYTES_PER_S_MIN * idle_s)):
                self._set_deadline(idle_s)
                return
            self._drop_upstream(timeout=not self._blocked)
            self._client.abort()
            self._finish()
        elif self._phase == _AWAITING and not self._request_done and not self._stalled and now < self._end_by:
            self._drop_upstream()
            self._answer(BadRequest("the request's body did not come in time", 408, "timeout"))
        elif self._phase == _AWAITING or now >= self._end_by:
            self._drop_upstream(timeout=True)
            if not self._try_again("timeout", 0):
                self._answer(upstream_error("timeout", "the upstream did not answer in time", 504))
        elif self._endpoint is not None:
            self._endpoint.pool.forget(self)
            self._failed("connect", upstream_error("timeout", "no connection to the upstream in time", 504))

    def _set_deadline(self, seconds: float) -> None:
        deadline = self._state.clock.now + seconds if seconds else NEVER
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
        if not self._request_done:
            self._set_deadline(self._lane.timeouts.idle)
        self._client.resume()

    # --- the end -----------------------------------------------------------------------------------------------

    def _count_error(self, kind: str) -> None:
        self._lane.counts.failed(kind)
        if self._phase == _ANSWERING:
            self._lane.decided.broken(self._status)

    def _leave_endpoint(self) -> None:
        if self._endpoint is not None:
            self._endpoint.in_flight -= 1
            self._endpoint = None

    def _drop_upstream(self, timeout: bool = False) -> None:
        """Give up what is under way to the endpoint. timeout: because the endpoint was too slow."""
        if timeout and self._endpoint is not None:
            self._count_error("timeout")
            self._judge(self._lane, False)
        if self._upstream is not None:
            self._upstream.reset()
            self._upstream = None
        elif self._phase == _CONNECTING and self._endpoint is not None:
            self._endpoint.pool.forget(self)
        self._leave_endpoint()

    def _answer(self, error: ProxyError) -> None:
        """The proxy's own answer."""
        self._status = error.status
        lines = error.lines + RETRY_AFTER if error.status == 503 else error.lines
        if self._lane.response_edits is not None:
            lines = self._lane.response_edits.lines(lines)
        lines += self._set_cookie
        self._client.answer(error.status, lines, error.body, head_only=self._head.method == b"HEAD")
        self._finish()

    def _finish(self) -> None:
        if self._phase == ENDED:
            return
        self._phase = ENDED
        self._leave_endpoint()
        if self._tries is not None:
            self._tries.end()
        self._lane.counts.ended += 1
        self._lane.decided.finished(self._status, self._head.method, monotonic() - self._started)
        self._client.exchange_ended()
