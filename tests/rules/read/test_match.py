from __future__ import annotations

import pytest

from proxy.rules.model import (
    AllOf,
    AnyOf,
    ClientTest,
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
)
from proxy.rules.read.match import CONDITION, PATH, VALUE_TEST
from proxy.rules.read.nodes import tree
from proxy.rules.read.shapes import Cursor, Note, Reader

A = FieldTest("header", "a", TextTest("in", ("1",)))
B = FieldTest("cookie", "B", TextTest("in", ("2",)))


def read(reader: Reader, text: str) -> object:
    notes: list[Note] = []
    value = reader.read(Cursor(tree(text), (), notes))
    assert notes == []
    return value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bar", TextTest("in", ("bar",))),
        ("1.10", TextTest("in", ("1.10",))),
        ("true", TextTest("in", ("true",))),
        ("null", TextTest("in", ("null",))),
        ("''", TextTest("in", ("",))),
        ("[a, b, a]", TextTest("in", ("a", "b"))),
        ("{exact: on}", TextTest("in", ("on",))),
        ("{in: [1, 01]}", TextTest("in", ("1", "01"))),
        ("{prefix: a, ignore_case: true}", TextTest("prefix", ("a",), True)),
        ("{ignore_case: false, suffix: a}", TextTest("suffix", ("a",))),
        ("{contains: a}", TextTest("contains", ("a",))),
        ("{regex: ^a$}", TextTest("regex", ("^a$",))),
        ("{present: false}", PresentTest(False)),
        ("{range: [-1, 100]}", RangeTest(-1, 100)),
        ("{mod: {divisor: 10, below: 3}}", ModTest(10, 3)),
        ("{mod: {divisor: 10, below: 0}}", ModTest(10, 0)),  # nobody yet
        ("{mod: {divisor: 10, below: 10}}", ModTest(10, 10)),  # everybody at last
        ("{not: {in: [a, b]}, ignore_case: true}", NotTest(TextTest("in", ("a", "b"), True))),
        ("{not: {not: {present: true}}}", NotTest(NotTest(PresentTest(True)))),
    ],
)
def test_value_tests_have_one_normal_form(text: str, expected: object) -> None:
    """Shorthands are written out, texts kept as written, ignore_case reaches the innermost test."""
    assert read(VALUE_TEST, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("header: {A: 1}", A),
        ("{header: {A: 1}, cookie: {B: 2}}", AllOf((A, B))),
        ("any: [header: {A: 1}, cookie: {B: 2}]", AnyOf((A, B))),
        ("any: [header: {A: 1}]", A),
        ("any: [header: {A: 1}, any: [cookie: {B: 2}]]", AnyOf((A, B))),
        ("all: [header: {A: 1}, all: [cookie: {B: 2}]]", AllOf((A, B))),
        ("not: {header: {A: 1}}", Not(A)),
        ("not: {header: {A: 1}, cookie: {B: 2}}", Not(AllOf((A, B)))),
        ("method: GET", MethodTest(("GET",))),
        ("path: {exact: /x}", PathTest(PathMatch("exact", "/x"))),
        ("client_ip: [10.0.0.0/8, 192.0.2.1]", ClientTest(("10.0.0.0/8", "192.0.2.1/32"))),
        ("query: {ID: ''}", FieldTest("query", "ID", TextTest("in", ("",)))),
        ('header("Foo", /^bar$/)', FieldTest("header", "foo", TextTest("regex", ("^bar$",)))),
        ('any:\n- header("A", "1")\n- cookie: {B: 2}', AnyOf((A, B))),
    ],
)
def test_conditions_have_one_normal_form(text: str, expected: object) -> None:
    """A join of one is that one, joins of joins are flat, only header names lose their case."""
    assert read(CONDITION, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/x", PathMatch("prefix", "/x")),
        ("{prefix: /x/}", PathMatch("prefix", "/x/")),
        ("{exact: /}", PathMatch("exact", "/")),
        ("{regex: ^/x/\\d+$}", PathMatch("regex", "^/x/\\d+$")),
    ],
)
def test_paths(text: str, expected: object) -> None:
    """A text alone is a prefix."""
    assert read(PATH, text) == expected
