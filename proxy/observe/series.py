"""Alone says which series exist from the moment the rules name them.

A series that appears with its first event hides that event from `rate()`, and a version without traffic would be
missing from a comparison instead of standing at 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field
from typing import Final, get_args

from proxy.data import dataclass
from proxy.http.digest import KINDS
from proxy.observe.counts import Labels
from proxy.observe.mirrors import RESULTS
from proxy.rules.mirrors import mirrored
from proxy.rules.model import RetryCause, Route, Rule, RuleFile, Service

ERROR_KINDS: Final = ("connect", "timeout", "reset", "protocol", "no_endpoint")

RETRY_CAUSES: Final = get_args(RetryCause)


@dataclass(slots=True)
class Series:
    """Metric names with label values. weights: the shares of version_weight; endpoints: the labels of endpoint_up."""

    counters: list[tuple[str, Labels]] = field(default_factory=list)
    histograms: list[tuple[str, Labels]] = field(default_factory=list)
    gauges: list[tuple[str, Labels]] = field(default_factory=list)
    weights: dict[Labels, float] = field(default_factory=dict)
    endpoints: list[Labels] = field(default_factory=list)


def series_of(rule_file: RuleFile) -> Series:
    """Every series that can exist before a request came. requests_total stands at 0 for code 200 and GET only: the
    other codes and methods are too many to foretell."""
    series = Series()
    for service in rule_file.services.values():
        for version in service.versions.values():
            labels = (service.name, version.name)
            series.counters += [(name, labels) for name in ("request_bytes_total", "response_bytes_total")]
            series.counters += [("upstream_errors_total", (*labels, kind)) for kind in ERROR_KINDS]
            series.counters += [("upstream_retries_total", (*labels, reason)) for reason in _retry_reasons(service)]
            series.histograms.append(("upstream_duration_seconds", labels))
            series.gauges += [(name, labels) for name in ("requests_in_flight", "tunnels_open")]
            series.endpoints += [(*labels, endpoint.url) for endpoint in version.endpoints]
    for route in rule_file.routes:
        if route.service:
            _add_versions(series, route, rule_file.services[route.service])
        for rule_name, reason, status in _answers(route):
            series.counters.append(("requests_total", (route.name, route.service, "", str(status), "GET")))
            series.counters.append(("decisions_total", (route.name, route.service, "", rule_name, reason)))
            series.histograms.append(("request_duration_seconds", (route.name, route.service, "")))
    for labels in mirrored(rule_file):
        series.counters += [("mirror_requests_total", (*labels, result)) for result in RESULTS]
        series.counters += [("mirror_differences_total", (*labels, kind)) for kind in KINDS]
        series.gauges.append(("mirror_requests_in_flight", labels))
    return series


def _retry_reasons(service: Service) -> Iterator[str]:
    """Those of the service; a route of its own ideas adds its statuses with the first that comes."""
    yield from RETRY_CAUSES
    yield from map(str, service.retry.statuses)
    if service.rescue:
        yield "rescue"


def _add_versions(series: Series, route: Route, service: Service) -> None:
    for version_name in service.versions:
        series.counters.append(("requests_total", (route.name, service.name, version_name, "200", "GET")))
        series.histograms.append(("request_duration_seconds", (route.name, service.name, version_name)))
    series.counters += [("decisions_total", labels) for labels in _decisions(route, service)]
    for rule, shares in shares_of(route):
        for version_name in service.versions:
            series.weights[route.name, rule, service.name, version_name] = shares.get(version_name, 0.0)


def _answers(route: Route) -> Iterator[tuple[str, str, int]]:
    """Rule, reason and status of what the proxy itself answers by a redirect or a respond."""
    parts: list[tuple[Route | Rule, str, str]] = [(route, "", "default")]
    parts += [(rule, rule.name, "match") for rule in route.rules]
    for part, name, reason in parts:
        for action in (part.redirect, part.respond):
            if action is not None:
                yield name, reason, action.status


def shares_of(route: Route) -> Iterator[tuple[str, dict[str, float]]]:
    """Each rule of a route that leads to versions by name, with its share (0..1) per version; the name "" stands for
    requests that no rule takes, if there can be any and a version gets them."""
    for rule in route.rules:
        if rule.version or rule.split:
            yield rule.name, shares_of_rule(rule)
    if route.otherwise.kind == "version" and all(rule.match or rule.redirect for rule in route.rules):
        yield "", {route.otherwise.version: 1.0}


def shares_of_rule(rule: Rule) -> dict[str, float]:
    if rule.split is None:
        return {rule.version: 1.0}
    total = sum(weight for _, weight in rule.split.weights)
    return {version: weight / total for version, weight in rule.split.weights}


def _decisions(route: Route, service: Service) -> Iterator[Labels]:
    reasons = {rule.name: _reasons(rule) for rule in route.rules}
    for rule, shares in shares_of(route):
        for version in shares:
            for reason in reasons.get(rule, ("default",)):
                yield route.name, service.name, version, rule, reason
        for version in _stand_ins(service, shares):
            yield route.name, service.name, version, rule, "fallback"
        if service.rescue and any(version != service.stable for version in shares):
            yield route.name, service.name, service.stable, rule, "rescue"


def _reasons(rule: Rule) -> tuple[str, ...]:
    """A sticky rule draws by weight for who brings no key."""
    if rule.split is None:
        return ("match",)
    return ("sticky", "weight") if rule.sticky else ("weight",)


def _stand_ins(service: Service, shares: dict[str, float]) -> list[str]:
    """The versions that may stand in for one of those chosen."""
    if service.fallback == "none":
        return []
    candidates = [service.stable] if service.fallback == "stable" else list(service.versions)
    return [name for name in candidates if any(version != name for version in shares)]
