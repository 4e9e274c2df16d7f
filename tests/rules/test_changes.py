"""proxy/rules/changes.py: what becomes of paths, URLs and headers, by tables."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.http.message import RequestHead
from proxy.rules.actions import HeaderChanges, PathChange, Redirect
from proxy.rules.changes import added_up, leads_away, location, new_target, own_target
from proxy.rules.model import PathMatch
from tests.rules.build import request

ROOT = PathMatch("prefix", "/")
FOO = PathMatch("prefix", "/foo")


@pytest.mark.parametrize(
    ("asked", "prefix", "replacement", "expected"),
    [
        # The table of ReplacePrefixMatch in the Gateway API.
        ("/foo/bar", "/foo", "/xyz", "/xyz/bar"),
        ("/foo/bar", "/foo", "/xyz/", "/xyz/bar"),
        ("/foo/bar", "/foo/", "/xyz", "/xyz/bar"),
        ("/foo/bar", "/foo/", "/xyz/", "/xyz/bar"),
        ("/foo", "/foo", "/xyz", "/xyz"),
        ("/foo/", "/foo", "/xyz", "/xyz/"),
        ("/foo/bar", "/foo", "", "/bar"),
        ("/foo/", "/foo", "", "/"),
        ("/foo", "/foo", "", "/"),
        ("/foo/", "/foo", "/", "/"),
        ("/foo", "/foo", "/", "/"),
        # What it leaves open.
        ("/foo", "/foo", "/xyz/", "/xyz/"),
        ("/a/b/c", "/a/b", "/x/y/z", "/x/y/z/c"),
        ("/bar", "/", "/xyz", "/xyz/bar"),
        ("/", "/", "/xyz", "/xyz/"),
        ("/foo//bar", "/foo", "/xyz", "/xyz//bar"),
        ("/foo/bar?a=b&c", "/foo", "/xyz", "/xyz/bar?a=b&c"),
        ("/%66oo/b%2fc%41", "/foo", "/xyz", "/xyz/b%2FcA"),
        ("/x/../foo/bar", "/foo", "/xyz", "/xyz/bar"),
        ("/caf%C3%A9/x", "/café", "/ü", "/%C3%BC/x"),
        ("http://shop.example.com/foo/bar?q", "/foo", "/xyz", "/xyz/bar?q"),
    ],
)
def test_replacing_a_prefix(asked: str, prefix: str, replacement: str, expected: str) -> None:
    """The elements of the route's path are replaced, in the form that rules see; the rest and the query stay."""
    change = new_target(PathChange("prefix", replacement), PathMatch("prefix", prefix))
    assert change(request(asked)).decode() == expected


@pytest.mark.parametrize(
    ("asked", "path", "expected"),
    [
        ("/a", "/b", "/b"),
        ("/a?x=1", "/b", "/b?x=1"),
        ("/a?x=1", "/b?y=2", "/b?y=2"),
        ("/a", "/ü", "/%C3%BC"),
        ("http://a/a?x", "/b", "/b?x"),
    ],
)
def test_replacing_the_whole_path(asked: str, path: str, expected: str) -> None:
    """The query stays, unless the new path has its own."""
    assert new_target(PathChange("full", path), ROOT)(request(asked, host="a")).decode() == expected


@pytest.mark.parametrize(
    ("asked", "expected"),
    [("/%61/./b?c=d", "/%61/./b?c=d"), ("http://a/x?y", "/x?y"), ("http://a?y", "/?y"), ("http://a", "/")],
)
def test_a_target_that_is_not_changed(asked: str, expected: str) -> None:
    """Stays as sent; of an absolute one (RFC 9112 section 3.2.2) path and query."""
    assert own_target(request(asked, host="a")).decode() == expected


def test_a_request_about_the_server_has_no_path_to_change() -> None:
    """RFC 9112 section 3.2.4: OPTIONS * stays so."""
    star = request("*", method="OPTIONS")
    assert own_target(star) == b"*"
    assert new_target(PathChange("prefix", "/x"), ROOT)(star) == b"*"
    assert new_target(PathChange("full", "/x"), ROOT)(star) == b"*"
    assert location(Redirect(scheme="https"), ROOT)(star) == b"https://shop.example.com"


