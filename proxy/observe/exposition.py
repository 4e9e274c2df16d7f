"""Every series of the container, as Prometheus reads it. The only file that knows prometheus_client."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import accumulate

from prometheus_client import exposition
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from proxy.observe.counts import Labels
from proxy.observe.metrics import BOUNDS, COUNTERS, GAUGES, HISTOGRAMS, PREFIX, Distribution, Kind, Registry


def render(registry: Registry, accept: str = "") -> tuple[bytes, str]:
    """All series and their content type: OpenMetrics if the Accept field names it, else the text format."""
    families = _Families(registry)
    if "application/openmetrics-text" in accept:
        return openmetrics.generate_latest(families), openmetrics.CONTENT_TYPE_LATEST  # type: ignore[no-untyped-call]
    return exposition.generate_latest(families), exposition.CONTENT_TYPE_PLAIN_0_0_4


class _Families(Collector):
    """Every metric family, those without a series too: their help says what there can be."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        registry = self._registry
        for name, kind in COUNTERS.items():
            counter = CounterMetricFamily(PREFIX + name, kind.help, labels=kind.labels)
            yield _filled(counter, registry.counter(name))
        for name, kind in HISTOGRAMS.items():
            yield _histogram(name, kind, registry.histogram(name))
        for name, kind in GAUGES.items():
            yield _filled(GaugeMetricFamily(PREFIX + name, kind.help, labels=kind.labels), registry.gauge(name))


def _filled(family: CounterMetricFamily | GaugeMetricFamily, series: Mapping[Labels, float]) -> Metric:
    for labels, value in series.items():
        family.add_metric(labels, value)
    return family


def _histogram(name: str, kind: Kind, series: Mapping[Labels, Distribution]) -> Metric:
    family = HistogramMetricFamily(PREFIX + name, kind.help, labels=kind.labels)
    for labels, known in series.items():
        family.add_metric(labels, list(zip(BOUNDS, accumulate(known.counts), strict=True)), known.sum)
    return family
