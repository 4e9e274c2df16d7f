"""What the container has counted for the versions of a rollout: of the requests that its rule gave to them.

What other rules send to the same versions (testers by a header) is not looked at: it is of other people, does not grow
with the weight, and would let a broken page of a few testers end the release of all.
"""

from __future__ import annotations

from proxy.observe.metrics import Registry
from proxy.rollout.gates import Counts, Pair
from proxy.rules.rollouts import Rollout


def tally(registry: Registry, rollout: Rollout, service: str) -> Pair:
    """What both versions have been asked since the start."""
    return Pair(*(_counts(registry, rollout, service, version) for version in (rollout.new, rollout.old)))


def _counts(registry: Registry, rollout: Rollout, service: str, version: str) -> Counts:
    answers = registry.answers(rollout.route, service, rollout.rule, version)
    failed = answers.lost + sum(count for status, count in answers.whole.items() if status >= 500)
    return Counts(
        sum(answers.whole.values()) + answers.lost, failed, tuple(answers.buckets), answers.left, dict(answers.whole)
    )
