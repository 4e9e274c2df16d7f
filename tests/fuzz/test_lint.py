"""What is said about rules without a request, against the naive interpreter: never a false word."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.rules.analysis.dead import dead_routes, dead_rules
from proxy.rules.analysis.implies import contradiction, implies, plainly
from proxy.rules.analysis.lint import lint
from proxy.rules.model import AllOf, Condition, RuleFile
from tests.fuzz.test_rules import clients, conditions, equal_tests, holds, interpret, read, requests, rule_files

FIELDS = frozenset((b"a", b"b", b"cookie"))
asked = st.lists(st.tuples(requests(), clients), min_size=8, max_size=16)
some = conditions | equal_tests


@settings(max_examples=150, deadline=None)
@given(some, some, asked)
def test_what_is_implied_holds(one: Condition, other: Condition, asked: list[tuple[bytes, str]]) -> None:
    """The plain form says the same; what implies another never holds without it; what contradicts itself never does."""
    plain_one, plain_other = plainly(one), plainly(other)
    implied, impossible = implies(plain_one, plain_other), contradiction(plainly(AllOf((one, other))))
    for raw, client in asked:
        head = read(raw, client, FIELDS)
        first, second = holds(one, head), holds(other, head)
        assert (holds(plain_one, head), holds(plain_other, head)) == (first, second)
        assert not (implied and first and not second)
        assert not (impossible and first and second)


@settings(max_examples=150, deadline=None)
@given(rule_files(), asked)
def test_what_is_called_dead_takes_nothing(rule_file: RuleFile, asked: list[tuple[bytes, str]]) -> None:
    """No request is taken by a rule or a route that is said to be behind others or to ask for the impossible, nor comes
    to a version that no rule is said to lead to."""
    behind = {rule_file.routes[number].name for number in dead_routes(rule_file.routes)}
    dead = {(route.name, route.rules[place].name) for route in rule_file.routes for place in dead_rules(route)}
    unreached = {path[3] for path, text in lint(rule_file) if "no rule leads" in text}
    for raw, client in asked:
        answer = interpret(rule_file, read(raw, client, FIELDS))
        if answer is not None:
            route, rule, _, versions, *_ = answer
            assert route not in behind and (route, rule) not in dead and not versions & unreached
