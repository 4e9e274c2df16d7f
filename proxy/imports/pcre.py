"""Regexes as nginx reads them (PCRE) -> conditions on a value, with the regexes that there are here (RE2).

Both search anywhere in the value and heed case. RE2 has no look-around and no back-reference; the one of these that is
common, a look-ahead that must fail at the very beginning, is said with `not`.
"""

from __future__ import annotations

import re
from typing import Any

from proxy.rules.read import units
from proxy.rules.regex import searcher

_not_ahead = re.compile(r"\^(?:\.\*)?\(\?!(?P<inner>.+)\)(?P<rest>\.\*\$?|\$?)", re.DOTALL).fullmatch


def value_test(pattern: str) -> dict[str, Any]:
    """A value test that holds for the values that the pattern is found in. Raises ValueError with why there is none."""
    try:
        units.regex(pattern)
    except ValueError:
        ahead = _not_ahead(pattern)
        if ahead is None or pattern.startswith("^.*") or ahead["rest"] == "$" or not _balanced(ahead["inner"]):
            raise
        return {"not": {"regex": "^" + units.regex(f"(?:{ahead['inner']})")}}
    return {"regex": pattern}


def finds_empty(test: dict[str, Any]) -> bool:
    """Whether such a test holds for an empty value."""
    if "not" in test:
        return not finds_empty(test["not"])
    return bool(searcher(test["regex"])(b""))


def is_broken(pattern: str) -> bool:
    """Whether a regex is none at all, and not only beyond RE2. Python's are close to PCRE's."""
    try:
        re.compile(pattern)
    except re.error:
        return True
    return False


def _balanced(text: str) -> bool:
    """Whether the parentheses in a part of a regex are its own."""
    depth = 0
    for parenthesis in re.findall(r"(?<!\\)(?:\\\\)*([()])", text):
        depth += 1 if parenthesis == "(" else -1
        if depth < 0:
            return False
    return depth == 0
