"""What of HTTPRoutes could not be kept, or not as it was, is said with its line; nothing is lost in silence."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.imports.gateway_api.matches import whole
from proxy.imports.gateway_api.outcome import duration
from tests.imports.world import World

Map = dict[str, Any]


def thing(kind: str, name: str, spec: Map, namespace: str = "default") -> Map:
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": kind, "metadata": meta, "spec": spec}


def http_route(*rules: Map, name: str = "shop", **spec: Any) -> Map:
    return thing("HTTPRoute", name, spec | {"rules": list(rules)})


def to(*names: str, **rule: Any) -> Map:
    """A rule that leads to these Services."""
    return rule | {"backendRefs": [{"name": name, "port": 80} for name in names]}


def headers(**kind: list[Map] | list[str]) -> Map:
    return {"type": "RequestHeaderModifier", "requestHeaderModifier": kind}


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (to("v1", filters=[{"type": "CORS", "cors": {}}]), "filter CORS is left out"),
        (to("v1", filters=[{"type": "ExternalAuth"}]), "must not be skipped: its requests are answered 500"),
        (to("v1", filters=[headers(remove=["x-request-id"])]), "is written by the proxy itself"),
        (to("v1", filters=[headers(set=[{"name": "Host", "value": "a"}])]), "Host is changed with `rewrite"),
        (to("v1", matches=[{"path": {"type": "RegularExpression", "value": "(?!a)"}}, {}]), "match 1 of rule 1"),
        (to("v1", matches=[{"path": {"type": "Glob", "value": "/*"}}, {}]), "in the unknown way 'Glob'"),
        (to("v1", matches=[{"headers": [{"name": "a b", "value": "c"}]}, {}]), "match 1 of rule 1 is left out"),
        (to("v1", matches=[{"headers": [{"name": "a", "value": " c"}]}, {}]), "with spaces at its ends"),
        (to("v1", retry={"attempts": 50}), "50 retries become 10"),
        (to("v1", retry={"codes": [404, 500], "backoff": "1s"}), "statuses under 500 are not retried"),
        (to("v1", retry={"backoff": "1s"}), "`backoff` is left out"),
        (to("v1", "v2", sessionPersistence={"type": "Header"}), "sessions by a header are left out"),
        ({"backendRefs": [{"name": "v1", "namespace": "other", "port": 80}]}, "taken as granted"),
        ({"backendRefs": [{"name": "v1"}]}, "names no port: 80 is taken"),
        ({"backendRefs": [{"kind": "Bucket", "name": "b"}, {"name": "v1", "port": 80}]}, "goes to the others"),
        (
            {"backendRefs": [{"name": "v1", "port": 80}, {"name": "v2", "port": 80, "filters": [{"type": "URLRewrite",
                "urlRewrite": {"hostname": "a.example"}}]}]},
            "as a version changes headers alone",
        ),
        (
            to("v1", matches=[{"path": {"type": "Exact", "value": "/a"}}],
               filters=[{"type": "URLRewrite", "urlRewrite": {"path": {"replacePrefixMatch": "/b"}}}]),
            "`replacePrefixMatch` is left out",
        ),
    ],
)  # fmt: skip
def test_what_is_not_kept_is_said(rule: Map, said: str) -> None:
    """And the rest is served all the same."""
    world = World(http_route(rule))
    assert [note for note in world.notes if said in note], world.notes
    assert world.rule_file.routes


def test_a_redirect_without_a_change_takes_no_request() -> None:
    """It would send clients in circles, whatever its status."""
    redirect = {"filters": [{"type": "RequestRedirect", "requestRedirect": {"statusCode": 307}}]}
    world = World(http_route(redirect | {"matches": [{"path": {"value": "/a"}}]}, to("v1")))
    assert "clients would go in circles" in world.notes[0]
    decision = world.decision(path="/a")
    assert decision is not None and decision.version == "v1"


def test_other_kinds_and_routes_without_a_listener_are_said() -> None:
    """A route that its Gateway does not take has no rules here."""
    gateway = thing(
        "Gateway", "gw", {"listeners": [{"name": "l", "protocol": "HTTP", "port": 80, "hostname": "a.com"}]}
    )
    parent = {"parentRefs": [{"name": "gw"}]}
    world = World(
        gateway,
        thing("GRPCRoute", "grpc", {}),
        http_route(to("v1"), **parent),
        http_route(to("v2"), name="other", hostnames=["b.com"], **parent),
    )
    assert world.notes == ["GRPCRoute is not imported", "left out: no listener of its Gateways takes it (b.com)"]
    assert [route.hosts for route in world.rule_file.routes] == [("a.com",)]


def test_listeners_on_several_ports_are_said_to_be_one() -> None:
    """A rule file has hosts and schemes; http and https for the same hosts are told apart."""
    ports = {"a": ("HTTP", 80), "b": ("HTTPS", 443), "c": ("HTTP", 8080)}
    listeners = [{"name": name, "protocol": kind, "port": port} for name, (kind, port) in ports.items()]
    world = World(thing("Gateway", "gw", {"listeners": listeners}), http_route(to("v1"), parentRefs=[{"name": "gw"}]))
    (note,) = world.notes
    assert note.endswith("routes of port 8080 are one with those of port 80 of Gateway default/gw")


def test_weights_that_are_all_0_answer_500() -> None:
    """As in the API; the file says why."""
    world = World(http_route({"backendRefs": [{"name": name, "port": 80, "weight": 0} for name in ("v1", "v2")]}))
    decision = world.decision()
    assert decision is not None and decision.status == 500
    assert "No backendRef is valid and has a weight above 0: the API answers 500." in world.text


def test_an_alone_backend_with_filters_beside_those_of_its_rule_is_changed_twice() -> None:
    """First by the rule, then by the version, as the API has it."""
    first, later = (headers(set=[{"name": "x-by", "value": by}]) for by in ("rule", "backend"))
    backend = {"name": "v1", "port": 80, "filters": [later]}
    world = World(http_route({"filters": [first], "backendRefs": [backend]}))
    (rule,) = world.rule_file.routes[0].rules
    version = world.rule_file.services["v1"].versions["v1"]
    assert rule.request_headers is not None and rule.request_headers.set == (("x-by", "rule"),)
    assert version.request_headers is not None and version.request_headers.set == (("x-by", "backend"),)


def test_a_backend_with_a_policy_for_tls_is_https() -> None:
    """Whom to trust is a matter of files, which the rule file has to name."""
    policy = thing("BackendTLSPolicy", "safe", {"targetRefs": [{"kind": "Service", "name": "v1"}]})
    world = World(http_route(to("v1")), policy)
    (endpoint,) = world.rule_file.services["v1"].versions["v1"].endpoints
    assert endpoint.url == "https://v1.default.svc.cluster.local:80"
    assert "its host name and certificates are left out" in world.notes[0]


def test_a_session_is_a_pin() -> None:
    """Its version stays whatever the weights become, as the API has it."""
    session = {"sessionName": "sid", "absoluteTimeout": "1h30m", "cookieConfig": {"lifetimeType": "Permanent"}}
    world = World(http_route(to("v1", "v2", sessionPersistence=session)))
    sticky = world.rule_file.routes[0].rules[0].sticky
    assert sticky is not None and sticky.cookie is not None
    assert (sticky.mode, sticky.on_zero, sticky.cookie.name, sticky.cookie.ttl) == ("pin", "keep", "sid", 5400)


def test_versions_of_one_service_differ_by_their_headers() -> None:
    """A Service that stands twice among the backends, with changes of its own, is two versions."""
    changed = headers(set=[{"name": "x-new", "value": "1"}])
    plain, other = {"name": "v1", "port": 80}, {"name": "v1", "port": 80, "filters": [changed]}
    world = World(http_route({"backendRefs": [plain, other]}))
    assert world.shares() == {"v1": 50, "v1:80": 50}
    assert world.rule_file.services["v1"].versions["v1:80"].request_headers is not None


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("10s", "10s"), ("1m30s", "90s"), ("1h30m", "90m"), ("2h", "2h"), ("1s500ms", "1500ms"), ("0h", "0s")],
)
def test_durations(theirs: str, ours: str) -> None:
    """GEP-2257's, with one number and one unit."""
    assert duration(theirs) == ours


@pytest.mark.parametrize(
    ("theirs", "ours"), [("/a", "^/a$"), ("^/a$", "^/a$"), ("a|b", "^(?:a|b)$"), ("^a|b$", "^(?:^a|b$)$")]
)
def test_regexes_match_whole_values(theirs: str, ours: str) -> None:
    assert whole(theirs) == ours
