"""The `canary-*` annotations of ingress-nginx: its own documents, unit tests and end-to-end tests.

Each row says where its case comes from. Annotations and requests are those of the source; who gets a request is what
its text or its assertion says. `main` is the Service of the main Ingress, `canary` that of the other one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from proxy.errors import RuleError
from tests.imports.world import World, ingress

MAIN, CANARY = {"main": 100.0}, {"canary": 100.0}


def header(name: str, value: str) -> dict[str, Any]:
    return {"headers": {name: value}}


def cookie(name: str, value: str) -> dict[str, Any]:
    return {"cookies": {name: value}}


def share(percent: float) -> dict[str, float]:
    """What the canary gets, and the rest."""
    return {"main": 100 - percent, "canary": percent}


def pair(path: str = "/", kind: str = "Prefix", main: dict[str, str] | None = None, **canary: str) -> World:
    """A main Ingress and that of a canary; the latter with these annotations, `_` for `-`."""
    return World(
        ingress("main", name="main", path=path, kind=kind, **(main or {})),
        ingress("canary", name="canary", path=path, kind=kind, **({"canary": "true"} | canary)),
    )


class Case(NamedTuple):
    """What the canary's annotations say, and who gets how much of which request."""

    source: str
    canary: dict[str, str]
    requests: list[tuple[dict[str, Any], dict[str, float]]]


# --- The balancer's unit tests: rootfs/etc/nginx/lua/test/balancer_test.lua -----------------------------------------

HEADER, VALUE = {"canary_by_header": "canaryHeader"}, {"canary_by_header_value": "foo"}
UNIT = [
    Case("lua weight is 100", {"canary_weight": "100"}, [({}, CANARY)]),
    Case("lua weight is 0", {"canary_weight": "0"}, [({}, MAIN)]),
    Case("lua weight 1000 of 1000", {"canary_weight": "1000", "canary_weight_total": "1000"}, [({}, CANARY)]),
    Case("lua weight 0 of 1000", {"canary_weight": "0", "canary_weight_total": "1000"}, [({}, MAIN)]),
    Case("lua cookie", {"canary_by_cookie": "canaryCookie"}, [
        (cookie("canaryCookie", "always"), CANARY), (cookie("canaryCookie", "never"), MAIN),
        (cookie("canaryCookie", "foo"), MAIN), (cookie("foo", "always"), MAIN)]),
    Case("lua header without a value", HEADER, [
        (header("canaryHeader", "always"), CANARY), (header("canaryHeader", "never"), MAIN),
        (header("canaryHeader", "foo"), MAIN), (header("foo", "always"), MAIN)]),
    Case("lua header with a value", HEADER | VALUE, [
        (header("canaryHeader", "always"), MAIN), (header("canaryHeader", "foo"), CANARY),
        (header("bar", "foo"), MAIN)]),
    Case("lua no traffic shaping policy", {}, [({}, MAIN)]),
]  # fmt: skip

# --- The end-to-end tests: test/e2e/annotations/canary.go -----------------------------------------------------------

