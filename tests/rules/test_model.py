from __future__ import annotations

import ast
import dataclasses
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.rules import actions, expect, health, model, person, rollouts
from proxy.rules.parse import parse

ROOT = Path(__file__).parent.parent.parent


def test_a_rule_file_travels_to_the_workers() -> None:
    """Pickled and back, it is equal."""
    rule_file = parse((ROOT / "config" / "rules.yaml").read_text(), "rules.yaml").rule_file
    assert pickle.loads(pickle.dumps(rule_file)) == rule_file


def test_workers_need_no_yaml_reader() -> None:
    """The model and what compiles it import no YAML."""
    code = "import proxy.rules.compile, sys; sys.exit('yaml' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize("module", [model, expect, actions, health, person, rollouts])
def test_every_field_has_its_manual(module: object) -> None:
    """A frozen class with slots, and a text under each field."""
    tree = ast.parse(Path(str(module.__file__)).read_text())  # type: ignore[attr-defined]
    for definition in [node for node in tree.body if isinstance(node, ast.ClassDef)]:
        made = getattr(module, definition.name)
        assert dataclasses.is_dataclass(made) and made.__hash__ is not None and "__slots__" in vars(made)
        documented = [
            field
            for field, text in zip(definition.body, definition.body[1:], strict=False)
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr)
        ]
        assert len(documented) == len(dataclasses.fields(made)), definition.name
