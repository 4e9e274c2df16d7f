"""proxy/observe/counters.py: plain numbers, handed over as what happened since the last time."""

from __future__ import annotations

import pytest

from proxy.observe.counters import Counters, Histogram
from proxy.observe.counts import BUCKETS

ROUTE = ("r", "s", "v2", "testers", "match")


@pytest.mark.parametrize(
    ("seconds", "bucket"), [(0.0, 0), (0.005, 0), (0.0051, 1), (10.0, len(BUCKETS) - 1), (10.1, len(BUCKETS))]
)
def test_bucket_takes_up_to_its_bound(seconds: float, bucket: int) -> None:
    """Prometheus: `le`, so the bound belongs to its bucket; the last one is +Inf."""
    histogram = Histogram()
    histogram.observe(seconds)
    buckets, total = histogram.take()
    assert buckets.index(1) == bucket and sum(buckets) == 1 and total == seconds
    assert histogram.take() == ([0] * (len(BUCKETS) + 1), 0.0)


def test_histograms_add() -> None:
    """Bucket by bucket."""
    one, two = Histogram(), Histogram()
    one.observe(0.001)
    two.observe(0.001)
    two.observe(99)
    one.add(two)
    buckets, total = one.take()
    assert (buckets[0], buckets[-1], total) == (2, 1, pytest.approx(99.002))


def test_requests_are_deltas() -> None:
    """By route, service, version, code and method; the second report has only what came since."""
    counters = Counters()
    counts = counters.decision(*ROUTE)
    for status in (200, 200, 500):
        counts.finished(status, b"GET", 0.02)
    taken = counters.take()
    assert taken.add["requests_total"] == {("r", "s", "v2", "200", "GET"): 2, ("r", "s", "v2", "500", "GET"): 1}
    assert taken.add["decisions_total"] == {ROUTE: 3}
    buckets, total = taken.observe["request_duration_seconds"]["r", "s", "v2"]
    assert sum(buckets) == buckets[2] == 3 and total == pytest.approx(0.06)
    counts.finished(200, b"BREW", 0.0)
    taken = counters.take()
    assert taken.add["requests_total"] == {("r", "s", "v2", "200", "other"): 1}
    assert taken.add["decisions_total"] == {ROUTE: 1}
    taken = counters.take()
    assert taken.add["requests_total"] == taken.observe["request_duration_seconds"] == {}


def test_a_report_tells_of_so_many_decisions() -> None:
    """Those that wait longest first; the next tells of the others, with what has come meanwhile. Nothing is lost."""
    counters = Counters()
    decisions = [counters.decision(f"r{number}", "s", "v", "x", "match") for number in range(3)]
    for decision in decisions:
        decision.finished(200, b"GET", 0.1)
    assert [labels[0] for labels in counters.take(2).add["decisions_total"]] == ["r0", "r1"]
    assert counters.untold == 1
    for decision in decisions:
        decision.finished(200, b"GET", 0.1)
    told = counters.take(2)
    assert {labels[0]: count for labels, count in told.add["decisions_total"].items()} == {"r2": 2, "r0": 1}
    assert told.observe["request_duration_seconds"]["r2", "s", "v"][1] == pytest.approx(0.2)
    assert [labels[0] for labels in counters.take().add["decisions_total"]] == ["r1"]
    assert counters.untold == 0


def test_decisions_of_one_version_are_one_in_requests() -> None:
    """rule and reason are no labels of requests and durations."""
    counters = Counters()
    counters.decision(*ROUTE).finished(200, b"GET", 0.1)
    counters.decision("r", "s", "v2", "everyone", "weight").finished(200, b"GET", 0.1)
    taken = counters.take()
    assert taken.add["requests_total"] == {("r", "s", "v2", "200", "GET"): 2}
    assert len(taken.add["decisions_total"]) == 2
    assert sum(taken.observe["request_duration_seconds"]["r", "s", "v2"][0]) == 2


def test_request_without_a_route_is_no_decision() -> None:
    """Its labels are empty."""
    counters = Counters()
    counters.decision("", "", "", "", "").finished(404, b"GET", 0.0)
    taken = counters.take()
    assert taken.add["requests_total"] == {("", "", "", "404", "GET"): 1}
    assert taken.add["decisions_total"] == {}


def test_version_counts() -> None:
    """Deltas of bytes, errors, retries and durations; gauges as they are now, changed or not."""
    counters = Counters()
    version = counters.version("s", "v1")
    assert counters.version("s", "v1") is version
    version.begun, version.ended, version.tunnels = 5, 2, 2
    version.request_bytes, version.response_bytes = 10, 20
    version.failed("reset")
    version.failed("reset")
    version.retried("503")
    version.upstream.observe(0.2)
    taken = counters.take()
    assert taken.gauge["requests_in_flight"] == {("s", "v1"): 3}
    assert taken.gauge["tunnels_open"] == {("s", "v1"): 2}
    assert taken.add["request_bytes_total"] == {("s", "v1"): 10}
    assert taken.add["response_bytes_total"] == {("s", "v1"): 20}
    assert taken.add["upstream_errors_total"] == {("s", "v1", "reset"): 2}
    assert taken.add["upstream_retries_total"] == {("s", "v1", "503"): 1}
    assert sum(taken.observe["upstream_duration_seconds"]["s", "v1"][0]) == 1
    taken = counters.take()
    assert taken.gauge["requests_in_flight"] == {("s", "v1"): 3}
    assert taken.add["upstream_errors_total"] == taken.add["request_bytes_total"] == {}


def test_reload_keeps_what_was_counted() -> None:
    """The same labels are the same numbers, so nothing is lost between two reports."""
    counters = Counters()
    counters.decision(*ROUTE).finished(200, b"GET", 0.0)
    counters.decision(*ROUTE).finished(200, b"GET", 0.0)
    assert counters.take().add["decisions_total"] == {ROUTE: 2}


def test_connections_by_listener() -> None:
    """A gauge of its own."""
    counters = Counters()
    counters.connections["127.0.0.1:80"] = 4
    assert counters.take().gauge["connections_open"] == {("127.0.0.1:80",): 4}
