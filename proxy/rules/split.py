"""Turns a key into a bucket and a bucket into a version. Nothing else does.

Any program can compute the same, so that a service, a mail or a dashboard knows who is on the new version:

    bucket = BLAKE2b-64(salt + 00 + key), read as a big-endian integer, modulo 10,000

BLAKE2b-64 is BLAKE2b with a digest of 8 bytes, unkeyed (RFC 7693); salt is the salt as UTF-8, 00 one zero byte,
key the bytes of the header, cookie or argument as the rules compare them. In a shell:

    printf 'shop/shop\\0alice' | b2sum -l 64          # 9f2c..., as a hexadecimal integer, modulo 10,000

Who owns a bucket: take the versions of the split in file order, but the stable one last; leave out those of weight 0.
The n-th one ends before bucket

    end(n) = floor(10,000 * (weight 1 + ... + weight n) / (sum of all weights) + 1/2)

and begins where the one before it ends. Then every version that has a weight has a bucket: from left to right an end is
raised to the end before it plus one, but to 10,000 minus the number of versions still to come at most.

So new versions own the buckets from the left and the stable version the right end. Between two versions, raising the
weight of the new one only moves the boundary to the right: it takes people from the old one and gives nobody back.
Among more, a raised version likewise gives nobody away, and raising a new one gives the stable one nobody, as long as
each share is a bucket at least; but people may change from one new version to another.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import lru_cache
from hashlib import blake2b
from itertools import accumulate
from typing import Final, NamedTuple

BUCKETS: Final = 10_000
"""Parts of all people: a hundredth of a percent each. Also how many versions one split can hold."""

SPLITS_REMEMBERED_MAX: Final = 1024
"""Splits whose limits are computed once: many routes have the same."""

Weights = Iterable[tuple[str, float]]


class Owner(NamedTuple):
    """A version and its buckets: start <= bucket < end."""

    version: str
    start: int
    end: int


def default_salt(service: str, route: str) -> str:
    """The salt of a route whose file names none."""
    return f"{service}/{route}"


def bucketer(salt: str) -> Callable[[bytes], int]:
    """Key -> bucket, 0 to 9,999, for one salt."""
    # PERF: copying a hash that has read the salt takes 0.7 of the time of hashing the salt again.
    salted = blake2b(salt.encode() + b"\0", digest_size=8)

    def bucket(key: bytes) -> int:
        hashed = salted.copy()
        hashed.update(key)
        return int.from_bytes(hashed.digest(), "big") % BUCKETS

    return bucket


def shares(weights: Weights) -> dict[str, float]:
    """The part of all traffic that each version gets, 0 to 1, in file order."""
    exact = _exact(weights)
    total = sum(weight for _, weight in exact)
    return {version: float(weight / total) for version, weight in exact}


def owners(weights: Weights, stable: str) -> tuple[Owner, ...]:
    """Who owns which buckets, from left to right; every bucket has one owner, a version of weight 0 has none.

    Raises ValueError if no weight is above 0, or if there are more versions than buckets.
    """
    exact = [(version, weight) for version, weight in _exact(weights) if weight > 0]
    if not 0 < len(exact) <= BUCKETS:
        raise ValueError(f"a split needs 1 to {BUCKETS} versions of a weight above 0")
    exact.sort(key=lambda item: item[0] == stable)  # a stable sort, in both senses
    sums = list(accumulate(weight for _, weight in exact))
    owned: list[Owner] = []
    start = 0
    for place, (version, _) in enumerate(exact):
        end = int(BUCKETS * sums[place] / sums[-1] + Fraction(1, 2))
        end = min(max(end, start + 1), BUCKETS - (len(exact) - 1 - place))
        owned.append(Owner(version, start, end))
        start = end
    return tuple(owned)


def owner_of(bucket: int, owned: tuple[Owner, ...]) -> str:
    """The version that owns a bucket."""
    return owned[bisect_right([owner.end for owner in owned], bucket)].version


def thresholds(weights: Weights) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """For draws without a key: (limits, versions). A draw d, 0 <= d < 1, picks versions[bisect_right(limits, d)].

    Versions stand in file order, those of weight 0 left out; shares are those of the weights, not of buckets.
    """
    return _thresholds(tuple(weights))


@lru_cache(SPLITS_REMEMBERED_MAX)
def _thresholds(weights: tuple[tuple[str, float], ...]) -> tuple[tuple[float, ...], tuple[str, ...]]:
    exact = [(version, weight) for version, weight in _exact(weights) if weight > 0]
    if not exact:
        raise ValueError("a split needs a weight above 0")
    sums = list(accumulate(weight for _, weight in exact))
    # The last limit would be 1: it is left out, so that no rounding lets a draw fall behind it.
    return tuple(float(part / sums[-1]) for part in sums[:-1]), tuple(version for version, _ in exact)


def _exact(weights: Weights) -> list[tuple[str, Fraction]]:
    """Weights as the file writes them: 0.1 is a tenth, not the double next to it."""
    return [(version, Fraction(repr(weight))) for version, weight in weights]
