"""HTTPRoutes imported: each request goes where Gateway API says, on the whole way from manifests to a decision.

gateway_api/conformance/: the cases of the API's own conformance tests, named like them. gateway_api/examples/: the
examples of its documents, with what those say of them. Each file begins with its table; the objects follow.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from proxy.rules.model import Rule
from tests.imports.world import World

FOLDER = Path(__file__).parent / "gateway_api"
FILES = sorted(FOLDER.glob("*/*.yaml"))


def read(file: Path) -> tuple[dict[str, Any], str]:
    """The table of a file, and the manifests under it."""
    table, _, manifests = file.read_text().partition("\n---\n")
    return yaml.safe_load(table), manifests


def rows() -> list[Any]:
    return [
        pytest.param(file, row, id=f"{file.stem} {number}")
        for file in FILES
        for number, row in enumerate(read(file)[0].get("requests", ()))
    ]


@pytest.fixture(scope="module")
def worlds() -> dict[Path, World]:
    """Each file is imported once."""
    return {}


@pytest.mark.parametrize(("file", "row"), rows())
def test_each_request_goes_where_the_api_sends_it(file: Path, row: dict[str, Any], worlds: dict[Path, World]) -> None:
    """A backend, a status, or the address that a client is sent to. What services see is proved by real ones."""
    if file not in worlds:
        worlds[file] = World(read(file)[1])
    world = worlds[file]
    asked = {key: row[key] for key in ("host", "path", "method", "headers", "scheme") if key in row}
    decision = world.decision(**asked)
    if "backend" in row:
        assert decision is not None and decision.version == row["backend"]
        assert row.get("rule", decision.rule) == decision.rule
        assert mirrored(world, decision) == row.get("mirrored", {})
    elif "fails" in row or "delay" in row.get("path", ""):
        assert decision is not None and decision.version
    else:
        assert (404 if decision is None else decision.status) == row["status"]
    assert world.redirect(**asked) == row.get("location", "")


def mirrored(world: World, decision: Any) -> dict[str, float]:
    """By version, the percentage of requests that it is sent a copy of."""
    route = next(route for route in world.rule_file.routes if route.name == decision.route)
    rule: Rule = route.rules[decision.rule_order]
    return {mirror.version: 100 * mirror.percent for mirror in rule.mirror or ()}


@pytest.mark.parametrize("file", [file for file in FILES if "shares" in read(file)[0]], ids=lambda file: file.stem)
def test_weights_divide_the_requests(file: Path) -> None:
    """Shares are the weights by their sum; weight 0 gets nothing."""
    table, manifests = read(file)
    shares = {version: 100 * share for version, share in table["shares"].items() if share}
    assert World(manifests).shares(**table.get("asked", {})) == pytest.approx(shares)
