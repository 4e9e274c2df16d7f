"""proxy.rules.compile: a rule file as a whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from time import thread_time

import pytest

from proxy.http.message import RequestHead
from proxy.rules.compile import compile_table, compiling_route
from proxy.rules.model import AllOf, AnyOf, MethodTest, Otherwise
from proxy.rules.person import Sticky, StickyCookie, StickyKey
from proxy.rules.table import RouteTable
from proxy.steps import finish
from tests.rules.build import NEXT, SHOP, Route, equal, request, route, rule, rule_file


def table(*routes: Route, draw: float = 0.0) -> RouteTable:
    return compile_table(rule_file(*routes), lambda: draw, lambda: "id")


PUT = MethodTest(("PUT",))


def taken(compiled: RouteTable, target: str = "/", *lines: str, **asked: str) -> str:
    decision = compiled.match(request(target, *lines, **asked))  # type: ignore[arg-type]
    return "404" if decision is None else decision.route


def test_both_scenarios_of_a_gray_release() -> None:
    """A header or a cookie leads to the new version; of the rest 20 % go there."""
    testers = rule("testers", AnyOf((equal("header", "foo", "bar"), equal("cookie", "foo", "bar"))), "v2")
    for draw, version in ((0.79, "v1"), (0.81, "v2")):
        compiled = table(route("shop", testers, rule("everyone", v1=80, v2=20)), draw=draw)
        for line in ("foo: bar", "Cookie: a=b; foo=bar"):
            decision = compiled.match(request("/cart", line))
            assert decision is not None
            assert (decision.version, decision.rule, decision.reason) == ("v2", "testers", "match")
        decision = compiled.match(request("/cart", "foo: baz", "Cookie: foo=baz"))
        assert decision is not None
        assert (decision.version, decision.rule, decision.reason) == (version, "everyone", "weight")


def test_host_then_path_then_method_then_file_order() -> None:
    """The most specific route that fits."""
    compiled = table(
        route("late", path="/a"),
        route("root"),
        route("get", path="/a", methods=("GET",)),
        route("exact", path="/a/x", kind="exact"),
        route("regex", path="b$", kind="regex", hosts=("r.test",)),
        route("regex2", path="a", kind="regex", hosts=("r.test",)),
        route("host", path="/h", hosts=("h.test",)),
        route("wild", hosts=("*.h.test",)),
    )
    assert taken(compiled, "/a") == "get"
    assert taken(compiled, "/a", method="PUT") == "late"
    assert taken(compiled, "/a/x") == "exact"
    assert taken(compiled, "/ax") == "root"
    assert taken(compiled, "/ab", host="r.test") == "regex"
    assert taken(compiled, "/ba", host="r.test") == "regex2"
    assert taken(compiled, "/c", host="r.test") == "root"
    assert taken(compiled, "/h", host="h.test") == "host"
    assert taken(compiled, "/", host="h.test") == "root"
    assert taken(compiled, "/h", host="x.h.test") == "wild"
    assert taken(table(route("a", hosts=("a.test",))), host="b.test") == "404"
    assert taken(table(route("every", hosts=("*",))), host="b.test") == "every"


@pytest.mark.parametrize(
    ("otherwise", "answer"),
    [
        (Otherwise("version", "v1"), ("narrow", "v1", "", "default", 0, -1)),
        (Otherwise("version", "v2"), ("narrow", "v2", "", "default", 0, -1)),
        (Otherwise("status", status=404), ("narrow", "", "", "default", 404, -1)),
        (NEXT, ("root", "v1", "", "default", 0, -1)),
    ],
)
def test_what_becomes_of_the_rest(otherwise: Otherwise, answer: tuple[object, ...]) -> None:
    """A version, a status, or the next best route; but never the next because of a rule that holds."""
    testers = rule("testers", equal("header", "foo", "bar"), "v3")
    compiled = table(route("root"), route("narrow", testers, path="/a", otherwise=otherwise))
    decision = compiled.match(request("/a"))
    assert decision is not None
    found = (decision.route, decision.version, decision.rule, decision.reason, decision.status, decision.rule_order)
    assert found == answer
    assert taken(compiled, "/a", "foo: bar") == "narrow"


def test_nothing_is_next() -> None:
    """If the last route that fits passes on, no route takes the request."""
    assert taken(table(route("a", otherwise=NEXT), route("b", path="/b", otherwise=NEXT)), "/b") == "404"
    assert taken(table()) == "404"


def test_decisions_are_numbered_and_needs_are_known() -> None:
    """One number for each decision there can be; a decision with a cookie keeps its number."""
    keyed = replace(
        rule("keyed", v1=1, v2=1, v3=0), sticky=Sticky((StickyKey("header", "x-user"),), StickyCookie("gray"))
    )
    compiled = table(
        route(
            "a", rule("put", MethodTest(("PUT",)), "v2"), rule("foo", equal("header", "foo", "x"), v1=1, v2=1), keyed
        ),
        route("b", path="/b", otherwise=NEXT),
    )
    assert [decision.number for decision in compiled.decisions] == list(range(6))
    assert [(decision.rule, decision.version, decision.reason) for decision in compiled.decisions] == [
        ("put", "v2", "match"),
        ("foo", "v1", "weight"),
        ("foo", "v2", "weight"),
        ("keyed", "v1", "sticky"),
        ("keyed", "v2", "sticky"),
        ("", "v1", "default"),
    ]
    assert compiled.needs == {b"foo", b"x-user", b"cookie"}
    decision = compiled.match(request())
    assert decision is not None and decision.set_cookie.startswith(b"gray=id")
    assert compiled.decisions[decision.number].version == decision.version
    assert compiled.decisions[decision.number].set_cookie == b""
    assert table(route("a")).needs == frozenset()


def test_a_route_is_compiled_from_itself_alone() -> None:
    """Twice the same route gives the same, whatever stands around it."""
    one = route("a", rule("everyone", v1=1, v2=1))
    first, second = (finish(compiling_route(one, SHOP, lambda: 0.9, lambda: "id")) for _ in range(2))
    assert [decision.version for decision in first.decisions] == [decision.version for decision in second.decisions]
    assert first.route is second.route is one
    decision = first.decide(request())
    assert decision is not None and decision.version == "v2"


def seconds(compiled: RouteTable, heads: list[RequestHead]) -> float:
    """CPU time of the best of several rounds."""
    best = 1.0
    for _ in range(25):
        start = thread_time()
        for _ in range(100):
            for head in heads:
                compiled.match(head)
        best = min(best, thread_time() - start)
    return best


SPLIT = rule("everyone", v1=80, v2=20)
GROWING: dict[str, Callable[[int], RouteTable]] = {
    "hosts": lambda size: table(*(route(f"r{n}", SPLIT, hosts=(f"h{n}.test",)) for n in range(size))),
    "prefixes": lambda size: table(*(route(f"r{n}", SPLIT, path=f"/p{n}") for n in range(size))),
    "exact": lambda size: table(*(route(f"r{n}", SPLIT, path=f"/p{n}", kind="exact") for n in range(size))),
    "list": lambda size: table(route("r", rule("foo", equal("header", "foo", *values(size)), "v2"), SPLIT)),
    "rules": lambda size: table(
        route("r", *(rule(value, equal("header", "foo", value), "v2") for value in values(size)), SPLIT)
    ),
    "rules with more": lambda size: table(
        route("r", *(rule(value, AllOf((GET, equal("header", "foo", value))), "v2") for value in values(size)), SPLIT)
    ),
}
GET = MethodTest(("GET",))


def values(size: int) -> list[str]:
    return [f"v{n}" for n in range(size)]


@pytest.mark.parametrize("kind", GROWING)
def test_ten_thousand_cost_what_ten_cost(kind: str) -> None:
    """Nothing grows with the number of routes or values: 1.5 times is promised, 3 leaves room for a noisy machine."""
    heads = [request(f"/p{n}", f"foo: v{n}", host=f"h{n}.test") for n in range(10)]
    assert seconds(GROWING[kind](10_000), heads) < 3 * seconds(GROWING[kind](10), heads)
