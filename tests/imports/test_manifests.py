"""Which texts are Kubernetes manifests, and the objects in them."""

from __future__ import annotations

import pytest

from proxy.imports.manifests import are_manifests, items_at, objects, text_at
from proxy.rules.read.nodes import TreeError

SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: shop, namespace: web}\n"
INGRESS = "kind: Ingress\napiVersion: networking.k8s.io/v1\nmetadata: {name: shop}\n"
JSON = '{\n  "apiVersion": "v1", "kind": "List",\n  "items": [{"apiVersion": "v1", "kind": "Service"}]\n}\n'
RULES_IN_JSON = '{"services": {}, "routes": [{"rules": [{"match": {"header": {"apiVersion": "v1"}}}]}]}'


@pytest.mark.parametrize(
    ("text", "manifests"),
    [
        (SERVICE, True),
        (INGRESS, True),
        ("---\n# a comment\n" + INGRESS, True),
        (JSON, True),
        ("services:\n  shop: {}\nroutes: []\n", False),
        ("services:\n  x:\n    kind: y\n", False),
        (RULES_IN_JSON, False),
        ('{"apiVersion": ', False),
        ("", False),
    ],
)
def test_manifests_are_told_from_rules(text: str, manifests: bool) -> None:
    """By a key at the top that no rule file has."""
    assert are_manifests(text) is manifests


@pytest.mark.parametrize(
    "text",
    [
        SERVICE + "---\n" + INGRESS + "---\n",
        "kind: List\nitems:\n" + "".join("- " + text.replace("\n", "\n  ").rstrip(" ") for text in (SERVICE, INGRESS)),
        "kind: List\nitems: [{kind: List, items: [&s {kind: Service, apiVersion: v1, metadata: {name: shop, "
        "namespace: web}}]}, {kind: Ingress, apiVersion: networking.k8s.io/v1, metadata: {name: shop}}]",
    ],
    ids=["documents", "list", "list in a list"],
)
def test_documents_and_lists_hold_objects(text: str) -> None:
    """In file order, with the namespace `default` unless said, the group of their apiVersion."""
    found = [(each.group, each.label) for each in objects(text)]
    assert found == [("", "Service web/shop"), ("networking.k8s.io", "Ingress default/shop")]


def test_output_of_kubectl_in_json() -> None:
    """What `kubectl get ingress -o json` prints."""
    (service,) = objects(JSON)
    assert service.label == "Service default/unnamed"


def test_an_object_knows_its_place() -> None:
    """Lines count through all documents."""
    first, second = objects(SERVICE + "---\n" + INGRESS)
    assert (first.body.line, second.body.line) == (1, 5)


def test_anchors_end_with_their_document() -> None:
    """As YAML says: an alias of another document's anchor is a fault."""
    with pytest.raises(TreeError, match="alias"):
        objects("kind: A\nx: &x 1\n---\nkind: B\nx: *x\n")


@pytest.mark.parametrize("text", ["kind: A\n---\n- 1\n", "kind: A\n---\nmetadata: {}\n", "kind: List\nitems: [1]\n"])
def test_what_is_no_object_is_a_fault(text: str) -> None:
    with pytest.raises(TreeError, match="expected a Kubernetes object"):
        objects(text)


def test_looking_into_nodes() -> None:
    """What is absent or null is nothing."""
    (found,) = objects("kind: A\nspec: {a: null, b: [1, 2], c: {d: e}}\n")
    assert text_at(found.body, "spec", "c", "d") == "e"
    assert text_at(found.body, "spec", "a") == text_at(found.body, "spec", "b") == text_at(found.body, "x", "y") == ""
    assert len(items_at(found.body, "spec", "b")) == 2 and items_at(found.body, "spec", "c") == []
