"""Alone decides whether and when a request is tried again (RFC 9110 section 9.2.2), and remembers what was tried."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import random
from typing import Final

from proxy.observe.counters import VersionCounts
from proxy.rules.model import Retry
from proxy.upstream.endpoint import Endpoint
from proxy.upstream.version import Version

IDEMPOTENT: Final = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE", b"PROPFIND"))
"""Methods that may be repeated without asking."""
REPLAYED_BYTES_MAX: Final = 64 * 1024
"""A request body of at most this size is kept until the response begins, so that it can be sent again."""
BUDGET_S: Final = 10.0
"""The requests of so many seconds are what a budget is a share of. An endpoint that dies fails many requests at once:
a share of the requests under way just then would save few of them. Linkerd's window too."""
RETRIES_ALWAYS: Final = 10.0
"""Retries a second that no budget forbids; a share of few requests would round to none. Linkerd's number too."""
STALE_TRIES_MAX: Final = 3
"""Fresh tries after pooled connections that had died idle; they use up no retry, as nothing had gone wrong."""
BACKOFF_S: Final = 0.025
"""The first retry is made at once, most find another endpoint; before the second is a wait of at most this, and longer
before each further one. Envoy's base."""
BACKOFF_MAX_S: Final = 0.25
"""No wait is longer: a client waits too. Envoy's ten times the base."""


class Tries:
    """What was tried for one request. Made at its first failure; most requests have none.

    endpoints: of the current version that failed. cause: of the last failure.
    """

    __slots__ = ("_attempts", "_stale", "_timer", "cause", "endpoints")

    def __init__(self) -> None:
        self._attempts = 0
        self._stale = 0
        self._timer: asyncio.TimerHandle | None = None
        self.endpoints: list[Endpoint] = []
        self.cause = ""

    def pick(self, version: Version, key: bytes, falls_back: bool) -> Endpoint | None:
        """An endpoint that has not failed; if there is none, one that has, unless another version can do better."""
        endpoint = version.pick(key, self.endpoints)
        if endpoint is None and self.endpoints and not (self.cause == "connect" and falls_back):
            return version.pick(key)
        return endpoint

    def unreachable(self, version: Version | None, last: Endpoint | None) -> bool:
        """Whether the last endpoint tried took no connection, and no other one of the version is available: it is then
        as good as without one, though no retry may be left to see it."""
        return self.cause == "connect" and version is not None and not version.others((*self.endpoints, last))

    def take_stale(self) -> bool:
        """Whether one more pooled connection may have died idle; it is then counted."""
        self._stale += 1
        return self._stale <= STALE_TRIES_MAX

    def take_retry(self, retry: Retry, counts: VersionCounts, status: int, now: float) -> bool:
        """Whether the rules and the budget allow another try after this failure; it is then counted."""
        if self._attempts >= retry.attempts or not wanted(retry, self.cause, status):
            return False
        if self.cause != "connect" and not take_credit(retry, counts, now):
            return False
        self._attempts += 1
        return True

    def when_due(self, again: Callable[[], None]) -> None:
        """Call `again`: at once for the first retry or another version, after a wait for others, never after `end`."""
        if self._attempts <= 1 or not self.endpoints:
            again()
        else:
            wait = backoff_s(self._attempts - 1, random())
            self._timer = asyncio.get_running_loop().call_later(wait, again)

    def end(self) -> None:
        """The request is over: nothing is tried any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def repeatable(method: bytes, cause: str) -> bool:
    """Whether this request can be sent again after that failure without being carried out twice."""
    return cause == "connect" or method in IDEMPOTENT


def take_credit(retry: Retry, counts: VersionCounts, now: float) -> bool:
    """Whether one more retry keeps retries a small share of the requests of the last seconds; it is then paid for.

    Each request of the version pays in its share; credit and debt fade within BUDGET_S, and a debt of RETRIES_ALWAYS
    is allowed. A failed connection needs no credit: it gave the service nothing to do, so no work is multiplied.
    """
    elapsed = max(0.0, now - counts.credit_at)
    recent = min(1.0, BUDGET_S / elapsed) if elapsed else 1.0  # this part of the requests since then is not too old
    counts.credit *= max(0.0, 1 - elapsed / BUDGET_S)
    counts.credit += retry.budget * (counts.begun - counts.credit_begun) * recent
    counts.credit_at, counts.credit_begun = now, counts.begun
    if counts.credit - 1 < -RETRIES_ALWAYS * BUDGET_S:
        return False
    counts.credit -= 1
    return True


def backoff_s(wait: int, chance: float) -> float:
    """Seconds before a further try: the wait-th of a request, from 1; chance in [0, 1) spreads those of many."""
    return chance * min(BACKOFF_S * (2.0**wait - 1), BACKOFF_MAX_S)


def wanted(retry: Retry, cause: str, status: int) -> bool:
    """Whether the rules ask for another try after this failure. status: of a response, else 0."""
    if status:
        return status in retry.statuses
    return {"connect": "connect_failure", "reset": "reset"}.get(cause, "") in retry.causes


def reason(cause: str, status: int) -> str:
    """The `reason` of grayhound_upstream_retries_total."""
    return str(status) if status else {"connect": "connect_failure"}.get(cause, cause)
