"""A draft: names of services and versions, and where they are."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.imports.draft import Backend, Draft
from proxy.imports.manifests import Object, objects
from tests.imports.world import World, ingress

CLUSTER = "http://web.default.svc.cluster.local:80"


def kubernetes_service(name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def url(world: World) -> str:
    (service,) = world.rule_file.services.values()
    ((endpoint,),) = (version.endpoints for version in service.versions.values())
    return endpoint.url


def by_port_name(name: str) -> dict[str, Any]:
    made = ingress("web")
    made["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["port"] = {"name": name}
    return made


@pytest.mark.parametrize(
    ("urls", "expected"),
    [
        ({}, CLUSTER),
        ({"web": "http://127.0.0.1:1"}, "http://127.0.0.1:1"),
        ({"web:80": "http://127.0.0.1:2", "web": "http://127.0.0.1:1"}, "http://127.0.0.1:2"),
        ({"default/web": "http://127.0.0.1:3", "web": "http://127.0.0.1:1"}, "http://127.0.0.1:3"),
        ({"default/web:80": "http://127.0.0.1:4", "default/web": "http://127.0.0.1:3"}, "http://127.0.0.1:4"),
        ({"web:81": "http://127.0.0.1:1", "other/web": "http://127.0.0.1:1"}, CLUSTER),
    ],
)
def test_urls_in_place_of_names_in_the_cluster(urls: dict[str, str], expected: str) -> None:
    """The narrowest one counts. The file says what names in the cluster are, where there are any."""
    world = World(ingress("web"), urls=urls)
    assert url(world) == expected
    assert ("names in the cluster" in world.text) == (expected == CLUSTER)


def test_a_port_by_its_name() -> None:
    """Its number stands in the Service."""
    service = kubernetes_service("web", ports=[{"name": "metrics", "port": 9000}, {"name": "http", "port": 8080}])
    world = World(by_port_name("http"), service)
    assert url(world) == "http://web.default.svc.cluster.local:8080" and world.notes == []


@pytest.mark.parametrize(("cluster_ip", "port"), [("None", 8080), ("10.0.0.1", 80)])
def test_a_port_of_pods(cluster_ip: str, port: int) -> None:
    """A headless Service leads to them, so their port counts; that of any other one is the Service's."""
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    for made in (by_port_name("http"), ingress("web")):
        world = World(made, kubernetes_service("web", clusterIP=cluster_ip, ports=ports))
        assert url(world) == f"http://web.default.svc.cluster.local:{port}"


@pytest.mark.parametrize(
    ("objects_", "said"),
    [
        ([], "as the Service is not in the file: 80 is taken; add the Service, or say --service web=URL"),
        (
            [kubernetes_service("web", ports=[{"name": "x", "port": 1}])],
            "as the Service has no port 'http': 80 is taken",
        ),
    ],
)
def test_a_port_whose_number_is_unknown_is_noted(objects_: list[dict[str, Any]], said: str) -> None:
    world = World(by_port_name("http"), *objects_)
    assert url(world) == CLUSTER and any(said in note for note in world.notes)


def test_a_service_outside_of_the_cluster() -> None:
    """ExternalName: at that name."""
    world = World(ingress("web"), kubernetes_service("web", type="ExternalName", externalName="web.example.com"))
    assert url(world) == "http://web.example.com:80"


def owner() -> Object:
    return objects("kind: Ingress\nmetadata: {name: x}\n")[0]


def test_services_of_the_same_stable_version_are_one() -> None:
    """With the versions of all; apart if asked to be. Names are short as long as they are clear."""
    draft, ingress_ = Draft([]), owner()
    shop, other = Backend("web", "shop", "80"), Backend("test", "shop", "80")
    first = draft.service(shop, "one")
    draft.version(first, shop, ingress_, ingress_.body)
    assert draft.service(shop, "two") is first
    for backend, name in ((shop, "shop"), (other, "shop:80"), (Backend("web", "shop", "81"), "shop:81")):
        assert draft.version(first, backend, ingress_, ingress_.body) == name
    assert draft.service(other, "").name == "test.shop:80"
    assert draft.service(shop, "", "-tls").name == "shop-tls"
    assert list(draft.services) == ["shop", "test.shop:80", "shop-tls"]


def test_routes_have_names_of_their_own() -> None:
    """Cut where they are too long for one."""
    draft = Draft([])
    assert [draft.title("a") for _ in range(3)] == ["a", "a 2", "a 3"]
    long = [draft.title("x" * 300) for _ in range(2)]
    assert len(set(long)) == 2 and max(map(len, long)) <= 128


def test_a_note_is_said_once_and_in_the_order_of_the_file() -> None:
    draft, ingress_ = Draft([]), owner()
    places = ingress_.body.entries
    for key in ("metadata", "kind", "metadata"):
        draft.note(ingress_, places[key][1], "x")
    assert [note.line for note in draft.notes] == [1, 2]
