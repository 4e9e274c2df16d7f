"""The rules of an HTTPRoute, match by match, each with its place in the order of precedence that the API lays down."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from proxy.data import dataclass
from proxy.imports.draft import Draft
from proxy.imports.manifests import Object, get, items_at, text_at
from proxy.rules.model import PathMatch
from proxy.rules.paths import spellings
from proxy.rules.read import units
from proxy.rules.read.nodes import Node

YOUNGEST: Final = "~"
"""Stands behind every time stamp: a route that is not in a cluster yet is younger than those that are."""

Rank = tuple[bool, int, int, str, str, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class RouteRule:
    """One rule of an HTTPRoute. number: its place, counted from 1."""

    route: Object
    number: int
    node: Node

    @property
    def label(self) -> str:
        """How comments name it."""
        name = text_at(self.node, "name")
        return f"{self.route.label}, rule {self.number}" + (f" ({name})" if name else "")

    @property
    def title(self) -> str:
        """How the rule file names it."""
        return f"{self.route.name}/{text_at(self.node, 'name') or self.number}"


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """One match of a rule: the rule takes what any of them takes.

    path: in a form in which paths that are compared alike are equal; a regex as the API has it. condition: what else it
    asks for, as a rule file says it; empty: nothing. rank: its place among all matches of one path, best first: with a
    method, more headers, more query arguments, of the older route, by name, then in the order of rules and matches.
    """

    rule: RouteRule
    path: PathMatch
    condition: dict[str, Any]
    rank: Rank


def rules(route: Object, draft: Draft) -> Iterator[RouteRule]:
    """All of them in order."""
    nodes = items_at(route.body, "spec", "rules")
    if not nodes:
        draft.note(route, route.body, "left out: it has no rules, and so leads nowhere")
    for number, node in enumerate(nodes, 1):
        yield RouteRule(route, number, node)


def matches(rule: RouteRule, draft: Draft) -> Iterator[Match]:
    """The matches of a rule; one that no request can satisfy, or no rule file can say, is left out and noted."""
    route = rule.route
    age = text_at(route.body, "metadata", "creationTimestamp") or YOUNGEST
    for number, node in enumerate(items_at(rule.node, "matches") or [None], 1):
        try:
            path, condition = _path(get(node, "path")), _condition(node)
        except ValueError as error:
            draft.note(route, node or rule.node, f"match {number} of rule {rule.number} is left out: {error}")
            continue
        headers, arguments = len(condition.get("header", ())), len(condition.get("query", ()))
        place = (age, f"{route.namespace}/{route.name}", rule.number, number)
        yield Match(rule, path, condition, ("method" not in condition, -headers, -arguments, *place))


def whole(regex: str) -> str:
    """A regex that is found only where it matches the whole value, as gateways on Envoy read it."""
    if "|" in regex:
        return f"^(?:{regex})$"
    return ("" if regex.startswith("^") else "^") + regex + ("" if regex.endswith("$") else "$")


def _path(node: Node | None) -> PathMatch:
    kind, value = text_at(node, "type") or "PathPrefix", text_at(node, "value") or "/"
    if kind == "RegularExpression":
        units.regex(whole(value))
        return PathMatch("regex", value)
    if kind not in ("Exact", "PathPrefix"):
        raise ValueError(f"its path is compared in the unknown way '{kind}'")
    plain = spellings(units.path(value))[0].decode()
    return PathMatch("exact", plain) if kind == "Exact" else PathMatch("prefix", plain.rstrip("/") or "/")


def _condition(node: Node | None) -> dict[str, Any]:
    condition: dict[str, Any] = {}
    if get(node, "method") is not None:
        condition["method"] = units.method(text_at(node, "method"))
    if items_at(node, "headers"):
        condition["header"] = _tests(items_at(node, "headers"), units.header_name, _header_value)
    if items_at(node, "queryParams"):
        condition["query"] = _tests(items_at(node, "queryParams"), units.argument_name, units.text)
    return condition


def _tests(nodes: list[Node], name_of: Callable[[str], str], value_of: Callable[[str], str]) -> dict[str, Any]:
    """Value tests by name; of several with one name the first counts."""
    tests: dict[str, Any] = {}
    for node in nodes:
        kind, value = text_at(node, "type") or "Exact", text_at(node, "value")
        if kind not in ("Exact", "RegularExpression"):
            raise ValueError(f"'{text_at(node, 'name')}' is compared in the unknown way '{kind}'")
        test = {"regex": units.regex(whole(value))} if kind == "RegularExpression" else value_of(value)
        tests.setdefault(name_of(text_at(node, "name")), test)
    return tests


def _header_value(text: str) -> str:
    if text != text.strip(" \t"):
        raise ValueError(f"no header has the value '{text}', with spaces at its ends")
    return units.field_value(text)
