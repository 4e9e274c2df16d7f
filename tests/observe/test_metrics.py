"""proxy/observe/metrics.py: one truth for the whole container, that Prometheus understands."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

import proxy
from proxy.observe.counters import Counters
from proxy.observe.counts import BUCKETS, Counts, Labels
from proxy.observe.exposition import render
from proxy.observe.metrics import COUNTERS, GAUGES, HISTOGRAMS, Registry
from proxy.observe.series import series_of
from proxy.rules.model import EndpointSpec, Otherwise, Route, Rule, RuleFile, Service, Split, Version

V1, V2 = "http://127.0.0.1:1001", "http://127.0.0.1:1002"
ANSWERED = ("all", "shop", "v2", "200", "GET")


def rule_file(**endpoints: str) -> RuleFile:
    versions = {name: Version(name, (EndpointSpec(url),)) for name, url in endpoints.items()}
    rule = Rule("everyone", split=Split(tuple((name, 1.0) for name in versions)))
    route = Route("all", "shop", Otherwise("version", "v1"), rules=(rule,))
    return RuleFile({"shop": Service("shop", "v1", versions)}, (route,))


BOTH = rule_file(v1=V1, v2=V2)


def said(in_flight: int = 0, *, ejected: bool = False) -> dict[str, float]:
    return {"in_flight": in_flight, "connections": in_flight + 1, "available": not ejected, "ejected": ejected}


@pytest.fixture
def registry() -> Registry:
    made = Registry()
    made.declare(series_of(BOTH), 1)
    return made


def samples(registry: Registry) -> dict[tuple[str, frozenset[str]], float]:
    """Every sample as Prometheus reads it, by its name (without prefix) and label values."""
    families = parse_text(render(registry)[0].decode())
    read = [sample for family in families for sample in family.samples]
    return {(one.name.removeprefix("grayhound_"), frozenset(one.labels.values())): one.value for one in read}


def value(registry: Registry, name: str, *labels: str) -> float | None:
    return samples(registry).get((name, frozenset(labels)))


def test_every_version_stands_at_0_from_the_moment_the_rules_name_it(registry: Registry) -> None:
    text = render(registry)[0].decode()
    for version in ("v1", "v2"):
        labels = f'route="all",service="shop",version="{version}"'
        assert f'grayhound_requests_total{{code="200",method="GET",{labels}}} 0.0' in text
        assert f"grayhound_request_duration_seconds_count{{{labels}}} 0.0" in text
        assert f'grayhound_upstream_errors_total{{kind="connect",service="shop",version="{version}"}} 0.0' in text
        assert f'grayhound_requests_in_flight{{service="shop",version="{version}"}} 0.0' in text
        assert f'grayhound_version_weight{{route="all",rule="everyone",service="shop",version="{version}"}} 0.5' in text
    assert f'grayhound_endpoint_up{{endpoint="{V1}",service="shop",version="v1"}} 1.0' in text


def test_deltas_of_all_workers_add_up(registry: Registry) -> None:
    registry.merge(1, Counts(add={"requests_total": {ANSWERED: 3}}))
    registry.merge(2, Counts(add={"requests_total": {ANSWERED: 4}}))
    registry.merge(1, Counts(add={"requests_total": {ANSWERED: 1}}))
    assert value(registry, "requests_total", "200", "GET", "all", "shop", "v2") == 8


def test_buckets_are_handed_over_apart_and_rendered_cumulative(registry: Registry) -> None:
    """A worker counts each observation into one bucket; Prometheus wants each bucket to hold those below it."""
    buckets = [1] * (len(BUCKETS) + 1)
    registry.merge(1, Counts(observe={"request_duration_seconds": {("all", "shop", "v2"): (buckets, 2.5)}}))
    registry.merge(1, Counts(observe={"request_duration_seconds": {("all", "shop", "v2"): (buckets, 2.5)}}))
    text = render(registry)[0].decode()
    of_v2 = 'route="all",service="shop",version="v2"}'
    assert f'grayhound_request_duration_seconds_bucket{{le="0.005",{of_v2} 2.0' in text
    assert f'grayhound_request_duration_seconds_bucket{{le="10.0",{of_v2} 22.0' in text
    assert f'grayhound_request_duration_seconds_bucket{{le="+Inf",{of_v2} 24.0' in text
    assert f"grayhound_request_duration_seconds_count{{{of_v2} 24.0" in text
    assert f"grayhound_request_duration_seconds_sum{{{of_v2} 5.0" in text


def test_buckets_of_another_length_are_refused(registry: Registry) -> None:
    with pytest.raises(ValueError, match="shorter"):
        registry.merge(1, Counts(observe={"upstream_duration_seconds": {("shop", "v1"): ([1, 2], 1.0)}}))


def test_a_metric_that_nobody_has_named_is_our_own_mistake(registry: Registry) -> None:
    with pytest.raises(KeyError, match="request_bites"):
        registry.merge(1, Counts(add={"request_bites": {ANSWERED: 1}}))


def test_all_that_a_worker_counts_has_its_metric(registry: Registry) -> None:
    """The names that workers report are those the registry knows, label for label."""
    counters = Counters()
    of_version = counters.version("shop", "v2")
    counters.decision("all", "shop", "v2", "everyone", "weight").finished(200, b"BREW", 0.005)
    of_version.dirty = True
    of_version.request_bytes, of_version.response_bytes, of_version.begun, of_version.tunnels = 10, 20, 3, 4
    of_version.errors["connect"] = of_version.retries["connect_failure"] = 1
    of_version.upstream.observe(99.0)
    counters.connections["0.0.0.0:8080"] = 5
    registry.merge(1, counters.take())
    assert value(registry, "requests_total", "all", "shop", "v2", "200", "other") == 1
    assert value(registry, "request_duration_seconds_bucket", "all", "shop", "v2", "0.005") == 1
    assert value(registry, "upstream_duration_seconds_bucket", "shop", "v2", "10.0") == 0
    assert value(registry, "upstream_duration_seconds_count", "shop", "v2") == 1
    assert value(registry, "request_bytes_total", "shop", "v2") == 10
    assert value(registry, "response_bytes_total", "shop", "v2") == 20
    assert value(registry, "requests_in_flight", "shop", "v2") == 3
    assert value(registry, "tunnels_open", "shop", "v2") == 4
    assert value(registry, "upstream_errors_total", "shop", "v2", "connect") == 1
    assert value(registry, "upstream_retries_total", "shop", "v2", "connect_failure") == 1
    assert value(registry, "decisions_total", "all", "shop", "v2", "everyone", "weight") == 1
    assert value(registry, "connections_open", "0.0.0.0:8080") == 5


def test_every_metric_is_told_of_before_it_has_a_series() -> None:
    """Its type and its help: a mirror's metrics can be read up before there is a mirror."""
    told = {family.name for family in parse_text(render(Registry())[0].decode())}
    assert {f"grayhound_{name}".removesuffix("_total") for name in (*COUNTERS, *HISTOGRAMS, *GAUGES)} <= told


