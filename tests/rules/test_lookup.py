"""proxy.rules.lookup: the first rule in file order wins, however it is found."""

from __future__ import annotations

from itertools import product
from random import Random

from proxy.http.message import RequestHead
from proxy.rules.conditions import build, normal
from proxy.rules.decision import Decide, Decision
from proxy.rules.lookup import INDEXED_MIN, Entry, in_order, required
from proxy.rules.model import AllOf, AnyOf, Condition, FieldTest, MethodTest, Not, TextTest
from proxy.steps import finish
from tests.rules.build import equal, request


def decider(*matches: Condition | None) -> Decide:
    entries: list[Entry] = []
    conditions = [None if match is None else normal(match) for match in matches]
    for order, condition in enumerate(conditions):
        decision = Decision("shop", "shop", "v2", str(order), "match", rule_order=order)
        test = None if condition is None else build(condition)
        # Every third rule stands for one with a split: it is chosen.
        only = None if order % 3 == 2 else decision
        entries.append((order, test, only, lambda head, decision=decision: decision))  # type: ignore[misc]
    return finish(in_order(entries, conditions, Decision("shop", "shop", "v1", "", "default")))


def winner(decide: Decide, head: RequestHead) -> str:
    decision = decide(head)
    assert decision is not None
    return decision.rule


def test_no_rules_and_a_rule_that_takes_all() -> None:
    """Without rules it is `otherwise`; a rule without match takes what comes, also in front of others."""
    assert winner(decider(), request()) == ""
    assert winner(decider(None), request()) == "0"
    assert winner(decider(None, equal("header", "foo", "bar")), request("/", "foo: bar")) == "0"


def test_rules_of_one_name_win_in_file_order() -> None:
    """One value for several rules, several values in one request, and rules of other kinds between them."""
    foo = [equal("header", "foo", f"v{n}") for n in range(6)]
    decide = decider(foo[0], MethodTest(("PUT",)), foo[1], AllOf((foo[2], MethodTest(("POST",)))), foo[2], foo[1], None)
    cases = {
        ("GET", "v0"): "0",
        ("PUT", "v0"): "0",
        ("PUT", "v1"): "1",
        ("GET", "v1"): "2",
        ("POST", "v2"): "3",
        ("GET", "v2"): "4",
        ("GET", "v3"): "6",
    }
    for (method, value), rule in cases.items():
        assert winner(decide, request("/", f"foo: {value}", method=method)) == rule
    assert winner(decide, request("/", "foo: v2", "foo: v1")) == "2"
    assert winner(decide, request("/", "foo: v9", "foo: v8")) == "6"
    assert winner(decide, request()) == "6"


def test_the_limit_from_which_on_rules_are_looked_up() -> None:
    """Below, at and above it the same rule wins."""
    for size in (INDEXED_MIN - 1, INDEXED_MIN, INDEXED_MIN + 1):
        decide = decider(*(equal("cookie", "uid", str(n)) for n in range(size)))
        assert [winner(decide, request("/", f"Cookie: uid={n}")) for n in range(size)] == [str(n) for n in range(size)]
        assert winner(decide, request("/", f"Cookie: uid={size}")) == ""


def test_look_ups_and_tests_agree() -> None:
    """Rules of two names and of neither, mixed at random: the winner is the first whose test holds."""
    dice = Random(5)
    some: list[Condition] = [equal("header", "foo", str(n)) for n in range(4)]
    some += [equal("cookie", "uid", str(n)) for n in range(4)]
    some += [AllOf((one, other)) for one, other in product(some[:2], some[4:6])]
    some += [Not(some[0]), AnyOf((some[1], some[5])), equal("header", "foo", "1", "2")]
    heads = [
        request("/", *lines)
        for lines in product(("foo: 0", "foo: 1", "foo: 3", "x: y"), ("Cookie: uid=0", "Cookie: uid=1", "x: y"))
    ]
    heads.append(request("/", "foo: 3", "foo: 1", "Cookie: uid=1"))
    for _ in range(200):
        matches = [dice.choice(some) for _ in range(dice.randrange(16))]
        decide = decider(*matches)
        for head in heads:
            wanted = next((str(n) for n, match in enumerate(matches) if build(match)(head)), "")
            assert winner(decide, head) == wanted


def test_what_a_condition_requires() -> None:
    """Values without which it cannot hold; nothing where others would do."""
    foo, uid = equal("header", "foo", "a", "b"), equal("cookie", "uid", "7")
    assert required(foo) == {("header", "foo"): ("a", "b")}
    assert required(AllOf((foo, uid, Not(uid)))) == {("header", "foo"): ("a", "b"), ("cookie", "uid"): ("7",)}
    assert required(AnyOf((foo, uid))) == required(Not(foo)) == required(MethodTest(("GET",))) == {}
    assert required(FieldTest("header", "foo", TextTest("in", ("a",), ignore_case=True))) == {}
    assert required(FieldTest("header", "foo", TextTest("prefix", ("a",)))) == {}
