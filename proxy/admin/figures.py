"""Rates and percentiles of each version over the last seconds, from counters that only grow."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import field
from typing import Final

from proxy.data import dataclass
from proxy.observe.counts import BUCKETS
from proxy.observe.metrics import Registry

WINDOW_S: Final = 10.0
"""Long enough for a version with a few requests a second to have a rate, short enough to see a change at once."""

VersionName = tuple[str, str]
RuleName = tuple[str, str]
"""Route and rule; the rule "" stands for requests that no rule takes."""


@dataclass(slots=True)
class Tally:
    """What was answered: requests, those with 5xx, and how long they took, by bucket (the last is above all bounds)."""

    requests: float = 0.0
    failed: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))

    def since(self, earlier: Tally) -> Tally:
        """What came after `earlier`."""
        buckets = [now - then for now, then in zip(self.buckets, earlier.buckets, strict=True)]
        return Tally(self.requests - earlier.requests, self.failed - earlier.failed, buckets)


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one version over the window. rate: requests a second. error_rate: the part (0 to 1) answered with 5xx; None
    without requests. p50, p90, p99: seconds, None without requests. requests: how many all this rests on."""

    requests: int = 0
    rate: float = 0.0
    error_rate: float | None = None
    p50: float | None = None
    p90: float | None = None
    p99: float | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """What had been counted at one moment, since the start. taken: requests by route, rule and version."""

    versions: dict[VersionName, Tally]
    taken: dict[tuple[str, str, str], float] = field(default_factory=dict)


class Window:
    """Samples of the last WINDOW_S seconds, and one from just before them."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, Sample]] = deque()

    def add(self, now: float, sample: Sample) -> None:
        """now: in seconds, of a clock that never goes back. After a pause longer than the window it begins anew."""
        while len(self._samples) > 1 and now - self._samples[1][0] >= WINDOW_S:
            self._samples.popleft()
        if self._samples and now - self._samples[-1][0] >= WINDOW_S:
            self._samples.clear()
        self._samples.append((now, sample))

    def figures(self) -> dict[VersionName, Figures] | None:
        """Of every version that answered something in the window; None while there is one sample only."""
        (began, first), (ended, last) = self._samples[0], self._samples[-1]
        if ended <= began:
            return None
        nothing = Tally()
        return {
            name: _figures(tally.since(before), ended - began)
            for name, tally in last.versions.items()
            if tally.requests > (before := first.versions.get(name, nothing)).requests
        }

    def taken(self) -> dict[RuleName, dict[str, float]]:
        """Requests a second that each rule took in the window, by version; empty while there is one sample only."""
        (began, first), (ended, last) = self._samples[0], self._samples[-1]
        rates: dict[RuleName, dict[str, float]] = {}
        for (route, rule, version), number in last.taken.items():
            if grown := number - first.taken.get((route, rule, version), 0.0):
                rates.setdefault((route, rule), {})[version] = grown / (ended - began)
        return rates


def sample(registry: Registry) -> Sample:
    """What has been counted until now. The many series that stand at 0 cost next to nothing."""
    return Sample(tallies(registry), _taken(registry))


def tallies(registry: Registry) -> dict[VersionName, Tally]:
    """Of every version that has answered something since the start; both names are empty for what no route takes."""
    found: dict[VersionName, Tally] = {}
    for (_, service, version, code, _), number in registry.counter("requests_total").items():
        if not number:
            continue
        tally = found.setdefault((service, version), Tally())
        tally.requests += number
        if code[0] == "5":
            tally.failed += number
    for (_, service, version), known in registry.histogram("request_duration_seconds").items():
        if answered := found.get((service, version)):
            answered.buckets = [a + b for a, b in zip(answered.buckets, known.counts, strict=True)]
    return found


def _taken(registry: Registry) -> dict[tuple[str, str, str], float]:
    found: dict[tuple[str, str, str], float] = {}
    for (route, _, version, rule, _), number in registry.counter("decisions_total").items():
        if number:
            found[route, rule, version] = found.get((route, rule, version), 0.0) + number
    return found


def quantile(buckets: Sequence[int], q: float) -> float | None:
    """Seconds that the part `q` (0 to 1) of all took at most, as far as buckets tell: within one it is interpolated, as
    Prometheus does. In the first and above the last bound nothing is known, and the bound itself is given."""
    rank, seen = q * sum(buckets), 0
    for number, (bound, count) in enumerate(zip(BUCKETS, buckets, strict=False)):
        if count and seen + count >= rank:
            below = BUCKETS[number - 1] if number else bound
            return below + (bound - below) * (rank - seen) / count
        seen += count
    return BUCKETS[-1] if rank else None


def _figures(tally: Tally, seconds: float) -> Figures:
    requests, buckets = tally.requests, tally.buckets
    return Figures(
        requests=int(requests),
        rate=round(requests / seconds, 3),
        error_rate=tally.failed / requests,
        p50=quantile(buckets, 0.5),
        p90=quantile(buckets, 0.9),
        p99=quantile(buckets, 0.99),
    )