BY, DO = {"canary_by_header": "CanaryByHeader"}, {"canary_by_header_value": "DoCanary"}
PATTERN = {"canary_by_header_pattern": "^Do[A-Z][a-z]+y$"}
ALWAYS = [(header("CanaryByHeader", "always"), CANARY), (header("CanaryByHeader", "never"), MAIN)]
END_TO_END = [
    Case("e2e requests without the header", BY, [({}, MAIN)]),
    Case("e2e the header, main created first", BY, ALWAYS),
    Case("e2e by header", BY, [*ALWAYS, (header("CanaryByHeader", "badheadervalue"), MAIN)]),
    Case("e2e by header, changed", {"canary_by_header": "CanaryByHeader2"}, [
        (header("CanaryByHeader2", "always"), CANARY), (header("CanaryByHeader2", "never"), MAIN)]),
    Case("e2e by header with a value", BY | DO, [
        (header("CanaryByHeader", "DoCanary"), CANARY), (header("CanaryByHeader", "always"), MAIN),
        (header("CanaryByHeader", "never"), MAIN), (header("CanaryByHeader", "otherheadervalue"), MAIN)]),
    Case("e2e by header with a pattern", BY | PATTERN, [
        (header("CanaryByHeader", "DoCanary"), CANARY), (header("CanaryByHeader", "Docanary"), MAIN)]),
    Case("e2e by header with a value and a pattern", BY | DO | PATTERN, [
        (header("CanaryByHeader", "DoCananry"), MAIN)]),
    Case("e2e a pattern that is no regex", BY | {
        "canary_by_header_pattern": "[][**da?$&*", "canary_by_cookie": "CanaryByCookie"}, [
        (header("CanaryByHeader", "DoCanary") | cookie("CanaryByCookie", "always"), MAIN)]),
    Case("e2e by header with a value, and by cookie", BY | DO | {"canary_by_cookie": "CanaryByCookie"}, [
        (header("CanaryByHeader", "otherheadervalue") | cookie("CanaryByCookie", "always"), CANARY)]),
    Case("e2e by cookie", {"canary_by_cookie": "Canary-By-Cookie"}, [
        (cookie("Canary-By-Cookie", "always"), CANARY), (cookie("Canary-By-Cookie", "never"), MAIN),
        (cookie("Canary-By-Cookie", "badcookievalue"), MAIN)]),
    Case("e2e weight 0", {"canary_weight": "0"}, [({}, MAIN)]),
    Case("e2e weight 100", {"canary_weight": "100"}, [({}, CANARY)]),
    Case("e2e weight 1000 of 1000", {"canary_weight": "1000", "canary_weight_total": "1000"}, [({}, CANARY)]),
    Case("e2e weight 50", {"canary_weight": "50"}, [({}, share(50))]),
    Case("e2e weight 100 of 200", {"canary_weight": "100", "canary_weight_total": "200"}, [({}, share(50))]),
]  # fmt: skip

# --- The documents: docs/user-guide/nginx-configuration/annotations.md, docs/examples/canary ------------------------

ALL = {"canary_by_header": "X-Canary", "canary_by_cookie": "canary", "canary_weight": "20"}
DOCUMENTED = [
    Case("docs, example: weight 50", {"canary_weight": "50"}, [({}, share(50))]),
    Case("docs: any other value of the header: the next rule", ALL, [
        (header("X-Canary", "other") | cookie("canary", "always"), CANARY), (header("X-Canary", "other"), share(20))]),
    Case("docs: never is never", ALL, [
        (header("X-Canary", "never") | cookie("canary", "always"), MAIN), (cookie("canary", "never"), MAIN)]),
    Case("docs: precedence header, cookie, weight", ALL, [
        (header("X-Canary", "always") | cookie("canary", "never"), CANARY), (cookie("canary", "always"), CANARY),
        (cookie("canary", "other"), share(20)), ({}, share(20))]),
    Case("docs: a value in place of always and never", ALL | {"canary_by_header_value": "yes"}, [
        (header("X-Canary", "yes"), CANARY), (header("X-Canary", "never"), share(20)),
        (header("X-Canary", "never") | cookie("canary", "always"), CANARY)]),
    Case("docs: a value without the header has no effect", {"canary_by_header_value": "yes", "canary_weight": "0"}, [
        (header("X-Canary", "yes"), MAIN)]),
    Case("docs: a pattern is searched for", {"canary_by_header": "X-Canary", "canary_by_header_pattern": "be(ta|st)"}, [
        (header("X-Canary", "my beta"), CANARY), (header("X-Canary", "Best"), MAIN), ({}, MAIN)]),
    Case("docs: a pattern beside a value is ignored", {
        "canary_by_header": "X-Canary", "canary_by_header_value": "yes", "canary_by_header_pattern": ".*"}, [
        (header("X-Canary", "yes"), CANARY), (header("X-Canary", "no"), MAIN)]),
    Case("docs: weight 0 of the weight alone", ALL | {"canary_weight": "0"}, [
        (header("X-Canary", "always"), CANARY), (cookie("canary", "always"), CANARY), ({}, MAIN)]),
    Case("docs: the total defaults to 100", {"canary_weight": "5"}, [({}, share(5))]),
    Case("docs: the total can be increased", {"canary_weight": "5", "canary_weight_total": "1000"}, [({}, share(0.5))]),
    Case("ACK docs: only foo: bar", {"canary_by_header": "foo", "canary_by_header_value": "bar"}, [
        ({}, MAIN), (header("foo", "bar"), CANARY)]),
    Case("ACK docs: foo: bar, and half of the others", {
        "canary_by_header": "foo", "canary_by_header_value": "bar", "canary_weight": "50"}, [
        ({}, share(50)), (header("foo", "bar"), CANARY), (header("foo", "x"), share(50))]),
    Case("ACK docs: a cookie counts if it is always", {"canary_by_cookie": "foo"}, [
        (cookie("foo", "always"), CANARY), (cookie("foo", "never"), MAIN), (cookie("foo", "1"), MAIN)]),
    Case("source: a total below 100 is 100", {"canary_weight": "5", "canary_weight_total": "10"}, [({}, share(5))]),
    Case("source: a weight above the total is all", {"canary_weight": "150"}, [({}, CANARY)]),
    Case("source: a weight below 0 is none", {"canary_weight": "-5"}, [({}, MAIN)]),
    Case("source: a weight that is no number is 0", {"canary_weight": "a"}, [({}, MAIN)]),
]  # fmt: skip

