"""Alone decides whether a request may be tried again (RFC 9110 section 9.2.2), and remembers what was tried."""

from __future__ import annotations

from typing import Final

from proxy.observe.counters import VersionCounts
from proxy.rules.model import Retry
from proxy.upstream.endpoint import Endpoint

IDEMPOTENT: Final = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE", b"PROPFIND"))
"""Methods that may be repeated without asking."""
REPLAYED_BYTES_MAX: Final = 64 * 1024
"""A request body of at most this size is kept until the response begins, so that it can be sent again."""
RETRIES_ALWAYS: Final = 3
"""Retries at a time that no budget forbids; a share of few requests would round to none (Envoy's minimum too)."""
STALE_TRIES_MAX: Final = 3
"""Fresh tries after pooled connections that had died idle; they use up no retry, as nothing had gone wrong."""


class Tries:
    """What was tried for one request. Made at its first failure; most requests have none.

    endpoints: of the current version that failed. cause: of the last failure. rescued: it is on its last way.
    """

    __slots__ = ("_attempts", "_retrying", "_stale", "cause", "endpoints", "rescued")

    def __init__(self) -> None:
        self._attempts = 0
        self._stale = 0
        self._retrying: VersionCounts | None = None
        self.endpoints: list[Endpoint] = []
        self.cause = ""
        self.rescued = False

    def take_stale(self) -> bool:
        """Whether one more pooled connection may have died idle; it is then counted."""
        self._stale += 1
        return self._stale <= STALE_TRIES_MAX

    def take_retry(self, retry: Retry, counts: VersionCounts, status: int) -> bool:
        """Whether the rules and the budget allow another try after this failure; it is then counted."""
        if self._attempts >= retry.attempts or not wanted(retry, self.cause, status):
            return False
        if self._retrying is None:
            if not within_budget(retry, counts):
                return False
            self._retrying = counts
            counts.retrying += 1
        self._attempts += 1
        return True

    def end(self) -> None:
        """The request is over: its retry no longer counts against the budget."""
        if self._retrying is not None:
            self._retrying.retrying -= 1
            self._retrying = None


def repeatable(method: bytes, cause: str) -> bool:
    """Whether this request can be sent again after that failure without being carried out twice."""
    return cause == "connect" or method in IDEMPOTENT


def within_budget(retry: Retry, counts: VersionCounts) -> bool:
    """Whether one more retry keeps retries a small share of the requests under way."""
    return counts.retrying < max(RETRIES_ALWAYS, retry.budget * counts.in_flight)


def wanted(retry: Retry, cause: str, status: int) -> bool:
    """Whether the rules ask for another try after this failure. status: of a response, else 0."""
    if status:
        return status in retry.statuses
    return {"connect": "connect_failure", "reset": "reset"}.get(cause, "") in retry.causes


def reason(cause: str, status: int) -> str:
    """The `reason` of grayhound_upstream_retries_total."""
    return str(status) if status else {"connect": "connect_failure"}.get(cause, cause)
