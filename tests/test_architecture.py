"""The house keeps its own rules: who may import whom, what is pure, how long a file and a function may be."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
ROOF = 5
FLOORS = {  # the longest prefix of a module's name says its floor; the map is drawn in proxy/__init__.py
    "proxy.data": -1,  # what words are made of
    **dict.fromkeys(("proxy", "proxy.errors", "proxy.settings", "proxy.tasks", "proxy.pem"), 0),
    **dict.fromkeys(("proxy.http.message", "proxy.rules.model", "proxy.rules.expect", "proxy.rules.tls"), 0),
    **dict.fromkeys(("proxy.rules.actions", "proxy.rules.person"), 0),
    **dict.fromkeys(("proxy.rules.health", "proxy.rules.rollouts"), 0),
    **dict.fromkeys(("proxy.http", "proxy.rules", "proxy.upstream.balance", "proxy.upstream.health"), 1),
    **dict.fromkeys(("proxy.rollout.stats", "proxy.rollout.gates", "proxy.rollout.watch", "proxy.rollout.plan"), 1),
    **dict.fromkeys(("proxy.downstream", "proxy.upstream", "proxy.sources", "proxy.observe", "proxy.imports"), 2),
    "proxy.gateway": 3,
    **dict.fromkeys(("proxy.rollout", "proxy.admin"), 4),
    **dict.fromkeys(("proxy.run", "proxy.cli", "proxy.commands", "proxy.demo", "proxy.__main__"), ROOF),
}
IMPURE = {"asyncio", "socket", "time", "random", "os", "threading"}
# the one create_task; files that are none; the names of types; a calendar
EXCEPTIONS = {
    "proxy.tasks": {"asyncio"},
    "proxy.pem": {"os"},
    "proxy.protocol": {"asyncio"},
    "proxy.clock": {"time"},
}
TRAFFIC = ("proxy.downstream", "proxy.upstream", "proxy.gateway")  # the control plane never calls it


def name_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


SOURCES = {name_of(file): file.read_text() for file in sorted((ROOT / "proxy").rglob("*.py"))}
TREES = {name: ast.parse(text) for name, text in SOURCES.items()}


def floor(module: str) -> int:
    while module not in FLOORS:
        module = module.rpartition(".")[0]
    return FLOORS[module]


def package(module: str) -> str:
    """What may import itself on one floor: a folder, the loose words, and the roof, which is one house."""
    folder = module.split(".")[1:2]
    if floor(module) == ROOF:
        return "the roof"
    return folder[0] if folder and (ROOT / "proxy" / folder[0]).is_dir() else "proxy"


def imports(module: str) -> Iterator[str]:
    """Every module that `module` imports, wherever in its text, by full name."""
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{module}:{node.lineno}: relative import"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in TREES else node.module


HOUSE = {module: {name for name in imports(module) if name in TREES} for module in TREES}


def test_every_import_goes_down_or_stays_in_its_own_package() -> None:
    """A module imports a lower floor, or its own package at its floor or lower."""
    for module, names in HOUSE.items():
        for name in names:
            lower, same = floor(name) < floor(module), floor(name) == floor(module)
            assert lower or (same and package(name) == package(module)), f"{module} may not import {name}"


def test_the_control_plane_never_calls_the_data_plane() -> None:
    """rollout/ and admin/ reach traffic through the rule file and the counters only."""
    for module in TREES:
        if floor(module) == FLOORS["proxy.admin"]:
            assert not [name for name in HOUSE[module] if name.startswith(TRAFFIC)], module


def test_imports_have_no_knots() -> None:
    """No module imports itself by way of others."""
    graphlib.TopologicalSorter(HOUSE).prepare()


def test_pure_floors_have_no_clock_dice_socket_file_or_task() -> None:
    """Floors 0 and 1 take `now`, a key, a text, bytes; they return a value."""
    for module, tree in TREES.items():
        if floor(module) <= 1:
            used = {name.partition(".")[0] for name in imports(module)} & IMPURE
            assert used <= EXCEPTIONS.get(module, set()), f"{module} imports {used}"
            calls = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and hasattr(node.func, "id")}
            assert "open" not in calls, f"{module} opens a file"


def test_only_h1_knows_the_parser() -> None:
    """proxy/http/h1.py is the only file that imports httptools."""
    known = {module for module in TREES if any(name.startswith("httptools") for name in imports(module))}
    assert known <= {"proxy.http.h1"}


def test_files_and_functions_fit() -> None:
    """A file has at most 400 lines, a function at most 70: it fits one noun, and a screen."""
    for module, tree in TREES.items():
        assert len(SOURCES[module].splitlines()) <= FILE_LINES_MAX, module
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                assert lines <= FUNCTION_LINES_MAX, f"{module}.{node.name}: {lines} lines"
