"""What the container has counted for the versions of a rollout, on its route."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from proxy.observe.counters import BUCKETS
from proxy.observe.metrics import Registry
from proxy.rollout.gates import Counts, Pair
from proxy.rules.rollouts import Rollout

STANDING_IN: Final = ("fallback", "rescue")
"""Reasons by which another version answers in place of the one that was chosen: a failure of that one, which clients
do not see."""
NOTHING: Final = (0,) * (len(BUCKETS) + 1)

Service = str


def tally(registry: Registry, rollouts: Iterable[tuple[Rollout, Service]]) -> dict[str, Pair]:
    """By rollout, what both versions have been asked since the start, in one walk over the counters."""
    followed = list(rollouts)
    routes = {rollout.route for rollout, _ in followed}
    requests: dict[tuple[str, str, str], int] = {}
    failed: dict[tuple[str, str, str], int] = {}
    for (route, service, version, code, _), count in registry.counter("requests_total").items():
        if route in routes:
            key = (route, service, version)
            requests[key] = requests.get(key, 0) + int(count)
            if code >= "500":
                failed[key] = failed.get(key, 0) + int(count)
    durations = registry.histogram("request_duration_seconds")
    decisions = registry.counter("decisions_total")

    def counts(rollout: Rollout, service: str, version: str, stood_in: int = 0) -> Counts:
        key = (rollout.route, service, version)
        known = durations.get(key)
        buckets = tuple(known.counts) if known is not None else NOTHING
        return Counts(requests.get(key, 0) + stood_in, failed.get(key, 0) + stood_in, buckets)

    pairs = {}
    for rollout, service in followed:
        labels = (rollout.route, service, rollout.old, rollout.rule)
        stood_in = int(sum(decisions.get((*labels, reason), 0) for reason in STANDING_IN))
        pairs[rollout.name] = Pair(
            counts(rollout, service, rollout.new, stood_in), counts(rollout, service, rollout.old)
        )
    return pairs
