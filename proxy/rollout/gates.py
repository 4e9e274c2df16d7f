"""Judges one gate by counts of both versions: it holds, it fails, or there is no verdict; and why, in words.

A gate fails where counts so bad would be rarer than once in a thousand if the version were just good enough. Between
that and enough requests to tell it holds: what noise alone explains moves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from math import isinf, log
from typing import Final, Literal

from proxy.data import dataclass
from proxy.rollout.stats import Buckets, above, binomial_tail, confidence, quantile, two_rates
from proxy.rules.rollouts import Gate, Rollout

ALPHA: Final = 0.001
"""A window of a version that is just good enough fails once in a thousand; two in a row, once in a million."""
BURNING_REQUESTS: Final = 10
"""So many answers, nearly all of them failures, are no chance: of a version that fails one in ten, 1 in 100 million."""
BURNING_SHARE: Final = 0.9

Outcome = Literal["holds", "fails", "none"]


@dataclass(frozen=True, slots=True)
class Counts:
    """Of one version in some time. failed: answered 500 or above, broken off, or answered by another version in its
    place. buckets: how long its own answers took. left: clients that left before an answer, who count nowhere else.
    whole: its own answers by status, without those it broke off."""

    requests: int = 0
    failed: int = 0
    buckets: Buckets = ()
    left: int = 0
    whole: Mapping[int, int] = field(default_factory=dict)

    def __sub__(self, earlier: Counts) -> Counts:
        before = earlier.buckets or (0,) * len(self.buckets)
        return Counts(
            self.requests - earlier.requests,
            self.failed - earlier.failed,
            tuple(mine - theirs for mine, theirs in zip(self.buckets, before, strict=True)),
            self.left - earlier.left,
            {status: count - earlier.whole.get(status, 0) for status, count in self.whole.items()},
        )

    def failing(self, gate: Gate) -> int:
        """How many are failures to this gate."""
        if not gate.status:
            return self.failed
        good = [status for status in self.whole if any(low <= status <= high for low, high in gate.status)]
        return self.requests - sum(self.whole[status] for status in good)


@dataclass(frozen=True, slots=True)
class Pair:
    """Counts of the new version and of the old one."""

    new: Counts = Counts()
    old: Counts = Counts()

    def __sub__(self, earlier: Pair) -> Pair:
        return Pair(self.new - earlier.new, self.old - earlier.old)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a gate, in words; none: it cannot be told yet."""

    outcome: Outcome
    text: str


def judge(gate: Gate, rollout: Rollout, pair: Pair, bounds: Sequence[float], alpha: float = ALPHA) -> Verdict:
    """A gate on the proxy's own counts. bounds: of the buckets. alpha: how rare chance must be to be ruled out."""
    new = pair.new
    if new.requests < rollout.min_requests:
        left = f"; {new.left} clients left before an answer" if new.left else ""
        return Verdict("none", f"{new.requests} of the {rollout.min_requests} requests that a verdict needs{left}")
    looks = []
    if gate.metric == "success_rate":
        if gate.min is not None:
            looks.append(_success(gate, gate.min, rollout, new))
        if gate.max_ratio is not None:
            looks.append(_failures(gate, gate.max_ratio, rollout, pair))
    else:
        share = float((gate.metric or "").removeprefix("latency_p")) / 100
        if gate.max is not None:
            looks.append(_latency(gate.max, share, rollout, new, bounds))
        if gate.max_ratio is not None:
            looks.append(_latencies(gate.max_ratio, share, rollout, pair, bounds))
    p_value, text = min(looks)
    if p_value >= alpha:
        return Verdict("holds", text)
    return Verdict("fails", f"{text}: worse than it may be, with {confidence(p_value)} confidence")


