"""proxy/rules/analysis/implies.py: what one condition says about another. That it is never wrong is held by tests/fuzz;
here, that it sees what people write."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.rules.analysis.implies import PARTS_MAX, contradiction, implies, plainly, small
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
    TextTest,
    ValueTest,
)
from tests.rules.build import equal

A, B = equal("header", "a", "x"), equal("header", "b", "x")


def header(test: ValueTest) -> Condition:
    return FieldTest("header", "a", test)


def text(kind: Any, value: str, ignore_case: bool = False) -> Condition:
    return header(TextTest(kind, (value,), ignore_case))


def path(kind: Any, value: str) -> Condition:
    return PathTest(PathMatch(kind, value))


@pytest.mark.parametrize(
    ("one", "other", "wanted"),
    [
        (A, AnyOf((A, B)), True),
        (AnyOf((A, B)), A, False),
        (AllOf((A, B)), A, True),
        (A, AllOf((A, B)), False),
        (equal("header", "a", "x", "y"), AnyOf((A, equal("header", "a", "y", "z"))), True),
        (Not(AnyOf((A, B))), Not(A), True),
        (Not(AllOf((A, B))), Not(A), False),
        (text("prefix", "xy"), text("prefix", "x"), True),
        (text("prefix", "x"), text("prefix", "X", True), True),
        (text("prefix", "x", True), text("prefix", "x"), False),
        (text("suffix", "xy"), text("contains", "x"), True),
        (text("regex", "x."), text("regex", "x."), True),
        (text("regex", "^(x|xy)$"), text("prefix", "x"), True),
        (A, header(PresentTest(True)), True),
        (header(PresentTest(False)), header(NotTest(TextTest("in", ("x",)))), True),
        (header(NotTest(RangeTest(1, 9))), header(NotTest(RangeTest(2, 3))), True),
        (header(RangeTest(10, 13)), header(ModTest(10, 3)), True),
        (header(RangeTest(10, 14)), header(ModTest(10, 3)), False),
        (equal("header", "a", "12"), header(RangeTest(10, 13)), True),
        (ClientTest(("10.1.0.0/16",)), ClientTest(("10.0.0.0/8", "fd00::/8")), True),
        (ClientTest(("::ffff:10.1.0.0/112",)), ClientTest(("10.0.0.0/8",)), True),
        (ClientTest(("10.1.0.0/16",)), Not(ClientTest(("11.0.0.0/8",))), True),
        (path("exact", "/a/b"), path("prefix", "/a/"), True),
        (path("exact", "/ab"), path("prefix", "/a"), False),
        (path("exact", "/a1"), path("regex", r"\d"), True),
        (path("prefix", "/a"), Not(path("prefix", "/b")), True),
        (MethodTest(("GET",)), Not(MethodTest(("PUT",))), True),
        (A, path("prefix", "/"), True),
    ],
)
def test_what_is_implied(one: Condition, other: Condition, wanted: bool) -> None:
    assert implies(plainly(one), plainly(other)) is wanted


def test_what_contradicts_itself() -> None:
    """Two values of a cookie do, of a header they do not; in an `any` each part must."""
    one, other = equal("cookie", "c", "x"), equal("cookie", "c", "y")
    assert contradiction(AllOf((A, one, other))) == (one, other)
    assert contradiction(AllOf((A, equal("header", "a", "y")))) is None
    both = AllOf((one, other))
    assert contradiction(AnyOf((both, A))) is None
    assert contradiction(AnyOf((both, AllOf((A, plainly(Not(A))))))) == (one, other)
    assert contradiction(A) is None


def test_how_much_is_looked_into() -> None:
    """At the limit, and one past it."""
    assert small(AllOf((A,) * (PARTS_MAX - 1)))
    assert not small(AllOf((A,) * PARTS_MAX))
