"""What is true of every Ingress, whatever its annotations."""

from __future__ import annotations

from tests.imports.world import World, ingress


def test_services_have_the_time_that_nginx_gives_them() -> None:
    """Five seconds to connect and sixty to answer, unless annotations say otherwise."""
    world = World(ingress("web"), ingress("slow", name="slow", path="/slow", proxy_read_timeout="300"))
    services = world.rule_file.services
    assert [(each.timeouts.connect, each.timeouts.response) for each in services.values()] == [(5, 60), (5, 60)]
    slow = next(route for route in world.rule_file.routes if route.service == "slow")
    assert slow.timeouts is not None and (slow.timeouts.connect, slow.timeouts.response) == (5, 300)


def test_objects_of_the_beta_versions() -> None:
    """serviceName and servicePort, without a type of path: as of 2020."""
    world = World(
        "apiVersion: extensions/v1beta1\nkind: Ingress\nmetadata: {name: old}\nspec:\n"
        "  backend: {serviceName: rest, servicePort: 81}\n"
        "  rules: [{host: a.b, http: {paths: [{path: /, backend: {serviceName: web, servicePort: 80}}]}}]\n"
    )
    assert world.shares(host="a.b") == {"web": 100.0}
    assert world.shares(host="c.d") == {"rest": 100.0}
    urls = [v.endpoints[0].url for each in world.rule_file.services.values() for v in each.versions.values()]
    assert urls == ["http://web.default.svc.cluster.local:80", "http://rest.default.svc.cluster.local:81"]


def test_a_wildcard_takes_more_labels_and_that_is_noted() -> None:
    world = World(ingress("web", host="*.example.com"))
    assert world.shares(host="a.b.example.com") == {"web": 100.0}
    assert world.notes == ["*.example.com stands for one or more labels here, in an Ingress for one"]


def test_objects_of_several_classes_are_noted() -> None:
    """One of them may have been meant for another controller."""
    one, other = ingress("web"), ingress("api", name="api", path="/api")
    one["spec"]["ingressClassName"] = "nginx"
    other["metadata"]["annotations"] = {"kubernetes.io/ingress.class": "alb"}
    notes = World(one, other).notes
    assert [note.partition(":")[0] for note in notes] == [
        "of class 'nginx', others are not",
        "of class 'alb', others are not",
    ]
    other["metadata"]["annotations"] = {}
    assert World(one, other).notes == []
    other["metadata"]["annotations"] = {"kubernetes.io/ingress.class": "nginx"}
    assert World(one, other).notes == []


def test_a_path_that_leads_to_no_service_is_noted() -> None:
    """A resource, say."""
    made = ingress("web", "nothing")
    (rule,) = made["spec"]["rules"]
    rule["http"]["paths"][1] |= {"path": "/files", "backend": {"resource": {"kind": "Bucket", "name": "x"}}}
    world = World(made)
    assert world.notes == ["host www.example.com, path /files (Prefix) leads to no Service: requests for it get 404"]
    assert world.shares(path="/files") == {"web": 100.0}


def test_equal_services_of_several_namespaces_are_apart() -> None:
    """Each with its own endpoints."""
    one, other = ingress("web"), ingress("web", host="other.example.com")
    other["metadata"]["namespace"] = "test"
    world = World(one, other)
    assert list(world.rule_file.services) == ["web", "test.web:80"]