# --- The annotations' unit tests: internal/ingress/annotations/canary/main_test.go ----------------------------------

PARSED = [
    Case("go canary enabled and weight", {"canary_weight": "20"}, [({}, share(20))]),
    Case("go canary enabled and no weight", {"canary_weight": "0"}, [({}, MAIN)]),
    Case("go canary enabled by header", {"canary_weight": "20", "canary_by_header": "X-Canary"}, [
        (header("X-Canary", "always"), CANARY), ({}, share(20))]),
    Case("go canary enabled by cookie", {"canary_weight": "20", "canary_by_cookie": "canary_enabled"}, [
        (cookie("canary_enabled", "always"), CANARY), ({}, share(20))]),
]  # fmt: skip
CASES = [*UNIT, *END_TO_END, *DOCUMENTED, *PARSED]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.source)
@pytest.mark.parametrize("main_first", [True, False], ids=["main first", "canary first"])
def test_each_request_goes_where_ingress_nginx_sent_it(case: Case, main_first: bool) -> None:
    """Shares in percent, to a tenth; the order of the two Ingress objects says nothing."""
    objects = [ingress("main", name="main"), ingress("canary", name="canary", **({"canary": "true"} | case.canary))]
    world = World(*(objects if main_first else reversed(objects)))
    for request, expected in case.requests:
        assert world.shares(**request) == pytest.approx(expected, abs=0.11), (request, world.text)


DISABLED = [
    ("go canary disabled and no weight", {"canary": "false", "canary_weight": "0"}),
    ("go canary disabled and weight", {"canary": "false", "canary_weight": "20"}),
    ("go canary disabled and header", {"canary": "false", "canary_by_header": "X-Canary"}),
    ("go canary disabled and cookie", {"canary": "false", "canary_by_cookie": "canary_enabled"}),
]


@pytest.mark.parametrize(("source", "said"), DISABLED, ids=[source for source, _ in DISABLED])
def test_a_canary_that_is_not_enabled_is_none(source: str, said: dict[str, str]) -> None:
    """Its annotations are noted; the path stays with the Ingress that has it."""
    world = World(ingress("main", name="main"), ingress("canary", name="other", **said))
    assert world.shares(**header("X-Canary", "always")) == MAIN
    assert any("without effect: the Ingress has no canary" in note for note in world.notes)
    assert any("is that of Ingress default/main already" in note for note in world.notes)


# --- A canary and what it stands beside -----------------------------------------------------------------------------


def test_a_canary_alone_takes_nothing() -> None:
    """End-to-end tests: a canary without a main Ingress is a 404, and no server of its own."""
    canary = ingress("canary", name="foo-canary", host="foo", path="/info", canary="true", **BY)
    world = World(canary, ingress("main", name="bar", host="bar", path="/info"))
    assert world.decision("foo", "/info", {"CanaryByHeader": "always"}) is None
    assert world.shares(host="bar", path="/info") == MAIN
    assert any("a canary without a main one takes no request" in note for note in world.notes)
    with pytest.raises(RuleError, match="nothing here gives a route"):
        World(canary)


