"""The JSON Schema of the rule file, for editors: from the grammar, with the model's docstrings as its descriptions.

A schema says less than `grayhound check`: which names exist, what adds up and what a regex is stays unsaid.
"""

from __future__ import annotations

import ast
import inspect
from functools import lru_cache
from typing import Any, Final

from proxy.rules.read.grammar import FILE
from proxy.rules.read.shapes import Reader, Schema

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """The schema of a rule file, JSON Schema draft 2020-12."""
    book = _Book()
    top = FILE.schema(book)
    return {"$schema": DIALECT, "title": "Grayhound rule file", **top, "$defs": book.parts}


def manual(model: type) -> dict[str, str]:
    """The text under each field of a model class."""
    return dict(_manual(model))


class _Book:
    """The parts that stand in many places, each written once."""

    def __init__(self) -> None:
        self.parts: dict[str, Schema] = {}

    def shared(self, name: str, reader: Reader) -> Schema:
        if name not in self.parts:
            self.parts[name] = {}  # it may stand within itself
            self.parts[name] = reader.schema(self)
        return {"$ref": f"#/$defs/{name}"}

    def manual(self, model: type | None, field: str) -> str:
        return _manual(model).get(field, "") if model is not None else ""


@lru_cache
def _manual(model: type) -> dict[str, str]:
    (definition,) = ast.parse(inspect.getsource(model)).body
    assert isinstance(definition, ast.ClassDef)
    texts: dict[str, str] = {}
    for statement, following in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            assert isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
            texts[statement.target.id] = " ".join(str(following.value.value).split())
    return texts
