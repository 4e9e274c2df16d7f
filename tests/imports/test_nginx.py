"""Annotations of ingress-nginx besides the canary's: those that are kept, and the notes on those that are not."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.rules.actions import Redirect
from proxy.rules.model import Route, Service
from tests.imports.world import World, ingress


def imported(**annotations: str) -> tuple[World, Route, Service]:
    """A world of one Ingress with these annotations, its first route and its service."""
    world = World(ingress("web", name="web", **annotations))
    route = next(route for route in world.rule_file.routes if route.service)
    return world, route, world.rule_file.services[route.service]


def redirected(world: World, **request: Any) -> tuple[int, Any]:
    decision = world.decision(**request)
    assert decision is not None and isinstance(decision.action, Redirect), decision
    return decision.status, decision.action


def test_time_outs() -> None:
    """Seconds; the read time-out of nginx is both that of the response's head and that between two bytes."""
    _, route, _ = imported(proxy_connect_timeout="5", proxy_read_timeout="120", proxy_send_timeout="300s")
    assert route.timeouts is not None
    assert (route.timeouts.connect, route.timeouts.response, route.timeouts.idle) == (5, 120, 300)


@pytest.mark.parametrize(
    ("said", "attempts", "causes", "statuses"),
    [
        ({"proxy_next_upstream": "off"}, 0, ("connect_failure", "reset"), ()),
        ({"proxy_next_upstream": "error timeout http_502 http_503"}, 2, ("connect_failure", "reset"), (502, 503)),
        ({"proxy_next_upstream_tries": "2"}, 1, ("connect_failure", "reset"), ()),
        ({"proxy_next_upstream_tries": "0"}, 10, ("connect_failure", "reset"), ()),
    ],
)
def test_retries(said: dict[str, str], attempts: int, causes: tuple[str, ...], statuses: tuple[int, ...]) -> None:
    world, route, _ = imported(**said)
    assert route.retry is not None
    assert (route.retry.attempts, route.retry.causes, route.retry.statuses) == (attempts, causes, statuses)
    assert world.notes == []


def test_docs_app_root() -> None:
    """docs/examples/rewrite: `/` alone is redirected to it, with 302."""
    world, _, _ = imported(app_root="/app1")
    status, action = redirected(world)
    assert (status, action.path.kind, action.path.value) == (302, "full", "/app1")
    assert world.shares(path="/app1") == {"web": 100.0}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"permanent_redirect": "https://www.google.com"}, (301, "https", "www.google.com", 0, "/")),
        ({"permanent_redirect": "https://new.example.com:8443/a?b=c", "permanent_redirect_code": "308"},
         (308, "https", "new.example.com", 8443, "/a?b=c")),
        ({"temporal_redirect": "http://www.google.com/x"}, (302, "http", "www.google.com", 0, "/x")),
        ({"temporal_redirect": "https://new.example.com$request_uri", "temporal_redirect_code": "307"},
         (307, "https", "new.example.com", 0, None)),
    ],
)  # fmt: skip
def test_redirects(said: dict[str, str], expected: tuple[Any, ...]) -> None:
    status, action = redirected(imported(**said)[0], path="/cart")
    path = action.path.value if action.path is not None else None
    assert (status, action.scheme, action.host, action.port, path) == expected


@pytest.mark.parametrize(
    ("tls", "said", "to_https"),
    [
        (True, {}, True),
        (True, {"ssl_redirect": "false"}, False),
        (False, {}, False),
        (False, {"ssl_redirect": "true"}, False),
        (False, {"force_ssl_redirect": "true"}, True),
    ],
)
def test_redirects_to_https(tls: bool, said: dict[str, str], to_https: bool) -> None:
    """With 308, where the Ingress has certificates and does not say otherwise; the certificates are noted."""
    made = ingress("web", **said)
    if tls:
        made["spec"]["tls"] = [{"hosts": ["www.example.com"], "secretName": "web-tls"}]
    world = World(made)
    (route,) = world.rule_file.routes
    assert (route.redirect is not None) == to_https
    assert any("certificate web-tls" in note for note in world.notes) == tls
    if to_https:
        assert redirected(world)[0] == 308


def test_www() -> None:
    """`from-to-www-redirect`: either way, unless the other name is a host of its own."""
    status, action = redirected(
        World(ingress("web", host="example.com", from_to_www_redirect="true")), host="www.example.com"
    )
    assert (status, action.host) == (308, "example.com")
    world = World(ingress("web", from_to_www_redirect="true"), ingress("old", name="b", host="example.com"))
    assert world.shares(host="example.com") == {"old": 100.0}


def test_aliases() -> None:
    """`server-alias`: further names of a host, for all of its paths; a host of its own stays so."""
    world = World(
        ingress("web", server_alias="a.example.com, b.example.com"), ingress("b", name="b", host="b.example.com")
    )
    assert world.shares(host="a.example.com") == {"web": 100.0}
    assert world.shares(host="b.example.com") == {"b": 100.0}


@pytest.mark.parametrize(
    ("said", "inside", "outside"),
    [
        ({"whitelist_source_range": "10.0.0.0/24,172.10.0.1"}, ["10.0.0.7", "172.10.0.1"], ["10.0.1.1", "192.0.2.1"]),
        ({"allowlist_source_range": "10.0.0.9/24"}, ["10.0.0.7"], ["10.0.1.1"]),
        ({"denylist_source_range": "192.0.2.0/24"}, ["10.0.0.7"], ["192.0.2.1"]),
    ],
)
def test_networks(said: dict[str, str], inside: list[str], outside: list[str]) -> None:
    """Who is outside gets 403, before any rule of a release."""
    canary = ingress("canary", name="canary", canary="true", canary_by_header="X")
    world = World(ingress("web", **said), canary)
    for client in (*inside, *outside):
        decision = world.decision(client=client, headers={"X": "always"})
        assert decision is not None
        assert (decision.version, decision.status) == (("canary", 0) if client in inside else ("", 403)), client