def judge_answer(gate: Gate, values: Sequence[float]) -> Verdict:
    """A gate on what Prometheus answered; nothing at all, and what is no number, is no verdict."""
    if not values:
        return Verdict("none", "the query gives nothing; if that means 0, write (...) or vector(0)")
    for value in values:
        if value != value:
            return Verdict("none", "the query gives NaN")
        if gate.min is not None and value < gate.min:
            return Verdict("fails", f"the query gives {value:g}, less than {gate.min:g}")
        if gate.max is not None and value > gate.max:
            return Verdict("fails", f"the query gives {value:g}, more than {gate.max:g}")
    return Verdict("holds", f"the query gives {', '.join(f'{value:g}' for value in values[:3])}")


def burning(rollout: Rollout, pair: Pair) -> str:
    """Whether the new version answers nothing but errors while the old one works, in words; empty if not."""
    new, old = pair.new, pair.old
    if new.requests < BURNING_REQUESTS or new.failed < BURNING_SHARE * new.requests:
        return ""
    if 2 * old.failed >= max(old.requests, 1):
        return ""  # what both of them need is down: going back would help nobody
    return f"{rollout.new} is burning: {new.failed} of its last {new.requests} requests failed"


# --- One limit: the chance of such counts if it were just met, and the counts in words ------------------------------


def _success(gate: Gate, least: float, rollout: Rollout, new: Counts) -> tuple[float, str]:
    failed = new.failing(gate)
    success = f"{rollout.new} succeeds in {1 - failed / new.requests:.2%} of {_requests(new)}"
    return binomial_tail(failed, new.requests, 1 - least), f"{success}, at least {100 * least:.6g}% is asked"


def _failures(gate: Gate, ratio: float, rollout: Rollout, pair: Pair) -> tuple[float, str]:
    new, old = pair.new, pair.old
    failed, known = new.failing(gate), old.failing(gate)
    fails = f"{rollout.new} fails {failed / new.requests:.2%} of {_requests(new)}"
    if not old.requests:
        return 1.0, f"{fails}; {rollout.old} has none to compare with"
    text = f"{fails}, {rollout.old} {known / old.requests:.2%} of {old.requests}"
    p_value = two_rates(failed, new.requests, known, old.requests, ratio)
    return p_value, text + ("" if ratio == 1 else f", {ratio:g} times of which are allowed")


def _latency(most: float, share: float, rollout: Rollout, new: Counts, bounds: Sequence[float]) -> tuple[float, str]:
    p_value = binomial_tail(int(above(new.buckets, bounds, most)), sum(new.buckets), 1 - share)
    return p_value, f"{_took(rollout.new, new, share, bounds)} of {_requests(new)}, at most {_time(most)} is asked"


def _latencies(
    ratio: float, share: float, rollout: Rollout, pair: Pair, bounds: Sequence[float]
) -> tuple[float, str]:  # fmt: skip
    """If the new version took at most `ratio` times as long as the old one, then above any time t there would be no
    larger share of it than of the old one above t / ratio. Asked at the bound, where the new one's is counted and not
    guessed, that is nearest to the quantile."""
    new, old, timed = pair.new, pair.old, sum(pair.old.buckets)
    if not timed:
        text = f"{_took(rollout.new, new, share, bounds)} of {_requests(new)}; {rollout.old} has none to compare with"
        return 1.0, text
    wanted = timed * (1 - share)
    slow = {bound: above(old.buckets, bounds, bound / ratio) for bound in bounds}
    bound = min(bounds, key=lambda bound: abs(log(max(slow[bound], 0.5) / wanted)))
    p_value = two_rates(int(above(new.buckets, bounds, bound)), sum(new.buckets), round(slow[bound]), timed)
    text = f"{_took(rollout.new, new, share, bounds)} of {_requests(new)}, {_took(rollout.old, old, share, bounds)}"
    return p_value, f"{text} of {old.requests}, {ratio:g} times of which are allowed"


def _requests(counts: Counts) -> str:
    return f"{counts.requests} requests"


def _took(version: str, counts: Counts, share: float, bounds: Sequence[float]) -> str:
    return f"{version} takes {_time(quantile(counts.buckets, bounds, share))} for {share:.0%}"


def _time(seconds: float) -> str:
    if isinf(seconds):
        return "more than is measured"
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"
