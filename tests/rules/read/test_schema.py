from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from proxy.rules.model import Timeouts
from proxy.rules.read.nodes import Items, Map, Node, Scalar, tree
from proxy.rules.read.schema import json_schema, manual

ROOT = Path(__file__).parents[3]
EXAMPLES = [ROOT / "config" / "rules.yaml", *sorted((ROOT / "config" / "examples").glob("*.yaml"))]
WORDS = {"true": True, "false": False, "null": None, "": None}


def plain(node: Node) -> Any:
    """What an editor makes of the file: YAML 1.2's core schema."""
    if isinstance(node, Map):
        return {name: plain(value) for name, (_, value) in node.entries.items()}
    if isinstance(node, Items):
        return [plain(item) for item in node.nodes]
    assert isinstance(node, Scalar)
    if not node.plain:
        return node.text
    if re.fullmatch(r"-?[0-9]+", node.text):
        return int(node.text)
    return float(node.text) if re.fullmatch(r"-?[0-9]+\.[0-9]+", node.text) else WORDS.get(node.text, node.text)


def valid(text: str) -> bool:
    return jsonschema.Draft202012Validator(json_schema()).is_valid(plain(tree(text)))


def properties(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(schema, dict):
        for name, value in schema.get("properties", {}).items():
            yield f"{path}.{name}", value
        for key, value in schema.items():
            yield from properties(value, f"{path}.{key}")
    elif isinstance(schema, list):
        for value in schema:
            yield from properties(value, path)


def test_it_is_a_json_schema() -> None:
    """Of the draft that it names."""
    jsonschema.Draft202012Validator.check_schema(json_schema())


def test_every_key_is_documented() -> None:
    """What an editor shows beside a key is the model's docstring, or the grammar's own words."""
    assert [name for name, schema in properties(json_schema()) if not schema.get("description")] == []
    assert manual(Timeouts)["connect"] == "To open a connection, TLS included."


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_the_files_that_users_copy_are_valid(file: Path) -> None:
    """The schema takes what the reader takes."""
    jsonschema.Draft202012Validator(json_schema()).validate(plain(tree(file.read_text())))


@pytest.mark.parametrize("key", ["servces", "rollout"])
def test_unknown_keys_are_invalid(key: str) -> None:
    """An editor underlines what the reader refuses."""
    text = "services: {s: {versions: {v: {endpoints: http://a}}}}\nroutes: [{service: s}]\n"
    assert valid(text)
    assert not valid(text + f"{key}: {{}}\n")
    assert not valid(text.replace("{service: s}", "{service: s, path: {exact: /a, prefix: /b}}"))