def test_gauges_are_replaced_and_summed_over_live_workers(registry: Registry) -> None:
    registry.merge(1, Counts(gauge={"requests_in_flight": {("shop", "v2"): 5}, "connections_open": {("http",): 9}}))
    registry.merge(2, Counts(gauge={"requests_in_flight": {("shop", "v2"): 2}, "connections_open": {("http",): 0}}))
    registry.merge(1, Counts(gauge={"requests_in_flight": {("shop", "v2"): 1}, "connections_open": {("http",): 0}}))
    assert value(registry, "requests_in_flight", "shop", "v2") == 3
    assert value(registry, "connections_open", "http") == 0


def test_a_dead_worker_takes_its_gauges_along_and_leaves_its_counters(registry: Registry) -> None:
    busy: dict[Labels, dict[str, float]] = {("shop", "v2", V2): said(5, ejected=True)}
    registry.merge(
        1,
        Counts(
            add={"requests_total": {ANSWERED: 3}},
            gauge={"requests_in_flight": {("shop", "v2"): 5}},
            endpoints=busy,
        ),
    )
    registry.forget(1)
    registry.forget(1)
    assert value(registry, "requests_total", "200", "GET", "all", "shop", "v2") == 3
    assert value(registry, "requests_in_flight", "shop", "v2") == 0
    assert registry.endpoint("shop", "v2", V2).up
    assert registry.endpoint("shop", "v2", V2).in_flight == 0


def test_a_removed_version_keeps_its_counters_and_loses_its_gauges(registry: Registry) -> None:
    """A counter that went back would look like a restart; a weight that stayed would be a lie."""
    registry.merge(1, Counts(add={"requests_total": {ANSWERED: 3}}))
    registry.declare(series_of(rule_file(v1=V1)), 2)
    found = samples(registry)
    assert value(registry, "requests_total", "200", "GET", "all", "shop", "v2") == 3
    gone = [
        key for key in found if key[0] in ("version_weight", "endpoint_up", "requests_in_flight") and "v2" in key[1]
    ]
    assert gone == []
    registry.declare(series_of(BOTH), 3)
    assert value(registry, "requests_total", "200", "GET", "all", "shop", "v2") == 3
    assert value(registry, "config_generation") == 3


