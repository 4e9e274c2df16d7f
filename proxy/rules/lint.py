"""What is odd in a rule file without being wrong: rules, routes, versions and services that nothing can reach.

Each look goes over the file once with an index of what went before, so a file of 10,000 routes takes no longer than
reading it. Only what is certain is said: no answer here is no proof that a rule is of use.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from proxy.rules import cookies
from proxy.rules.actions import Redirect
from proxy.rules.mirrors import mirrored, mirrors_of
from proxy.rules.model import AllOf, AnyOf, Condition, FieldTest, MethodTest, Route, Rule, RuleFile, TextTest
from proxy.rules.nodes import Path
from proxy.rules.sticky import kept

Finding = tuple[Path, str]
SHARE_MIN: Final = 1 / 10_000
"""A person is in one of 10,000 buckets, so a smaller share of people may be nobody."""

_Parts = frozenset[Condition]


def lint(rule_file: RuleFile) -> Iterator[Finding]:
    """Every warning."""
    yield from _shadowed_routes(rule_file.routes)
    for number, route in enumerate(rule_file.routes):
        yield from _shadowed_rules(route, ("routes", number, "rules"))
        yield from _small_shares(route, ("routes", number, "rules"))
        yield from _idle_mirrors(route, ("routes", number))
        yield from _idle_redirects(route, ("routes", number))
    yield from cookies.odd(rule_file.routes)
    yield from _unreached(rule_file)


# --- Rules and routes behind others --------------------------------------------------------------------------------


def _shadowed_rules(route: Route, at: Path) -> Iterator[Finding]:
    taken = _Taken()
    for number, rule in enumerate(route.rules):
        earlier = taken.by(rule)
        if earlier:
            yield (*at, number), f"rule '{rule.name}' can never match: rule '{earlier}' before it takes all it could"
        elif rule.redirect is None:  # who is where a redirect leads goes on
            taken.add(rule)


class _Taken:
    """Which requests the rules so far take for certain."""

    def __init__(self) -> None:
        self._all = ""
        self._single: dict[Condition, str] = {}
        self._joined: dict[_Parts, str] = {}

    def add(self, rule: Rule) -> None:
        if rule.match is None:
            self._all = rule.name
            return
        for parts in map(_parts, _ways(rule.match)):
            if len(parts) > 1:
                self._joined.setdefault(parts, rule.name)
            else:
                for atom in _atoms(next(iter(parts))):
                    self._single.setdefault(atom, rule.name)

    def by(self, rule: Rule) -> str:
        """The name of a rule that takes all that this one could, the last of them if several do together; or ""."""
        if self._all or rule.match is None:
            return self._all
        takers = [self._taker(way) for way in _ways(rule.match)]
        return takers[-1] if all(takers) else ""

    def _taker(self, way: Condition) -> str:
        parts = _parts(way)
        joined = self._joined.get(parts)
        if joined:
            return joined
        for part in parts:
            takers = [self._single.get(atom, "") for atom in _atoms(part)]
            if all(takers):
                return takers[-1]
        return ""


def _ways(condition: Condition) -> tuple[Condition, ...]:
    """Conditions of which one must hold."""
    return condition.conditions if isinstance(condition, AnyOf) else (condition,)


def _parts(condition: Condition) -> _Parts:
    """Conditions that must all hold."""
    return frozenset(condition.conditions if isinstance(condition, AllOf) else (condition,))


def _atoms(condition: Condition) -> list[Condition]:
    """The narrowest conditions of which one must hold: one per value or method of a list."""
    if isinstance(condition, MethodTest):
        return [MethodTest((method,)) for method in condition.methods]
    if isinstance(condition, FieldTest) and isinstance(condition.test, TextTest) and condition.test.kind == "in":
        where, name, fold = condition.where, condition.name, condition.test.ignore_case
        texts = [text.lower() if fold else text for text in condition.test.values]
        return [FieldTest(where, name, TextTest("in", (text,), fold)) for text in texts]
    return [condition]


def _shadowed_routes(routes: tuple[Route, ...]) -> Iterator[Finding]:
    taken: dict[tuple[str, object, tuple[str, ...]], str] = {}
    for number, route in enumerate(routes):
        scopes = [(host, route.path, tuple(sorted(set(route.methods)))) for host in route.hosts or ("",)]
        takers = [taken.get(scope, "") for scope in scopes]
        if all(takers):
            yield (
                ("routes", number),
                f"no request reaches route '{route.name}': route '{takers[-1]}' has the same scope",
            )
        elif route.otherwise.kind != "next" or route.respond is not None:
            for scope in scopes:
                taken.setdefault(scope, route.name)


def _idle_mirrors(route: Route, at: Path) -> Iterator[Finding]:
    """Of versions that answer, themselves, all the requests that would be copied to them."""
    copied = {id(mirror) for rule in (*route.rules, None) for mirror in mirrors_of(route, rule)}
    for place, said in (((), route.mirror), *((("rules", n), rule.mirror) for n, rule in enumerate(route.rules))):
        for number, mirror in enumerate(said or ()):
            if mirror.percent > 0 and id(mirror) not in copied:
                text = f"nothing is copied: all these requests go to version '{mirror.version}' itself"
                yield (*at, *place, "mirror", number), text


# --- What nothing leads to -----------------------------------------------------------------------------------------


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


def _unreached(rule_file: RuleFile) -> Iterator[Finding]:
    reached: dict[str, set[str]] = {name: set() for name in rule_file.services}
    routed = {route.service for route in rule_file.routes}
    for route in rule_file.routes:
        versions = reached.setdefault(route.service, set())
        if route.otherwise.kind == "version":
            versions.add(route.otherwise.version)
        for rule in route.rules:
            versions.add(rule.version)
            if rule.split is not None:
                versions.update(version for version, weight in rule.split.weights if weight > 0)
                versions.update(kept(rule))
    for name, version in mirrored(rule_file):
        reached[name].add(version)
    for name, service in rule_file.services.items():
        if name not in routed:
            yield ("services", name), f"no route leads to service '{name}'"
        elif service.fallback != "any":
            for version in service.versions:
                if version not in reached[name] and version != service.stable:
                    yield ("services", name, "versions", version), f"no rule leads to version '{version}'"
