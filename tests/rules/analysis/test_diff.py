"""proxy/rules/analysis/diff.py: what two rule files do differently, in words."""

from __future__ import annotations

import pytest

from proxy.rules.analysis.diff import differences
from proxy.rules.parse import parse

OLD = """\
services:
  shop:
    stable: v1
    versions:
      v1: {endpoints: [http://a:80]}
      v2: {endpoints: [http://b:80]}
routes:
  - name: shop
    hosts: [shop.test]
    service: shop
    rules:
      - {name: testers, match: {header: {foo: bar}}, version: v2}
      - {name: everyone, split: {v1: 80, v2: 20}, sticky: {cookie: gray}}
"""


def told(old: str, new: str) -> list[str]:
    one, other = (parse(text, "rules.yaml").rule_file for text in (old, new))
    return [f"{difference.where}: {difference.text}" for difference in differences(one, other)]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("foo: bar", "Foo: [bar]"),
        ("foo: bar", "foo: {regex: ^bar$}"),
        ("{header: {foo: bar}}", "{not: {not: {header: {foo: bar}}}}"),
        ("{header: {foo: bar}}", '\'header("foo", "bar")\''),
        ("{v1: 80, v2: 20}", "{v2: 1, v1: 4}"),
        ("http://a:80", "http://a"),
        ("hosts: [shop.test]", "hosts: SHOP.test"),
    ],
)
def test_other_words_for_the_same_are_no_difference(before: str, after: str) -> None:
    assert before in OLD
    assert told(OLD, OLD.replace(before, after)) == []


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        ("{v1: 80, v2: 20}", "{v1: 50, v2: 50}", [
            "route shop: rule everyone: v1 80 %, v2 20 % -> v1 50 %, v2 50 %",
            "route shop: rule everyone: 30 % of people move from v1 to v2",
        ]),
        (", sticky: {cookie: gray}", "", [
            "route shop: rule everyone: 16 % of its requests move from v1 to v2",
            "route shop: rule everyone: 16 % of its requests move from v2 to v1",
            "route shop: rule everyone: no longer sticky: drawn per request",
        ]),
        ("{cookie: gray}", "{cookie: grey}", [
            "route shop: rule everyone: people are known by another key or salt: everybody is dealt anew",
            "route shop: rule everyone: 16 % of people move from v1 to v2",
            "route shop: rule everyone: 16 % of people move from v2 to v1",
            "route shop: rule everyone: sticky.cookie.name: gray -> grey",
        ]),
        ("foo: bar", "foo: [bar, baz]", [
            "route shop: rule testers: takes header foo 'bar' or 'baz'; before: header foo 'bar'"
        ]),
        ("name: testers", "name: friends", ["route shop: rule friends was called testers"]),
        ("version: v2}", "version: v1}", [
            "route shop: rule testers: v2 -> v1", "route shop: rule testers: 100 % of its requests move from v2 to v1"
        ]),
        ("      - {name: testers, match: {header: {foo: bar}}, version: v2}\n", "", [
            "route shop: rule testers is gone"
        ]),
        ("    hosts: [shop.test]\n", "    otherwise: v2\n", [
            "route shop: hosts: shop.test -> every host", "route shop: otherwise: v1 -> v2"
        ]),
        ("stable: v1", "stable: v1\n    timeouts: {response: 5s}", ["service shop: timeouts.response: 30 -> 5"]),
        ("stable: v1", "rescue: true", ["service shop: rescue: false -> true"]),
        ("[http://b:80]", "[http://b:80, {url: http://c:80, weight: 2}]", [
            "service shop: version v2: endpoints http://b:80 -> http://b:80, http://c:80 (weight 2)"
        ]),
        ("      v2:", "      v3: {endpoints: [http://d:80]}\n      v2:", [
            "service shop: version v3 is new, at http://d:80"
        ]),
    ],
)  # fmt: skip
def test_what_changed_is_told_by_what_it_does(before: str, after: str, wanted: list[str]) -> None:
    assert before in OLD
    assert told(OLD, OLD.replace(before, after)) == wanted


def test_order_and_names_of_routes() -> None:
    """A route is known by its name, or else by its scope; order matters between routes of one scope alone."""
    more = "  - {name: cart, path: /cart, service: shop}\n  - {name: all, path: {regex: ^/a}, service: shop}\n"
    assert told(OLD, OLD + more) == ["route cart: is new", "route all: is new"]
    assert told(OLD + more, OLD) == ["route cart: is gone", "route all: is gone"]
    assert told(OLD + more, OLD + more.replace("name: cart", "name: basket")) == ["route basket: was called cart"]
    swapped = "".join(reversed(more.splitlines(keepends=True)))
    assert told(OLD + more, OLD + swapped) == []
    two = "  - {name: a, path: {regex: ^/a}, service: shop}\n  - {name: b, path: {regex: ^/ab}, service: shop}\n"
    assert "another order" in told(OLD + two, OLD + "".join(reversed(two.splitlines(keepends=True))))[0]


def test_the_order_of_rules() -> None:
    lines = OLD.splitlines(keepends=True)
    text = "route shop: rules stand in another order: testers, everyone -> everyone, testers"
    assert told(OLD, "".join([*lines[:-2], lines[-1], lines[-2]])) == [text]
