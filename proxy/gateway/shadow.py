"""A copy of a request that was answered already, on its way to another version, whose answer nobody gets."""

from __future__ import annotations

import math
from collections.abc import Callable
from time import thread_time
from typing import Final

from proxy.clock import Clock
from proxy.errors import ProxyError
from proxy.gateway.retry import STALE_TRIES_MAX, repeatable
from proxy.http.digest import Digest
from proxy.http.edits import RequestEdits
from proxy.http.headers import Peer
from proxy.http.message import RequestHead, ResponseHead
from proxy.observe.mirrors import ROOM_MIN, MirrorCounts
from proxy.rules.health import PassiveHealth
from proxy.rules.model import Timeouts
from proxy.upstream.endpoint import Endpoint, EndpointRegistry
from proxy.upstream.stream import UpstreamStream
from proxy.upstream.version import Version

IN_FLIGHT_MAX: Final = 100
"""Copies under way to one version, per worker; further ones are dropped. At 50 ms an answer, 2,000 a second: who does
not keep up with that gets no more, and a version that hangs holds no more connections and bodies than this. At first
there is room for ROOM_MIN: for one more after each whole answer, for half as many after each failure."""
ANSWER_S: Final = 30.0
"""How long a copy may take from its begin to the last byte of its answer, if the service's `response` sets no limit."""
ANSWER_BYTES_SPARE: Final = 1024 * 1024
"""An answer that is longer than the real one by more than this is cut off: it differs, and may have no end."""
BUSY: Final = 0.9
"""A worker that used this part of its core since the last sweep makes no copies for BUSY_S: each costs as much as a
request, and it is real ones that are waiting."""
BUSY_S: Final = 1.0
REST: Final = PassiveHealth(consecutive_5xx=5, ejection=1.0)
"""An endpoint that fails so many copies in a row (no whole answer; statuses are answers) gets none for a second, longer
each further time, up to ten: connecting in vain for each request, or reading what has no end, costs more than all the
rest of a copy."""


class Shadows:
    """All copies of one worker that are under way. They have endpoints of their own: no connection, health or balance
    of real requests is touched by what becomes of them, nor the other way round.

    spare: the worker has time for more of them.
    """

    __slots__ = ("_busy_until", "_clock", "_cpu_s", "_swept", "open", "registry", "spare")

    def __init__(self, clock: Clock, workers: int) -> None:
        self._clock = clock
        self._cpu_s = self._busy_until = 0.0
        self._swept = math.inf  # nothing is measured before the first sweep
        self.registry = EndpointRegistry(clock, workers)
        self.open: set[Shadow] = set()
        self.spare = True

    def due(self, seconds: float) -> float:
        return self._clock.now + (seconds or ANSWER_S)

    def judge(self, endpoint: Endpoint, good: bool) -> None:
        """What came of a copy says whether the endpoint rests from them."""
        if good:
            endpoint.health.succeed()
        elif endpoint.health.fail(REST):
            endpoint.health.eject(REST, self._clock.now)
            endpoint.judge()

    def sweep(self, now: float) -> None:
        """End those that take too long; see whether there is time for more."""
        self._measure(now)
        for shadow in [shadow for shadow in self.open if shadow.deadline <= now]:
            shadow.overdue()
        self.registry.sweep(now)

    def _measure(self, now: float) -> None:
        cpu_s = thread_time()
        if cpu_s - self._cpu_s > BUSY * (now - self._swept) > 0:
            self._busy_until = now + BUSY_S
        self._cpu_s, self._swept = cpu_s, now
        self.spare = now >= self._busy_until

    def close(self) -> None:
        """End all, and every connection they had."""
        for shadow in tuple(self.open):
            shadow.give_up()
        self.registry.retire_all_but(set())


class Target:
    """Where copies go: the version, with endpoints of the shadows, and where they are counted. edits: what is changed
    of each head, None if nothing; tail: its end."""

    __slots__ = ("counts", "edits", "shadows", "tail", "timeouts", "version")

    def __init__(
        self, version: Version, edits: RequestEdits | None, tail: bytes, timeouts: Timeouts, counts: MirrorCounts,
        shadows: Shadows,
    ) -> None:  # fmt: skip
        self.version = version
        self.edits = edits
        self.tail = tail
        self.timeouts = timeouts
        self.counts = counts
        self.shadows = shadows

    @property
    def takes_more(self) -> bool:
        """Whether a copy that begins now would not be dropped at once."""
        room = self.shadows.spare and self.counts.in_flight < self.counts.room
        return room and any(endpoint.available for endpoint in self.version.endpoints)


