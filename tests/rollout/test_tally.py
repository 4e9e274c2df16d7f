from __future__ import annotations

from proxy.observe.counters import Counters
from proxy.observe.counts import BUCKETS
from proxy.observe.metrics import Registry
from proxy.rollout.gates import Pair
from proxy.rollout.tally import tally
from proxy.rules.rollouts import DEFAULT_GATES, Rollout, RolloutStep

ROLLOUT = Rollout("shop-v2", "shop", "everyone", "v1", "v2", (RolloutStep(100.0),), DEFAULT_GATES)


def counted(*requests: tuple[tuple[str, ...], str, int]) -> Pair:
    """What a rollout sees of a worker that counted these: labels, the version stood in for, status."""
    counters, registry = Counters(), Registry()
    for labels, chosen, status in requests:
        counters.decision(*labels, chosen=chosen).finished(status, b"GET", 0.02)
    registry.merge(1, counters.take())
    return tally(registry, ROLLOUT, "shop")


def test_both_versions_are_counted_by_what_the_rule_gives_them() -> None:
    """Other rules, routes and services count elsewhere, also where they lead to the same version."""
    pair = counted(
        (("shop", "shop", "v2", "everyone", "weight"), "", 200),
        (("shop", "shop", "v2", "everyone", "sticky"), "", 502),
        (("shop", "shop", "v2", "everyone", "weight"), "", 404),
        (("shop", "shop", "v1", "everyone", "weight"), "", 200),
        (("shop", "shop", "v2", "testers", "match"), "", 500),
        (("shop", "shop", "v2", "beta", "weight"), "", 500),
        (("cart", "shop", "v2", "everyone", "weight"), "", 500),
        (("shop", "other", "v2", "everyone", "weight"), "", 500),
    )
    assert (pair.new.requests, pair.new.failed, sum(pair.new.buckets)) == (3, 1, 3)
    assert (pair.old.requests, pair.old.failed, sum(pair.old.buckets)) == (1, 0, 1)
    assert pair.new.whole == {200: 1, 502: 1, 404: 1}


def test_who_stands_in_counts_as_the_failure_of_who_was_chosen() -> None:
    """Whatever comes of it, once, and of nobody else: v3 has its own stand-ins."""
    pair = counted(
        (("shop", "shop", "v1", "everyone", "fallback"), "v2", 200),
        (("shop", "shop", "v1", "everyone", "rescue"), "v2", 200),
        (("shop", "shop", "v1", "everyone", "rescue"), "v2", 503),
        (("shop", "shop", "v1", "everyone", "rescue"), "v3", 200),
        (("shop", "shop", "v1", "everyone", "weight"), "", 200),
    )
    assert (pair.new.requests, pair.new.failed, sum(pair.new.buckets)) == (3, 3, 0)
    assert (pair.old.requests, pair.old.failed, sum(pair.old.buckets)) == (1, 0, 1)


def test_who_leaves_counts_against_nobody_and_what_breaks_off_is_a_failure() -> None:
    """Neither as a request nor as a time; a status of 499 that a service sends is an answer of its own."""
    counters, registry = Counters(), Registry()
    decision = counters.decision("shop", "shop", "v2", "everyone", "weight")
    decision.finished(decision.left(0.3), b"GET", 0.3)
    decision.finished(499, b"GET", 0.02)
    decision.broken(200)
    decision.finished(200, b"GET", 0.02)
    stand_in = counters.decision("shop", "shop", "v1", "everyone", "fallback", chosen="v2")
    stand_in.finished(stand_in.left(0.3), b"GET", 0.3)
    registry.merge(1, counters.take())
    registry.merge(1, counters.take())
    new = tally(registry, ROLLOUT, "shop").new
    assert (new.requests, new.failed, new.left) == (2, 1, 2)
    assert {status: count for status, count in new.whole.items() if count} == {499: 1}
    assert new.buckets == tuple(2 * (bound == 0.025) for bound in (*BUCKETS, 0))
