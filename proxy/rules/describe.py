"""Conditions and values in words."""

from __future__ import annotations

from typing import Final

from proxy.rules.model import (
    ClientTest,
    FieldTest,
    MethodTest,
    ModTest,
    NotTest,
    PathMatch,
    PathTest,
    PresentTest,
    RangeTest,
    TextTest,
    ValueTest,
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


def wanted(condition: FieldTest | MethodTest | PathTest | ClientTest) -> str:
    """What one condition asks for."""
    if isinstance(condition, FieldTest):
        return wanted_value(condition.test)
    if isinstance(condition, MethodTest):
        return " or ".join(condition.methods)
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
