"""Conditions, values and changes in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from proxy.http.message import RequestHead
from proxy.rules.actions import HeaderChanges
from proxy.rules.changes import new_target
from proxy.rules.model import (
    AllOf,
    AnyOf,
    ClientTest,
    Condition,
    FieldTest,
    MethodTest,
    ModTest,
    Not,
    NotTest,
    PathMatch,
    PathTest,
    PresentTest,
    RangeTest,
    Route,
    Rule,
    SchemeTest,
    TextTest,
    ValueTest,
    Version,
)

SHOWN_MAX: Final = 80
"""Characters of one value that are shown: a cookie can be a page long."""
LISTED_MAX: Final = 5
"""Entries of one list that are shown."""

_TEXT_WORDS: Final = {
    "in": "",
    "prefix": "beginning with ",
    "suffix": "ending with ",
    "contains": "containing ",
}


def shown(value: bytes) -> str:
    """A value of a request as text, on one line, cut if it is long."""
    text = value.decode("utf-8", "backslashreplace")
    text = "".join(character if character.isprintable() else f"\\x{ord(character):02x}" for character in text)
    return text if len(text) <= SHOWN_MAX else text[:SHOWN_MAX] + "..."


def wanted(condition: FieldTest | MethodTest | SchemeTest | PathTest | ClientTest) -> str:
    """What one condition asks for."""
    if isinstance(condition, FieldTest):
        return wanted_value(condition.test)
    if isinstance(condition, MethodTest):
        return " or ".join(condition.methods)
    if isinstance(condition, SchemeTest):
        return condition.scheme
    if isinstance(condition, PathTest):
        return wanted_path(condition.path)
    return _listed(condition.networks)


def wanted_path(match: PathMatch) -> str:
    """What a path must be."""
    return f"/{match.value}/" if match.kind == "regex" else f"{match.kind} {match.value}"


def wanted_value(test: ValueTest) -> str:
    """What a value must be."""
    if isinstance(test, NotTest):
        return f"not {wanted_value(test.test)}"
    if isinstance(test, PresentTest):
        return "present" if test.present else "absent"
    if isinstance(test, RangeTest):
        return f"an integer n, {test.low} <= n < {test.high}"
    if isinstance(test, ModTest):
        return f"an integer n, n mod {test.divisor} < {test.below}"
    return _wanted_text(test)


def _wanted_text(test: TextTest) -> str:
    case = ", in upper or lower case" if test.ignore_case else ""
    if test.kind == "regex":
        return f"matching /{test.values[0]}/{case}"
    return _TEXT_WORDS[test.kind] + _listed(tuple(f"'{value}'" for value in test.values)) + case


def _listed(texts: tuple[str, ...]) -> str:
    left = len(texts) - LISTED_MAX
    return " or ".join(texts[:LISTED_MAX]) + (f" or one of {left:,} more" if left > 0 else "")


def told_request(route: Route, rule: Rule | None, version: Version | None, head: RequestHead) -> tuple[str, ...]:
    """What is changed of a request that goes to this version (None: it is not known)."""
    told = []
    rewrite = (rule and rule.rewrite) or route.rewrite
    if rewrite is not None and rewrite.path is not None:
        told.append(f"asks for {shown(new_target(rewrite.path, route.path)(head))}")
    if rewrite is not None and rewrite.host:
        told.append(f"Host: {rewrite.host}")
    return (*told, *_told_changes(part.request_headers for part in (route, rule, version) if part is not None))


def told_response(route: Route, rule: Rule | None, version: Version | None) -> tuple[str, ...]:
    """What is changed of its response, or of the proxy's own answer."""
    return tuple(_told_changes(part.response_headers for part in (route, rule, version) if part is not None))


def _told_changes(changes: Iterable[HeaderChanges | None]) -> Iterator[str]:
    for change in changes:
        if change is not None:
            yield from (f"set {name}: {value}" for name, value in change.set)
            yield from (f"add {name}: {value}" for name, value in change.add)
            yield from (f"remove {name}" for name in change.remove)


def in_words(condition: Condition) -> str:
    """A condition on one line."""
    if isinstance(condition, AllOf | AnyOf):
        parts = [in_words(part) for part in condition.conditions[:LISTED_MAX]]
        left = len(condition.conditions) - len(parts)
        return (" and " if isinstance(condition, AllOf) else " or ").join(
            [f"({part})" if " and " in part or " or " in part else part for part in parts]
            + ([f"{left:,} more"] if left else [])
        )
    if isinstance(condition, Not):
        return f"not ({in_words(condition.condition)})"
    if isinstance(condition, FieldTest):
        return f"{condition.where} {condition.name} {wanted(condition)}"
    kinds = {MethodTest: "method", PathTest: "path", ClientTest: "client"}
    return f"{kinds[type(condition)]} {wanted(condition)}"
