"""Analysis: why a request went where it went, in data, in words and as JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from textwrap import dedent

import pytest

from proxy.rules.actions import HeaderChanges, PathChange, Redirect, Respond, Rewrite
from proxy.rules.analysis.describe import LISTED_MAX, SHOWN_MAX, shown, wanted, wanted_path, wanted_value
from proxy.rules.analysis.explain import explain, find
from proxy.rules.analysis.report import UNFIT_SHOWN_MAX, render_text, to_json
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
    Rule,
    SchemeTest,
    TextTest,
    ValueTest,
)
from proxy.rules.person import Sticky, StickyCookie, StickyKey
from proxy.rules.pin import NO_PINNING, Pins
from tests.rules.build import NEXT, equal, request, route, rule, rule_file

TESTERS = rule("testers", AnyOf((equal("header", "foo", "bar"), equal("cookie", "foo", "bar"))), "v2")
BY_USER = (StickyKey("header", "x-user"),)
EVERYONE = replace(rule("everyone", v1=80, v2=20), sticky=Sticky(BY_USER, StickyCookie("gray")))
FILE = rule_file(
    route("old", hosts=("old.test",)),
    route("shop", TESTERS, EVERYONE, rule("late", version="v3")),
    route("put", path="/a", methods=("PUT",)),
    route("next", rule("never", MethodTest(("PUT",)), "v2"), path="/a", otherwise=NEXT),
)


def page(text: str) -> str:
    return dedent(text).strip("\n")


def test_a_page_of_all_there_is_to_say() -> None:
    """Routes in the order they were asked, why not, the bucket and its owner; routes that do not fit come last."""
    trace = explain(FILE, request("/a/b", "foo: baz", "x-user: alice"))
    assert render_text(trace) == page(
        """
        GET shop.example.com/a/b  from 192.0.2.1

        route put, service shop: passed on: method
          yes  every host
          yes  path /a/b fits prefix /a
          no   method is GET, wanted PUT

        route next, service shop: passed on: otherwise
          yes  every host
          yes  path /a/b fits prefix /a
          yes  every method
          no   rule never
                 no   method is GET, wanted PUT

        route shop, service shop: rule everyone
          yes  every host
          yes  path /a/b fits prefix /
          yes  every method
          no   rule testers
                 no   any of
                      no   header foo is 'baz', wanted 'bar'
                      no   cookie foo: absent, wanted 'bar'
          yes  rule everyone
                 yes  takes every request
                 key     header x-user 'alice'
                 salt    shop/shop
                 bucket  2,808 of 10,000
                 v2       0 to  1,999   20.00 %
                 v1   2,000 to  9,999   80.00 %  <-
          -    rule late: not reached

        routes that do not fit
          old  host is shop.example.com, wanted old.test

        service shop, version v1  (route shop, rule everyone, reason sticky)
        """
    )


@pytest.mark.parametrize(
    ("lines", "end"),
    [
        (["foo: bar"], "service shop, version v2  (route shop, rule testers, reason match)"),
        ([], "service shop, version drawn at random  (route shop, rule everyone, reason sticky)"),
    ],
)
def test_the_last_line_is_the_decision(lines: list[str], end: str) -> None:
    """A version, or that nobody can know it."""
    text = render_text(explain(FILE, request("/", *lines)))
    assert text.splitlines()[-1] == end


def test_what_happens_without_a_key() -> None:
    """A cookie is given if the file names one; else the version is drawn. A split with one weight is certain."""
    trace = explain(FILE, request())
    choice = trace.routes[0].rules[1].choice
    assert choice is not None and (choice.issues, choice.bucket, choice.version) == ("gray", -1, "")
    assert "absent: a random id is given with cookie gray" in render_text(trace)
    drawn = explain(rule_file(route("r", rule("everyone", v1=80, v2=20))), request())
    assert (drawn.version, drawn.reason) == ("", "weight") and "drawn per request" in render_text(drawn)
    certain = explain(rule_file(route("r", rule("everyone", v1=0, v2=20))), request())
    assert (certain.version, certain.reason) == ("v2", "weight")


PERSON = "0123456789abcdef01234567"
PINNED = rule_file(
    route(
        "shop",
        replace(
            rule("everyone", v1=80, v2=20, v3=0),
            sticky=Sticky(BY_USER, StickyCookie("gray", ttl=100.0), mode="pin", on_zero="keep"),
        ),
    )
)


@pytest.mark.parametrize(
    ("version", "now", "told", "then"),
    [
        ("v2", 0, "v2, by cookie gray", "v2"),
        ("v2", 50, "v2, by cookie gray; cookie gray is written anew", "v2"),
        ("v3", 50, "v3: its weight is 0, and those on it are kept", "v3"),
        ("v3", 100, "none that holds in cookie gray: set to the version that is chosen here", "v1"),
        ("v4", 0, "v4, which has no weight here: moves to the version that is chosen here", "v1"),
    ],
)
def test_what_becomes_of_a_pin(version: str, now: int, told: str, then: str) -> None:
    """The pin comes first; the bucket beside it is where the key alone would lead."""
    value = Pins(NO_PINNING, "shop", "shop/shop", 0).write(PERSON, version)
    trace = explain(PINNED, request("/", f"Cookie: gray={value}", "x-user: alice"), lambda: float(now))
    assert (trace.version, trace.reason) == (then, "sticky")
    text = render_text(trace)
    assert f"pin     {told}\n" in text and "key     header x-user 'alice'" in text
    choice = trace.routes[0].rules[0].choice
    assert choice is not None and choice.bucket == 2808


def test_whoever_has_no_pin_and_no_key_is_given_one() -> None:
    """Nobody can know where; with an id alone it is known."""
    trace = explain(PINNED, request())
    assert (trace.version, trace.reason) == ("", "sticky")
    assert "key     absent: a random id is given with cookie gray" in render_text(trace)
    assert explain(PINNED, request("/", f"Cookie: gray={PERSON}")).version in ("v1", "v2")


def test_no_route_and_status() -> None:
    """404 because no route fits is told apart from a status that a route answers."""
    assert render_text(explain(rule_file(), request())).endswith("no route: 404")
    status = replace(route("r"), otherwise=replace(NEXT, kind="status", status=410))
    trace = explain(rule_file(status), request())
    assert (trace.route, trace.status, trace.version) == ("r", 410, "")
    assert render_text(trace).endswith("status 410  (route r, no rule, reason default)")


def test_many_routes_that_do_not_fit_are_counted() -> None:
    """A page shows 20 of them; routes after the decision are said to be not reached."""
    others = (route(f"r{n}", path=f"/x{n}") for n in range(UNFIT_SHOWN_MAX + 3))
    text = render_text(explain(rule_file(route("a"), route("b"), *others), request()))
    assert "r19  path / does not fit prefix /x19" in text and "r20 " not in text and "and 3 more" in text
    assert "route b, service shop: not reached" in text


def test_json_is_plain() -> None:
    """The same story in the types of JSON."""
    story = to_json(explain(FILE, request("/a", "x-user: alice")))
    assert json.loads(json.dumps(story)) == json.loads(json.dumps(story, default=str))
    assert (story["route"], story["version"], story["rule"], story["status"]) == ("shop", "v1", "everyone", 0)
    shop = next(route for route in story["routes"] if route["name"] == "shop")
    assert shop["rules"][1]["choice"]["bucket"] == 2808
    assert shop["rules"][1]["choice"]["shares"][0] == {"version": "v2", "share": 0.2, "start": 0, "end": 2000}


@pytest.mark.parametrize(
    ("hosts", "host", "text"),
    [
        ((), "a.test", "every host"),
        (("*",), "a.test", "every host"),
        (("a.test",), "a.test", "host is a.test"),
        (("*.test", "*.a.test"), "b.a.test", "host b.a.test fits *.a.test"),
        (("b.test", "*.c.test"), "a.test", "host is a.test, wanted b.test or *.c.test"),
        (("b.test",), "", "host is absent, wanted b.test"),
    ],
)
def test_hosts_in_words(hosts: tuple[str, ...], host: str, text: str) -> None:
    """Which of its hosts a route was found by, or what it wanted."""
    assert explain(rule_file(route("r", hosts=hosts)), request(host=host)).routes[0].host.text == text


@pytest.mark.parametrize(
    ("condition", "holds", "text"),
    [
        (equal("header", "foo", "b"), True, "header foo is 'a' and 'b'"),
        (equal("header", "foo", "c"), False, "header foo is 'a' and 'b', wanted 'c'"),
        (equal("query", "q", "c"), False, "query q is '1', wanted 'c'"),
        (MethodTest(("GET",)), True, "method is GET"),
        (SchemeTest("https"), False, "scheme is http, wanted https"),
        (PathTest(PathMatch("exact", "/y")), False, "path is /x, wanted exact /y"),
        (ClientTest(("10.0.0.0/8",)), False, "client is 192.0.2.1, wanted 10.0.0.0/8"),
        (Not(MethodTest(("GET",))), False, "not"),
        (AllOf((MethodTest(("GET",)), MethodTest(("PUT",)))), False, "all of"),
    ],
)
def test_conditions_in_words(condition: Condition, holds: bool, text: str) -> None:
    """What the request says, and what was wanted where that is not it."""
    found = find(condition, request("/x?q=1", "foo: a", "foo: b"))
    assert (found.holds, found.text) == (holds, text)


@pytest.mark.parametrize(
    ("test", "text"),
    [
        (TextTest("in", ("a", "b")), "'a' or 'b'"),
        (TextTest("in", tuple("abcdefg")), "'a' or 'b' or 'c' or 'd' or 'e' or one of 2 more"),
        (TextTest("prefix", ("a",)), "beginning with 'a'"),
        (TextTest("suffix", ("a",)), "ending with 'a'"),
        (TextTest("contains", ("a",), True), "containing 'a', in upper or lower case"),
        (TextTest("regex", ("^a",)), "matching /^a/"),
        (RangeTest(1, 100), "an integer n, 1 <= n < 100"),
        (ModTest(10, 3), "an integer n, n mod 10 < 3"),
        (PresentTest(True), "present"),
        (NotTest(PresentTest(False)), "not absent"),
    ],
)
def test_value_tests_in_words(test: ValueTest, text: str) -> None:
    """Each kind says what it wants; a long list is cut."""
    assert LISTED_MAX == 5
    assert wanted_value(test) == wanted(FieldTest("header", "x", test)) == text


def test_values_are_shown_on_one_line() -> None:
    """What a client sends cannot draw on a terminal, and does not fill it."""
    assert shown(b"a\x1b[31m\r\n\xff") == r"a\x1b[31m\x0d\x0a\xff"
    assert shown("é".encode()) == "é"
    assert shown(b"a" * SHOWN_MAX) == "a" * SHOWN_MAX
    assert shown(b"a" * (SHOWN_MAX + 1)) == "a" * SHOWN_MAX + "..."
    assert wanted_path(PathMatch("regex", "^/x")) == "/^/x/"


def test_a_page_of_an_own_answer() -> None:
    """What the route would answer stands before its rules, what a rule answers in its place; then what is changed."""
    changes = HeaderChanges(set=(("a", "b"),), add=(("c", "d"),), remove=("e",))
    acting = rule_file(
        replace(
            route("acting", Rule("gone", equal("header", "foo", "bar"), respond=Respond(410)), path="/a"),
            redirect=Redirect("https", status=308),
            rewrite=Rewrite("internal", PathChange("prefix", "/z")),
            request_headers=changes,
            response_headers=HeaderChanges(remove=("server",)),
        ),
        replace(route("away", path="/b"), service="", otherwise=NEXT, redirect=Redirect(host="shop.example.com")),
    )
    assert (
        render_text(explain(acting, request("/a/b?c"))).splitlines()[2:]
        == page(
            """
        route acting, service shop: its own answer
          yes  every host
          yes  path /a/b fits prefix /a
          yes  every method
          yes  redirect 308 to https://shop.example.com/a/b?c
          -    rule gone: not reached

        routes that do not fit
          away  path /a/b does not fit prefix /b

        what is changed of the response
          remove server

        redirect 308 to https://shop.example.com/a/b?c  (route acting, no rule, reason default)
        """
        ).splitlines()
    )
    gone = render_text(explain(acting, request("/a/b?c", "foo: bar", scheme=b"https")))
    assert "  no   redirect to https://shop.example.com/a/b?c: the request is there already" in gone
    assert "  yes  rule gone\n         yes  respond 410\n              yes  header foo is 'bar'" in gone
    assert gone.endswith("status 410  (route acting, rule gone, reason match)")
    sent = explain(acting, request("/a/b?c", scheme=b"https"))
    assert sent.request == ("asks for /z/b?c", "Host: internal", "set a: b", "add c: d", "remove e")
    assert (sent.version, sent.redirect, sent.response) == ("v1", "", ("remove server",))
    nowhere = render_text(explain(acting, request("/b")))
    assert "route away, no service: passed on: otherwise" in nowhere and nowhere.endswith("no route: 404")


def test_who_stands_in_for_the_version_is_told() -> None:
    """In the order in which they are asked; the stable version has none unless any may; nor has what is drawn."""
    file = rule_file(route("r", rule("testers", equal("header", "foo", "bar"), "v2")))
    trace = explain(file, request("/", "foo: bar"))
    assert trace.stand_ins == ("v1 if v2 has no available endpoint",)
    assert "who stands in\n  v1 if v2 has no available endpoint\n\nservice shop" in render_text(trace)
    assert explain(file, request("/")).stand_ins == ()
    careful = replace(file, services={"shop": replace(file.services["shop"], fallback="any", rescue=True)})
    assert explain(careful, request("/", "foo: bar")).stand_ins == (
        "v1 if v2 has no available endpoint",
        "v3 if that one has none either",
        "v1 if it fails on v2 and may be repeated",
    )
    assert explain(rule_file(route("r", rule("some", v1=1, v2=1))), request("/")).stand_ins == ()
