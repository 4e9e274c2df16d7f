"""What two rule files are said to do differently, against what they do: where no difference is told, there is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.rules.analysis.diff import differences
from proxy.rules.analysis.replay import Recorded, Replay
from proxy.rules.model import AllOf, AnyOf, Not, Otherwise, Route, RuleFile, Split
from tests.fuzz.test_rules import clients, read, requests, rule_files

FIELDS = frozenset((b"a", b"b", b"cookie"))


def twice_not(route: Route) -> Route:
    rules = (replace(rule, match=rule.match and Not(Not(rule.match))) for rule in route.rules)
    return replace(route, rules=tuple(rules))


def turned(route: Route) -> Route:
    """Parts of conditions the other way round."""
    rules = (
        replace(rule, match=replace(rule.match, conditions=rule.match.conditions[::-1]))
        if isinstance(rule.match, AllOf | AnyOf) else rule
        for rule in route.rules
    )  # fmt: skip
    return replace(route, rules=tuple(rules))


def doubled(route: Route) -> Route:
    rules = (
        replace(rule, split=rule.split and Split(tuple((name, 2 * weight) for name, weight in rule.split.weights)))
        for rule in route.rules
    )
    return replace(route, rules=tuple(rules))


EDITS: list[Callable[[Route], Route]] = [
    lambda route: route,
    twice_not,
    turned,
    doubled,
    lambda route: replace(route, rules=route.rules[::-1]),
    lambda route: replace(route, rules=route.rules[1:]),
    lambda route: replace(route, rules=tuple(replace(rule, match=None) for rule in route.rules)),
    lambda route: replace(route, rules=tuple(replace(rule, sticky=None) for rule in route.rules)),
    lambda route: replace(route, otherwise=Otherwise("next")),
    lambda route: replace(route, hosts=()),
    lambda route: replace(route, methods=("PUT",)),
]


@st.composite
def edited(draw: st.DrawFn) -> tuple[RuleFile, RuleFile]:
    old = draw(rule_files())
    routes = [draw(st.sampled_from(EDITS))(route) for route in old.routes]
    return old, replace(old, routes=tuple(draw(st.permutations(routes)) if draw(st.booleans()) else routes))


@settings(max_examples=150, deadline=None)
@given(edited(), st.lists(st.tuples(requests(), clients), min_size=4, max_size=12))
def test_where_no_difference_is_told_there_is_none(
    files: tuple[RuleFile, RuleFile], asked: list[tuple[bytes, str]]
) -> None:
    """Of no request another route, rule or version; and what says the same in other words is no difference."""
    old, new = files
    assert differences(old, old) == []
    told = differences(old, new)
    replay = Replay(old, new)
    for raw, client in asked:
        replay.add(Recorded(read(raw, client, FIELDS), raw.decode(), True))
    if not told:
        assert not replay.moved and not replay.retaken
    for edit in (twice_not, doubled):
        same = replace(old, routes=tuple(map(edit, old.routes)))
        assert differences(old, same) == []
