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


def compile_list() -> set[str]:
    """The modules that setup.py compiles. It is read, not run."""
    statements = ast.parse((ROOT / "setup.py").read_text()).body
    (value,) = (each.value for each in statements if isinstance(each, ast.Assign) and "COMPILED" in ast.unparse(each))
    folders: dict[str, str] = ast.literal_eval(value)
    return {".".join(filter(None, ("proxy", folder, name))) for folder in folders for name in folders[folder].split()}


COMPILED = compile_list()
BASES_OF_NONE = {"Protocol", "NamedTuple", "dict"}  # a class may have these, compiled or not


def bases(module: str) -> Iterator[tuple[str, str]]:
    """Each class of a module with each of its bases: the module that has it, or its name where that is none of ours."""
    tree = TREES[module]
    homes = {alias.asname or alias.name: node.module or "" for node in ast.walk(tree)
             if isinstance(node, ast.ImportFrom) for alias in node.names}  # fmt: skip
    classes = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    for name, node in classes.items():
        for base in (ast.unparse(base).partition("[")[0] for base in node.bases):
            home = module if base in classes else homes.get(base, base)
            yield name, home if home in TREES else base


def test_what_is_compiled_is_there_and_has_all_of_its_family() -> None:
    """A class of compiled code has compiled bases, and nothing else can inherit from it."""
    assert TREES.keys() >= COMPILED
    for module in TREES:
        for name, base in bases(module):
            if module in COMPILED:
                assert base in COMPILED | BASES_OF_NONE, f"{module}.{name} is compiled, and {base} is not"
            else:
                assert base not in COMPILED, f"{base} is compiled, and {module}.{name} is not (setup.py)"


def test_nothing_compiled_is_a_dataclass() -> None:
    """The compiler takes ours for the standard library's, and compiled ones that are equal would differ."""
    for module in COMPILED:
        assert not [name for name in imports(module) if name == "proxy.data"], module


def test_files_and_functions_fit() -> None:
    """A file has at most 400 lines, a function at most 70: it fits one noun, and a screen."""
    for module, tree in TREES.items():
        assert len(SOURCES[module].splitlines()) <= FILE_LINES_MAX, module
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                assert lines <= FUNCTION_LINES_MAX, f"{module}.{node.name}: {lines} lines"
