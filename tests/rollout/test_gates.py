from __future__ import annotations

import pytest

from proxy.rollout.gates import Counts, Pair, burning, judge, judge_answer
from proxy.rules.rollouts import DEFAULT_GATES, Gate, Rollout, RolloutStep

BOUNDS = (0.1, 0.25, 0.5)
ROLLOUT = Rollout("shop-v2", "shop", "everyone", "v1", "v2", (RolloutStep(100.0),), DEFAULT_GATES)
NAN = float("nan")


def counts(requests: int, failed: int = 0, *buckets: int) -> Counts:
    return Counts(requests, failed, buckets or (requests, 0, 0, 0))


def answered(**whole: int) -> Counts:
    """Whole answers by status, as `_200=9`; `lost` are those it owes."""
    lost = whole.pop("lost", 0)
    statuses = {int(name[1:]): count for name, count in whole.items()}
    failed = lost + sum(count for status, count in statuses.items() if status >= 500)
    return Counts(sum(statuses.values()) + lost, failed, (0, 0, 0, 0), 0, statuses)


def pair(new: Counts, old: Counts | None = None) -> Pair:
    return Pair(new, old or counts(0))


@pytest.mark.parametrize(
    ("gate", "given", "outcome", "text"),
    [
        (Gate("success_rate", min=0.99), pair(counts(99, 99)), "none", "99 of the 100 requests that a verdict needs"),
        (Gate("success_rate", min=0.99), pair(counts(100, 3)), "holds",
         "v2 succeeds in 97.00% of 100 requests, at least 99% is asked"),  # three may be chance
        (Gate("success_rate", min=0.99), pair(counts(100, 6)), "fails",
         "v2 succeeds in 94.00% of 100 requests, at least 99% is asked: worse than it may be, "
         "with 99.94 % confidence"),
        (Gate("success_rate", max_ratio=1.0), pair(counts(1500, 45), counts(28500, 285)), "fails",
         "v2 fails 3.00% of 1500 requests, v1 1.00% of 28500: worse than it may be, with more than 99.99 % confidence"),
        (Gate("success_rate", max_ratio=4.0), pair(counts(1500, 45), counts(28500, 285)), "holds",
         "v2 fails 3.00% of 1500 requests, v1 1.00% of 28500, 4 times of which are allowed"),
        (Gate("success_rate", max_ratio=1.0), pair(counts(1500, 45)), "holds",
         "v2 fails 3.00% of 1500 requests; v1 has none to compare with"),
        (Gate("success_rate", min=0.99), pair(Counts(40, 40, left=70)), "none",
         "40 of the 100 requests that a verdict needs; 70 clients left before an answer"),
        (Gate("success_rate", min=0.99), pair(answered(_200=900, _404=100)), "holds",
         "v2 succeeds in 100.00% of 1000 requests, at least 99% is asked"),
        (Gate("success_rate", min=0.99, status=((200, 399),)), pair(answered(_200=850, _302=50, _404=60, lost=40)),
         "fails", "v2 succeeds in 90.00% of 1000 requests, at least 99% is asked: worse than it may be, "
         "with more than 99.99 % confidence"),
        (Gate("success_rate", max_ratio=1.0, status=((200, 399),)), pair(answered(_200=900, _404=100),
         answered(_200=9000, _404=100)), "fails",
         "v2 fails 10.00% of 1000 requests, v1 1.10% of 9100: worse than it may be, with more than 99.99 % confidence"),
        (Gate("latency_p99", max=0.25), pair(counts(1000, 0, 900, 95, 5, 0)), "holds",
         "v2 takes 202 ms for 99% of 1000 requests, at most 250 ms is asked"),
        (Gate("latency_p99", max=0.25), pair(counts(1000, 0, 900, 60, 40, 0)), "fails",
         "v2 takes 437 ms for 99% of 1000 requests, at most 250 ms is asked: worse than it may be, "
         "with more than 99.99 % confidence"),
        (Gate("latency_p50", max_ratio=1.25),
         pair(counts(1000, 0, 500, 400, 100, 0), counts(1000, 0, 500, 400, 100, 0)), "holds",
         "v2 takes 100 ms for 50% of 1000 requests, v1 takes 100 ms for 50% of 1000, 1.25 times of which are allowed"),
        (Gate("latency_p90", max_ratio=1.25),
         pair(counts(1000, 0, 500, 200, 300, 0), counts(1000, 0, 500, 400, 100, 0)), "fails", ""),
        (Gate("latency_p90", max_ratio=1.25), pair(counts(1000, 0, 0, 0, 0, 1000)), "holds",
         "v2 takes more than is measured for 90% of 1000 requests; v1 has none to compare with"),
    ],
)  # fmt: skip
def test_a_gate_is_judged(gate: Gate, given: Pair, outcome: str, text: str) -> None:
    """Too few requests are no verdict, what noise explains holds, and the words have the counts."""
    verdict = judge(gate, ROLLOUT, given, BOUNDS)
    assert verdict.outcome == outcome
    assert not text or verdict.text == text


@pytest.mark.parametrize(
    ("values", "outcome"),
    [((), "none"), ((NAN,), "none"), ((0.5,), "holds"), ((0.6,), "fails"), ((0.1, 0.6), "fails"), ((-1.0,), "fails")],
)
def test_each_value_of_a_query_must_hold(values: tuple[float, ...], outcome: str) -> None:
    """Nothing and NaN, as a query gives them before there is traffic, are no verdict."""
    assert judge_answer(Gate(prometheus="up", min=0.0, max=0.5, url="http://p"), values).outcome == outcome


@pytest.mark.parametrize(
    ("new", "old", "burns"),
    [
        (counts(10, 10), counts(100, 1), True),
        (counts(9, 9), counts(100, 1), False),  # too few to tell
        (counts(10, 8), counts(100, 1), False),  # bad, and a matter of the gates
        (counts(10, 10), counts(100, 50), False),  # what both need is down
        (counts(10, 10), counts(0), True),  # all traffic is on the new one
    ],
)
def test_burning(new: Counts, old: Counts, burns: bool) -> None:
    """Nothing but errors, and only of the new version."""
    assert bool(burning(ROLLOUT, pair(new, old))) is burns


def test_counts_of_a_window_are_a_difference() -> None:
    """Also from before there was a histogram."""
    later = pair(counts(10, 2, 4, 3, 2, 1), counts(5))
    assert later - pair(counts(4, 1, 1, 1, 1, 1), counts(5)) == pair(counts(6, 1, 3, 2, 1, 0), Counts(0, 0, (0,) * 4))
    assert later - Pair() == later
