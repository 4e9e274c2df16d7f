"""From a rule file to a route table: whatever can be decided before the first request is decided here.

One route is compiled on its own, from nothing but itself, its service and chance, so that what did not change can be
kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from proxy.rules import sticky
from proxy.rules.actions import Redirect, Respond
from proxy.rules.changes import leads_away
from proxy.rules.choose import Draw, Issue, choices
from proxy.rules.conditions import Test, build, needs, normal
from proxy.rules.decision import Decide, Decision
from proxy.rules.lookup import Entry, in_order
from proxy.rules.model import Condition, Route, RuleFile, Service
from proxy.rules.paths import path_test, prefixes, spellings
from proxy.rules.pin import NO_PINNING, Now, Pinning, still
from proxy.rules.table import RouteTable, by_method, by_path
from proxy.steps import Steps, finish


class CompiledRoute(NamedTuple):
    """A route ready for the table: what it says, every decision it can give, the header fields it reads."""

    route: Route
    decide: Decide
    decisions: tuple[Decision, ...]
    needs: frozenset[bytes]


def compile_table(rule_file: RuleFile, draw: Draw, issue: Issue, now: Now = still) -> RouteTable:
    """Compile a checked rule file; draw and issue bring in chance, now the time by which pins age.

    Raises nothing on a file that parse let through.
    """
    return finish(compiling(rule_file, draw, issue, now))


def compiling(rule_file: RuleFile, draw: Draw, issue: Issue, now: Now = still) -> Steps[RouteTable]:
    """The same, a rule or a host at each step."""
    pinning, services = Pinning(rule_file.cookie_keys, now), rule_file.services
    decisions: list[Decision] = []
    reads: set[bytes] = set()
    by_host: dict[str, list[CompiledRoute]] = defaultdict(list)
    for route in rule_file.routes:
        compiled = yield from compiling_route(route, services.get(route.service), draw, issue, pinning)
        for number, decision in enumerate(compiled.decisions, len(decisions)):
            decision.number = number
        decisions += compiled.decisions
        reads |= compiled.needs
        for host in dict.fromkeys(route.hosts or ("",)):
            by_host["" if host == "*" else host].append(compiled)
    hosts: dict[bytes, Decide] = {}
    wildcards: dict[bytes, Decide] = {}
    while by_host:  # emptied as it is read: to let go of all of it at once would be a long step
        host, routes = by_host.popitem()
        of_its_kind = wildcards if host.startswith("*") else hosts
        of_its_kind[host.removeprefix("*").encode()] = _paths(routes)
        yield
    return RouteTable(rule_file, hosts, wildcards, decisions, frozenset(reads))


def compiling_route(
    route: Route, service: Service | None, draw: Draw, issue: Issue, pinning: Pinning = NO_PINNING
) -> Steps[CompiledRoute]:
    """One route on its own, a rule at each step; service: None if it leads to none. No decision has its number yet."""
    decisions: list[Decision] = []
    entries: list[Entry] = []
    conditions: list[Condition | None] = []
    reads: set[bytes] = set()
    for order, rule in enumerate(route.rules):
        condition = None if rule.match is None else normal(rule.match)
        test = None if condition is None else build(condition)
        if condition is not None:
            reads |= needs(condition)
        if rule.sticky is not None:
            reads |= sticky.needs(rule.sticky)
        if rule.redirect is not None:
            test, condition = _and_leads_away(test, rule.redirect, route), None  # a value alone does not decide it
        rule_choices = choices(route, service, rule, order, draw, issue, pinning)
        entries.append((order, test, rule_choices.only, rule_choices.choose))
        conditions.append(condition)
        decisions += rule_choices.decisions
        yield
    otherwise = _otherwise(route)
    if otherwise is not None:
        decisions.append(otherwise)
    decide = yield from in_order(entries, conditions, otherwise)
    if route.respond is not None:
        decisions.append(answered := _answered(route, route.respond))
        decide = _always(answered)
    if route.redirect is not None:
        decisions.append(sent_away := _answered(route, route.redirect))
        decide = _before(sent_away, leads_away(route.redirect, route.path), decide)
    return CompiledRoute(route, decide, tuple(decisions), frozenset(reads))


def _and_leads_away(test: Test | None, redirect: Redirect, route: Route) -> Test:
    away = leads_away(redirect, route.path)
    return away if test is None else lambda head: test(head) and away(head)


def _answered(route: Route, action: Redirect | Respond) -> Decision:
    return Decision(route.name, route.service, "", "", "default", status=action.status, action=action)


def _always(decision: Decision) -> Decide:
    return lambda head: decision


def _before(decision: Decision, holds: Test, otherwise: Decide) -> Decide:
    return lambda head: decision if holds(head) else otherwise(head)


def _otherwise(route: Route) -> Decision | None:
    otherwise = route.otherwise
    if otherwise.kind == "next":
        return None
    return Decision(route.name, route.service, otherwise.version, "", "default", status=otherwise.status)


def _paths(routes: Iterable[CompiledRoute]) -> Decide:
    """The routes of one host. Those of one path share a place; each regex is a path of its own, in file order."""
    exact: dict[bytes, list[CompiledRoute]] = defaultdict(list)
    below: dict[bytes, list[CompiledRoute]] = defaultdict(list)
    regexes: list[tuple[Callable[[bytes], Any], Decide]] = []
    for route in routes:
        path = route.route.path
        if path.kind == "regex":
            regexes.append((path_test(path), _methods([route])))
        elif path.kind == "exact":
            for spelling in spellings(path.value):
                exact[spelling].append(route)
        else:
            for spelling in prefixes(path.value):
                below[spelling].append(route)
    return by_path(
        {path: _methods(sharing) for path, sharing in exact.items()},
        {path: _methods(sharing) for path, sharing in below.items()},
        regexes,
    )


def _methods(routes: Iterable[CompiledRoute]) -> Decide:
    """Routes of one path: those that name methods first, then in file order."""
    ordered = sorted(routes, key=lambda route: not route.route.methods)
    return by_method((frozenset(name.encode() for name in item.route.methods), item.decide) for item in ordered)
