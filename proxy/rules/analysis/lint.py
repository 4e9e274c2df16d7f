"""What is odd in a rule file without being wrong: rules, routes, versions and services that nothing can reach.

Only what is certain is said: no answer here is no proof that a rule is of use.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from proxy.rules import cookies
from proxy.rules.actions import Redirect, Respond
from proxy.rules.analysis.dead import dead_routes, dead_rules
from proxy.rules.analysis.reach import reach
from proxy.rules.mirrors import mirrors_of
from proxy.rules.model import Route, Rule, RuleFile
from proxy.rules.read.nodes import Path

Finding = tuple[Path, str]
SHARE_MIN: Final = 1 / 10_000
"""A person is in one of 10,000 buckets, so a smaller share of people may be nobody."""
OWED: Final = {401: "WWW-Authenticate", 405: "Allow"}
"""Fields that answers of these statuses must have (RFC 9110 sections 15.5.2 and 15.5.6)."""


def lint(rule_file: RuleFile) -> Iterator[Finding]:
    """Every warning."""
    behind = dead_routes(rule_file.routes)
    alive: list[Route] = []
    for number, route in enumerate(rule_file.routes):
        at: Path = ("routes", number)
        if number in behind:
            yield at, f"no request reaches route '{route.name}': route '{behind[number]}' takes all it could"
        dead = dead_rules(route)
        for place, why in dead.items():
            yield (*at, "rules", place), f"rule '{route.rules[place].name}' can never match: {why}"
        yield from _small_shares(route, (*at, "rules"))
        yield from _idle_mirrors(route, at)
        yield from _idle_redirects(route, at)
        yield from _owed_fields(route, at)
        if number not in behind:
            rules = tuple(rule for place, rule in enumerate(route.rules) if place not in dead)
            alive.append(replace(route, rules=rules))
    yield from cookies.odd(rule_file.routes)
    yield from _unreached(rule_file, replace(rule_file, routes=tuple(alive)))


def _idle_mirrors(route: Route, at: Path) -> Iterator[Finding]:
    """Of versions that answer, themselves, all the requests that would be copied to them."""
    copied = {id(mirror) for rule in (*route.rules, None) for mirror in mirrors_of(route, rule)}
    for place, said in (((), route.mirror), *((("rules", n), rule.mirror) for n, rule in enumerate(route.rules))):
        for number, mirror in enumerate(said or ()):
            if mirror.percent > 0 and id(mirror) not in copied:
                text = f"nothing is copied: all these requests go to version '{mirror.version}' itself"
                yield (*at, *place, "mirror", number), text


def _small_shares(route: Route, at: Path) -> Iterator[Finding]:
    for number, rule in enumerate(route.rules):
        if rule.split is not None and rule.sticky is not None:
            total = sum(weight for _, weight in rule.split.weights)
            for version, weight in rule.split.weights:
                if 0 < weight / total < SHARE_MIN:
                    yield (*at, number, "split", version), "less than 1 person in 10,000: sticky, it may reach nobody"


def _idle_redirects(route: Route, at: Path) -> Iterator[Finding]:
    parts: list[tuple[Redirect | None, Path]] = [(route.redirect, at)]
    parts += [(rule.redirect, (*at, "rules", number)) for number, rule in enumerate(route.rules)]
    for redirect, where in parts:
        if (
            redirect is not None
            and route.hosts == (redirect.host,)
            and redirect == Redirect(host=redirect.host, status=redirect.status)
        ):
            yield (*where, "redirect"), f"never applies: every request of the route is at {redirect.host} already"


def _owed_fields(route: Route, at: Path) -> Iterator[Finding]:
    """Of the proxy's own answers."""
    parts: list[tuple[Path, Route | Rule]] = [(at, route)]
    parts += [((*at, "rules", number), rule) for number, rule in enumerate(route.rules)]
    answers = [((*at, "otherwise"), Respond(route.otherwise.status), route.response_headers)]
    answers += [((*here, "respond"), one.respond, one.response_headers) for here, one in parts if one.respond]
    for where, respond, changes in answers:
        said = list(respond.headers)
        for one in (route.response_headers, changes):
            said += (*one.set, *one.add) if one else ()
        owed = OWED.get(respond.status, "")
        if owed and owed.lower() not in (name.lower() for name, _ in said):
            text = f"status {respond.status} goes with the field {owed} (RFC 9110): give it in `response_headers`"
            yield where, text


def _unreached(rule_file: RuleFile, alive: RuleFile) -> Iterator[Finding]:
    """alive: with those rules and routes alone that requests can come to."""
    named, routed = ({route.service for route in rules.routes} for rules in (rule_file, alive))
    ways = reach(alive)
    services = {route.name: route.service for route in alive.routes}
    awaited = {(services.get(rollout.route), rollout.new) for rollout in rule_file.rollouts.values()}
    for name, service in rule_file.services.items():
        if name not in named:
            yield ("services", name), f"no route leads to service '{name}'"
        elif name in routed:
            for version in service.versions:
                if not ways[name, version] and version != service.stable and (name, version) not in awaited:
                    yield ("services", name, "versions", version), f"no rule leads to version '{version}'"
