"""proxy/admin/rollouts.py: what a person may tell a rollout in each phase, and what is answered."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from proxy.admin.app import make_app
from proxy.admin.drain import Drains
from proxy.admin.view import ConfigState, View
from proxy.observe.metrics import Registry
from tests.rollout.world import RULES, World, rule_file

STEP = {"pending": 0, "promoted": 3}
WEIGHT = {"promoted": 100.0, "rolled_back": 0.0}
DONE = ("promoted", "rolled_back")


@asynccontextmanager
async def admin(world: World | None) -> AsyncIterator[aiohttp.ClientSession]:
    """An admin port of this host alone."""
    view = View(
        Registry(), lambda: None, ConfigState, list, Drains(Registry(), dict), world.rollouts if world else None
    )
    runner = web.AppRunner(make_app(view, "127.0.0.1"))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{runner.addresses[0][1]}") as session:
            yield session
    finally:
        await runner.cleanup()


def at(folder: Path, phase: str) -> World:
    """A rollout in this phase, at its second step unless that cannot be."""
    weight = WEIGHT.get(phase, 20.0)
    state = {"phase": phase, "step": STEP.get(phase, 1), "weight": weight, "arrived": True, "ours": [], "held_s": 1.0,
             "by_hand": False, "reason": ""}  # fmt: skip
    record = {"of": ["shop", "everyone", "v1", "v2"], "state": state, "before": None, "journal": []}
    (folder / "state.json").write_text(json.dumps({"format": 1, "rollouts": {"shop-v2": record}}))
    return World(rule_file(folder, RULES.replace("v1: 100, v2: 0", f"v1: {100 - weight:g}, v2: {weight:g}")))


async def post(session: aiohttp.ClientSession, path: str, **fields: str) -> tuple[int, Any]:
    async with session.post(f"/api/rollouts/{path}", headers=fields) as response:
        return response.status, await response.json()


@pytest.mark.parametrize(
    ("act", "allowed"),
    [
        ("promote", {"progressing": "progressing 50", "waiting": "progressing 50", "paused": "progressing 50"}),
        ("promote?full=true", {"progressing": "promoted 100", "waiting": "promoted 100", "paused": "promoted 100"}),
        ("pause", {"progressing": "paused 20", "waiting": "paused 20"}),
        ("resume", {"paused": "progressing 20"}),
        ("abort", {"progressing": "rolled_back 0", "waiting": "rolled_back 0", "paused": "rolled_back 0",
                   "promoted": "rolled_back 0"}),
        ("retry", {"paused": "progressing 5", "promoted": "progressing 5", "rolled_back": "progressing 5"}),
        ("set-weight?weight=33", dict.fromkeys(("progressing", "waiting", "paused", *DONE), "paused 33")),
    ],
)  # fmt: skip
@pytest.mark.parametrize("phase", ["progressing", "waiting", "paused", "promoted", "rolled_back"])
async def test_every_act_in_every_phase(tmp_path: Path, phase: str, act: str, allowed: dict[str, str]) -> None:
    """Done and recorded, with who said so and from where, and carried out in the file; or refused, with the phases it
    is for, and nothing happens."""
    world = at(tmp_path, phase)
    before = world.path.read_text()
    async with world.running(), admin(world) as session:
        status, body = await post(session, f"shop-v2/{act}", From="ann@desk")
        if phase not in allowed:
            verb = act.partition("?")[0]
            assert status == 409
            assert body["error"].startswith(f"rollout 'shop-v2' is {phase}: {verb} is for one that is ")
            assert all(word in body["error"] for word in allowed)
            assert (world.events(), world.path.read_text()) == ([], before)
            return
        wanted, weight = allowed[phase].split()
        assert (status, body["phase"], body["weight"]) == (200, wanted, float(weight))
        assert {entry["by"] for entry in body["journal"]} == {"by ann@desk from 127.0.0.1"}
        await world.has(float(weight))
        assert f"v2: {weight}}}" in world.path.read_text()


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("shop-v3/pause", 404, "unknown rollout 'shop-v3'; there are shop-v2"),
        ("shop-v2/stop", 404, "unknown act 'stop'; there are promote, pause, resume, abort, retry, set-weight"),
        ("shop-v2/promte", 404, "unknown act 'promte'; did you mean 'promote'?"),
        ("shop-v2/promote?full=yes", 400, "full is true, or left out"),
        ("shop-v2/pause?full=true", 400, "pause has no parameter 'full'"),
        ("shop-v2/promote?weight=5", 400, "promote has no parameter 'weight'; it takes full"),
        *((f"shop-v2/set-weight{query}", 400, "set-weight needs a weight in percent, from 0 to 100, like ?weight=20")
          for query in ("", "?weight=", "?weight=-1", "?weight=101", "?weight=nan", "?weight=x")),
    ],
)  # fmt: skip
async def test_what_cannot_be_asked_is_told(tmp_path: Path, path: str, status: int, error: str) -> None:
    world = at(tmp_path, "progressing")
    async with world.running(), admin(world) as session:
        assert await post(session, path) == (status, {"error": error})
        assert world.events() == []


async def test_whoever_asks_has_no_more_than_a_name(tmp_path: Path) -> None:
    """A long one is cut; without one, the address has to do."""
    world = at(tmp_path, "progressing")
    async with world.running(), admin(world) as session:
        await post(session, "shop-v2/pause", From="x" * 500)
        _, body = await post(session, "shop-v2/resume")
        assert [entry["by"] for entry in body["journal"]] == [f"by {'x' * 100} from 127.0.0.1", "by 127.0.0.1"]


async def test_where_there_are_none(tmp_path: Path) -> None:
    async with admin(None) as session:
        async with session.get("/api/rollouts") as response:
            assert await response.json() == {"rollouts": []}
        assert await post(session, "shop-v2/pause") == (404, {"error": "there are no rollouts"})
