"""Alone says by which ways requests can come to a version: the rules that lead to it, and what it stands in for.

A version without a way gets no new request, whatever clients send and however endpoints fare. The reverse is not
promised: what a condition asks for is not looked at, so a way may be one that nobody takes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Literal, NamedTuple

from proxy.rules.actions import Mirror
from proxy.rules.mirrors import mirrors_of
from proxy.rules.model import Route, Rule, RuleFile, Service
from proxy.rules.sticky import kept

Kind = Literal["rule", "otherwise", "pin", "mirror", "fallback", "rescue"]
VersionName = tuple[str, str]
"""Service and version."""


class Way(NamedTuple):
    """How requests come to a version.

    kind: `rule` a rule of a route gives it a share of its requests; `otherwise` it gets those that no rule of a route
    takes; `pin` the rule gives it nobody, but keeps who is pinned to it; `mirror` it gets copies of a share of what the
    rule, or no rule, takes; `fallback` and `rescue` it stands in for version `of`, whose endpoints are not available
    or whose answer failed. route, rule: their names, or empty. share: 0 to 1, of the requests that the rule takes.
    """

    kind: Kind
    route: str = ""
    rule: str = ""
    share: float = 1.0
    of: str = ""

    @property
    def text(self) -> str:
        """In words."""
        share = "all" if self.share == 1 else f"{self.share * 100:.4g} %"
        where = f"route '{self.route}'" + (f", rule '{self.rule}'" if self.rule else "")
        return {
            "rule": f"{where}: {share} of its requests",
            "otherwise": f"{where}: requests that no rule takes",
            "pin": f"{where}: people pinned to it are kept",
            "mirror": f"{where}: copies of {share} of its requests",
            "fallback": f"fallback of version '{self.of}', when it has no available endpoint",
            "rescue": f"rescue of version '{self.of}', for requests that failed there",
        }[self.kind]


Ways = dict[VersionName, tuple[Way, ...]]


def reach(rule_file: RuleFile) -> Ways:
    """The ways to each version that the file names; none: no new request can reach it."""
    found: dict[VersionName, list[Way]] = defaultdict(list)
    for route in rule_file.routes:
        for version, way in _ways_of_route(route):
            found[route.service, version].append(way)
    ways: Ways = {}
    for service in rule_file.services.values():
        led_to = [version for version in service.versions
                  if any(way.kind != "mirror" for way in found.get((service.name, version), ()))]  # fmt: skip
        for version in service.versions:
            stands_in = tuple(_stands_in(service, version, led_to))
            ways[service.name, version] = (*found.get((service.name, version), ()), *stands_in)
    return ways


def told_stand_ins(service: Service, version: str) -> tuple[str, ...]:
    """Who stands in for a version and when, in words."""
    told = [f"{name} if {version} has no available endpoint" for name in fallbacks(service, version)[:1]]
    told += [f"{name} if that one has none either" for name in fallbacks(service, version)[1:]]
    stand_in = rescuer(service, version)
    return (*told, *([f"{stand_in} if it fails on {version} and may be repeated"] if stand_in else []))


def takes_all(rule: Rule) -> bool:
    """Whether no request gets past a rule. Of a redirect those do who are there already."""
    return rule.match is None and rule.redirect is None


def fallbacks(service: Service, version: str) -> list[str]:
    """The versions to try, in order, when this one has no available endpoint."""
    others = [name for name in (service.stable, *service.versions) if name != version]
    kinds = {"stable": others[:1] if version != service.stable else [], "any": list(dict.fromkeys(others)), "none": []}
    return kinds[service.fallback]


def rescuer(service: Service, version: str) -> str:
    """The version that tries once more what failed on this one; or empty."""
    return service.stable if service.rescue and version != service.stable else ""


def _ways_of_route(route: Route) -> Iterator[tuple[str, Way]]:
    if route.respond is not None:
        return
    for rule in route.rules:
        yield from _ways_of_rule(route, rule)
        if takes_all(rule):
            return
    if route.otherwise.kind == "version":
        yield route.otherwise.version, Way("otherwise", route.name)
        yield from _copies(route.name, "", mirrors_of(route, None))


def _ways_of_rule(route: Route, rule: Rule) -> Iterator[tuple[str, Way]]:
    weights = ((rule.version, 1.0),) if rule.version else rule.split.weights if rule.split else ()
    total = sum(weight for _, weight in weights)
    keeping = kept(rule)
    for version, weight in weights:
        if weight > 0:
            yield version, Way("rule", route.name, rule.name, weight / total)
        elif version in keeping:
            yield version, Way("pin", route.name, rule.name)
    if weights:
        yield from _copies(route.name, rule.name, mirrors_of(route, rule))


def _copies(route: str, rule: str, mirrors: tuple[Mirror, ...]) -> Iterator[tuple[str, Way]]:
    for mirror in mirrors:
        yield mirror.version, Way("mirror", route, rule, mirror.percent)


def _stands_in(service: Service, version: str, led_to: list[str]) -> Iterator[Way]:
    for other in led_to:
        if version in fallbacks(service, other):
            yield Way("fallback", of=other)
        if version == rescuer(service, other):
            yield Way("rescue", of=other)
