"""A text of Kubernetes manifests (YAML documents, JSON, lists) -> its objects, each knowing where it stands.

Objects are looked at as they are written: nothing here checks them against Kubernetes' own schema, and what an importer
does not ask for is not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from proxy.data import dataclass
from proxy.rules.read.nodes import Items, Map, Node, Path, Scalar, TreeError, trees

DEFAULT_NAMESPACE = "default"
NUMBER_DIGITS_MAX = 10
"""Digits of a number; Kubernetes' have 32 bits."""
RULES = frozenset({"services", "routes", "rollouts", "tests"})
"""Words of a rule file."""

_mentions = re.compile(r"^(?:apiVersion|kind)\s*:", re.MULTILINE).search
_mentions_in_json = re.compile(r'"apiVersion"\s*:').search


@dataclass(frozen=True, slots=True)
class Object:
    """One object of the cluster."""

    group: str
    """Of its apiVersion, without the version: `networking.k8s.io`; empty for the core group."""
    kind: str
    namespace: str
    name: str
    body: Map

    @property
    def label(self) -> str:
        """How comments and notes name it: `Ingress default/shop`."""
        return f"{self.kind} {self.namespace}/{self.name}"

    def annotations(self) -> dict[str, Scalar]:
        """Its annotations that have a text, in file order."""
        found = get(self.body, "metadata", "annotations")
        values = found.entries.values() if isinstance(found, Map) else ()
        return {key.text: value for key, value in values if isinstance(value, Scalar)}


def are_manifests(text: str) -> bool:
    """Whether a text holds Kubernetes objects, and no rules: decided by keys that no rule file has at its top."""
    if _mentions(text):
        return True
    if not text.lstrip().startswith("{") or not _mentions_in_json(text):
        return False
    try:
        return any("apiVersion" in root.entries for root in trees(text) if isinstance(root, Map))
    except TreeError:
        return False  # the reader of rule files says what is wrong


def objects(text: str) -> list[Object]:
    """Every object, those within lists included, in file order. Raises TreeError."""
    return [found for root in trees(text) for found in _objects(root, ())]


def _objects(root: Node, at: Path) -> Iterator[Object]:
    if isinstance(root, Scalar) and not root.text:
        return  # an empty document, as a `---` at the end makes one
    kind = text_at(root, "kind")
    if not isinstance(root, Map) or not kind:
        what = "expected a Kubernetes object, with `apiVersion` and `kind`"
        if isinstance(root, Map) and root.entries.keys() & RULES:
            what += "; rules do not stand beside them: `grayhound import` makes a rule file of the objects"
        raise TreeError([(root.line, root.column, at, what)])
    listed = get(root, "items")
    if kind.endswith("List") and isinstance(listed, Items):
        for number, item in enumerate(listed.nodes):
            yield from _objects(item, (*at, "items", number))
        return
    group, slash, _ = text_at(root, "apiVersion").rpartition("/")
    yield Object(
        group if slash else "",
        kind,
        text_at(root, "metadata", "namespace") or DEFAULT_NAMESPACE,
        text_at(root, "metadata", "name") or "unnamed",
        root,
    )


# --- Looking into nodes --------------------------------------------------------------------------------------------


def get(node: Node | None, *path: str) -> Node | None:
    """What stands under these keys; None: nothing, or null."""
    for key in path:
        entry = node.entries.get(key) if isinstance(node, Map) else None
        node = entry[1] if entry is not None else None
    if isinstance(node, Scalar) and node.plain and node.text in ("", "~", "null"):
        return None
    return node


def text_at(node: Node | None, *path: str) -> str:
    """The text under these keys; empty if there is none."""
    found = get(node, *path)
    return found.text if isinstance(found, Scalar) else ""


def number_at(node: Node | None, *path: str, default: int) -> int:
    """The whole number under these keys; what is none counts as absent, as Kubernetes would not have taken it."""
    text = text_at(node, *path)
    return int(text) if text.isascii() and text.isdigit() and len(text) <= NUMBER_DIGITS_MAX else default


def items_at(node: Node | None, *path: str) -> list[Node]:
    """The list under these keys; empty if there is none."""
    found = get(node, *path)
    return found.nodes if isinstance(found, Items) else []
