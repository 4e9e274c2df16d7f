"""proxy/gateway/retry.py: which requests may be tried again, and how often."""

from __future__ import annotations

import pytest

from proxy.gateway.retry import RETRIES_ALWAYS, STALE_TRIES_MAX, Tries, reason, repeatable, wanted, within_budget
from proxy.observe.counters import VersionCounts
from proxy.rules.model import Retry


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


def test_budget_is_a_share_and_a_few_are_always_allowed() -> None:
    """20 % of 100 under way: the twentieth may, the twenty-first may not."""
    counts = VersionCounts()
    counts.in_flight, counts.retrying = 100, 19
    assert within_budget(Retry(budget=0.2), counts)
    counts.retrying = 20
    assert not within_budget(Retry(budget=0.2), counts)
    counts.in_flight, counts.retrying = 0, RETRIES_ALWAYS - 1
    assert within_budget(Retry(budget=0.0), counts)
    counts.retrying = RETRIES_ALWAYS
    assert not within_budget(Retry(budget=0.0), counts)


def test_tries_end_and_the_budget_gets_its_place_back() -> None:
    """So many attempts and no more; one request takes one place of the budget, however often it is tried."""
    counts, tries = VersionCounts(), Tries()
    tries.cause = "connect"
    assert tries.take_retry(Retry(attempts=2), counts, 0) and tries.take_retry(Retry(attempts=2), counts, 0)
    assert counts.retrying == 1
    assert not tries.take_retry(Retry(attempts=2), counts, 0)
    tries.end()
    tries.end()
    assert counts.retrying == 0


def test_no_budget_no_try() -> None:
    """Refused, and nothing is counted."""
    counts, tries = VersionCounts(), Tries()
    counts.retrying, tries.cause = RETRIES_ALWAYS, "connect"
    assert not tries.take_retry(Retry(), counts, 0)
    tries.end()
    assert counts.retrying == RETRIES_ALWAYS


def test_stale_connections_have_a_number_too() -> None:
    """A pool full of dead connections is not tried through for one request."""
    tries = Tries()
    assert [tries.take_stale() for _ in range(STALE_TRIES_MAX + 1)] == [True] * STALE_TRIES_MAX + [False]


def test_reason_is_a_word_of_the_documentation() -> None:
    """A status, or the cause by its name in the rules."""
    assert [reason("status", 503), reason("connect", 0), reason("reset", 0)] == ["503", "connect_failure", "reset"]
