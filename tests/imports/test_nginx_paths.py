"""Paths and rewrites of ingress-nginx: its documents on path matching and rewriting, and what they say of orders."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.rules.model import Rewrite
from tests.imports.world import World, ingress

FREE = "ImplementationSpecific"


def host_of(*paths: tuple[str, str, str], host: str = "test.com", **annotations: str) -> dict[str, Any]:
    """An Ingress with (path, kind, service) on one host."""
    made = ingress(*(service for _, _, service in paths), name=paths[0][2], host=host, **annotations)
    (rule,) = made["spec"]["rules"]
    for entry, (path, kind, _) in zip(rule["http"]["paths"], paths, strict=True):
        entry |= {"path": path, "pathType": kind}
    return made


def service(world: World, path: str, host: str = "test.com") -> str:
    decision = world.decision(host, path)
    return decision.version if decision is not None else ""


def rewrite(world: World) -> Rewrite | None:
    (route,) = world.rule_file.routes
    return route.rewrite


# --- docs/user-guide/ingress-path-matching.md -----------------------------------------------------------------------


def test_docs_example_of_a_regex() -> None:
    """`/foo/.*`: what begins so."""
    world = World(host_of(("/foo/.*", FREE, "test"), use_regex="true"))
    assert service(world, "/foo/bar") == "test"
    assert service(world, "/bar/foo/bar") == ""


@pytest.mark.parametrize(
    ("path", "goes_to"), [("/foo/bar/1", "service3"), ("/foo/bar/", "service2"), ("/foo/bar", "service1")]
)
def test_docs_example_of_path_priority(path: str, goes_to: str) -> None:
    """Two Ingress objects for one host, one of them with a rewrite: the longest path is first."""
    first = host_of(("/foo/bar", "Prefix", "service1"), ("/foo/bar/", "Prefix", "service2"))
    second = host_of(("/foo/bar/(.+)", FREE, "service3"), rewrite_target="/$1")
    assert service(World(first, second), path) == goes_to


def test_docs_warning_of_a_regex_before_the_path_meant() -> None:
    """The longer text is the first one, though the other would be the narrower."""
    paths = (("/foo/bar/bar", "Prefix", "plain"), ("/foo/bar/[A-Z0-9]{3}", FREE, "regex"))
    world = World(host_of(*paths, use_regex="true"))
    assert service(world, "/foo/bar/bar") == "regex"
    assert service(world, "/foo/bar/bar/x") == "regex"


# --- docs/examples/rewrite/README.md --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "takes"), [("/something", True), ("/something/", True), ("/something/new", True), ("/some", False)]
)
def test_docs_example_of_a_rewrite(path: str, takes: bool) -> None:
    """`/something(/|$)(.*)` to `/$2`: the prefix goes, the rest stays."""
    world = World(host_of(("/something(/|$)(.*)", FREE, "http-svc"), use_regex="true", rewrite_target="/$2"))
    assert service(world, path) == ("http-svc" if takes else "")
    kept = rewrite(world)
    assert kept is not None and kept.path is not None
    assert (kept.path.kind, kept.path.value) == ("prefix", "/")
    assert world.notes == []


# --- Other forms ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "target", "kind", "value"),
    [
        ("/api(/|$)(.*)", "/v2/$2", "prefix", "/v2"),
        ("/api(?:/|$)(.*)", "/$1", "prefix", "/"),
        ("/api/?(.*)", "/$1", "prefix", "/"),
        ("/api/(.*)", "/new/${1}", "prefix", "/new"),
        ("^/api/(.*)$", "/$1", "prefix", "/"),
        ("/api", "/", "full", "/"),
        ("/api/.*", "/only", "full", "/only"),
    ],
)
def test_rewrites_that_are_kept(path: str, target: str, kind: str, value: str) -> None:
    world = World(host_of((path, FREE, "api"), rewrite_target=target))
    kept = rewrite(world)
    assert kept is not None and kept.path is not None
    assert (kept.path.kind, kept.path.value) == (kind, value)
    assert service(world, "/api/x") == "api"


@pytest.mark.parametrize(
    ("path", "target"),
    [("/(a|b)/(.*)", "/$1/x/$2"), ("/api(/|$)(.*)", "/$1$2"), ("/api(/|$)(.*)", "/x$2"), ("/a/([0-9]+)", "/$1")],
)
def test_rewrites_that_are_not_kept_are_noted(path: str, target: str) -> None:
    """The route stays, without them."""
    world = World(host_of((path, FREE, "api"), rewrite_target=target))
    assert rewrite(world) is None
    assert any(f"rewrite-target is left out for path {path}" in note for note in world.notes)


def test_a_target_that_is_the_path_rewrites_nothing() -> None:
    world = World(host_of(("/", "Prefix", "web"), rewrite_target="/"))
    assert rewrite(world) is None and world.notes == []


def test_a_prefix_of_the_host_does_not_take_what_a_regex_should() -> None:
    """`/` of another Ingress comes after the regexes, but before nothing else."""
    world = World(
        host_of(("/", "Prefix", "web"), ("/static", "Prefix", "files"), ("/exact", "Exact", "exact")),
        host_of(("/api/v[0-9]+/users", FREE, "users"), use_regex="true"),
    )
    goes = {
        "/": "web",
        "/x": "web",
        "/static/x": "files",
        "/exact": "exact",
        "/api/v1/users": "users",
        "/API/V2/USERS": "users",
    }
    assert {path: service(world, path) for path in goes} == goes
    assert world.warnings == []


def test_a_prefix_with_a_tail_stays_a_prefix() -> None:
    """So the usual rewriting Ingress and one for `/` stand side by side, and the rewrite is kept."""
    world = World(
        host_of(("/", "Prefix", "web")), host_of(("/api(/|$)(.*)", FREE, "api"), use_regex="true", rewrite_target="/$2")
    )
    assert [service(world, path) for path in ("/", "/apix", "/api", "/api/x")] == ["web", "web", "api", "api"]


def test_nginx_own_prefix_is_of_characters() -> None:
    """Whole elements here: that is noted, as it may take less."""
    world = World(host_of(("/api", FREE, "api"), ("/", FREE, "web")))
    assert service(world, "/apix") == "web"
    assert world.notes == ["path /api stands for whole elements here; nginx took /apix as well"]


@pytest.mark.parametrize("path", ["/api", "/api(.*)", "/api/?(.*)", "/api.*"])
def test_regexes_that_go_on_after_a_prefix_are_noted_likewise(path: str) -> None:
    world = World(host_of((path, FREE, "api"), use_regex="true"))
    assert service(world, "/api/x") == "api" and service(world, "/apix") == ""
    assert world.notes == ["path /api stands for whole elements here; nginx took /apix as well"]


@pytest.mark.parametrize(
    ("path", "use", "said"),
    [
        ("/a b", {}, "path /a b is left out: a path has no '#', space"),
        ("/(?=x)", {"use_regex": "true"}, "path /(?=x) is left out"),
        ("/([", {"use_regex": "true"}, "is left out"),
        ("api", {}, "left out: a path begins with '/'"),
    ],
)
def test_a_path_that_no_route_can_have_is_left_out(path: str, use: dict[str, str], said: str) -> None:
    world = World(host_of((path, FREE, "bad"), **use), host_of(("/good", "Prefix", "good")))
    assert service(world, "/good") == "good"
    assert any(said in note for note in world.notes), world.notes
    assert len(world.rule_file.routes) == 1
