"""Which rules and routes no request can come to, for certain: by what they ask for, or since others take all of it.

Each look goes over the file once with an index of what went before, so that a file of 10,000 routes takes no longer
than reading it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import product
from math import prod
from typing import Final

from proxy.rules.analysis.describe import in_words
from proxy.rules.analysis.implies import ROOT, contradiction, implies, plainly, single, small
from proxy.rules.analysis.reach import takes_all
from proxy.rules.model import AllOf, AnyOf, Condition, FieldTest, MethodTest, PathMatch, PathTest, Route, Rule, TextTest
from proxy.rules.paths import prefixes, spellings

CANDIDATES_MAX: Final = 16
"""Earlier rules on one name that a rule is held against, besides those that are found by what they ask for."""
CASES_MAX: Final = 64
"""Ways that a rule with several lists is taken apart to, a value of each at a time."""

# --- Rules ---------------------------------------------------------------------------------------------------------


def dead_rules(route: Route) -> dict[int, str]:
    """Why a rule can never match, by its place in the route."""
    if route.respond is not None:
        return {}
    taken, dead = _Taken(route), {}
    for number, rule in enumerate(route.rules):
        why = taken.why_not(rule)
        if why:
            dead[number] = why
        else:
            taken.add(rule)
    return dead


class _Taken:
    """Which requests of a route its rules so far take for certain.

    A way is what must hold at once for a rule to match. Those that ask for nothing but values and methods are found by
    what they ask for, one value of each list at a time; the others are tried, as many as there may be candidates.
    """

    def __init__(self, route: Route) -> None:
        self._scope: list[Condition] = [PathTest(route.path)] if route.path != ROOT else []
        if route.methods:
            self._scope.append(MethodTest(route.methods))
        self._all = ""
        self._exact: dict[frozenset[Condition], str] = {}
        self._candidates: dict[object, list[tuple[Condition, str]]] = defaultdict(list)

    def add(self, rule: Rule) -> None:
        if takes_all(rule):
            self._all = rule.name
        if rule.match is None or rule.redirect is not None:
            return
        for way in _ways(plainly(rule.match)):
            if not small(way):
                continue
            if (self._scope or isinstance(way, PathTest)) and implies(AllOf(tuple(self._scope)), way):
                self._all = rule.name
            for case in _cases(way):
                self._exact.setdefault(case, rule.name)
            candidates = self._candidates[_key(way)]
            if len(candidates) < CANDIDATES_MAX and not all(map(_listed, _parts(way))):
                candidates.append((way, rule.name))

    def why_not(self, rule: Rule) -> str:
        """Why a rule that comes next can never match; or empty."""
        if self._all:
            return _behind(self._all)
        if rule.match is None:
            return ""
        ways = _ways(plainly(rule.match))
        pairs = [self._contradiction(way) for way in ways]
        if all(pairs) and pairs[0] is not None:
            one, other = pairs[0]
            return f"no request has both: {in_words(one)}, and {in_words(other)}"
        takers = [self._taker(way) for way, pair in zip(ways, pairs, strict=True) if pair is None]
        return _behind(takers[-1]) if all(takers) else ""

    def _contradiction(self, way: Condition) -> tuple[Condition, Condition] | None:
        parts = (*self._scope, *_parts(way))
        return contradiction(AllOf(parts)) if len(parts) > 1 and small(way) else None

    def _taker(self, way: Condition) -> str:
        """The name of a rule that takes all that satisfies this, the last of them if several do together; or empty."""
        parts = _parts(way)
        for part in (way, *parts) if len(parts) > 1 else parts:
            takers = [self._exact.get(case, "") for case in _cases(part)]
            if takers and all(takers):
                return takers[-1]
        if not small(way):
            return ""
        whole = AllOf((*self._scope, *parts))
        candidates = (candidate for part in parts for candidate in self._candidates.get(_key(part), ()))
        return next((name for other, name in candidates if implies(whole, other)), "")


def _behind(name: str) -> str:
    return f"rule '{name}' before it takes all it could"


def _ways(condition: Condition) -> tuple[Condition, ...]:
    """Conditions of which one must hold."""
    return condition.conditions if isinstance(condition, AnyOf) else (condition,)


def _parts(condition: Condition) -> tuple[Condition, ...]:
    """Conditions that must all hold."""
    return condition.conditions if isinstance(condition, AllOf) else (condition,)


def _listed(condition: Condition) -> bool:
    """Whether `single` takes it apart without a rest."""
    if isinstance(condition, FieldTest):
        return isinstance(condition.test, TextTest) and condition.test.kind == "in" and not condition.test.ignore_case
    return isinstance(condition, MethodTest)


def _cases(way: Condition) -> Iterator[frozenset[Condition]]:
    """The narrowest ways of which one must hold: one value of each list; none if they are too many."""
    choices = [single(part) for part in _parts(way)]
    if len(choices) == 1 or prod(map(len, choices)) <= CASES_MAX:
        yield from map(frozenset, product(*choices))


def _key(condition: Condition) -> object:
    """What a condition asks about; of several that must hold together, the first that asks for a value."""
    parts = _parts(condition)
    named = next((part for part in parts if isinstance(part, FieldTest)), parts[0])
    return (named.where, named.name) if isinstance(named, FieldTest) else type(named)


# --- Routes --------------------------------------------------------------------------------------------------------


def dead_routes(routes: tuple[Route, ...]) -> dict[int, str]:
    """The name of a route that takes all that another could, by the place of that other one."""
    taken: dict[tuple[str, object, str], str] = {}
    roots: dict[tuple[str, str], str] = {}
    dead: dict[int, str] = {}
    for number, route in enumerate(routes):
        scopes = _scopes(route)
        takers = [taken.get(scope, "") for scope in scopes]
        if all(takers):
            dead[number] = takers[-1]
        elif passes_nothing_on(route):
            for scope in scopes:
                taken.setdefault(scope, route.name)
                if route.path == ROOT:
                    roots.setdefault((scope[0], scope[2]), route.name)
    for number, route in enumerate(routes):
        if route.path.kind == "regex" and number not in dead:
            # Regexes come after every prefix of their host, and `/` is one that fits each path.
            takers = [roots.get((host, method)) or roots.get((host, ""), "") for host, _, method in _scopes(route)]
            if all(takers):
                dead[number] = takers[-1]
    return dead


def passes_nothing_on(route: Route) -> bool:
    """Whether whatever fits a route ends there."""
    return route.otherwise.kind != "next" or route.respond is not None or any(map(takes_all, route.rules))


def _scopes(route: Route) -> list[tuple[str, object, str]]:
    """Host, path and method of all that fits a route; every method is empty, as it comes after those that are named."""
    return [
        ("" if host == "*" else host, path, method)
        for host in route.hosts or ("",)
        for path in _spelled(route.path)
        for method in route.methods or ("",)
    ]


def _spelled(path: PathMatch) -> list[object]:
    if path.kind == "regex":
        return [path]
    return [(path.kind, text) for text in (prefixes if path.kind == "prefix" else spellings)(path.value)]
