"""proxy.rules.split: who is in which bucket, and who owns it."""

from __future__ import annotations

from bisect import bisect_right
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.rules.split import BUCKETS, Owner, bucketer, default_salt, owner_of, owners, shares, thresholds

weight = st.one_of(st.integers(0, 10_000), st.floats(0, 1e6, allow_nan=False, allow_subnormal=False))


@pytest.mark.parametrize(
    ("salt", "key", "bucket"),
    [
        ("shop/shop", b"alice", 0x8988A4C9CE6E4AC8 % 10_000),  # printf 'shop/shop\0alice' | b2sum -l 64
        ("shop/shop", b"alice", 2808),
        ("", b"", 0x94F6D9CDD1EA8248 % 10_000),
        ("größe", "müller".encode(), 0xF2DED7968870232B % 10_000),
    ],
)
def test_buckets_are_the_same_in_every_process_and_release(salt: str, key: bytes, bucket: int) -> None:
    """Golden values: a change of one of these moves people."""
    assert bucketer(salt)(key) == bucket


def test_the_boundary_is_the_rounded_cumulative_share() -> None:
    """New versions stand left in file order, the stable one right, whatever its place in the file."""
    assert owners([("v1", 80), ("v2", 20)], "v1") == (Owner("v2", 0, 2000), Owner("v1", 2000, 10_000))
    assert owners([("v2", 20), ("v1", 80)], "v1") == (Owner("v2", 0, 2000), Owner("v1", 2000, 10_000))
    assert owners([("v1", 20), ("v2", 60)], "v1") == (Owner("v2", 0, 7500), Owner("v1", 7500, 10_000))
    assert owners([("v2", 1), ("v3", 1), ("v4", 1)], "v1") == (
        Owner("v2", 0, 3333),
        Owner("v3", 3333, 6667),
        Owner("v4", 6667, 10_000),
    )
    assert owners([("v1", 0.1), ("v2", 0.2)], "v1")[0] == Owner("v2", 0, 6667)


def test_the_smallest_weight_has_a_bucket_and_weight_0_has_none() -> None:
    """A weight above 0 owns at least one bucket, on whichever side it stands."""
    assert owners([("v1", 1e9), ("v2", 1)], "v1") == (Owner("v2", 0, 1), Owner("v1", 1, 10_000))
    assert owners([("v1", 1), ("v2", 1e9)], "v1") == (Owner("v2", 0, 9_999), Owner("v1", 9_999, 10_000))
    assert owners([("v1", 100), ("v2", 0)], "v1") == (Owner("v1", 0, 10_000),)
    assert owners([("v1", 0), ("v2", 0.5)], "v1") == (Owner("v2", 0, 10_000),)


def test_a_split_has_a_weight_and_no_more_versions_than_buckets() -> None:
    """10,000 versions have a bucket each; one more, or none, is an error."""
    many = [(f"v{n}", 1) for n in range(BUCKETS)]
    assert all(owner.end - owner.start == 1 for owner in owners(many, "v0"))
    with pytest.raises(ValueError, match="1 to 10000"):
        owners([*many, ("one more", 1)], "v0")
    with pytest.raises(ValueError, match="above 0"):
        owners([("v1", 0)], "v1")
    with pytest.raises(ValueError, match="above 0"):
        thresholds([("v1", 0)])


@given(st.lists(weight, min_size=1, max_size=8), st.integers(0, 7))
def test_every_bucket_has_one_owner_with_a_weight(weights: list[float], stable: int) -> None:
    """Ranges touch, cover 0 to 9,999, belong to weights above 0, and follow the shares to a bucket per version."""
    named = [(f"v{n}", value) for n, value in enumerate(weights)]
    positive = {name: value for name, value in named if value > 0}
    if not positive:
        return
    owned = owners(named, f"v{stable}")
    assert {owner.version for owner in owned} == set(positive)
    assert [owned[0].start, *(owner.end for owner in owned)] == [*(owner.start for owner in owned), BUCKETS]
    total = sum(map(Fraction, positive.values()))
    for owner in owned:
        assert owner.end > owner.start
        assert abs(owner.end - owner.start - BUCKETS * Fraction(positive[owner.version]) / total) <= len(owned)
        assert owner_of(owner.start, owned) == owner_of(owner.end - 1, owned) == owner.version


