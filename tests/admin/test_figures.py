"""proxy/admin/figures.py: rates and percentiles over a sliding window, and nothing made up where little is known."""

from __future__ import annotations

import pytest

from proxy.admin.figures import WINDOW_S, Figures, Sample, Tally, Window, quantile, sample, tallies
from proxy.observe.counts import BUCKETS, Counts
from proxy.observe.metrics import Registry

V1 = ("shop", "v1")


def buckets(**counts: int) -> list[int]:
    """Like b2=10: ten durations in the bucket of that number."""
    made = [0] * (len(BUCKETS) + 1)
    for name, count in counts.items():
        made[int(name[1:])] = count
    return made


def told(window: Window) -> dict[tuple[str, str], Figures]:
    figures = window.figures()
    assert figures is not None
    return figures


@pytest.mark.parametrize(
    ("durations", "q", "seconds"),
    [
        (buckets(), 0.5, None),
        (buckets(b1=100), 0.5, 0.0075),  # in the middle of 5 ms to 10 ms
        (buckets(b1=100), 1.0, 0.01),
        (buckets(b1=50, b4=50), 0.5, 0.01),
        (buckets(b1=90, b4=10), 0.99, 0.095),
        (buckets(b0=100), 0.5, 0.005),  # at most 5 ms, and no more is known
        (buckets(b11=1), 0.5, 10.0),  # more than 10 s, and no more is known
        (buckets(b1=98, b11=2), 0.99, 10.0),
    ],
)
def test_a_percentile_is_as_exact_as_buckets_are(durations: list[int], q: float, seconds: float | None) -> None:
    assert quantile(durations, q) == (seconds if seconds is None else pytest.approx(seconds))


def test_figures_are_of_the_window_alone() -> None:
    """What was before it counts no more, at its edge and one sample past it."""
    window = Window()
    window.add(0.0, Sample({V1: Tally(1000.0, 500.0, buckets(b4=1000))}))
    for second in range(1, int(WINDOW_S) + 1):
        window.add(float(second), Sample({V1: Tally(1000.0 + second, 500.0, buckets(b4=1000, b1=second))}))
    figures = told(window)[V1]
    assert (figures.requests, figures.rate, figures.error_rate) == (10, 1.0, 0.0)
    assert figures.p99 is not None and figures.p99 <= 0.01
    window.add(WINDOW_S + 1, Sample({V1: Tally(1010.0, 500.0, buckets(b4=1000, b1=10))}))
    assert told(window)[V1].requests == 9


def test_one_sample_tells_nothing_and_a_pause_begins_anew() -> None:
    """Nobody watched for a while: what happened then is not what happens now."""
    window = Window()
    window.add(0.0, Sample({V1: Tally(10.0)}))
    assert window.figures() is None
    window.add(WINDOW_S * 3, Sample({V1: Tally(10_000.0)}))
    assert window.figures() is None
    window.add(WINDOW_S * 3 + 1, Sample({V1: Tally(10_002.0, 1.0, buckets(b0=2))}))
    assert (told(window)[V1].rate, told(window)[V1].error_rate) == (2.0, 0.5)


def test_without_requests_in_the_window_there_is_nothing_to_tell() -> None:
    window = Window()
    for second in (0.0, 1.0):
        window.add(second, Sample({V1: Tally(5.0, 1.0, buckets(b0=5))}))
    assert told(window) == {}


def test_a_version_is_added_up_over_its_routes() -> None:
    """5xx is a failure; 4xx is the client's."""
    registry = Registry()
    requests = {("a", *V1, "200", "GET"): 5.0, ("b", *V1, "503", "GET"): 2.0, ("b", *V1, "404", "POST"): 1.0}
    durations = {("a", *V1): (buckets(b1=5), 1.0), ("b", *V1): (buckets(b2=3), 1.0)}
    registry.merge(1, Counts(add={"requests_total": requests}, observe={"request_duration_seconds": durations}))
    assert tallies(registry) == {V1: Tally(8.0, 2.0, buckets(b1=5, b2=3))}


def test_what_a_rule_took_is_told_by_version() -> None:
    """Whatever the reason; what it took before the window, and rules that took nothing in it, are left out."""
    registry = Registry()
    taken = {
        ("r", "shop", "v1", "all", "weight"): 8.0,
        ("r", "shop", "v2", "all", "weight"): 1.0,
        ("q", *V1, "", "default"): 3.0,
    }
    registry.merge(1, Counts(add={"decisions_total": taken}))
    window = Window()
    window.add(0.0, sample(registry))
    assert window.taken() == {}
    more = {("r", "shop", "v1", "all", "weight"): 6.0, ("r", "shop", "v1", "all", "fallback"): 2.0}
    registry.merge(1, Counts(add={"decisions_total": more | {("r", "shop", "v2", "all", "weight"): 2.0}}))
    window.add(2.0, sample(registry))
    assert window.taken() == {("r", "all"): {"v1": 4.0, "v2": 1.0}}
