"""The order of precedence of Gateway API: what is imported decides like a plain reading of the API's own words.

The plain reading looks at every match of every rule of every route that could take a request, and takes the best one.
It shares nothing with the importer; each rule leads to a backend of its own, so that the right rule is found, not only
one that leads to the same place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.errors import RuleError
from tests.imports.world import World

Map = dict[str, Any]

HOSTS = ["a.com", "x.a.com", "y.x.a.com", "b.com"]
PATTERNS = ["a.com", "x.a.com", "*.a.com", "*.x.a.com", "*.com"]
PREFIXES = ["/", "/a", "/a/", "/a/b", "/b"]
REGEXES = ["/a/.*", "/[ab]", "/a|/b/c", ".*"]
PATHS = ["/", "/a", "/a/", "/a/b", "/a/b/c", "/ab", "/b", "/b/c", "/c"]


class Request(NamedTuple):
    """What is asked."""

    scheme: str
    host: str
    method: str
    path: str
    headers: dict[str, str]
    query: dict[str, str]


# --- A plain reading of the API ------------------------------------------------------------------------------------


def best_backend(gateway: Map | None, routes: list[Map], request: Request) -> str:
    """The backend of the best match; empty: 404."""
    found = [candidate for route in routes for candidate in candidates(gateway, route, request)]
    return min(found, key=lambda candidate: candidate[0])[1] if found else ""


def candidates(gateway: Map | None, route: Map, request: Request) -> Iterator[tuple[Any, str]]:
    """Every match that takes the request: its place in the order, the smallest first, and its backend."""
    meta = route["metadata"]
    oldest = (meta.get("creationTimestamp", "9999"), f"{meta['namespace']}/{meta['name']}")
    for host in matching_hosts(gateway, route, request):
        exact = 0 if host.startswith("*") else len(host)
        for number, rule in enumerate(route["spec"]["rules"]):
            for match in rule.get("matches", [{}]):
                if takes(match, request):
                    place = (-exact, -len(host), *by_path(match), *by_parts(match), *oldest, number)
                    yield place, rule["backendRefs"][0]["name"]


def matching_hosts(gateway: Map | None, route: Map, request: Request) -> Iterator[str]:
    """Host names of the route, cut down to those of the listener whose business the request is."""
    hosts = route["spec"].get("hostnames", [""])
    if gateway is None:
        yield from (host for host in hosts if stands_for(host, request.host))
        return
    listeners = [each for each in gateway["spec"]["listeners"] if each["protocol"].lower() == request.scheme]
    fitting = [each for each in listeners if stands_for(each.get("hostname", ""), request.host)]
    if not fitting:
        return
    wanted = max((each.get("hostname", "") for each in fitting), key=narrowness)
    for parent in route["spec"]["parentRefs"]:
        for name in [each["name"] for each in fitting if each.get("hostname", "") == wanted]:
            if parent.get("sectionName", name) == name:
                yield from (narrower(wanted, host) for host in hosts if stands_for(host, request.host))


def stands_for(pattern: str, host: str) -> bool:
    return pattern in ("", host) or (pattern.startswith("*.") and host.endswith(pattern[1:]))


def narrower(one: str, other: str) -> str:
    """Of two patterns that one host fits, the one for fewer hosts: an exact one, or else the longer one."""
    return max(one, other, key=narrowness)


def narrowness(host: str) -> tuple[bool, int]:
    return host[:1] not in ("*", ""), len(host)


def takes(match: Map, request: Request) -> bool:
    path = match.get("path", {"type": "PathPrefix", "value": "/"})
    prefix = path["value"].rstrip("/")
    fits = {
        "Exact": request.path == path["value"],
        "PathPrefix": request.path == prefix or request.path.startswith(prefix + "/"),
        "RegularExpression": re.fullmatch(path["value"], request.path) is not None,
    }
    return (
        fits[path["type"]]
        and match.get("method", request.method) == request.method
        and all(request.headers.get(each["name"]) == each["value"] for each in match.get("headers", ()))
        and all(request.query.get(each["name"]) == each["value"] for each in match.get("queryParams", ()))
    )


def by_path(match: Map) -> tuple[int, int]:
    """An exact path, then a regular expression, whose place is free, then a prefix; the longer one first."""
    path = match.get("path", {"type": "PathPrefix", "value": "/"})
    place = ["Exact", "RegularExpression", "PathPrefix"].index(path["type"])
    value = path["value"].rstrip("/") or "/" if place == 2 else path["value"]  # a slash at the end is ignored
    return place, -len(value)


def by_parts(match: Map) -> tuple[bool, int, int]:
    return "method" not in match, -len(match.get("headers", ())), -len(match.get("queryParams", ()))


# --- Any routes and requests ---------------------------------------------------------------------------------------

tests_of_names = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.sampled_from(["1", "2"]), max_size=2).map(
    lambda named: [{"name": name, "value": value} for name, value in named.items()]
)
paths = st.one_of(
    st.builds(lambda value: {"type": "PathPrefix", "value": value}, st.sampled_from(PREFIXES)),
    st.builds(lambda value: {"type": "Exact", "value": value}, st.sampled_from(["/", "/a", "/a/b", "/b"])),
    st.builds(lambda value: {"type": "RegularExpression", "value": value}, st.sampled_from(REGEXES)),
)
matches = st.fixed_dictionaries(
    {},
    optional={
        "path": paths,
        "method": st.sampled_from(["GET", "POST"]),
        "headers": tests_of_names.filter(bool),
        "queryParams": tests_of_names.filter(bool),
    },
)
rules = st.lists(st.lists(matches, max_size=3), min_size=1, max_size=4)
ages = st.sampled_from([None, "2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z"])
hostnames = st.lists(st.sampled_from(PATTERNS), max_size=2, unique=True)


@st.composite
def gateways(draw: Any) -> Map | None:
    """None, or one with some listeners, no two of a scheme for the same hosts."""
    kinds = st.tuples(st.sampled_from(["HTTP", "HTTPS"]), st.sampled_from(["", *PATTERNS]))
    listeners = draw(st.none() | st.lists(kinds, min_size=1, max_size=4, unique=True))
    if listeners is None:
        return None
    return thing("Gateway", "gateway", {"gatewayClassName": "any", "listeners": [
        {"name": f"l{number}", "port": 80, "protocol": protocol, **({"hostname": host} if host else {})}
        for number, (protocol, host) in enumerate(listeners)
    ]})  # fmt: skip


@st.composite
def clusters(draw: Any) -> tuple[Map | None, list[Map]]:
    """A Gateway and the routes on it; names are not in the order of the file."""
    gateway = draw(gateways())
    routes = []
    for name in draw(st.permutations(["r0", "r1", "r2"]))[: draw(st.integers(1, 3))]:
        sections = [listener["name"] for listener in gateway["spec"]["listeners"]] if gateway else []
        section = draw(st.sampled_from([None, *sections]))
        parent = {"name": "gateway"} | ({"sectionName": section} if section else {})
        found = draw(hostnames)
        spec: Map = {"parentRefs": [parent]} | ({"hostnames": found} if found else {})
        spec["rules"] = [
            ({"matches": each} if each else {}) | {"backendRefs": [{"name": f"{name}-{number}", "port": 80}]}
            for number, each in enumerate(draw(rules))
        ]
        routes.append(thing("HTTPRoute", name, spec, draw(ages)))
    return gateway, routes


def thing(kind: str, name: str, spec: Map, age: str | None = None) -> Map:
    meta = {"name": name, "namespace": "default"} | ({"creationTimestamp": age} if age else {})
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": kind, "metadata": meta, "spec": spec}


requests = st.builds(
    Request,
    st.sampled_from(["http", "https"]),
    st.sampled_from(HOSTS),
    st.sampled_from(["GET", "POST", "PUT"]),
    st.sampled_from(PATHS),
    st.dictionaries(st.sampled_from(["a", "b", "c"]), st.sampled_from(["1", "2"]), max_size=3),
    st.dictionaries(st.sampled_from(["a", "b", "c"]), st.sampled_from(["1", "2"]), max_size=3),
)


@settings(max_examples=100, deadline=None)
@given(clusters(), st.lists(requests, min_size=20, max_size=20))
def test_each_request_gets_the_best_match(cluster: tuple[Map | None, list[Map]], asked: list[Request]) -> None:
    """Whatever the routes and the request: the same backend as by the plain reading, or 404 where that finds none."""
    gateway, routes = cluster
    try:
        world = World(*(each for each in (gateway, *routes) if each is not None))
    except RuleError as error:
        assert "nothing here gives a route" in str(error)
        assert not any(best_backend(gateway, routes, request) for request in asked)
        return
    for request in asked:
        protocols = {each["protocol"] for each in gateway["spec"]["listeners"]} if gateway else {"HTTP", "HTTPS"}
        if request.scheme.upper() not in protocols:
            continue  # there is no port where such a request would come in
        query = "&".join(f"{name}={value}" for name, value in request.query.items())
        decision = world.decision(
            request.host, request.path + (f"?{query}" if query else ""), request.headers,
            method=request.method, scheme=request.scheme,
        )  # fmt: skip
        found = decision.version if decision is not None else ""
        assert found == best_backend(gateway, routes, request), (request, world.text)