def test_backends_by_https() -> None:
    """nginx believes any certificate unless `proxy-ssl-verify` is on."""
    _, _, service = imported(backend_protocol="HTTPS")
    (endpoint,) = service.versions["web"].endpoints
    assert endpoint.url.startswith("https://web.default.svc.cluster.local:") and not service.tls.verify
    _, _, service = imported(backend_protocol="HTTPS", proxy_ssl_verify="on", proxy_ssl_name="web.internal")
    assert service.tls.verify and service.tls.server_name == "web.internal"


def test_docs_cors() -> None:
    """Its defaults: every origin, preflight requests answered at once, and the headers on every answer."""
    world, route, _ = imported(enable_cors="true")
    decision = world.decision(method="OPTIONS")
    assert decision is not None and (decision.rule, decision.status) == ("preflight", 204)
    assert world.shares() == {"web": 100.0}
    assert route.response_headers is not None
    headers = dict(route.response_headers.set)
    assert headers["Access-Control-Allow-Origin"] == "*" and headers["Access-Control-Allow-Credentials"] == "true"
    assert headers["Access-Control-Allow-Methods"] == "GET, PUT, POST, DELETE, PATCH, OPTIONS"
    assert headers["Access-Control-Max-Age"] == "1728000" and "Access-Control-Expose-Headers" not in headers


def test_cors_of_one_origin() -> None:
    """Others pass, and browsers refuse the answer."""
    origin = "https://origin-site.com:4443"
    said = {"cors_allow_origin": origin, "cors_allow_credentials": "false", "cors_expose_headers": "X-Id"}
    world, route, _ = imported(enable_cors="true", **said)
    assert route.response_headers is not None
    headers = dict(route.response_headers.set)
    assert headers["Access-Control-Allow-Origin"] == origin and headers["Access-Control-Expose-Headers"] == "X-Id"
    assert "Access-Control-Allow-Credentials" not in headers
    answered = {each: world.decision(method="OPTIONS", headers={"Origin": each}) for each in (origin, "https://x.com")}
    assert [decision.status for decision in answered.values() if decision is not None] == [204, 0]


def test_virtual_host() -> None:
    _, route, _ = imported(upstream_vhost="internal.example.com")
    assert route.rewrite is not None and route.rewrite.host == "internal.example.com"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("auth-url", "http://auth", "auth-url is not kept; whoever it kept out is let in"),
        ("auth-type", "basic", "auth-type is not kept; whoever it kept out is let in"),
        ("limit-rps", "5", "limit-rps is not kept; whoever it kept out is let in"),
        ("auth-tls-secret", "default/ca", "see --tls-client-ca"),
        ("proxy-body-size", "8m", "proxy-body-size is not kept: the limit is one for all routes, --max-body"),
        ("configuration-snippet", "return 404;", "configuration-snippet is not kept"),
        ("something-new", "x", "something-new is not kept"),
        ("proxy-read-timeout", "soon", "proxy-read-timeout: expected seconds, not 'soon'"),
        ("permanent-redirect", "/x", "permanent-redirect: expected a URL"),
        ("upstream-vhost", "$host", "upstream-vhost: '$host' is made of nginx's variables"),
        ("whitelist-source-range", "office", "IPv4 or IPv6 network; whoever it kept out is let in"),
        ("server-alias", "~^a.*$", "server-alias: a wildcard stands for whole labels"),
        ("backend-protocol", "GRPC", "backend-protocol: services are asked in HTTP/1.1, not in GRPC"),
        ("proxy-next-upstream", "error http_404", "nothing is tried again for http_404; the rest is kept"),
    ],
)
def test_what_is_not_kept_is_noted(name: str, value: str, said: str) -> None:
    """And the result passes the check all the same."""
    world, route, _ = imported(**{name: value})
    assert any(said in note for note in world.notes), world.notes
    assert route.service == "web"


@pytest.mark.parametrize("name", ["proxy-buffering", "enable-access-log", "proxy-buffer-size", "service-upstream"])
def test_what_has_no_meaning_here_is_passed_over(name: str) -> None:
    assert imported(**{name: "x"})[0].notes == []


def test_annotations_of_others_are_passed_over() -> None:
    made = ingress("web")
    made["metadata"]["annotations"] = {
        "cert-manager.io/cluster-issuer": "letsencrypt",
        "kubernetes.io/ingress.class": "nginx",
    }
    assert World(made).notes == []


@pytest.mark.parametrize("name", ["alb.ingress.kubernetes.io/canary", "nginx.org/rewrites", "ingress.kubernetes.io/x"])
def test_annotations_of_other_controllers_are_noted(name: str) -> None:
    """They may say something of routes, and are not read."""
    made = ingress("web")
    made["metadata"]["annotations"] = {name: "x"}
    assert World(made).notes == [f"{name}: annotations of this controller are not read"]


@pytest.mark.parametrize("origin", ["https://a.com, https://b.com", "https://*.a.com"])
def test_cors_of_several_origins_is_noted(origin: str) -> None:
    world, route, _ = imported(enable_cors="true", cors_allow_origin=origin)
    assert route.response_headers is None and route.rules == ()
    assert any("one origin or * can be allowed" in note for note in world.notes)
    assert imported(enable_cors="false", cors_allow_origin=origin)[0].notes == []
