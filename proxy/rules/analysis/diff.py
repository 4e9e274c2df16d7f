"""What two rule files do differently, in words: found by comparing what they decide, not how they are written."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Final, NamedTuple, TypeVar

from proxy.rules.analysis.describe import in_words, wanted_path
from proxy.rules.analysis.implies import implies, plainly, small
from proxy.rules.analysis.moves import moves, spread_of
from proxy.rules.model import Condition, Route, Rule, RuleFile, Service, Version
from proxy.rules.split import shares

Named = TypeVar("Named")
Texts = Iterator[str]

_COMPARED_APART: Final = frozenset(
    ("name", "versions", "endpoints", "service", "hosts", "path", "methods", "rules", "otherwise", "match", "version",
     "split", "sticky")
)  # fmt: skip
_KEYS: Final = {"active": "health.active", "passive": "health.passive", "slow_start": "health.slow_start"}
"""Fields of the model that stand elsewhere in the file."""


class Difference(NamedTuple):
    """where: `service shop`, `route shop`. text: one line."""

    where: str
    text: str


def differences(old: RuleFile, new: RuleFile) -> list[Difference]:
    """Every difference, services first, each in file order."""
    old_routes, new_routes = ({route.name: route for route in rules.routes} for rules in (old, new))
    found = [
        *_each("service", old.services, new.services, _service, lambda service: frozenset(service.versions.values())),
        *_each("route", old_routes, new_routes, lambda a, b: _route(a, b, old, new), _scope),
    ]
    ordered = [[route.name for route in rules.routes if route.name in names]
               for rules, names in ((old, new_routes), (new, old_routes))]  # fmt: skip
    if ordered[0] != ordered[1] and len({_rank(route) for route in new.routes}) < len(new.routes):
        found.append(Difference("routes", "stand in another order, which decides between those of one host and path"))
    return found


def _each(
    kind: str,
    old: Mapping[str, Named],
    new: Mapping[str, Named],
    compare: Callable[[Named, Named], Texts],
    same: Callable[[Named], Hashable],
) -> Iterator[Difference]:
    """Pairs of one name, then those that only their name tells apart, by what `same` gives."""
    gone = {name: thing for name, thing in old.items() if name not in new}
    for name, thing in new.items():
        before = old.get(name)
        if before is None:
            called = next((other for other, one in gone.items() if same(one) == same(thing)), None)
            if called is None:
                yield Difference(f"{kind} {name}", "is new")
                continue
            before = gone.pop(called)
            yield Difference(f"{kind} {name}", f"was called {called}")
        yield from (Difference(f"{kind} {name}", text) for text in compare(before, thing))
    yield from (Difference(f"{kind} {name}", "is gone") for name in gone)


# --- Services ------------------------------------------------------------------------------------------------------


def _service(old: Service, new: Service) -> Texts:
    for name, version in new.versions.items():
        before = old.versions.get(name)
        endpoints = _endpoints(version)
        if before is None:
            yield f"version {name} is new, at {endpoints}"
            continue
        if set(before.endpoints) != set(version.endpoints):
            yield f"version {name}: endpoints {_endpoints(before)} -> {endpoints}"
        yield from (f"version {name}: {text}" for text in _settings(before, version))
    yield from (f"version {name} is gone" for name in old.versions if name not in new.versions)
    yield from _settings(old, new)


def _endpoints(version: Version) -> str:
    return ", ".join(
        one.url + (f" (weight {one.weight})" if one.weight != 1 else "") for one in version.endpoints
    )  # fmt: skip


# --- Routes and rules ----------------------------------------------------------------------------------------------


def _scope(route: Route) -> tuple[frozenset[str], object, frozenset[str]]:
    return frozenset(route.hosts), route.path, frozenset(route.methods)


def _rank(route: Route) -> object:
    """What routes must have in common for their order to matter."""
    return "regex" if route.path.kind == "regex" else _scope(route)


def _route(old: Route, new: Route, old_file: RuleFile, new_file: RuleFile) -> Texts:
    if set(old.hosts) != set(new.hosts):
        yield f"hosts: {_list(old.hosts, 'every host')} -> {_list(new.hosts, 'every host')}"
    if old.path != new.path:
        yield f"path: {wanted_path(old.path)} -> {wanted_path(new.path)}"
    if set(old.methods) != set(new.methods):
        yield f"methods: {_list(old.methods, 'every method')} -> {_list(new.methods, 'every method')}"
    if old.service != new.service:
        yield f"service: {old.service or 'none'} -> {new.service or 'none'}"
    yield from _rules(old, new, old_file.services.get(old.service), new_file.services.get(new.service))
    if old.otherwise != new.otherwise:
        yield f"otherwise: {_otherwise(old)} -> {_otherwise(new)}"
    yield from _settings(old, new)


def _otherwise(route: Route) -> str:
    return route.otherwise.version or str(route.otherwise.status or "next")


def _rules(old: Route, new: Route, old_service: Service | None, new_service: Service | None) -> Texts:
    old_rules, new_rules = ({rule.name: rule for rule in route.rules} for route in (old, new))

    def compare(one: Rule, other: Rule) -> Texts:
        return _rule(one, other, old_service, new_service)

    for difference in _each("rule", old_rules, new_rules, compare, lambda rule: (rule.match, _outcome(rule))):
        separator = " " if difference.text.startswith(("is ", "was ")) else ": "
        yield f"{difference.where}{separator}{difference.text}"
    before, after = ([name for name in one if name in other]
                     for one, other in ((old_rules, new_rules), (new_rules, old_rules)))  # fmt: skip
    if before != after:
        yield f"rules stand in another order: {', '.join(before)} -> {', '.join(after)}"


def _rule(old: Rule, new: Rule, old_service: Service | None, new_service: Service | None) -> Texts:
    if not _same_match(old.match, new.match):
        yield f"takes {_taken(new.match)}; before: {_taken(old.match)}"
    if _outcome(old) != _outcome(new):
        yield f"{_led(old)} -> {_led(new)}"
    both_lead = (old.version or old.split) and (new.version or new.split)
    if both_lead and old_service is not None and new_service is not None:
        one, other = spread_of(old, old_service), spread_of(new, new_service)
        changed = moves(one, other)
        if one.people is not None and other.people is not None and one.people != other.people:
            yield "people are known by another key or salt: everybody is dealt anew"
        who = "people" if one.people is not None and other.people is not None else "its requests"
        yield from (f"{move.share * 100:.4g} % of {who} move from {move.old} to {move.new}" for move in changed)
        if bool(old.sticky) != bool(new.sticky) and (old.split or new.split):
            yield "people stay on their version from now on" if new.sticky else "no longer sticky: drawn per request"
    if old.sticky is not None and new.sticky is not None:
        yield from (f"sticky.{text}" for text in _settings(old.sticky, new.sticky))
    yield from _settings(old, new)


def _same_match(old: Condition | None, new: Condition | None) -> bool:
    if old is None or new is None:
        return old is new
    one, other = plainly(old), plainly(new)
    return one == other or (small(one) and small(other) and implies(one, other) and implies(other, one))


def _taken(match: Condition | None) -> str:
    return "every request" if match is None else in_words(plainly(match))


def _outcome(rule: Rule) -> Hashable:
    """Where it leads, whatever it is called; shares, not weights."""
    split = rule.split and frozenset(share for share in shares(rule.split.weights).items() if share[1])
    return rule.version, split, rule.redirect, rule.respond


def _led(rule: Rule) -> str:
    if rule.split is not None:
        return ", ".join(f"{name} {share * 100:.4g} %" for name, share in shares(rule.split.weights).items() if share)
    return rule.version or ("a redirect" if rule.redirect else "an answer")


# --- Everything else -----------------------------------------------------------------------------------------------


def _settings(old: Any, new: Any, at: str = "") -> Texts:
    """Fields that differ, by the names they have in the file; fields of fields, too."""
    for field in fields(new):
        one, other = getattr(old, field.name), getattr(new, field.name)
        name = at + _KEYS.get(field.name, field.name)
        if (field.name in _COMPARED_APART and not at) or one == other:
            continue
        if is_dataclass(one) and is_dataclass(other) and type(one) is type(other):
            yield from _settings(one, other, f"{name}.")
        else:
            yield f"{name}: {_value(one)} -> {_value(other)}"


def _value(value: object) -> str:
    if isinstance(value, tuple):
        return _list([_value(one) for one in value], "none")
    if is_dataclass(value):
        return " ".join(f"{field.name} {_value(getattr(value, field.name))}" for field in fields(value))
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else "none" if value in (None, "") else str(value)


def _list(texts: Any, empty: str) -> str:
    return ", ".join(texts) or empty
