"""Conditions: from what the file says to tests on a request head.

`normal` writes a condition in the shape that costs least, `build` makes the test, `needs` says which header fields
it reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

from proxy.http.message import RequestHead
from proxy.rules.model import (
    AllOf,
    AnyOf,
    ClientTest,
    Condition,
    FieldTest,
    MethodTest,
    Not,
    NotTest,
    PathTest,
    SchemeTest,
    TextTest,
    ValueTest,
)
from proxy.rules.networks import Networks
from proxy.rules.paths import path_test
from proxy.rules.person import KeySource
from proxy.rules.regex import plain
from proxy.rules.values import Values, build_value, reader

Test = Callable[[RequestHead], Any]
"""Whether a request satisfies a condition, as any true or false value."""

ADDRESSES_REMEMBERED_MAX: Final = 1024
"""Addresses whose verdict one client_ip condition remembers; reading an address takes ten times a look-up."""
TESTS_REMEMBERED_MAX: Final = 1024
"""Conditions whose test is made once. Many routes ask for the same header or cookie: less to make for 10,000 of them,
and less memory to fetch for a request to each."""


# --- Conditions: a test on a request head -----------------------------------------------------------------------------


@lru_cache(TESTS_REMEMBERED_MAX)
def build(condition: Condition) -> Test:
    """The test of a condition, best given in its normal form. Raises ValueError for a regex that RE2 does not take."""
    return BUILDERS[type(condition)](condition)


def _field(condition: FieldTest) -> Test:
    name, test = condition.name.encode(), condition.test
    if isinstance(test, TextTest) and test.kind == "in" and not test.ignore_case:
        values = tuple(value.encode() for value in test.values)
        if condition.where == "cookie":
            return _cookie_in(name, values)
        if condition.where == "header" and not any(b", " in value for value in values):
            return _header_in(name, values)  # no value is equal to several joined
    read, holds = reader(condition.where, condition.name), build_value(test)
    return lambda head: holds(read(head))


def _header_in(name: bytes, wanted: Values) -> Test:
    # PERF: 0.3 of the time of reading, then comparing; this and the next are the tests of most gray releases.
    if len(wanted) == 1:
        value = wanted[0]
        return lambda head: value in head.fields.get(name, ())
    apart = frozenset(wanted).isdisjoint
    return lambda head: not apart(head.fields.get(name, ()))


def _cookie_in(name: bytes, values: Values) -> Test:
    wanted = frozenset(values)

    return lambda head: head.cookie(name) in wanted


def _all(condition: AllOf) -> Test:
    tests = tuple(map(build, condition.conditions))
    if len(tests) == 2:
        one, two = tests
        return lambda head: one(head) and two(head)

    def holds(head: RequestHead) -> bool:
        for test in tests:  # noqa: SIM110 - PERF: 0.5 of the time of all()
            if not test(head):
                return False
        return True

    return holds


def _any(condition: AnyOf) -> Test:
    tests = tuple(map(build, condition.conditions))
    if len(tests) == 2:
        one, two = tests
        return lambda head: one(head) or two(head)

    def holds(head: RequestHead) -> bool:
        for test in tests:  # noqa: SIM110 - PERF: 0.5 of the time of any()
            if test(head):
                return True
        return False

    return holds


def _none(condition: Not) -> Test:
    test = build(condition.condition)
    return lambda head: not test(head)


def _method(condition: MethodTest) -> Test:
    methods = frozenset(method.encode() for method in condition.methods)
    return lambda head: head.method in methods


def _scheme(condition: SchemeTest) -> Test:
    scheme = condition.scheme.encode()
    return lambda head: head.scheme == scheme


def _path(condition: PathTest) -> Test:
    fits = path_test(condition.path)
    return lambda head: fits(head.path)


def _client(condition: ClientTest) -> Test:
    networks = Networks(condition.networks)
    remembered = lru_cache(maxsize=ADDRESSES_REMEMBERED_MAX)(networks.__contains__)
    return lambda head: remembered(head.client)


BUILDERS: Final[dict[type, Callable[[Any], Test]]] = {
    FieldTest: _field,
    AllOf: _all,
    AnyOf: _any,
    Not: _none,
    MethodTest: _method,
    SchemeTest: _scheme,
    PathTest: _path,
    ClientTest: _client,
}


# --- Conditions, looked at as a whole ---------------------------------------------------------------------------------


def normal(condition: Condition) -> Condition:
    """The same condition in the shape that costs least.

    Lists within lists of their kind are one list, a list of one is what it holds, a regex that says `equal to one of`
    says so, and in an `any` all `equal` tests on one name are one.
    """
    if isinstance(condition, Not):
        return Not(normal(condition.condition))
    if isinstance(condition, FieldTest):
        return replace(condition, test=_normal_test(condition.test))
    if not isinstance(condition, AllOf | AnyOf):
        return condition
    kind = type(condition)
    parts: list[Condition] = []
    for part in map(normal, condition.conditions):
        parts.extend(part.conditions if isinstance(part, kind) else [part])
    if kind is AnyOf:
        parts = _joined(parts)
    return parts[0] if len(parts) == 1 else kind(tuple(parts))


def _normal_test(test: ValueTest) -> ValueTest:
    if isinstance(test, NotTest):
        return NotTest(_normal_test(test.test))
    if isinstance(test, TextTest) and test.kind == "regex" and not test.ignore_case:
        texts = plain(test.values[0])
        if texts is not None and set(texts) == {"in"}:
            return TextTest("in", texts["in"])
    return test


def _joined(parts: list[Condition]) -> list[Condition]:
    """The parts of an `any`, in order, with equal tests on one name made one where the first of them stood."""
    joined: dict[object, Condition] = {}
    for place, part in enumerate(parts):
        test = part.test if isinstance(part, FieldTest) else None
        if not isinstance(part, FieldTest) or not isinstance(test, TextTest) or test.kind != "in":
            joined[place] = part
            continue
        name = (part.where, part.name, test.ignore_case)
        first = joined.get(name)
        if isinstance(first, FieldTest) and isinstance(first.test, TextTest):
            test = replace(test, values=first.test.values + test.values)
        joined[name] = replace(part, test=test)
    return list(joined.values())


def walk(condition: Condition) -> Iterator[Condition]:
    """A condition and all that it is made of."""
    yield condition
    if isinstance(condition, Not):
        yield from walk(condition.condition)
    elif isinstance(condition, AllOf | AnyOf):
        for part in condition.conditions:
            yield from walk(part)


def needs(condition: Condition) -> set[bytes]:
    """The header fields that a condition reads, in lower case."""
    fields = (part for part in walk(condition) if isinstance(part, FieldTest))
    return {field for part in fields for field in read_fields(part.where, part.name)}


def read_fields(where: KeySource, name: str) -> tuple[bytes, ...]:
    """The header fields that are read for a name."""
    return (name.encode(),) if where == "header" else (b"cookie",) if where == "cookie" else ()
