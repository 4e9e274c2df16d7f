"""proxy.rules.cookies; its faults stand in faults/sticky.yaml."""

from __future__ import annotations

import pytest

from proxy.rules.cookies import odd, refused
from proxy.rules.model import PathMatch, Route, Rule, Split
from proxy.rules.person import SameSite, Sticky, StickyCookie, StickyMode
from tests.rules.build import STABLE

SPLIT = Split((("v1", 1.0),))


def route(
    name: str,
    cookie: StickyCookie,
    *hosts: str,
    mode: StickyMode = "pin",
    salt: str = "",
    service: str = "shop",
    path: PathMatch = PathMatch("prefix", "/"),
) -> Route:
    rule = Rule("everyone", split=SPLIT, sticky=Sticky(cookie=cookie, mode=mode, salt=salt))
    return Route(name, service, STABLE, hosts, path, rules=(rule,))


def told(*routes: Route) -> list[tuple[int, str]]:
    """(route, key) of each warning."""
    return [(int(path[1]), str(path[-1])) for path, _ in odd(routes)]


@pytest.mark.parametrize(("same_site", "secure", "faults"), [("none", False, 1), ("none", True, 0), ("lax", False, 0)])
def test_a_cookie_of_every_site_is_sent_over_https(same_site: SameSite, secure: bool, faults: int) -> None:
    """Browsers would drop it otherwise."""
    cookie = StickyCookie("gray", secure=secure, same_site=same_site)
    assert len(list(refused(cookie, (), ()))) == faults


@pytest.mark.parametrize(
    ("cookie", "faults"),
    [
        (StickyCookie("__Host-gray", secure=True), 0),
        (StickyCookie("__host-gray", secure=True, path="/a"), 1),
        (StickyCookie("__Host-gray"), 1),
        (StickyCookie("__Secure-gray", secure=True, path="/a", domain="example.com"), 0),
        (StickyCookie("__Secure-gray"), 1),
    ],
)
def test_a_name_can_promise_what_the_attributes_must_keep(cookie: StickyCookie, faults: int) -> None:
    """RFC 6265bis section 4.1.3."""
    assert len(list(refused(cookie, (), ()))) == faults


@pytest.mark.parametrize(
    ("domain", "hosts", "faults"),
    [
        ("example.com", ("example.com", "shop.example.com", "*.example.com", "*.shop.example.com"), 0),
        ("example.com", ("notexample.com", "example.org"), 2),
        ("shop.example.com", ("example.com", "*.example.com"), 2),
        ("example.com", (), 0),
        ("localhost", ("localhost",), 1),
    ],
)
def test_a_domain_holds_the_hosts_of_its_route(domain: str, hosts: tuple[str, ...], faults: int) -> None:
    """RFC 6265 section 5.3: a host sets cookies for the domains it lies in; a domain of one label is everybody's."""
    assert len(list(refused(StickyCookie("gray", domain=domain), hosts, ()))) == faults


@pytest.mark.parametrize(
    ("cookie_path", "path", "warned"),
    [
        ("/", PathMatch("prefix", "/"), False),
        ("/shop", PathMatch("prefix", "/shop"), False),
        ("/shop", PathMatch("prefix", "/shop/cart"), False),
        ("/shop/", PathMatch("prefix", "/shop/cart"), False),
        ("/shop", PathMatch("exact", "/shop"), False),
        ("/shop", PathMatch("prefix", "/"), True),
        ("/shop", PathMatch("prefix", "/shopping"), True),
        ("/shop", PathMatch("regex", "^/shop"), True),
        ("/", PathMatch("regex", "^/shop"), False),
    ],
)
def test_a_path_that_the_cookie_is_not_sent_for(cookie_path: str, path: PathMatch, warned: bool) -> None:
    """There everybody would be new each time."""
    made = route("shop", StickyCookie("gray", path=cookie_path), path=path)
    assert told(made) == ([(0, "path")] if warned else [])


def test_a_ttl_that_browsers_cut() -> None:
    """400 days, and one more."""
    day = 86_400.0
    assert told(route("shop", StickyCookie("gray", ttl=400 * day))) == []
    assert told(route("shop", StickyCookie("gray", ttl=401 * day))) == [(0, "ttl")]


GRAY = StickyCookie("gray")


@pytest.mark.parametrize(
    "routes",
    [
        (route("a", GRAY), route("b", GRAY, salt="shop/a")),
        (route("a", GRAY, "a.test"), route("b", GRAY, "b.test")),
        (route("a", GRAY, "*.a.test"), route("b", GRAY, "a.test")),
        (route("a", GRAY), route("b", StickyCookie("other"))),
        (route("a", GRAY), route("b", StickyCookie("gray", path="/b"), path=PathMatch("prefix", "/b"))),
        (route("a", GRAY, mode="hash"), route("b", GRAY, mode="hash", service="cart")),
        (route("a", StickyCookie("gray", domain="a.test")), route("b", StickyCookie("gray", domain="b.test"))),
    ],
)
def test_pins_that_do_not_meet(routes: tuple[Route, ...]) -> None:
    """By name, path or host; or they are the same. Ids may meet."""
    assert told(*routes) == []


@pytest.mark.parametrize(
    ("routes", "at"),
    [
        ((route("a", GRAY), route("b", GRAY)), 1),
        ((route("a", GRAY), route("b", GRAY, service="cart", salt="shop/a")), 1),
        ((route("a", GRAY), route("b", GRAY, mode="hash")), 1),
        ((route("a", GRAY, "a.test"), route("b", GRAY, "b.test", "a.test")), 1),
        ((route("a", GRAY, "a.test"), route("b", GRAY)), 0),
        ((route("a", GRAY, "x.a.test"), route("b", GRAY, "*.a.test")), 0),
        ((route("a", GRAY, "*.x.a.test"), route("b", GRAY, "*.a.test")), 0),
        ((route("a", GRAY, "a.test"), route("b", StickyCookie("gray", domain="a.test"), "x.a.test")), 1),
        ((route("a", GRAY, "y.a.test"), route("b", StickyCookie("gray", domain="a.test"), "x.a.test")), 0),
    ],
)
def test_pins_that_overwrite_each_other(routes: tuple[Route, ...], at: int) -> None:
    """In one browser, by one name: a person would be new on one route whenever they come from the other."""
    assert told(*routes) == [(at, "name")]
