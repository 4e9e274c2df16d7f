"""Requests that were recorded, asked of two rule files: how many would go elsewhere, from where to where.

What a log does not hold, as most fields of a request, is taken as absent. Where a record names the rule that took the
request, and the old rules come to another one without these values, nothing is said of it: it is undecided.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import field
from functools import lru_cache
from typing import Final, NamedTuple

from proxy.data import dataclass
from proxy.http.message import RequestHead
from proxy.rules.actions import Redirect
from proxy.rules.analysis.moves import Spread, all_to, moves, spread_of
from proxy.rules.compile import compile_table
from proxy.rules.conditions import walk
from proxy.rules.decision import Decision
from proxy.rules.model import FieldTest, RuleFile
from proxy.rules.sticky import keys

EXAMPLES_MAX: Final = 3
"""Requests shown of each group."""
REMEMBERED_MAX: Final = 1024
"""Pairs of shares whose moves are remembered: most requests of a log go few ways."""
NOWHERE: Final = "404, no route"


class Recorded(NamedTuple):
    """A request as it was recorded. whole: with every field it had; names: those known otherwise, like `header host`.

    taken: the route and the rule that took it, if the record says so.
    """

    head: RequestHead
    text: str
    whole: bool
    names: frozenset[str] = frozenset()
    taken: tuple[str, str] | None = None


class Change(NamedTuple):
    """From where to where. by: the route and the rule that take the request, before and after."""

    old: str
    new: str
    old_by: str
    new_by: str


@dataclass(slots=True)
class Group:
    """requests: expected, as a split may move a part of them only."""

    requests: float = 0.0
    examples: list[str] = field(default_factory=list)

    def add(self, number: float, text: str) -> None:
        self.requests += number
        if len(self.examples) < EXAMPLES_MAX and text not in self.examples:
            self.examples.append(text)


class Side:
    """One of the two rule files."""

    def __init__(self, rule_file: RuleFile) -> None:
        self._rule_file = rule_file
        self._routes = {route.name: route for route in rule_file.routes}
        self._table = compile_table(rule_file, lambda: 0.0, lambda: "0" * 24)
        self._spreads: dict[tuple[int, bool], Spread] = {}
        self.reads = _reads(rule_file)

    def ask(self, head: RequestHead) -> tuple[str, str, Spread]:
        """Route, rule, and where it goes."""
        decision = self._table.match(head)
        if decision is None:
            return "", "", all_to(NOWHERE)
        known = decision.reason in ("match", "default") or (decision.reason == "sticky" and not decision.set_cookie)
        spread = self._spreads.get((decision.number, known))
        if spread is None:
            spread = self._spreads[decision.number, known] = self._spread(decision, known)
        return decision.route, decision.rule, spread

    def _spread(self, decision: Decision, known: bool) -> Spread:
        """known: the version that was decided is that of every such request."""
        if not decision.version:
            what = "redirect" if isinstance(decision.action, Redirect) else "answer"
            return all_to(f"{what} {decision.status}")
        if known:
            return all_to(f"{decision.service} {decision.version}")
        rule = self._routes[decision.route].rules[decision.rule_order]
        spread = spread_of(rule, self._rule_file.services[decision.service])
        named = (owner._replace(version=f"{decision.service} {owner.version}") for owner in spread.owners)
        return spread._replace(owners=tuple(named))


class Replay:
    """All that was replayed. requests: how many. moved: those that would go elsewhere; retaken: those that another
    route or rule would take, to the same end; undecided, as above. missing: names that rules read and records lack,
    like `cookie foo`, and of how many records."""

    def __init__(self, old: RuleFile, new: RuleFile) -> None:
        self._old, self._new = Side(old), Side(new)
        self._reads = self._old.reads | self._new.reads
        self._lacks: dict[frozenset[str], frozenset[str]] = {}
        self.requests = self.undecided = 0
        self.moved: dict[Change, Group] = {}
        self.retaken: dict[Change, Group] = {}
        self.missing: Counter[str] = Counter()

    def add(self, one: Recorded) -> None:
        self.requests += 1
        if not one.whole:
            if one.names not in self._lacks:
                self._lacks[one.names] = self._reads - one.names
            self.missing.update(self._lacks[one.names])
        old_route, old_rule, old = self._old.ask(one.head)
        if one.taken is not None and one.taken != (old_route, old_rule):
            self.undecided += 1
            return
        new_route, new_rule, new = self._new.ask(one.head)
        by = _by(old_route, old_rule), _by(new_route, new_rule)
        found = _moves(old, new)
        for move in found:
            self.moved.setdefault(Change(move.old, move.new, *by), Group()).add(move.share, one.text)
        if not found and by[0] != by[1]:
            where = " or ".join(owner.version for owner in old.owners)
            self.retaken.setdefault(Change(where, where, *by), Group()).add(1, one.text)


_moves = lru_cache(maxsize=REMEMBERED_MAX)(moves)


def _by(route: str, rule: str) -> str:
    if not route:
        return "no route"
    return f"route '{route}'" + (f", rule '{rule}'" if rule else ", no rule")


def _reads(rule_file: RuleFile) -> frozenset[str]:
    """The headers and cookies that routes and rules read; the query stands in every record."""
    found: set[tuple[str, str]] = set()
    for route in rule_file.routes:
        found |= {("header", "host")} if route.hosts else set()
        for rule in route.rules:
            parts = walk(rule.match) if rule.match is not None else ()
            found |= {(part.where, part.name) for part in parts if isinstance(part, FieldTest)}
            found |= {(key.where, key.name) for key in keys(rule.sticky)} if rule.sticky is not None else set()
    return frozenset(f"{where} {name}" for where, name in found if where in ("header", "cookie"))
