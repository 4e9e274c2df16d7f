"""Alone decides whether a request may be tried again (RFC 9110 section 9.2.2)."""

from __future__ import annotations

from typing import Final

from proxy.observe.counters import VersionCounts
from proxy.rules.model import Retry

IDEMPOTENT: Final = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE", b"PROPFIND"))
"""Methods that may be repeated without asking."""
REPLAYED_BYTES_MAX: Final = 64 * 1024
"""A request body of at most this size is kept until the response begins, so that it can be sent again."""
RETRIES_ALWAYS: Final = 3
"""Retries at a time that no budget forbids; a share of few requests would round to none (Envoy's minimum too)."""


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