class Shadow:
    """One copy, from its begin to the end of its answer. Implements upstream.stream.ResponseSink.

    size: of the real answer's body. compared: whether a digest is made of the answer. ended: is told what became of it,
    with the digest of a whole answer that was to be compared.
    """

    __slots__ = (
        "_body", "_compared", "_digest", "_ended", "_endpoint", "_head", "_id", "_left", "_peer", "_stale",
        "_stream", "_target", "deadline",
    )  # fmt: skip

    def __init__(
        self, target: Target, head: RequestHead, peer: Peer, request_id: bytes, body: bytes, size: int,
        compared: bool, ended: Callable[[str, Digest | None], None],
    ) -> None:  # fmt: skip
        self._target = target
        self._head = head if target.edits is None else target.edits(head)
        self._peer = peer
        self._id = request_id
        self._body = body
        self._left = size + ANSWER_BYTES_SPARE
        self._compared = compared
        self._ended = ended
        self._digest: Digest | None = None
        self._endpoint: Endpoint | None = None
        self._stream: UpstreamStream | None = None
        self._stale = 0
        self.deadline = target.shadows.due(target.timeouts.response)

    def begin(self) -> None:
        """Send it, if that can be done now: a copy waits for a connection to be made, never for one to be free."""
        target = self._target
        if not target.takes_more:
            self._ended("dropped", None)
            return
        target.counts.in_flight += 1
        target.shadows.open.add(self)
        self._attempt()

    def _attempt(self) -> None:
        version = self._target.version
        endpoint = self._endpoint = version.pick(self._head.client.encode() if version.balanced_by_key else b"")
        if endpoint is None:
            self._end("dropped")
            return
        endpoint.in_flight += 1
        stream = endpoint.pool.take()
        if stream is not None:
            self.connected(stream)
        elif not endpoint.pool.ask(self, self._target.timeouts.connect):
            self._end("dropped")

    def overdue(self) -> None:
        """The deadline has passed."""
        self._break_off("timeout")

    def give_up(self) -> None:
        """The worker ends."""
        self._break_off("dropped")

    def _break_off(self, result: str) -> None:
        if self._stream is not None:
            self._stream.reset()
        elif self._endpoint is not None:
            self._endpoint.pool.forget(self)
        self._end(result)

    def _end(self, result: str, *, whole: bool = False) -> None:
        counts = self._target.counts
        if self._endpoint is not None and result != "dropped":
            self._target.shadows.judge(self._endpoint, whole)
            counts.room = min(counts.room + 1, IN_FLIGHT_MAX) if whole else max(counts.room // 2, ROOM_MIN)
        self._leave_endpoint()
        self._stream = None
        self._target.shadows.open.discard(self)
        counts.in_flight -= 1
        self._ended(result, self._digest if result == "answered" else None)

    def _leave_endpoint(self) -> None:
        if self._endpoint is not None:
            self._endpoint.in_flight -= 1
            self._endpoint = None

    # --- what the upstream half says ---------------------------------------------------------------------------

    def connected(self, stream: UpstreamStream) -> None:
        self._stream = stream
        stream.send_request(self, self._head, self._peer, self._id, self._target.tail, b"", self._body, True)

    def connect_failed(self, error: ProxyError) -> None:
        self._failed(error)

    def interim_head(self, head: ResponseHead) -> None:
        """Nobody waits for it."""

    def response_head(self, head: ResponseHead, length: int, data: bytes, done: bool) -> None:
        if self._compared:
            self._digest = Digest(head, length, decoded=not self._head.minor)
        self.response_body(data[head.size :], done)

    def response_body(self, data: bytes, done: bool) -> None:
        if self._digest is not None:
            self._digest.feed(data)
        self._left -= len(data)
        if done:
            self._end("answered", whole=True)
        elif self._left < 0:
            self._break_off("answered" if self._compared else "failed")

    def response_upgraded(self, head: ResponseHead, rest: bytes) -> None:
        self._break_off("failed")

    def response_failed(self, error: ProxyError, started: bool) -> None:
        stream, self._stream = self._stream, None
        stale = stream is not None and stream.reused and error.flag == "reset" and not started
        if stale and self._stale < STALE_TRIES_MAX and repeatable(self._head.method, "reset"):
            self._stale += 1
            self._leave_endpoint()
            self._attempt()
        else:
            self._failed(error)

    def _failed(self, error: ProxyError) -> None:
        self._end("timeout" if error.flag == "timeout" else "failed")

    def request_blocked(self) -> None:
        """All of it has been handed over already."""

    def request_unblocked(self) -> None:
        """As above."""
