"""Regexes of nginx, said in RE2."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.imports.pcre import finds_empty, is_broken, value_test


@pytest.mark.parametrize(
    ("pattern", "test"),
    [
        ("^bar$", {"regex": "^bar$"}),
        (r"(a|b)\d+", {"regex": r"(a|b)\d+"}),
        ("^(?!bot)", {"not": {"regex": "^(?:bot)"}}),
        ("^(?!.*(bot|spider)).*$", {"not": {"regex": "^(?:.*(bot|spider))"}}),
    ],
)
def test_what_re2_can_say(pattern: str, test: dict[str, Any]) -> None:
    """As it stands; a look-ahead that must fail at the beginning, with `not`."""
    assert value_test(pattern) == test


@pytest.mark.parametrize(
    "pattern", [r"(a)\1", "(?<=a)b", "a(?!b)", "^(?!a)b", "^(?!a)|(b)$", "(?>a)", "[", "^(?!a)$", "^.*(?!a)"]
)
def test_what_it_cannot_is_an_error(pattern: str) -> None:
    """Nothing is said otherwise than it was meant."""
    with pytest.raises(ValueError, match="RE2"):
        value_test(pattern)


def test_what_holds_for_an_empty_value() -> None:
    assert finds_empty({"regex": "^$"}) and finds_empty({"regex": "a*"}) and not finds_empty({"regex": "a"})
    assert finds_empty({"not": {"regex": "a"}}) and not finds_empty({"not": {"regex": ""}})


def test_what_is_no_regex_at_all() -> None:
    assert is_broken("[][**da?$&*") and is_broken("(") and not is_broken(r"(a)\1") and not is_broken("^(?!a)")