def test_a_canary_is_no_catch_all() -> None:
    """End-to-end tests: of two default backends the one that is no canary is the server's."""
    objects = [ingress(name, name=name) for name in ("canary", "main")]
    for each in objects:
        (rule,) = each["spec"].pop("rules")
        each["spec"]["defaultBackend"] = rule["http"]["paths"][0]["backend"]
    short = "nginx.ingress.kubernetes.io/"
    objects[0]["metadata"]["annotations"] = {short + "canary": "true", short + "canary-by-header": "CanaryByHeader"}
    world = World(*objects)
    assert world.shares(host="any.example.com") == MAIN
    assert world.shares(host="any.example.com", **header("CanaryByHeader", "always")) == CANARY


def test_a_canary_of_other_paths_changes_nothing() -> None:
    """End-to-end tests: several paths to one Service that stands beside no main one."""
    canary = ingress("httpy-svc-canary", name="foo-canary", host="foo", path="/foo", canary="true", **BY)
    (rule,) = canary["spec"]["rules"]
    rule["http"]["paths"].append(rule["http"]["paths"][0] | {"path": "/bar"})
    world = World(canary, ingress("main", name="foo", host="foo", path="/info"))
    assert world.shares(host="foo", path="/info", **header("CanaryByHeader", "always")) == MAIN
    assert len(world.notes) == 2


@pytest.mark.parametrize(
    ("path", "kind", "said"),
    [("/info", "Prefix", "no other Ingress has"), ("/", "Exact", "no other Ingress has")],
)
def test_a_pair_has_the_same_host_path_and_type(path: str, kind: str, said: str) -> None:
    canary = ingress("canary", name="canary", path=path, kind=kind, canary="true", canary_weight="100")
    world = World(ingress("main", name="main"), canary)
    assert world.shares(path="/info") == MAIN
    assert any(said in note for note in world.notes)


def test_the_main_service_is_no_canary_of_itself() -> None:
    world = World(ingress("main", name="main"), ingress("main", name="canary", canary="true", canary_weight="50"))
    assert world.shares() == MAIN
    assert any("is the main one of" in note for note in world.notes)


def test_a_canary_stands_beside_one_path_alone() -> None:
    """Not beside others of the same main Service, as in the controller, where it leaked to them."""
    main = ingress("main", name="main")
    (rule,) = main["spec"]["rules"]
    rule["http"]["paths"].append(rule["http"]["paths"][0] | {"path": "/pay"})
    world = World(main, ingress("canary", name="canary", canary="true", canary_weight="100"))
    assert world.shares(path="/cart") == CANARY
    assert world.shares(path="/pay") == MAIN


def test_several_canaries_all_count() -> None:
    """Headers first, then cookies, then the weights, each as a share of everybody; that the peer took one is noted."""
    world = World(
        ingress("main", name="main"),
        ingress("beta", name="beta", canary="true", canary_by_header="X-Beta", canary_weight="10"),
        ingress(
            "next", name="next", canary="true", canary_by_cookie="next", canary_weight="5", canary_weight_total="200"
        ),
        ingress("wild", name="wild", canary="true", canary_by_header="X-Wild", canary_by_header_value="1"),
    )
    assert world.shares(headers={"X-Wild": "1"}, cookies={"next": "always"}) == {"wild": 100.0}
    assert world.shares(headers={"X-Beta": "other"}, cookies={"next": "always"}) == {"next": 100.0}
    assert world.shares() == pytest.approx({"main": 87.5, "beta": 10.0, "next": 2.5}, abs=0.11)
    assert sum("took one canary alone" in note for note in world.notes) == 2
    assert world.warnings == []


def test_weights_of_canaries_that_are_more_than_all_leave_nothing_to_main() -> None:
    several = [ingress(name, name=name, canary="true", canary_weight="80") for name in ("c1", "c2")]
    assert World(ingress("main", name="main"), *several).shares() == {"c1": 50.0, "c2": 50.0}


def test_the_older_ingress_has_the_path() -> None:
    """By creationTimestamp, where the objects come from a cluster."""
    young, old = ingress("young", name="a"), ingress("old", name="b")
    assert World(young, old).shares() == {"young": 100.0}
    young["metadata"]["creationTimestamp"], old["metadata"]["creationTimestamp"] = (
        "2026-02-01T00:00:00Z",
        "2025-02-01T00:00:00Z",
    )
    assert World(young, old).shares() == {"old": 100.0}