@given(weight, weight, weight)
def test_raising_a_weight_only_moves_people_from_old_to_new(old: float, one: float, other: float) -> None:
    """Between two versions the boundary follows the weight: nobody goes back, and a lowered weight keeps who it can."""
    low, high = sorted((one, other))
    if not old or not low:
        return
    before = owners([("v1", old), ("v2", low)], "v1")
    after = owners([("v1", old), ("v2", high)], "v1")
    assert before[0].start == after[0].start == 0
    assert before[0].end <= after[0].end


@given(st.lists(st.tuples(st.sampled_from("abc"), weight), min_size=1, max_size=3))
def test_draws_follow_the_weights(pairs: list[tuple[str, float]]) -> None:
    """Every draw from 0 to below 1 picks a version of a weight above 0; limits rise and stay below 1 or reach it."""
    if not any(value > 0 for _, value in pairs):
        return
    limits, versions = thresholds(pairs)
    assert versions == tuple(name for name, value in pairs if value > 0)
    assert list(limits) == sorted(limits)
    for draw in (0.0, 0.5, 1 - 2**-53):
        assert versions[bisect_right(limits, draw)] in versions


def test_draws_are_exact_for_weights_far_below_a_bucket() -> None:
    """Without a key shares are not rounded to buckets: one in a million is one in a million."""
    limits, versions = thresholds([("v1", 999_999), ("v2", 1)])
    assert (limits, versions) == ((0.999999,), ("v1", "v2"))
    assert versions[bisect_right(limits, 0.9999989)] == "v1"
    assert versions[bisect_right(limits, 0.999999)] == "v2"


def chi_square(counts: list[int], expected: list[float]) -> float:
    return sum((count - wanted) ** 2 / wanted for count, wanted in zip(counts, expected, strict=True))


def test_people_are_spread_evenly() -> None:
    """100,000 ids that resemble each other, in 100 groups: chi-square, 99 degrees, stays under 149 (p 0.001)."""
    bucket = bucketer("shop/shop")
    counts = [0] * 100
    for person in range(100_000):
        counts[bucket(b"user-%d" % person) // 100] += 1
    assert chi_square(counts, [1000.0] * 100) < 149


def test_two_salts_divide_people_independently() -> None:
    """Who is early in one release is not early in the next: a 10 x 10 table, 81 degrees, stays under 126 (p 0.001)."""
    one, other = bucketer("shop/shop"), bucketer("shop/cart")
    table = [0] * 100
    for person in range(100_000):
        key = b"user-%d" % person
        table[one(key) // 1000 * 10 + other(key) // 1000] += 1
    rows = [sum(table[row * 10 : row * 10 + 10]) for row in range(10)]
    columns = [sum(table[column::10]) for column in range(10)]
    expected = [row * column / 100_000 for row in rows for column in columns]
    assert chi_square(table, expected) < 126


def test_a_share_of_people_is_the_share_of_the_weights() -> None:
    """20 % of 50,000 random ids are 10,000, within four standard deviations (358)."""
    bucket, owned = bucketer(default_salt("shop", "everyone")), owners([("v1", 80), ("v2", 20)], "v1")
    dice = Random(7)
    new = sum(owner_of(bucket(dice.randbytes(16)), owned) == "v2" for _ in range(50_000))
    assert abs(new - 10_000) < 358


def test_shares_are_parts_of_the_whole() -> None:
    """Relative weights as parts of one, in file order, zeros included."""
    assert shares([("v1", 20), ("v2", 60), ("v3", 0)]) == {"v1": 0.25, "v2": 0.75, "v3": 0.0}
    assert default_salt("shop", "everyone") == "shop/everyone"
