"""How often rollouts are wrong: simulated ones of equal versions, and of worse ones, judged by the proxy's own code.

    python -m benchmarks.rollouts [RUNS] [TABLE ...]

Requests come at a steady pace, fail with a fixed chance, and take times of a log-normal distribution (median 60 ms,
sigma 0.5), unless a case says otherwise. Most go through the steps of the reference: 5 % for ten minutes, 20 %, 50 %
and 100 % for thirty each, windows of a minute, two failed verdicts in a row. Real ones: benchmarks/live_rollouts.py.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from math import erf, log, sqrt
from random import Random
from typing import Any, Final

from proxy.observe.counts import BUCKETS
from proxy.rollout.gates import Counts, Pair
from proxy.rollout.plan import Look, State, advance
from proxy.rollout.watch import Watch
from proxy.rules.rollouts import Gate, Rollout, RolloutStep

STEPS: Final = tuple(RolloutStep(weight, hold) for weight, hold in ((5, 600), (20, 1800), (50, 1800), (100, 1800)))
WINDOWS_MAX: Final = 1000
"""A rollout that has not ended by then hangs."""
NORMAL_FROM: Final = 50.0
"""Hits expected, and misses: from here on a normal distribution stands for the binomial one."""


@dataclass(frozen=True)
class Kind:
    """What a version is like. apart: so many of its requests (a share) take so many times as long: of an endpoint that
    is slow, or a page of another kind. burst: in so many of its windows (a share) so many fail."""

    errors: float = 0.01
    median_s: float = 0.060
    sigma: float = 0.5
    apart: tuple[float, float] = (0.0, 1.0)
    burst: tuple[float, float] = (0.0, 0.0)

    def shares(self) -> list[float]:
        """Of each bucket."""
        share, times = self.apart
        below = [(1 - share) * self._below(bound) + share * self._below(bound / times) for bound in BUCKETS]
        return [high - low for low, high in zip([0.0, *below], [*below, 1.0], strict=True)]

    def _below(self, bound: float) -> float:
        return 0.5 * (1 + erf((log(bound) - log(self.median_s)) / (self.sigma * sqrt(2))))

    def failing(self, chance: Random) -> float:
        """The chance of a failure in one window."""
        often, much = self.burst
        return much if often and chance.random() < often else self.errors


@dataclass
class Ended:
    """How a rollout ended, at which step, after how long; and what it cost in failed requests of the new version."""

    phase: str
    step: int
    minutes: float
    failed: int


def rollout(*gates: Gate, **others: Any) -> Rollout:
    return Rollout(**{"name": "shop-v2", "route": "shop", "rule": "everyone", "old": "v1", "new": "v2",
                      "steps": STEPS, "gates": gates} | others)  # fmt: skip


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
    failed = before.failed + binomial(chance, requests, kind.failing(chance))
    return Counts(before.requests + requests, failed, tuple(a + b for a, b in added))


def simulate(plan: Rollout, old: Kind, new: Kind, per_second: float, seed: int) -> Ended:
    """One rollout from beginning to end."""
    chance, pair, now = Random(seed), Pair(), 0.0
    old_shares, new_shares = old.shares(), new.shares()
    window_s = max((gate.window for gate in plan.gates), default=60.0)
    state, _ = advance(plan, State(), Look(0.0))
    watch = Watch(plan, BUCKETS, now, pair)
    for _ in range(WINDOWS_MAX):
        all_requests = round(per_second * window_s)
        to_new = binomial(chance, all_requests, state.weight / 100)
        now += window_s
        pair = Pair(
            counts(chance, pair.new, to_new, new, new_shares),
            counts(chance, pair.old, all_requests - to_new, old, old_shares),
        )
        watch.look(now, pair)
        step = state.step
        look = Look(state.weight, window_s, watch.passed, watch.failed, watch.burning)
        state, _ = advance(plan, state, look)
        if state.phase != "progressing":
            return Ended(state.phase, step, now / 60, pair.new.failed)
        if state.step != step:
            watch = Watch(plan, BUCKETS, now, pair, watch.compared)
    return Ended("hangs", state.step, now / 60, pair.new.failed)


ERRORS: Final = Gate("success_rate", max_ratio=1.0)
P95: Final = Gate("latency_p95", max_ratio=1.1)
BOTH: Final = rollout(ERRORS, P95)
SAME: Final = Kind()
FAILING: Final = replace(SAME, errors=0.03)
SLOW: Final = replace(SAME, median_s=SAME.median_s * 1.3)
TWO_KINDS: Final = replace(SAME, median_s=0.020, apart=(0.1, 40.0))
BURSTS: Final = replace(SAME, burst=(1 / 30, 0.05))
UNEVEN: Final = replace(SAME, burst=(1 / 3, 0.02))
RELIABLE: Final = replace(SAME, errors=0.0001)
FULL: Final = (50.0, 500.0)
"""Requests a second."""


@dataclass(frozen=True)
class Case:
    """Rollouts of one kind, each at some rates of requests a second."""

    name: str
    plan: Rollout
    new: Kind
    rates: tuple[float, ...] = FULL
    old: Kind = SAME


def held(minutes: float, window_s: float, failures: int) -> Rollout:
    """20 % for so long."""
    gates = tuple(replace(gate, window=window_s) for gate in (ERRORS, P95))
    return rollout(*gates, steps=(RolloutStep(20.0, minutes * 60),), failures=failures)


def wide(window_s: float) -> Rollout:
    """With windows of another width."""
    return rollout(*(replace(gate, window=window_s) for gate in BOTH.gates))


TABLES: Final = {
    "kinds": (
        Case("equal versions", BOTH, SAME),
        Case("equal versions, latency_p95 max_ratio 1", rollout(ERRORS, replace(P95, max_ratio=1.0)), SAME),
        Case("errors 3 % in place of 1 %", BOTH, FAILING),
        Case("latency +30 %", BOTH, SLOW),
        Case("latency +30 %, latency_p50 max_ratio 1.1", rollout(Gate("latency_p50", max_ratio=1.1)), SLOW),
        Case("latency +30 %, latency_p99 max_ratio 1.1", rollout(Gate("latency_p99", max_ratio=1.1)), SLOW),
        Case("latency +30 %, latency_p99 max_ratio 1.25", rollout(Gate("latency_p99", max_ratio=1.25)), SLOW),
        Case("errors 3 %, success_rate min 98.5%", rollout(Gate("success_rate", min=0.985)), FAILING),
        Case("errors 1 %, success_rate min 98.5%", rollout(Gate("success_rate", min=0.985)), SAME),
    ),
    "shapes": (
        Case("two kinds of pages, 20 and 800 ms: equal", BOTH, TWO_KINDS, old=TWO_KINDS),
        Case("two kinds of pages: latency +30 %", BOTH, replace(TWO_KINDS, median_s=0.026), old=TWO_KINDS),
        Case("one of four endpoints takes 3 times as long", BOTH, replace(SAME, apart=(0.25, 3.0))),
        Case("one of four endpoints fails 9 %", BOTH, replace(SAME, errors=0.03)),
        Case("errors 0.1 % in place of 0.01 %", BOTH, replace(SAME, errors=0.001), old=RELIABLE),
        Case("equal, a minute in 30 has 5 % errors (on its own)", BOTH, BURSTS, old=BURSTS),
        Case("the same, failures: 3", replace(BOTH, failures=3), BURSTS, old=BURSTS),
        Case("the same, errors 3 % besides, failures: 3", replace(BOTH, failures=3), replace(BURSTS, errors=0.03),
             old=BURSTS),
        Case("equal, a minute in 3 has 2 % errors (on its own)", BOTH, UNEVEN, old=UNEVEN),
        Case("the same, max_ratio 2", rollout(replace(ERRORS, max_ratio=2.0), P95), UNEVEN, old=UNEVEN),
    ),
    "few": (
        Case("equal, windows of 1m", BOTH, SAME, (35.0,)),
        Case("errors 3 %, windows of 1m", BOTH, FAILING, (35.0,)),
        Case("latency +30 %, windows of 1m", BOTH, SLOW, (35.0,)),
        Case("equal, windows of 5m", wide(300.0), SAME, (7.0,)),
        Case("errors 3 %, windows of 5m", wide(300.0), FAILING, (7.0,)),
        Case("latency +30 %, windows of 5m", wide(300.0), SLOW, (7.0,)),
    ),
    "looks": tuple(
        Case(f"equal, 20 % for {minutes}m, windows of {window}s, failures: {failures}",
             held(minutes, window, failures), SAME, (500.0,))
        for minutes, window, failures in ((30, 60, 2), (30, 60, 1), (30, 10, 2), (30, 10, 1))
    ),
}  # fmt: skip
"""By name: what versions are like, how times and errors are spread, few requests, many looks."""


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    print(f"{runs} rollouts each, success_rate max_ratio 1 and latency_p95 max_ratio 1.1 unless said otherwise\n")
    for name in sys.argv[2:] or TABLES:
        print(f"{name}\n\n| case | requests/s | promoted | rolled back | at step (1-4) | minutes | failed requests |")
        print("|---|---|---|---|---|---|---|")
        for case in TABLES[name]:
            for per_second in case.rates:
                print(row(case, per_second, runs), flush=True)
        print()


def row(case: Case, per_second: float, runs: int) -> str:
    """Times and failures are medians."""
    ended = [simulate(case.plan, case.old, case.new, per_second, seed) for seed in range(runs)]
    back = [one for one in ended if one.phase == "rolled_back"]
    promoted = sum(one.phase == "promoted" for one in ended)
    steps = " ".join(str(sum(one.step == step for one in back)) for step in range(len(case.plan.steps)))
    minutes, failed = (sorted(getattr(one, key) for one in ended)[runs // 2] for key in ("minutes", "failed"))
    return f"| {case.name} | {per_second:g} | {promoted} | {len(back)} | {steps} | {minutes:g} | {failed} |"


if __name__ == "__main__":
    main()
