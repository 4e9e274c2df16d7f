"""What a worker counts: plain numbers on the hot path, handed to the control process as deltas."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from time import monotonic
from typing import Final

from proxy.observe.counts import BUCKETS, CLIENT_GONE, METHODS, Answers, Counts, Labels
from proxy.observe.mirrors import MirrorCounts

SPLIT: Final = (("weight",), ("sticky",))
"""Reasons for which a split gives a request to a version."""


class Histogram:
    """Durations in seconds, by bucket."""

    __slots__ = ("buckets", "sum")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BUCKETS) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        self.buckets[bisect_left(BUCKETS, seconds)] += 1
        self.sum += seconds

    def add(self, other: Histogram) -> None:
        self.buckets = [mine + theirs for mine, theirs in zip(self.buckets, other.buckets, strict=True)]
        self.sum += other.sum

    def take(self) -> tuple[list[int], float]:
        taken = self.buckets, self.sum
        self.buckets, self.sum = [0] * (len(BUCKETS) + 1), 0.0
        return taken


class VersionCounts:
    """Of one version of a service, over all routes. Lives as long as the worker, across reloads.

    dirty: something but a gauge has changed since the last report. begun, ended: requests since the start.
    credit, credit_at, credit_begun: what retries may still cost, and when and at which request that was reckoned.
    """

    __slots__ = (
        "begun",
        "credit",
        "credit_at",
        "credit_begun",
        "dirty",
        "ended",
        "errors",
        "request_bytes",
        "response_bytes",
        "retries",
        "tunnels",
        "upstream",
    )

    def __init__(self) -> None:
        self.dirty = False
        self.begun = self.ended = self.credit_begun = 0
        self.credit = 0.0
        self.credit_at = monotonic()
        self.tunnels = 0
        self.request_bytes = 0
        self.response_bytes = 0
        self.upstream = Histogram()
        self.errors: dict[str, int] = {}
        self.retries: dict[str, int] = {}

    @property
    def in_flight(self) -> int:
        """Requests that have begun and not ended."""
        return self.begun - self.ended

    def failed(self, kind: str) -> None:
        """Count an upstream error."""
        self.dirty = True
        self.errors[kind] = self.errors.get(kind, 0) + 1

    def retried(self, reason: str) -> None:
        """Count a further try."""
        self.dirty = True
        self.retries[reason] = self.retries.get(reason, 0) + 1


NOTHING: Final[Mapping[int, int]] = {}


class Period(Histogram):
    """The requests of one decision between two reports, and how long they took."""

    __slots__ = ("broken", "left", "requests")

    def __init__(self) -> None:
        super().__init__()
        self.requests: dict[tuple[int, bytes], int] = {}
        """By status and method."""
        self.broken = NOTHING
        """By status, of those whose answer the version broke off."""
        self.left = NOTHING
        """By bucket, of those whose client left before an answer began."""

    def answers(self, stood_in: bool) -> Answers:
        """What became of them, and who is to blame. stood_in: for the version that was chosen."""
        whole: dict[int, int] = {}
        for (status, _), count in self.requests.items():
            whole[status] = whole.get(status, 0) + count
        if left := sum(self.left.values()):
            whole[CLIENT_GONE] -= left
        if stood_in:
            return Answers(lost=sum(whole.values()), left=left)
        for status, count in self.broken.items():
            whole[status] -= count
        buckets = self.buckets.copy()
        for bucket, count in self.left.items():
            buckets[bucket] = max(0, buckets[bucket] - count)  # the two looked at the clock a moment apart
        return Answers(whole, sum(self.broken.values()), left, buckets)


class DecisionCounts:
    """Of one decision: (route, service, version, rule, reason); all empty for requests that no route takes.

    chosen: the version that the rule chose and this one stands in for; empty: this one. What nobody asked for since the
    last report holds no numbers: with 10,000 routes that is most.
    """

    __slots__ = ("_period", "_touched", "chosen", "labels")

    def __init__(self, labels: Labels, touched: list[DecisionCounts], chosen: str = "") -> None:
        self.labels = labels
        self.chosen = chosen
        self._period: Period | None = None
        self._touched = touched

    def finished(self, status: int, method: bytes, seconds: float) -> None:
        """Count a request that has ended."""
        period = self._period or self._begun()
        requests = period.requests
        key = status, method
        requests[key] = requests.get(key, 0) + 1
        period.buckets[bisect_left(BUCKETS, seconds)] += 1
        period.sum += seconds

    def broken(self, status: int) -> None:
        """Of a request that is about to end: the version broke off its answer."""
        period = self._period or self._begun()
        period.broken = {**period.broken, status: period.broken.get(status, 0) + 1}

    def left(self, seconds: float) -> int:
        """Of a request that is about to end: the client left before an answer began. Gives the status for that."""
        period, bucket = self._period or self._begun(), bisect_left(BUCKETS, seconds)
        period.left = {**period.left, bucket: period.left.get(bucket, 0) + 1}
        return CLIENT_GONE

    def take(self) -> Period:
        """What happened since the last call; something did."""
        period, self._period = self._period, None
        assert period is not None
        return period

    def _begun(self) -> Period:
        self._touched.append(self)
        self._period = period = Period()
        return period


class Counters:
    """All a worker counts; the parts are looked up when rules are applied, and only added to on the hot path."""

    def __init__(self) -> None:
        self._decisions: dict[Labels, DecisionCounts] = {}
        self._versions: dict[Labels, VersionCounts] = {}
        self._mirrors: dict[Labels, MirrorCounts] = {}
        self._touched: list[DecisionCounts] = []  # decisions with requests since the last report
        self.connections: dict[str, int] = {}
        """Open client connections by listener."""

    def decision(self, *labels: str, chosen: str = "") -> DecisionCounts:
        """Of (route, service, version, rule, reason). chosen: the version that this one stands in for, if it does."""
        key = *labels, chosen
        known = self._decisions.get(key)
        if known is None:
            known = self._decisions[key] = DecisionCounts(labels, self._touched, chosen)
        return known

    def version(self, service: str, version: str) -> VersionCounts:
        return self._versions.setdefault((service, version), VersionCounts())

    def mirror(self, service: str, version: str) -> MirrorCounts:
        """Of the requests mirrored to this version."""
        return self._mirrors.setdefault((service, version), MirrorCounts())

    @property
    def untold(self) -> int:
        """Decisions that wait for the next report."""
        return len(self._touched)

    def take(self, decisions_max: int | None = None) -> Counts:
        """What happened since the last call; in flight, tunnels and connections as they are now. decisions_max: so many
        at most, those that wait longest; the others gather more."""
        counts = Counts()
        self._take_decisions(counts, self._touched[:decisions_max])
        del self._touched[:decisions_max]
        self._take_versions(counts)
        self._take_mirrors(counts)
        counts.gauge["connections_open"] = {(name,): count for name, count in self.connections.items()}
        return counts

    def _take_decisions(self, counts: Counts, touched: list[DecisionCounts]) -> None:
        requests = counts.add["requests_total"] = {}
        decisions = counts.add["decisions_total"] = {}
        durations: dict[Labels, Histogram] = {}
        for decision in touched:
            period, labels = decision.take(), decision.labels
            if decision.chosen or labels[4:] in SPLIT:
                given = (*labels[:2], labels[3], decision.chosen or labels[2])
                answers = period.answers(bool(decision.chosen))
                if given in counts.answers:
                    counts.answers[given].add(answers)
                else:
                    counts.answers[given] = answers
            for (code, method), count in period.requests.items():
                key = (*labels[:3], str(code), METHODS.get(method, "other"))
                requests[key] = requests.get(key, 0) + count
            if labels[0]:
                decisions[labels] = decisions.get(labels, 0) + sum(period.requests.values())
            if labels[:3] in durations:
                durations[labels[:3]].add(period)
            else:
                durations[labels[:3]] = period
        counts.observe["request_duration_seconds"] = {
            labels: (total.buckets, total.sum) for labels, total in durations.items()
        }

    def _take_versions(self, counts: Counts) -> None:
        request_bytes = counts.add["request_bytes_total"] = {}
        response_bytes = counts.add["response_bytes_total"] = {}
        errors = counts.add["upstream_errors_total"] = {}
        retries = counts.add["upstream_retries_total"] = {}
        upstream = counts.observe["upstream_duration_seconds"] = {}
        in_flight = counts.gauge["requests_in_flight"] = {}
        tunnels = counts.gauge["tunnels_open"] = {}
        for labels, version in self._versions.items():
            in_flight[labels] = version.in_flight
            tunnels[labels] = version.tunnels
            if not version.dirty:
                continue
            version.dirty = False
            request_bytes[labels] = version.request_bytes
            response_bytes[labels] = version.response_bytes
            version.request_bytes = version.response_bytes = 0
            upstream[labels] = version.upstream.take()
            errors.update({(*labels, kind): count for kind, count in version.errors.items()})
            retries.update({(*labels, reason): count for reason, count in version.retries.items()})
            version.errors, version.retries = {}, {}

    def _take_mirrors(self, counts: Counts) -> None:
        requests = counts.add["mirror_requests_total"] = {}
        differences = counts.add["mirror_differences_total"] = {}
        in_flight = counts.gauge["mirror_requests_in_flight"] = {}
        for labels, mirror in self._mirrors.items():
            in_flight[labels] = mirror.in_flight
            results, kinds, examples = mirror.take()
            requests.update({(*labels, result): count for result, count in results.items()})
            differences.update({(*labels, kind): count for kind, count in kinds.items()})
            if examples:
                counts.examples[labels] = examples
