"""Ingress objects with whatever may stand in them: what is imported passes the check, and nothing else is raised."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.imports.nginx import ELSEWHERE, READERS
from tests.imports.world import World, ingress

NAMES = sorted(ELSEWHERE | set(READERS))
VALUES = st.sampled_from([
    "true", "false", "", "0", "-1", "20", "100", "99999999999999999999", "1e3", "a", "bad name", "always", "/",
    "/$1", "/$2", "/x?y=1", "https://www.example.com", "https://www.example.com:99999/", "https://[::1]/a b",
    "10.0.0.0/8, ::1", "300.0.0.1", "cookie", "None", "off", "error timeout http_502", "(", "(a|b)\\1", "^(?!x)",
    "a\nb", "\x07", "x" * 500, "#", "- dash", "{a: b}", "*star", "%20", "HTTPS", "GRPC", "*.example.com", "~^x$",
    "new: 20", "new:1,old:0", "a:b:c", 'new: header("a", /b/)', 'new: query("é", "中")', 'new:cookie("a b", "c")',
    'new: header("a", "b\nc")', 'new: query("q", "a+b%2")', 'new: cookie("c", "a;b")', 'new: header("h", " pad ")',
    'new: header("h", /\x01/)', 'old: header("h", /.*/), new: header("h", /.*/)',
])  # fmt: skip
HOSTS = st.sampled_from(
    ["www.example.com", "", "*.example.com", "*", "WWW.X.Y", "bad host", "é.com", "1.2.3.999", "x.y:80"]
)
PATHS = st.sampled_from([
    "/", "/a", "/a/", "/a(/|$)(.*)", "/A.*", "/x/[0-9]+", "/(?=a)", "bad", "/a b", "/%zz", "/a?b", "/../x", "/é", "",
    "/a//b", "/#", "^/x", "/$",
])  # fmt: skip
SERVICES = st.sampled_from(["new", "old", "third", "a.b", "UPPER", "bad name", "x" * 64])


@st.composite
def ingresses(draw: st.DrawFn) -> dict[str, Any]:
    said = draw(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6))
    made = ingress(
        *draw(st.lists(SERVICES, min_size=1, max_size=3)),
        name=draw(st.sampled_from(["a", "b", "é x", "y" * 200])),
        host=draw(HOSTS),
        path=draw(PATHS),
        kind=draw(st.sampled_from(["Prefix", "Exact", "ImplementationSpecific"])),
        **said,
    )
    if draw(st.booleans()):
        made["spec"]["tls"] = [{"secretName": "x"}]
    return made


@settings(max_examples=60, deadline=None)
@given(st.lists(ingresses(), min_size=1, max_size=3))
def test_whatever_is_imported_passes_the_check(objects: list[dict[str, Any]]) -> None:
    """Beside one that gives a route for certain: a file that gives none is refused."""
    world = World(*objects, ingress("sure", name="sure", host="sure.example.com"))
    assert world.shares(host="sure.example.com") == {"sure": 100.0}
