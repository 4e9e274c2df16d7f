from __future__ import annotations

from proxy.observe.counters import BUCKETS, Counts
from proxy.observe.metrics import Registry
from proxy.rollout.tally import tally
from proxy.rules.rollouts import DEFAULT_GATES, Rollout, RolloutStep

ROLLOUT = Rollout("shop-v2", "shop", "everyone", "v1", "v2", (RolloutStep(100.0),), DEFAULT_GATES)


def test_both_versions_are_counted_on_the_rollouts_route() -> None:
    """Other routes and services count elsewhere; who stood in for the new version counts as its failure."""
    registry = Registry()
    buckets = [3, *[0] * (len(BUCKETS) - 1), 1]
    registry.merge(1, Counts(
        add={
            "requests_total": {
                ("shop", "shop", "v2", "200", "GET"): 10,
                ("shop", "shop", "v2", "404", "GET"): 2,
                ("shop", "shop", "v2", "502", "POST"): 3,
                ("shop", "shop", "v1", "200", "GET"): 100,
                ("cart", "shop", "v2", "500", "GET"): 50,
            },
            "decisions_total": {
                ("shop", "shop", "v1", "everyone", "fallback"): 4,
                ("shop", "shop", "v1", "everyone", "rescue"): 1,
                ("shop", "shop", "v1", "everyone", "weight"): 90,
                ("shop", "shop", "v1", "testers", "fallback"): 7,
            },
        },
        observe={"request_duration_seconds": {("shop", "shop", "v2"): (buckets, 1.0)}},
    ))  # fmt: skip
    pair = tally(registry, [(ROLLOUT, "shop")])["shop-v2"]
    assert (pair.new.requests, pair.new.failed, list(pair.new.buckets)) == (20, 8, buckets)
    assert (pair.old.requests, pair.old.failed, sum(pair.old.buckets)) == (100, 0, 0)
