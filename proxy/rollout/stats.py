"""Whether a difference is more than chance: tests on counts, and quantiles from histogram buckets.

A p-value here is the chance of counts at least as bad as these if the truth were exactly at the limit. Exact binomial
sums and no normal approximation: failures are few, and it is in the tails that decisions are made.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from math import exp, inf, lgamma, log, log1p

Buckets = Sequence[int]
"""How many fell into each bucket, the last one for +Inf."""


def binomial_tail(hits: int, tries: int, share: float) -> float:
    """The chance of `hits` or more in so many tries, each of which hits with chance `share`.

    Where `hits` are no more than expected it says 1: such counts are evidence of nothing.
    """
    if hits <= tries * share or hits == 0:
        return 1.0
    if share <= 0.0:
        return 0.0
    first = exp(
        lgamma(tries + 1) - lgamma(hits + 1) - lgamma(tries - hits + 1)
        + hits * log(share) + (tries - hits) * (log1p(-share) if tries > hits else 0.0)
    )  # fmt: skip
    total = term = 1.0
    odds = share / (1 - share) if share < 1 else inf
    for number in range(hits, tries):  # each term is a fixed part of the one before it, or less
        term *= (tries - number) / (number + 1) * odds
        total += term
        if term < total * 1e-12:
            break
    return min(1.0, first * total)


def two_rates(new_hits: int, new_tries: int, old_hits: int, old_tries: int, ratio: float = 1.0) -> float:
    """The p-value of the new rate being at most `ratio` times the old one: of all hits, how many are the new one's?

    Given their number, each is the new one's with a chance that the tries alone determine (the conditional test of two
    rates of Przyborowski and Wilenski, 1940; where hits are frequent it errs on the side of chance).
    """
    if not new_tries or not old_tries:
        return 1.0
    weighted = new_tries * ratio
    return binomial_tail(new_hits, new_hits + old_hits, weighted / (weighted + old_tries))


def above(buckets: Buckets, bounds: Sequence[float], limit: float) -> float:
    """How many took longer than `limit`. At a bound that is counted; in between, the share of those that take longer
    is taken to fall as a power of the time, as the tails of latencies do. All beyond the last bound are above."""
    place = bisect_right(bounds, limit)
    beyond = float(sum(buckets[place + 1 :]))
    if place == len(bounds):
        return float(buckets[place])
    low, high = (bounds[place - 1] if place else 0.0), bounds[place]
    reached = beyond + buckets[place]
    if not low or not beyond:
        return beyond + buckets[place] * (high - limit) / (high - low)
    return float(reached * (beyond / reached) ** (log(limit / low) / log(high / low)))


def quantile(buckets: Buckets, bounds: Sequence[float], share: float) -> float:
    """The time below which this share lies; infinite if that is beyond the last bound, 0 if there is nothing."""
    wanted = sum(buckets) * (1 - share)  # so many are above it
    beyond, low = float(sum(buckets)), 0.0
    for place, high in enumerate(bounds):
        reached, beyond = beyond, beyond - buckets[place]
        if beyond <= wanted < reached:
            if not low or not beyond:
                return low + (high - low) * (reached - wanted) / buckets[place]
            return float(low * (high / low) ** (log(wanted / reached) / log(beyond / reached)))
        low = high
    return inf if beyond else 0.0


def confidence(p_value: float) -> str:
    """`99.98 %`: how sure one may be that it is not chance."""
    percent = 100 * (1 - p_value)
    return "more than 99.99 %" if percent > 99.99 else f"{int(percent * 100) / 100:g} %"
