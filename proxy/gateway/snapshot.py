"""What one reload made: the compiled rules, and for each decision the lane that leads to a version. Immutable."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from proxy.data import dataclass
from proxy.gateway.actions import answer_of, request_edits, response_edits
from proxy.gateway.lane import VIA, Lane
from proxy.gateway.mirroring import Mirroring
from proxy.gateway.shadow import Shadows
from proxy.http.h1 import RequestReader
from proxy.observe.counters import Counters, VersionCounts
from proxy.rules.analysis.reach import fallbacks, rescuer
from proxy.rules.compile import compiling
from proxy.rules.decision import Decision
from proxy.rules.mirrors import mirrored_by
from proxy.rules.model import Retry, Route, RuleFile, Service, Timeouts
from proxy.rules.table import RouteTable
from proxy.steps import Steps
from proxy.upstream.endpoint import EndpointRegistry
from proxy.upstream.tls import security
from proxy.upstream.version import Version

STANDING_IN: Final = ("fallback", "rescue")
"""Reasons for which another version answers in place of the one that was chosen."""
LANES_AT_ONCE: Final = 64
"""Lanes given up in one step, some 0.1 ms."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """lanes: by Decision.number. nowhere: of requests that no route takes. versions: that they and copies lead to."""

    generation: int
    table: RouteTable
    reader: RequestReader
    lanes: list[Lane]
    nowhere: Lane
    versions: tuple[Version, ...]

    def taking_apart(self) -> Steps[None]:
        """Let go of it a little at a step, once nobody takes a lane from it any more: at once would take as long as a
        hundred requests where the rules are many."""
        yield from self.table.taking_apart()
        while self.lanes:
            del self.lanes[-LANES_AT_ONCE:]
            yield


def making_snapshot(
    generation: int,
    rule_file: RuleFile,
    registry: EndpointRegistry,
    shadows: Shadows,
    counters: Counters,
    draw: Callable[[], float],
    issue: Callable[[], str],
    kept: frozenset[bytes] = frozenset(),
    now: Callable[[], float] = time.time,
) -> Steps[Snapshot]:
    """Compile the rules and join them with what lives on: endpoints, shadows and counters. kept: fields of requests
    that somebody besides the house and the rules reads."""
    table = yield from compiling(rule_file, draw, issue, now)
    versions = yield from _versions(rule_file, registry, draw)
    routes: dict[str, Route] = {}
    mirrored: set[tuple[str, str]] = set()
    for route in rule_file.routes:
        routes[route.name] = route
        mirrored.update(mirrored_by(route))
        yield
    mirroring = Mirroring(rule_file, mirrored, shadows, counters, draw)
    lanes = []
    for decision in table.decisions:
        route, service = routes[decision.route], rule_file.services.get(decision.service)
        lanes.append(_lane(decision, route, service, versions, counters, mirroring))
        yield
    nowhere = Lane(None, Timeouts(), Retry(), counters.decision("", "", "", "", ""), VersionCounts())
    reached = (*versions.values(), *mirroring.versions)
    return Snapshot(generation, table, RequestReader(table.needs | kept), lanes, nowhere, reached)


def _versions(
    rule_file: RuleFile, registry: EndpointRegistry, draw: Callable[[], float]
) -> Steps[dict[tuple[str, str], Version]]:
    versions = {}
    for service in rule_file.services.values():
        for version in service.versions.values():
            secured = security(version.tls or service.tls, rule_file)
            endpoints = [
                registry.get(service.name, version.name, spec, service.limits, secured, service.slow_start)
                for spec in version.endpoints
            ]
            versions[service.name, version.name] = Version(
                service.name, version.name, endpoints, service.balance, service.passive, draw
            )
        yield
    return versions


def _lane(
    decision: Decision,
    route: Route,
    service: Service | None,
    versions: dict[tuple[str, str], Version],
    counters: Counters,
    mirroring: Mirroring,
) -> Lane:
    rule = route.rules[decision.rule_order] if decision.rule_order >= 0 else None
    if service is None or not decision.version:
        decided = counters.decision(route.name, route.service, "", decision.rule, decision.reason)
        lane = Lane(None, Timeouts(), Retry(), decided, VersionCounts())
        lane.answer = answer_of(decision, route)
        lane.response_edits = response_edits(route, rule, None)
        return lane
    timeouts = (rule and rule.timeouts) or route.timeouts or service.timeouts
    retry = (rule and rule.retry) or route.retry or service.retry

    def to(name: str, reason: str) -> Lane:
        chosen = decision.version if reason in STANDING_IN else ""
        decided = counters.decision(route.name, service.name, name, decision.rule, reason, chosen=chosen)
        counts = counters.version(service.name, name)
        edits, lines = request_edits(route, rule, service.versions[name])
        lane = Lane(versions[service.name, name], timeouts, retry, decided, counts, lines)
        lane.request_edits = edits
        lane.response_edits = response_edits(route, rule, service.versions[name])
        lane.mirrors = mirroring.of(route, rule, name, timeouts, VIA)
        return lane

    lane = last = to(decision.version, decision.reason)
    for version in fallbacks(service, decision.version):
        last.fallback = to(version, "fallback")
        last = last.fallback
    if stand_in := rescuer(service, decision.version):
        lane.rescue = to(stand_in, "rescue")
    return lane
