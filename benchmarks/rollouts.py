"""How often rollouts are wrong: simulated ones of equal versions, and of worse ones, judged by the proxy's own code.

    python -m benchmarks.rollouts [RUNS]

Requests come at a steady pace, fail with a fixed chance, and take times of a log-normal distribution (median 60 ms,
sigma 0.5). Every case goes through the steps of the reference: 5 % for ten minutes, 20 %, 50 % and 100 % for thirty
each, windows of a minute, two failed verdicts in a row.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from math import erf, log, sqrt
from random import Random
from typing import Final

from proxy.observe.counters import BUCKETS
from proxy.rollout.gates import Counts, Pair
from proxy.rollout.plan import Look, State, advance
from proxy.rollout.watch import Watch
from proxy.rules.rollouts import Gate, Rollout, RolloutStep

WINDOW_S: Final = 60.0
STEPS: Final = tuple(RolloutStep(weight, hold) for weight, hold in ((5, 600), (20, 1800), (50, 1800), (100, 1800)))
WINDOWS_MAX: Final = 1000
"""A rollout that has not ended by then hangs."""
NORMAL_FROM: Final = 50.0
"""Hits expected, and misses: from here on a normal distribution stands for the binomial one."""


@dataclass(frozen=True)
class Kind:
    """What a version is like."""

    errors: float = 0.01
    median_s: float = 0.060
    sigma: float = 0.5

    def shares(self) -> list[float]:
        """Of each bucket."""
        below = [0.5 * (1 + erf((log(bound) - log(self.median_s)) / (self.sigma * sqrt(2)))) for bound in BUCKETS]
        return [high - low for low, high in zip([0.0, *below], [*below, 1.0], strict=True)]


@dataclass
class Ended:
    """How a rollout ended, at which step, after how long; and what it cost in failed requests of the new version."""

    phase: str
    step: int
    minutes: float
    failed: int


def rollout(*gates: Gate) -> Rollout:
    return Rollout("shop-v2", "shop", "everyone", "v1", "v2", STEPS, gates)


def binomial(chance: Random, tries: int, share: float) -> int:
    """Hits in so many tries."""
    if share > 0.5:
        return tries - binomial(chance, tries, 1 - share)
    if tries * share > NORMAL_FROM:
        drawn = chance.gauss(tries * share, sqrt(tries * share * (1 - share)))
        return min(tries, max(0, round(drawn)))
    if share <= 0:
        return 0
    hits, place = 0, 0
    while True:  # from hit to hit
        place += int(log(1.0 - chance.random()) / log(1.0 - share)) + 1
        if place > tries:
            return hits
        hits += 1


def counts(chance: Random, before: Counts, requests: int, kind: Kind, shares: list[float]) -> Counts:
    """What a version has counted after so many more requests."""
    left, rest, buckets = requests, 1.0, []
    for share in shares:
        hits = binomial(chance, left, min(1.0, share / rest)) if rest > 1e-12 else 0
        buckets.append(hits)
        left, rest = left - hits, rest - share
    buckets[-1] += left
    added = zip(before.buckets or [0] * len(buckets), buckets, strict=True)
    failed = before.failed + binomial(chance, requests, kind.errors)
    return Counts(before.requests + requests, failed, tuple(a + b for a, b in added))


def simulate(plan: Rollout, old: Kind, new: Kind, per_second: float, seed: int) -> Ended:
    """One rollout from beginning to end."""
    chance, pair, now = Random(seed), Pair(), 0.0
    old_shares, new_shares = old.shares(), new.shares()
    state, _ = advance(plan, State(), Look(0.0))
    watch = Watch(plan, BUCKETS, now, pair)
    for _ in range(WINDOWS_MAX):
        all_requests = round(per_second * WINDOW_S)
        to_new = binomial(chance, all_requests, state.weight / 100)
        now += WINDOW_S
        pair = Pair(
            counts(chance, pair.new, to_new, new, new_shares),
            counts(chance, pair.old, all_requests - to_new, old, old_shares),
        )
        watch.look(now, pair)
        step = state.step
        look = Look(state.weight, WINDOW_S, watch.passed, watch.failed, watch.burning)
        state, _ = advance(plan, state, look)
        if state.phase != "progressing":
            return Ended(state.phase, step, now / 60, pair.new.failed)
        if state.step != step:
            watch = Watch(plan, BUCKETS, now, pair, watch.compared)
    return Ended("hangs", state.step, now / 60, pair.new.failed)


ERRORS: Final = Gate("success_rate", max_ratio=1.0)
BOTH: Final = rollout(ERRORS, Gate("latency_p95", max_ratio=1.1))
SAME: Final = Kind()
FAILING: Final = replace(SAME, errors=0.03)
SLOW: Final = replace(SAME, median_s=SAME.median_s * 1.3)
CASES: Final = {
    "equal versions": (BOTH, SAME),
    "equal versions, latency_p95 max_ratio 1": (rollout(ERRORS, Gate("latency_p95", max_ratio=1.0)), SAME),
    "errors 3 % in place of 1 %": (BOTH, FAILING),
    "latency +30 %": (BOTH, SLOW),
    "latency +30 %, latency_p50 max_ratio 1.1": (rollout(Gate("latency_p50", max_ratio=1.1)), SLOW),
    "latency +30 %, latency_p99 max_ratio 1.1": (rollout(Gate("latency_p99", max_ratio=1.1)), SLOW),
    "latency +30 %, latency_p99 max_ratio 1.25": (rollout(Gate("latency_p99", max_ratio=1.25)), SLOW),
    "errors 3 %, success_rate min 98.5%": (rollout(Gate("success_rate", min=0.985)), FAILING),
    "errors 1 %, success_rate min 98.5%": (rollout(Gate("success_rate", min=0.985)), SAME),
}


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    print(f"{runs} rollouts each, success_rate max_ratio 1 and latency_p95 max_ratio 1.1 unless said otherwise\n")
    print("| case | requests/s | promoted | rolled back | at step (1-4) | minutes, median | failed requests, median |")
    print("|---|---|---|---|---|---|---|")
    for name, (plan, new) in CASES.items():
        for per_second in (50, 500):
            ended = [simulate(plan, SAME, new, per_second, seed) for seed in range(runs)]
            back = [one for one in ended if one.phase == "rolled_back"]
            promoted = sum(one.phase == "promoted" for one in ended)
            steps = " ".join(str(sum(one.step == step for one in back)) for step in range(len(STEPS)))
            minutes, failed = (sorted(getattr(one, key) for one in ended)[runs // 2] for key in ("minutes", "failed"))
            print(
                f"| {name} | {per_second} | {promoted} | {len(back)} | {steps} | {minutes:g} | {failed} |", flush=True
            )


if __name__ == "__main__":
    main()
