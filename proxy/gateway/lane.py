"""The way from a decision to an endpoint, made ready when rules are applied."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from proxy.clock import NEVER
from proxy.gateway.actions import MakeAnswer, no_route
from proxy.gateway.mirror import Mirror
from proxy.gateway.retry import Tries
from proxy.http.edits import FieldEdits, RequestEdits
from proxy.http.message import RequestHead
from proxy.observe.counters import DecisionCounts, VersionCounts
from proxy.rules.model import Retry, Timeouts
from proxy.upstream.endpoint import Endpoint
from proxy.upstream.version import Version

VIA: Final = b"Via: 1.1 grayhound\r\n"
TAILS_REMEMBERED_MAX: Final = 1024
"""Ends of heads that lanes share: most of them are the same in 10,000 routes."""


class Lane:
    """The way of a decision: the version, how to treat requests to it, where they are counted.

    version: None where the proxy itself answers, and then `answer` makes the answer. pick: an endpoint of it, for a
    request that was not tried before and unless picks_by_request. judges: endpoints are judged by their answers.
    fallback: the lane to take when the version has no available endpoint. rescue: the one an idempotent request takes
    once after it failed here. request_edits, response_edits: what the rules change of heads, None if nothing.
    mirrors: of requests answered here, None if there are none. response_s, idle_s: of the time-outs, NEVER where there
    is none. tail: the end of each request's head, the same for all of a lane.
    """

    __slots__ = (
        "answer",
        "counts",
        "decided",
        "fallback",
        "idle_s",
        "judges",
        "mirrors",
        "pick",
        "picks_by_request",
        "request_edits",
        "rescue",
        "response_edits",
        "response_s",
        "retry",
        "tail",
        "timeouts",
        "version",
    )

    def __init__(
        self, version: Version | None, timeouts: Timeouts, retry: Retry, decided: DecisionCounts, counts: VersionCounts,
        lines: bytes = b"",
    ) -> None:  # fmt: skip
        self.version = version
        self.timeouts = timeouts
        self.response_s, self.idle_s = timeouts.response or NEVER, timeouts.idle or NEVER
        self.retry = retry
        self.decided = decided
        self.counts = counts
        self.tail = _tail(lines, version.name if version else "")
        self.pick: Callable[[], Endpoint | None] = version.pick if version else lambda: None
        self.picks_by_request = version is not None and version.balanced_by_key
        self.judges = version is not None and version.passive is not None
        self.mirrors: tuple[Mirror, ...] | None = None
        self.fallback: Lane | None = None
        self.rescue: Lane | None = None
        self.answer: MakeAnswer = no_route
        self.request_edits: RequestEdits | None = None
        self.response_edits: FieldEdits | None = None

    def pick_for(self, head: RequestHead, tries: Tries | None) -> Endpoint | None:
        """An endpoint of the version for this request, in view of what was tried."""
        version = self.version
        assert version is not None
        key = head.client.encode() if version.balanced_by_key else b""
        return version.pick(key) if tries is None else tries.pick(version, key, self.fallback is not None)


@lru_cache(TAILS_REMEMBERED_MAX)
def _tail(lines: bytes, version: str) -> bytes:
    return b"%b%bX-Gray-Version: %b\r\n\r\n" % (VIA, lines, version.encode())
