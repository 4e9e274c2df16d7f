"""proxy/gateway/retry.py: which requests may be tried again, and how often."""

from __future__ import annotations

import asyncio

import pytest

from proxy.clock import Clock
from proxy.gateway.retry import (
    BACKOFF_MAX_S,
    BUDGET_S,
    RETRIES_ALWAYS,
    STALE_TRIES_MAX,
    Tries,
    backoff_s,
    reason,
    repeatable,
    take_credit,
    wanted,
)
from proxy.observe.counters import VersionCounts
from proxy.rules.model import EndpointSpec, Limits, Retry
from proxy.upstream.endpoint import Endpoint


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"])
def test_idempotent_methods_are_repeatable(method: bytes) -> None:
    """RFC 9110 9.2.2."""
    assert repeatable(method, "reset") and repeatable(method, "status")


@pytest.mark.parametrize("method", [b"POST", b"PATCH", b"LOCK", b"other"])
def test_others_only_before_a_byte_was_sent(method: bytes) -> None:
    """No connection came about, so nothing was carried out."""
    assert repeatable(method, "connect")
    assert not repeatable(method, "reset") and not repeatable(method, "status")


def test_the_rules_say_after_which_failures() -> None:
    """Causes and statuses, each by its name."""
    assert wanted(Retry(), "connect", 0) and wanted(Retry(), "reset", 0)
    assert not wanted(Retry(causes=("reset",)), "connect", 0)
    assert not wanted(Retry(causes=("connect_failure",)), "reset", 0)
    assert not wanted(Retry(), "protocol", 0) and not wanted(Retry(), "timeout", 0)
    assert wanted(Retry(statuses=(502,)), "status", 502) and not wanted(Retry(statuses=(502,)), "status", 503)


def counted(begun: int, now: float = 0.0) -> VersionCounts:
    counts = VersionCounts()
    counts.begun, counts.credit_at = begun, now
    return counts


def taken(retry: Retry, counts: VersionCounts, now: float) -> int:
    """So many retries the budget gives at that moment."""
    number = 0
    while take_credit(retry, counts, now):
        number += 1
    return number


def test_budget_is_a_share_of_the_last_seconds() -> None:
    """20 % of 1000 requests at once, whenever in ten seconds they failed; ten a second in any case."""
    always = int(RETRIES_ALWAYS * BUDGET_S)
    assert taken(Retry(budget=0.2), counted(1000), 0.0) == 200 + always
    assert taken(Retry(budget=0.2), counted(1000), BUDGET_S) == 200 + always
    assert taken(Retry(budget=0.2), counted(1000), 2 * BUDGET_S) == 100 + always
    assert taken(Retry(budget=0.0), counted(1000), 0.0) == always


def test_budget_that_is_used_up_comes_back_with_time_and_requests() -> None:
    """Ten more in the next second without a request, a share of those that come, all of it in ten seconds."""
    counts, retry = counted(0), Retry(budget=0.2)
    assert taken(retry, counts, 0.0) == RETRIES_ALWAYS * BUDGET_S
    assert taken(retry, counts, 0.5) == pytest.approx(RETRIES_ALWAYS / 2, abs=1)
    counts.begun += 50
    assert taken(retry, counts, 0.5) == pytest.approx(10, abs=1)
    assert taken(retry, counts, 20.0) == RETRIES_ALWAYS * BUDGET_S


def test_budget_lasts_under_steady_failure() -> None:
    """1000 requests a second that all want a retry: after the first burst a fifth of them get one, and the ten."""
    counts, retry, granted = counted(0), Retry(budget=0.2), 0
    for tick in range(600):
        counts.begun += 100
        got = sum(take_credit(retry, counts, tick / 10) for _ in range(100))
        granted += got if tick >= 300 else 0
    assert granted / 30 == pytest.approx(0.2 * 1000 + RETRIES_ALWAYS, rel=0.05)


def test_tries_end() -> None:
    """So many attempts and no more."""
    counts, tries = counted(0), Tries()
    tries.cause = "reset"
    assert [tries.take_retry(Retry(attempts=2), counts, 0, 0.0) for _ in range(3)] == [True, True, False]


def test_without_credit_only_failed_connections_are_tried_again() -> None:
    """They gave the service nothing to do, so trying elsewhere multiplies no work."""
    counts, tries, retry = counted(0), Tries(), Retry(attempts=9)
    taken(retry, counts, 0.0)
    tries.cause = "reset"
    assert not tries.take_retry(retry, counts, 0, 0.0)
    tries.cause = "connect"
    assert tries.take_retry(retry, counts, 0, 0.0)


def test_waits_grow_and_are_spread() -> None:
    """Full jitter: anything from nothing to 25, 75, 175, then 250 ms."""
    assert [backoff_s(wait, 1.0) for wait in (1, 2, 3, 4, 5, 10)] == pytest.approx([0.025, 0.075, 0.175, *[0.25] * 3])
    assert backoff_s(3, 0.0) == 0.0


async def test_first_retry_is_at_once_and_the_next_waits() -> None:
    """What is due after `end` never comes."""
    counts, tries, due = counted(0), Tries(), asyncio.Event()
    endpoint = Endpoint(EndpointSpec("http://127.0.0.1:1"), Limits(), Clock())
    tries.cause = "connect"
    tries.endpoints = [endpoint]
    assert tries.take_retry(Retry(), counts, 0, 0.0)
    tries.when_due(due.set)
    assert due.is_set()
    due.clear()
    assert tries.take_retry(Retry(), counts, 0, 0.0)
    tries.when_due(due.set)
    assert not due.is_set()
    await asyncio.wait_for(due.wait(), 5)
    due.clear()
    tries.when_due(due.set)
    tries.end()
    await asyncio.sleep(BACKOFF_MAX_S)  # longer than any wait
    assert not due.is_set()


def test_stale_connections_have_a_number_too() -> None:
    """A pool full of dead connections is not tried through for one request."""
    tries = Tries()
    assert [tries.take_stale() for _ in range(STALE_TRIES_MAX + 1)] == [True] * STALE_TRIES_MAX + [False]


def test_reason_is_a_word_of_the_documentation() -> None:
    """A status, or the cause by its name in the rules."""
    assert [reason("status", 503), reason("connect", 0), reason("reset", 0)] == ["503", "connect_failure", "reset"]
