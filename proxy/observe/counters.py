"""What a worker counts: plain numbers on the hot path, handed to the control process as deltas.

A label tuple stands in the order of the metric's labels in the documentation.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Final

BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of duration histograms in seconds: Prometheus' own default, which dashboards in the field expect."""
METHODS: Final = {
    name.encode(): name
    for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT")
}  # fmt: skip
"""Methods that are label values; any other is `other`, since label values never come from what a client sends."""

Labels = tuple[str, ...]


@dataclass(slots=True)
class Counts:
    """What happened in a worker since the last report (add, observe), and what holds now (gauge, endpoints).

    observe: counts per bucket, the last one for +Inf, and the sum. endpoints: (service, version, url) to its state.
    """

    add: dict[str, dict[Labels, float]] = field(default_factory=dict)
    observe: dict[str, dict[Labels, tuple[list[int], float]]] = field(default_factory=dict)
    gauge: dict[str, dict[Labels, float]] = field(default_factory=dict)
    endpoints: dict[Labels, dict[str, float]] = field(default_factory=dict)


class Histogram:
    """Durations in seconds, by bucket."""

    __slots__ = ("buckets", "sum")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BUCKETS) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        self.buckets[bisect_left(BUCKETS, seconds)] += 1
        self.sum += seconds

    def take(self) -> tuple[list[int], float]:
        taken = self.buckets, self.sum
        self.buckets, self.sum = [0] * (len(BUCKETS) + 1), 0.0
        return taken


class VersionCounts:
    """Of one version of a service, over all routes. Lives as long as the worker, across reloads."""

    __slots__ = (
        "dirty",
        "errors",
        "in_flight",
        "request_bytes",
        "response_bytes",
        "retries",
        "retrying",
        "tunnels",
        "upstream",
    )

    def __init__(self) -> None:
        self.dirty = False
        self.in_flight = 0
        self.retrying = 0
        self.tunnels = 0
        self.request_bytes = 0
        self.response_bytes = 0
        self.upstream = Histogram()
        self.errors: dict[str, int] = {}
        self.retries: dict[str, int] = {}


class RouteCounts:
    """Of one version of a service on one route."""

    __slots__ = ("duration", "requests")

    def __init__(self) -> None:
        self.duration = Histogram()
        self.requests: dict[tuple[int, bytes], int] = {}


class Counters:
    """All a worker counts; the parts are looked up when rules are applied, and only added to on the hot path."""

    def __init__(self) -> None:
        self._routes: dict[Labels, RouteCounts] = {}
        self._versions: dict[Labels, VersionCounts] = {}
        self.decisions: dict[Labels, int] = {}
        """(route, service, version, rule, reason) to decisions since the last report."""
        self.connections: dict[str, int] = {}
        """Open client connections by listener."""
        self.touched: list[tuple[Labels, RouteCounts]] = []
        """Routes with requests since the last report; a request on a quiet route enters it here."""

    def route(self, route: str, service: str, version: str) -> RouteCounts:
        return self._routes.setdefault((route, service, version), RouteCounts())

    def version(self, service: str, version: str) -> VersionCounts:
        return self._versions.setdefault((service, version), VersionCounts())

    def take(self) -> Counts:
        """What happened since the last call; in flight, tunnels and connections as they are now."""
        counts = Counts()
        self._take_routes(counts)
        self._take_versions(counts)
        counts.add["decisions_total"] = dict(self.decisions)
        self.decisions.clear()
        counts.gauge["connections_open"] = {(name,): count for name, count in self.connections.items()}
        return counts

    def _take_routes(self, counts: Counts) -> None:
        requests = counts.add["requests_total"] = {}
        durations = counts.observe["request_duration_seconds"] = {}
        for labels, route in self.touched:
            for (code, method), count in route.requests.items():
                key = (*labels, str(code), METHODS.get(method, "other"))
                requests[key] = requests.get(key, 0) + count
            route.requests = {}
            durations[labels] = route.duration.take()
        self.touched = []

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
