"""proxy.rules.table: which route is asked, in which order."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from proxy.http.message import RequestHead
from proxy.rules.decision import Decide, Decision
from proxy.rules.table import RouteTable, by_method, by_path
from tests.rules.build import request, rule_file


class Seen:
    """Candidates that write down who was asked, and pass on unless their name is in `takes`."""

    def __init__(self, *takes: str) -> None:
        self.takes = takes
        self.asked: list[str] = []

    def __call__(self, name: str) -> Decide:
        def decide(head: RequestHead) -> Decision | None:
            self.asked.append(name)
            return Decision(name, "shop", "v1", "", "default") if name in self.takes else None

        return decide


def table_of(hosts: Sequence[str], seen: Seen) -> RouteTable:
    names = {name.encode(): seen(name) for name in hosts if name[:1] != "*"}
    wildcards = {name[1:].encode(): seen(name) for name in hosts if name[:1] == "*"}
    return RouteTable(rule_file(), names, wildcards, [], frozenset())


HOSTS = ("a.test", "*.a.test", "*.b.a.test", "*.test", "")


@pytest.mark.parametrize(
    ("host", "asked"),
    [
        ("a.test", ["a.test", "*.test", ""]),
        ("A.Test:8080", ["a.test", "*.test", ""]),
        ("b.a.test", ["*.a.test", "*.test", ""]),
        ("c.b.a.test", ["*.b.a.test", "*.a.test", "*.test", ""]),
        ("d.c.b.a.test", ["*.b.a.test", "*.a.test", "*.test", ""]),
        ("xa.test", ["*.test", ""]),
        ("test", [""]),
        (".test", [""]),
        ("other", [""]),
        ("", [""]),
        ("." * 5000 + "test", [""]),
    ],
)
def test_hosts_from_exact_to_none(host: str, asked: list[str]) -> None:
    """Exact, then wildcards, the longest first, each for one or more labels, then none; port and case do not count."""
    seen = Seen()
    table = table_of(HOSTS, seen)
    assert table.match(request(host=host)) is None
    assert seen.asked == asked


def test_a_host_that_decides_is_the_last_one_asked() -> None:
    """Less specific hosts are asked only if the better ones pass on."""
    for taker in ("c.test", "*.test", ""):
        seen = Seen(taker)
        table = table_of(("c.test", "*.test", ""), seen)
        decision = table.match(request(host="c.test"))
        assert decision is not None and decision.route == taker == seen.asked[-1]
    assert RouteTable(rule_file(), {}, {}, [], frozenset()).match(request()) is None


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/a/b", ["=/a/b", "/a/b", "/a", "", "~1"]),
        ("/a/b/", ["/a/b", "/a", "", "~1"]),
        ("/a/b/c/d", ["/a/b/c", "/a/b", "/a", "", "~1"]),
        ("/a", ["/a", "", "~1"]),
        ("/ab", ["", "~1"]),
        ("/b", ["", "~2"]),
        ("/", [""]),
        ("//a", ["", "~1"]),
        ("/" * 60_000, [""]),
    ],
)
def test_paths_from_exact_to_regex(path: str, asked: list[str]) -> None:
    """Exact, then prefixes by element, the longest first, then regexes in order."""
    seen = Seen()
    decide = by_path(
        {b"/a/b": seen("=/a/b")},
        {name.encode(): seen(name) for name in ("/a/b", "", "/a", "/a/b/c")},
        [(lambda value: b"a" in value, seen("~1")), (lambda value: b"b" in value and b"a" not in value, seen("~2"))],
    )
    head = request()
    head.path = path.encode()
    assert decide(head) is None
    assert seen.asked == asked


def test_every_step_stops_where_a_decision_is_made() -> None:
    """Exact, each prefix, the root and each regex may decide."""
    for taker in ("=", "/a/b", "/a", "", "~"):
        seen = Seen(taker)
        below = {name.encode(): seen(name) for name in ("/a/b", "/a", "")}
        decision = by_path({b"/a/b": seen("=")}, below, [(bytes.strip, seen("~")), (bytes.strip, seen("no"))])(
            request("/a/b")
        )
        assert decision is not None and decision.route == taker == seen.asked[-1]


def test_the_root_takes_what_is_no_path() -> None:
    """`OPTIONS *` fits a route for every path, and no other."""
    seen = Seen("")
    for below in ({b"": seen("")}, {b"": seen(""), b"/a": seen("/a")}):
        decision = by_path({}, below)(request("*", method="OPTIONS"))
        assert decision is not None and decision.route == ""


def test_methods_in_order() -> None:
    """A route whose method does not fit is not asked; one without methods always is."""
    seen = Seen()
    decide = by_method([(frozenset((b"GET",)), seen("get")), (frozenset(), seen("any")), (frozenset(), seen("more"))])
    assert decide(request()) is None and decide(request(method="PUT")) is None
    assert seen.asked == ["get", "any", "more", "any", "more"]
    taker = Seen("put")
    only = by_method([(frozenset((b"PUT",)), taker("put"))])
    assert only(request()) is None and only(request(method="PUT")) is not None
