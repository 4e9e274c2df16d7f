from __future__ import annotations

from math import comb, inf, isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.rollout.stats import above, binomial_tail, confidence, quantile, two_rates

BOUNDS = (0.01, 0.1, 1.0)


@given(st.integers(1, 60), st.integers(0, 60), st.floats(0.001, 0.999))
def test_a_tail_is_the_sum_of_its_terms(tries: int, hits: int, share: float) -> None:
    """Held against the definition, term by term."""
    hits = min(hits, tries)
    exact = sum(comb(tries, k) * share**k * (1 - share) ** (tries - k) for k in range(hits, tries + 1))
    found = binomial_tail(hits, tries, share)
    assert found == 1.0 if hits <= tries * share or hits == 0 else isclose(found, exact, rel_tol=1e-6)


def test_a_tail_at_its_ends() -> None:
    """What cannot be has no chance; large numbers neither overflow nor take long."""
    assert binomial_tail(1, 10, 0.0) == 0.0
    assert binomial_tail(10, 10, 1.0) == 1.0
    assert binomial_tail(0, 0, 0.5) == 1.0
    assert binomial_tail(1_010_000, 100_000_000, 0.01) < 1e-20
    assert 0.01 < binomial_tail(1_002_000, 100_000_000, 0.01) < 0.05


@pytest.mark.parametrize(
    ("new", "old", "ratio", "low", "high"),
    [
        ((0, 100), (0, 100), 1.0, 1.0, 1.0),  # nothing failed
        ((1, 100), (1, 100), 1.0, 1.0, 1.0),
        ((5, 100), (1, 100), 1.0, 0.05, 0.2),  # looks worse, and may be chance
        ((45, 1500), (285, 28500), 1.0, 0.0, 1e-6),  # 3 % against 1 %
        ((30, 1000), (10, 1000), 3.0, 0.5, 1.0),  # three times as many are allowed
        ((10, 10), (0, 0), 1.0, 1.0, 1.0),  # nothing to compare with
    ],
)
def test_two_rates(new: tuple[int, int], old: tuple[int, int], ratio: float, low: float, high: float) -> None:
    """The chance of such a difference between versions that are equal but for the ratio."""
    assert low <= two_rates(*new, *old, ratio) <= high


@pytest.mark.parametrize(
    ("buckets", "limit", "count"),
    [
        ((10, 0, 0, 0), 0.005, 5.0),  # evenly from 0 to the first bound
        ((0, 10, 10, 0), 0.1, 10.0),  # at a bound it is counted
        ((0, 99, 1, 0), 0.0316227766, 10.0),  # halfway, on a scale of powers, from 100 to 1
        ((0, 0, 10, 0), 0.55, 5.0),  # nothing lies beyond
        ((0, 0, 1, 7), 5.0, 7.0),  # beyond the last bound nobody knows how far
    ],
)
def test_above(buckets: tuple[int, ...], limit: float, count: float) -> None:
    assert isclose(above(buckets, BOUNDS, limit), count, rel_tol=1e-6)


@given(st.lists(st.integers(0, 50), min_size=4, max_size=4), st.floats(0.001, 2.0), st.floats(1.0, 3.0))
def test_longer_limits_have_fewer_above_them(buckets: list[int], limit: float, ratio: float) -> None:
    """So an equal version can never look slower than a stretched limit allows."""
    assert above(buckets, BOUNDS, limit) >= above(buckets, BOUNDS, limit * ratio) - 1e-6


@given(st.lists(st.integers(0, 50), min_size=4, max_size=4), st.sampled_from((0.5, 0.9, 0.99)))
def test_a_quantile_has_its_share_above_it(buckets: list[int], share: float) -> None:
    """It undoes `above`."""
    time = quantile(buckets, BOUNDS, share)
    if 0 < time < inf:
        assert isclose(above(buckets, BOUNDS, time), sum(buckets) * (1 - share), rel_tol=1e-6, abs_tol=1e-6)
    else:
        assert time == (inf if buckets[-1] else 0.0)


def test_confidence_is_never_said_to_be_certain() -> None:
    """Rounded down, and nothing is sure."""
    assert [confidence(p) for p in (0.5, 0.00099, 0.0, 1e-300)] == ["50 %", "99.9 %", *["more than 99.99 %"] * 2]
