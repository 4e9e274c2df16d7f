"""proxy/upstream/health.py: when an endpoint is ejected, for how long, and when not."""

from __future__ import annotations

import pytest

from proxy.rules.health import PassiveHealth
from proxy.upstream.health import EJECTION_FACTOR_MAX, STEPS, EndpointHealth, may_eject, weight_part

POLICY = PassiveHealth(consecutive_5xx=3, ejection=30.0)


def test_failures_in_a_row_eject() -> None:
    """The third of three; a success in between begins the count anew."""
    health = EndpointHealth()
    assert [health.fail(POLICY), health.fail(POLICY)] == [False, False]
    health.succeed()
    assert [health.fail(POLICY), health.fail(POLICY), health.fail(POLICY)] == [False, False, True]


def test_what_may_not_be_ejected_is_asked_again_at_the_next_failure() -> None:
    """While too many are out, a failing endpoint stays a candidate."""
    health = EndpointHealth()
    assert [health.fail(POLICY) for _ in range(5)] == [False, False, True, True, True]


def test_ejected_endpoint_returns_in_time() -> None:
    """At the end of its time, not before, and once; it needs the full number of failures again."""
    health = EndpointHealth()
    health.eject(POLICY, now=100.0)
    assert health.ejected and not health.fail(POLICY)
    assert not health.returned(129.9)
    assert health.returned(130.0) and not health.ejected
    assert not health.returned(130.0)
    assert [health.fail(POLICY), health.fail(POLICY)] == [False, True]  # one came while it was out


def test_ejections_in_a_row_last_longer_up_to_a_limit() -> None:
    """n times as long the n-th time, ten times at most; a success after its return forgets them."""
    health, now = EndpointHealth(), 0.0
    for number in range(1, EJECTION_FACTOR_MAX + 3):
        health.eject(POLICY, now)
        last = 30.0 * min(number, EJECTION_FACTOR_MAX)
        assert not health.returned(now + last - 0.1)
        now += last
        assert health.returned(now)
    health.succeed()
    health.eject(POLICY, now)
    assert health.returned(now + 30.0)


def test_late_success_does_not_shorten_an_ejection() -> None:
    """A request sent before the ejection may still end well."""
    health = EndpointHealth()
    health.eject(POLICY, 0.0)
    health.succeed()
    health.returned(30.0)
    health.eject(POLICY, 30.0)
    assert not health.returned(89.0) and health.returned(90.0)


@pytest.mark.parametrize(
    ("endpoints", "ejected", "share", "allowed"),
    [(1, 0, 1.0, True), (1, 0, 0.99, False), (2, 0, 0.5, True), (2, 1, 0.5, False), (3, 0, 0.3, False),
     (3, 0, 0.34, True),
     (10, 4, 0.5, True), (10, 5, 0.5, False), (4, 3, 1.0, True), (4, 0, 0.0, False)],
)  # fmt: skip
def test_share_that_may_be_out(endpoints: int, ejected: int, share: float, allowed: bool) -> None:
    """max_ejected, at it and one past it; of one endpoint, only all of them is a whole one."""
    assert may_eject(PassiveHealth(max_ejected=share), endpoints, ejected) is allowed


def test_slow_start_goes_up_in_steps() -> None:
    """From a tenth to all of it, evenly over its time."""
    assert [weight_part(age, 10.0) for age in (0.0, 0.5, 1.0, 1.1, 5.0, 9.1, 10.0, 99.0)] == [
        0.1, 0.1, 0.1, 0.2, 0.5, 1.0, 1.0, 1.0
    ]  # fmt: skip
    assert len({weight_part(age / 100, 10.0) for age in range(1001)}) == STEPS