def test_a_pattern_beyond_re2_is_left_out() -> None:
    """Its requests go on to the other rules; a look-ahead at the beginning is said with `not`."""
    world = pair(canary_by_header="X", canary_by_header_pattern=r"^(a)\1$", canary_weight="100")
    assert world.shares(**header("X", "aa")) == CANARY
    assert any("canary-by-header-pattern is left out" in note for note in world.notes)
    world = pair(canary_by_header="X", canary_by_header_pattern="^(?!internal)")
    assert world.shares(**header("X", "internal-1")) == world.shares() == MAIN
    assert world.shares(**header("X", "public")) == CANARY


def test_a_name_that_no_header_has_is_left_out() -> None:
    world = pair(canary_by_header="X Canary", canary_by_cookie="a;b", canary_weight="100")
    assert world.shares() == CANARY
    assert len([note for note in world.notes if "is left out" in note]) == 2


def test_a_canary_that_nothing_leads_to_is_noted() -> None:
    assert any("no request goes to this canary" in note for note in pair().notes)


# --- Session affinity: end-to-end tests, "canary affinity behavior" --------------------------------------------------

AFFINITY = {"affinity": "cookie", "session_cookie_name": "SERVERID"}
FORCED = {"canary_by_header": "ForceCanary", "canary_by_header_value": "yes"}


def after_a_forced_request(world: World) -> dict[str, str]:
    """The cookie of somebody whom the header has sent to the canary."""
    decision = world.decision(headers={"ForceCanary": "yes"})
    assert decision is not None and decision.version == "canary"
    if not decision.set_cookie:
        return {}
    name, _, value = decision.set_cookie.decode().partition(";")[0].partition("=")
    return {name: value}


@pytest.mark.parametrize("behavior", [{}, {"affinity_canary_behavior": "sticky"}], ids=["default", "explicit"])
def test_who_was_sent_to_the_canary_stays_there(behavior: dict[str, str]) -> None:
    """All further requests with the cookie of the first one, whatever the weight."""
    world = pair(main=AFFINITY, **FORCED, **behavior, canary_weight="1")
    cookies = after_a_forced_request(world)
    assert list(cookies) == ["SERVERID"]
    assert world.shares(cookies=cookies) == CANARY


def test_paths_that_share_a_cookie_share_its_pins() -> None:
    """One person, one version on all paths of the Services, and no cookie that one path overwrites for the other."""
    world = World(
        *(ingress("main", name=f"main{n}", path=path, **AFFINITY) for n, path in enumerate(("/", "/cart"))),
        *(
            ingress("canary", name=f"canary{n}", path=path, canary="true", canary_weight="50")
            for n, path in enumerate(("/", "/cart"))
        ),
    )
    first = world.decision()
    assert first is not None
    name, _, value = first.set_cookie.decode().partition(";")[0].partition("=")
    there = world.decision(path="/cart", cookies={name: value})
    assert there is not None and (there.version, there.set_cookie) == (first.version, b"")
    assert not any("overwrites" in warning.text for warning in world.warnings)


def test_legacy_affinity_says_nothing_of_canaries() -> None:
    """Each request is drawn by weight."""
    world = pair(main=AFFINITY, **FORCED, affinity_canary_behavior="legacy", canary_weight="50")
    assert after_a_forced_request(world) == {}
    assert world.shares(cookies={"SERVERID": "x"}) == share(50)


def test_the_cookie_of_the_affinity_is_kept() -> None:
    """With its attributes; that no Pod is meant by it is noted."""
    cookie = {"session_cookie_max_age": "172800", "session_cookie_path": "/shop", "session_cookie_samesite": "None"}
    world = pair(main=AFFINITY | cookie, canary_weight="50")
    decision = world.decision()
    assert decision is not None
    attributes = decision.set_cookie.decode().split("; ")
    assert {"Max-Age=172800", "Path=/shop", "SameSite=None", "Secure", "HttpOnly"} <= set(attributes)
    assert any("not on a Pod" in note for note in world.notes)
