"""The mirrors of one generation of the rules, made ready for each lane."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from proxy.gateway.actions import request_edits
from proxy.gateway.mirror import Mirror
from proxy.gateway.shadow import Shadows, Target
from proxy.http.h1 import field_finder
from proxy.observe.counters import Counters
from proxy.rules import actions
from proxy.rules.mirrors import mirrors_of, person_of, sampler
from proxy.rules.model import Route, Rule, RuleFile, Timeouts
from proxy.rules.person import Sticky
from proxy.upstream.tls import security
from proxy.upstream.version import Version


class Mirroring:
    """Makes mirrors, and keeps the endpoints of the shadows to those that these rules mirror to.

    mirrored: the services and versions that copies may be sent to. versions: those as `Version`.
    """

    def __init__(
        self, rule_file: RuleFile, mirrored: set[tuple[str, str]], shadows: Shadows, counters: Counters,
        draw: Callable[[], float],
    ) -> None:  # fmt: skip
        self._shadows = shadows
        self._counters = counters
        self._draw = draw
        self._services = rule_file.services
        self._people: dict[str, Sticky | None] = {}  # by route, where a rule has no `sticky` of its own
        self._versions = _versions(rule_file, mirrored, shadows, draw)
        self.versions = tuple(self._versions.values())

    def of(
        self, route: Route, rule: Rule | None, version: str, timeouts: Timeouts, via: bytes
    ) -> tuple[Mirror, ...] | None:
        """Those of requests that this rule, or none, of the route led to this version; None if there are none.

        A request is not copied to the version that answers it.
        """
        made = tuple(
            self._make(mirror, route, rule, version, timeouts, via)
            for mirror in mirrors_of(route, rule)
            if mirror.version != version  # of a split
        )
        return made or None

    def _make(
        self, mirror: actions.Mirror, route: Route, rule: Rule | None, version: str, timeouts: Timeouts, via: bytes
    ) -> Mirror:
        """The copy gets what a request of this rule to the mirrored version would get."""
        edits, lines = request_edits(route, rule, self._services[route.service].versions[mirror.version])
        tail = b"%b%bX-Gray-Version: %b\r\nX-Gray-Mirror: 1\r\n\r\n" % (via, lines, mirror.version.encode())
        counts = self._counters.mirror(route.service, mirror.version)
        target = Target(self._versions[route.service, mirror.version], edits, tail, timeouts, counts, self._shadows)
        methods = frozenset(name.encode() for name in mirror.methods)
        sampled = sampler(mirror, self._person(route, rule), self._draw)
        compared = _finder(mirror.compare.headers) if mirror.compare else None
        return Mirror(target, methods, sampled, compared, route.name, rule.name if rule else "", version)

    def _person(self, route: Route, rule: Rule | None) -> Sticky | None:
        """As person_of, looking through the rules of a route once."""
        if rule is not None and rule.sticky is not None:
            return rule.sticky
        if route.name not in self._people:
            self._people[route.name] = person_of(route, None)
        return self._people[route.name]


def _finder(names: tuple[str, ...]) -> Any:
    return field_finder(frozenset(name.encode() for name in names)) if names else lambda raw: []


def _versions(
    rule_file: RuleFile, mirrored: set[tuple[str, str]], shadows: Shadows, draw: Callable[[], float]
) -> dict[tuple[str, str], Version]:
    """With the shadows' endpoints: nobody waits for a free connection, and no answer ejects anything."""
    made: dict[tuple[str, str], Version] = {}
    for service_name, name in sorted(mirrored):
        service = rule_file.services[service_name]
        version = service.versions[name]
        secured = security(version.tls or service.tls, rule_file)
        limits = replace(service.limits, pending=0)
        endpoints = [shadows.registry.get(service_name, name, spec, limits, secured) for spec in version.endpoints]
        made[service_name, name] = Version(service_name, name, endpoints, service.balance, None, draw)
    shadows.registry.retire_all_but(
        {(service, name, endpoint.url) for (service, name), version in made.items() for endpoint in version.endpoints}
    )
    return made