@pytest.mark.parametrize(
    ("redirect", "asked", "expected"),
    [
        (Redirect(scheme="https"), ("http", "a", "/x?y=1"), "https://a/x?y=1"),
        (Redirect(scheme="https"), ("http", "a:8080", "/"), "https://a/"),
        (Redirect(scheme="https", port=8443), ("http", "a:8080", "/"), "https://a:8443/"),
        (Redirect(scheme="https", port=443), ("http", "a", "/"), "https://a/"),
        (Redirect(scheme="http", port=80), ("https", "a", "/"), "http://a/"),
        (Redirect(scheme="https", port=80), ("http", "a", "/"), "https://a:80/"),
        (Redirect(host="b"), ("http", "a", "/x"), "http://b/x"),
        (Redirect(host="b"), ("http", "a:8080", "/x"), "http://b:8080/x"),
        (Redirect(host="b"), ("https", "A:443", "/x"), "https://b/x"),
        (Redirect(port=8080), ("http", "A.", "/x"), "http://a:8080/x"),
        (Redirect(port=80), ("http", "a:8080", "/x"), "http://a/x"),
        (Redirect(path=PathChange("full", "/n")), ("https", "[::1]:8443", "/x?y"), "https://[::1]:8443/n?y"),
        (Redirect(path=PathChange("prefix", "/n")), ("http", "[::1]", "/foo/x"), "http://[::1]/n/x"),
        (Redirect(scheme="https"), ("http", "a", "/%61/%2e/x"), "https://a/%61/%2e/x"),
    ],
)
def test_where_a_redirect_leads(redirect: Redirect, asked: tuple[str, str, str], expected: str) -> None:
    """What is not given is as asked for: the port is the one that the client named. 80 and 443 are left out where they
    are the scheme's own; a new scheme brings its own port."""
    scheme, host, target = asked
    head = request(target, host=host, scheme=scheme.encode())
    assert location(redirect, FOO)(head).decode() == expected
    assert leads_away(redirect, FOO)(head)


@pytest.mark.parametrize(
    ("listener", "scheme", "port", "expected"),
    [
        ("http://gw", None, 0, "http://example.org"),
        ("http://gw", None, 80, "http://example.org"),
        ("http://gw", None, 8080, "http://example.org:8080"),
        ("http://gw", "https", 0, "https://example.org"),
        ("http://gw", "https", 443, "https://example.org"),
        ("http://gw", "https", 8443, "https://example.org:8443"),
        ("http://gw:8080", None, 0, "http://example.org:8080"),
        ("http://gw:8080", None, 80, "http://example.org"),
        ("http://gw:8080", "https", 0, "https://example.org"),
        ("https://gw", None, 0, "https://example.org"),
        ("https://gw", None, 443, "https://example.org"),
        ("https://gw", None, 8443, "https://example.org:8443"),
        ("https://gw", "http", 0, "http://example.org"),
        ("https://gw", "http", 80, "http://example.org"),
        ("https://gw", "http", 8080, "http://example.org:8080"),
    ],
)
def test_ports_and_schemes_as_the_gateway_api_has_them(listener: str, scheme: Any, port: int, expected: str) -> None:
    """The cases of its conformance test HTTPRouteRedirectPortAndScheme."""
    came, _, host = listener.partition("://")
    head = request("/", host=host, scheme=came.encode())
    assert location(Redirect(scheme, "example.org", port), ROOT)(head).decode() == expected + "/"


@pytest.mark.parametrize(
    ("redirect", "asked"),
    [
        (Redirect(scheme="https"), ("https", "a:8443", "/x")),
        (Redirect(scheme="https", host="a"), ("https", "A", "/x")),
        (Redirect(host="a"), ("http", "a:8080", "/x")),
        (Redirect(port=443), ("https", "a", "/x")),
        (Redirect(scheme="https", port=8443), ("https", "a:8443", "/x")),
        (Redirect(path=PathChange("full", "/x")), ("http", "a", "/x?y")),
        (Redirect(path=PathChange("prefix", "/foo")), ("http", "a", "/foo/x")),
    ],
)
def test_a_redirect_is_no_loop(redirect: Redirect, asked: tuple[str, str, str]) -> None:
    """Who is where it leads is not sent there again."""
    scheme, host, target = asked
    assert not leads_away(redirect, FOO)(request(target, host=host, scheme=scheme.encode()))


def test_without_a_host_there_is_nowhere_to_lead() -> None:
    """HTTP/1.0 knows requests without Host: no URL can be made, unless the redirect names a host."""
    bare = RequestHead(b"GET", b"/x", 0, b"", b"/x", b"", {}, b"GET /x HTTP/1.0\r\n\r\n")
    assert not leads_away(Redirect(scheme="https"), ROOT)(bare)
    named = Redirect(scheme="https", host="a")
    assert leads_away(named, ROOT)(bare) and location(named, ROOT)(bare) == b"https://a/x"


def test_header_changes_add_up() -> None:
    """Each set, add, remove in this order, one after the other: the later one has the last word."""
    route = HeaderChanges(set=(("X-A", "1"), ("b", "1")), add=(("c", "1"),), remove=("d",))
    version = HeaderChanges(set=(("x-a", "2"),), add=(("C", "2"), ("d", "2")), remove=("B",))
    assert added_up((route, None, version)) == (
        frozenset({"x-a", "b", "d"}),
        (("c", "1"), ("x-a", "2"), ("C", "2"), ("d", "2")),
    )
    assert added_up((None, None)) == (frozenset(), ())
    assert added_up((HeaderChanges(add=(("a", "1"),)), HeaderChanges(remove=("A",)))) == (frozenset({"a"}), ())