def test_only_what_is_new_has_yet_to_be_declared(registry: Registry) -> None:
    """The same rules again leave the event loop next to nothing to do; gauges follow the rules each time."""
    again = registry.undeclared(BOTH)
    assert again.counters == again.histograms == []
    assert (again.gauges, again.weights) == (series_of(BOTH).gauges, series_of(BOTH).weights)
    fresh = Registry().undeclared(BOTH)
    assert fresh == series_of(BOTH) and fresh.counters and fresh.histograms


def test_a_removed_version_is_seen_while_it_drains(registry: Registry) -> None:
    registry.declare(series_of(rule_file(v1=V1)), 2)
    registry.merge(1, Counts(gauge={"requests_in_flight": {("shop", "v2"): 1}}))
    assert value(registry, "requests_in_flight", "shop", "v2") == 1
    registry.merge(1, Counts(gauge={"requests_in_flight": {("shop", "v2"): 0}}))
    assert value(registry, "requests_in_flight", "shop", "v2") is None


def test_an_endpoint_is_up_while_its_check_is_well_and_every_worker_sends_there(registry: Registry) -> None:
    registry.merge(1, Counts(endpoints={("shop", "v2", V2): said(1)}))
    registry.merge(2, Counts(endpoints={("shop", "v2", V2): said(2)}))
    state = registry.endpoint("shop", "v2", V2)
    assert (state.up, state.workers, state.available, state.in_flight, state.connections) == (True, 2, 2, 3, 5)
    registry.merge(2, Counts(endpoints={("shop", "v2", V2): said(ejected=True)}))
    assert registry.endpoint("shop", "v2", V2).ejected == 1
    assert value(registry, "endpoint_up", V2, "shop", "v2") == 0
    registry.merge(2, Counts(endpoints={("shop", "v2", V2): said()}))
    registry.set_health({V2: False})
    assert value(registry, "endpoint_up", V2, "shop", "v2") == 0
    registry.set_health({})
    assert value(registry, "endpoint_up", V2, "shop", "v2") == 1


def test_reloads_tell_the_last_result_and_when_the_rules_in_use_were_taken(registry: Registry) -> None:
    assert value(registry, "config_last_reload_success") == 0
    assert value(registry, "config_last_reload_success_timestamp_seconds") is None
    registry.reloaded("ok", 1000.0)
    registry.reloaded("refused", 2000.0)
    assert value(registry, "config_last_reload_success") == 0
    assert value(registry, "config_last_reload_success_timestamp_seconds") == 1000
    registry.reloaded("unchanged", 3000.0)
    assert value(registry, "config_last_reload_success") == 1
    assert value(registry, "config_last_reload_success_timestamp_seconds") == 1000
    assert [value(registry, "config_reloads_total", result) for result in ("ok", "refused", "unchanged")] == [1, 1, 1]


def test_workers_and_what_is_running_are_told() -> None:
    registry = Registry()
    registry.set_workers(4)
    registry.worker_restarted()
    assert value(registry, "workers") == 4
    assert value(registry, "worker_restarts_total") == 1
    assert f'version="{proxy.__version__}"' in render(registry)[0].decode()


def everything() -> Registry:
    """A registry with at least one series of every metric it knows."""
    registry = Registry()
    registry.declare(series_of(BOTH), 7)
    registry.reloaded("ok", 1_700_000_000.5)
    hard = 'a "quoted"\nback\\slash é'
    added = {name: {tuple(hard for _ in kind.labels): 1.0} for name, kind in COUNTERS.items()}
    gauges = {name: {tuple(hard for _ in kind.labels): 1.0} for name, kind in GAUGES.items()}
    seen = {name: {tuple(hard for _ in kind.labels): ([1] * 12, 1.5)} for name, kind in HISTOGRAMS.items()}
    registry.merge(1, Counts(add=added, gauge=gauges, observe=seen))
    return registry


def test_both_formats_carry_the_same_series() -> None:
    """The text format unless OpenMetrics is asked for, each with its content type."""
    text, text_type = render(everything(), "text/plain;version=0.0.4")
    openmetrics, openmetrics_type = render(everything(), "application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
    assert text_type.startswith("text/plain; version=0.0.4")
    assert openmetrics_type.startswith("application/openmetrics-text; version=1.0.0")
    assert openmetrics.endswith(b"# EOF\n")
    plain = [sample for family in parse_text(text.decode()) for sample in family.samples]
    strict = [sample for family in parse_openmetrics(openmetrics.decode()) for sample in family.samples]  # type: ignore[no-untyped-call]
    assert [(one.name, one.labels, one.value) for one in plain] == [(one.name, one.labels, one.value) for one in strict]


def test_promtool_has_nothing_to_say() -> None:
    """Prometheus' own linter finds names, types and help texts in order."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: it comes with Prometheus")
    done = subprocess.run(
        [promtool, "check", "metrics"], input=render(everything())[0], capture_output=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
