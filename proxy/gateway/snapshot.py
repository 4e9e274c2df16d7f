"""What one reload made: the compiled rules, and for each decision the lane that leads to a version. Immutable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from proxy.http.h1 import RequestReader
from proxy.observe.counters import Counters, RouteCounts, VersionCounts
from proxy.rules.compile import compile_table
from proxy.rules.decision import Decision
from proxy.rules.model import Retry, Route, RuleFile, Service, Timeouts
from proxy.rules.table import RouteTable
from proxy.upstream.endpoint import EndpointRegistry
from proxy.upstream.version import Version

VIA: Final = b"Via: 1.1 grayhound\r\n"


class Lane:
    """The way of a decision: the version, how to treat requests to it, where they are counted.

    fallback: the lane to take when the version has no available endpoint. rescue: the one an idempotent request
    takes once after it failed here. tail: the end of each request's head, the same for all of a lane.
    """

    __slots__ = (
        "counts",
        "fallback",
        "labels",
        "rescue",
        "retry",
        "route_counts",
        "tail",
        "timeouts",
        "version",
    )

    def __init__(
        self, version: Version, route: Route, service: Service, rule: str, reason: str, counters: Counters
    ) -> None:
        self.version = version
        self.timeouts: Timeouts = route.timeouts or service.timeouts
        self.retry: Retry = route.retry or service.retry
        self.labels = (route.name, service.name, version.name, rule, reason)
        self.route_counts: RouteCounts = counters.route(route.name, service.name, version.name)
        self.counts: VersionCounts = counters.version(service.name, version.name)
        self.tail = b"%bX-Gray-Version: %b\r\n\r\n" % (VIA, version.name.encode())
        self.fallback: Lane | None = None
        self.rescue: Lane | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """lanes: by Decision.number; None where the proxy itself answers."""

    generation: int
    table: RouteTable
    reader: RequestReader
    lanes: tuple[Lane | None, ...]


def make_snapshot(
    generation: int,
    rule_file: RuleFile,
    registry: EndpointRegistry,
    counters: Counters,
    draw: Callable[[], float],
    issue: Callable[[], str],
) -> Snapshot:
    """Compile the rules and join them with what lives on: endpoints and counters."""
    table = compile_table(rule_file, draw, issue)
    versions = _versions(rule_file, registry, draw)
    routes = {route.name: route for route in rule_file.routes}

    def lane(decision: Decision) -> Lane | None:
        if not decision.version:
            return None
        return _lane(decision, routes[decision.route], rule_file, versions, counters)

    return Snapshot(generation, table, RequestReader(table.needs), tuple(map(lane, table.decisions)))


def _versions(
    rule_file: RuleFile, registry: EndpointRegistry, draw: Callable[[], float]
) -> dict[tuple[str, str], Version]:
    versions = {}
    named: set[tuple[str, str, str]] = set()
    for service in rule_file.services.values():
        for version in service.versions.values():
            endpoints = [registry.get(service.name, version.name, spec, service.limits) for spec in version.endpoints]
            named.update((service.name, version.name, spec.url) for spec in version.endpoints)
            versions[service.name, version.name] = Version(
                service.name, version.name, endpoints, service.balance, service.passive, draw
            )
    registry.retire_all_but(named)
    return versions


def _lane(
    decision: Decision,
    route: Route,
    rule_file: RuleFile,
    versions: dict[tuple[str, str], Version],
    counters: Counters,
) -> Lane:
    service = rule_file.services[route.service]

    def to(version: str, reason: str) -> Lane:
        return Lane(versions[service.name, version], route, service, decision.rule, reason, counters)

    lane = to(decision.version, decision.reason)
    last = lane
    for version in _fallbacks(service, decision.version):
        last.fallback = to(version, "fallback")
        last = last.fallback
    if service.rescue and decision.version != service.stable:
        lane.rescue = to(service.stable, "rescue")
    return lane


def _fallbacks(service: Service, version: str) -> list[str]:
    """The versions to try, in order, when this one has no available endpoint."""
    others = [name for name in (service.stable, *service.versions) if name != version]
    kinds = {"stable": others[:1] if version != service.stable else [], "any": list(dict.fromkeys(others)), "none": []}
    return kinds[service.fallback]


