"""proxy.rules.conditions."""

from __future__ import annotations

import pytest

from proxy.http.message import RequestHead
from proxy.rules.conditions import ADDRESSES_REMEMBERED_MAX, build, needs, normal, read_fields
from proxy.rules.model import (
    AllOf,
    AnyOf,
    ClientTest,
    Condition,
    FieldTest,
    MethodTest,
    Not,
    NotTest,
    PathMatch,
    PathTest,
    SchemeTest,
    TextTest,
)
from tests.rules.build import equal, request

BAR, UID = equal("header", "foo", "bar"), equal("cookie", "uid", "7")


def regex(pattern: str) -> FieldTest:
    return FieldTest("header", "foo", TextTest("regex", (pattern,)))


@pytest.mark.parametrize(
    ("condition", "holds", "holds_not"),
    [
        (BAR, [request("/", "FOO: bar"), request("/", "foo: x", "foo: bar")], [request(), request("/", "foo: Bar")]),
        (equal("header", "foo", "a, b"), [request("/", "foo: a", "foo: b")], [request("/", "foo: b", "foo: a")]),
        (equal("header", "foo", "a", "b"), [request("/", "foo: x", "foo: b")], [request(), request("/", "foo: c")]),
        (AnyOf((BAR, UID)), [request("/", "foo: bar"), request("/", "Cookie: uid=7")], [request("/", "foo: 7")]),
        (AnyOf((BAR, UID, MethodTest(("PUT",)))), [request(method="PUT")], [request()]),
        (AllOf((BAR, UID)), [request("/", "foo: bar", "Cookie: uid=7")], [request("/", "foo: bar"), request()]),
        (AllOf((BAR, BAR, UID)), [request("/", "foo: bar", "Cookie: uid=7")], [request("/", "foo: bar")]),
        (Not(BAR), [request(), request("/", "foo: x")], [request("/", "foo: bar")]),
        (MethodTest(("GET", "PUT")), [request(), request(method="PUT")], [request(method="POST")]),
        (SchemeTest("https"), [request(scheme=b"https")], [request(scheme=b"http")]),
        (PathTest(PathMatch("prefix", "/a")), [request("/a"), request("/a/b?c")], [request("/ab"), request("/")]),
        (ClientTest(("192.0.2.0/24",)), [request()], [request(client="192.0.3.1"), request(client="")]),
        (equal("query", "q", "x y"), [request("/?q=x+y"), request("/?q=1&q=x%20y")], [request("/?q=x"), request()]),
    ],
)
def test_conditions(condition: Condition, holds: list[RequestHead], holds_not: list[RequestHead]) -> None:
    """Each kind holds when it says so, in its own and in its normal form."""
    for test in (build(condition), build(normal(condition))):
        assert all(test(head) for head in holds)
        assert not any(test(head) for head in holds_not)


@pytest.mark.parametrize(
    ("condition", "same"),
    [
        (AllOf((BAR,)), BAR),
        (AnyOf((AnyOf((BAR, UID)), AllOf((UID,)))), AnyOf((BAR, equal("cookie", "uid", "7", "7")))),
        (AnyOf((equal("header", "foo", "a"), equal("header", "foo", "b"))), equal("header", "foo", "a", "b")),
        (AnyOf((regex("^a$"), UID, regex("^(b|c)$"))), AnyOf((equal("header", "foo", "a", "b", "c"), UID))),
        (AllOf((equal("header", "foo", "a"), equal("header", "foo", "b"))), None),
        (AllOf((AllOf((BAR, UID)), BAR)), AllOf((BAR, UID, BAR))),
        (Not(AnyOf((regex("^bar$"),))), Not(BAR)),
        (
            FieldTest("header", "foo", NotTest(TextTest("regex", ("^bar$",)))),
            FieldTest("header", "foo", NotTest(BAR.test)),
        ),
        (regex("bar"), None),
        (FieldTest("header", "foo", TextTest("regex", ("^k$",), True)), None),
        (AnyOf((BAR, FieldTest("header", "foo", TextTest("in", ("bar",), True)))), None),
    ],
)
def test_normal_forms(condition: Condition, same: Condition | None) -> None:
    """Equal tests of an `any` become one, lists of one vanish; None: stays as it is."""
    assert normal(condition) == (condition if same is None else same)


def test_needs_name_every_field_that_is_read() -> None:
    """Headers by name, cookies by their field; query, path and client need none."""
    deep = AllOf((Not(BAR), AnyOf((UID, equal("query", "q", "1"))), MethodTest(("GET",)), ClientTest(("::/0",))))
    assert needs(deep) == {b"foo", b"cookie"}
    assert needs(equal("query", "q", "1")) == set()
    assert (read_fields("header", "x"), read_fields("cookie", "x"), read_fields("client_ip", "")) == (
        (b"x",),
        (b"cookie",),
        (),
    )


def test_what_a_condition_does_not_need_is_not_read() -> None:
    """The query of a rule that asks for a header stays as it came."""
    head = request("/?q=1", "Cookie: session=1; theme=dark", "foo: bar")
    assert build(AnyOf((UID, BAR)))(head)
    assert head._arguments is None


def test_addresses_are_remembered_up_to_a_limit() -> None:
    """A client_ip condition is right for more clients than it remembers."""
    test = build(ClientTest(("10.0.0.0/8",)))
    for _ in range(2):
        for n in range(ADDRESSES_REMEMBERED_MAX + 1):
            assert test(request(client=f"10.1.{n // 256}.{n % 256}"))
            assert not test(request(client=f"11.1.{n // 256}.{n % 256}"))
