"""proxy/rollout/controller.py: what happens around a rollout while it lasts; the plan has tests of its own."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiohttp import web

from proxy.rollout import controller
from tests.rollout.world import RULES, World, rule_file

WEIGHT = re.compile(r"weight: (\d+)")
STEPS = RULES[RULES.index("    steps:") : RULES.index("    gates:")]


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controller, "TICK_S", 0.01)


async def test_it_goes_to_the_end_by_itself(tmp_path: Path) -> None:
    """Every step is in the file before the next; then it is settled, and the file is left alone."""
    path = rule_file(tmp_path, RULES.replace("600s", "50ms").replace("pause: true", "hold: 50ms"))
    world = World(path)
    async with world.running():
        await world.until(lambda: world.status()["settled"])
        assert world.events() == ["started", "step", "step", "step", "step", "promoted"]
        assert path.read_text() == RULES.replace("600s", "50ms").replace("pause: true", "hold: 50ms").replace(
            "v1: 100, v2: 0", "v1: 0, v2: 100"
        )
        path.write_text(path.read_text().replace("v1: 0, v2: 100", "v1: 50, v2: 50"))
        await world.until(lambda: world.status()["live_weight"] == 50)
        assert world.status()["phase"] == "promoted"


@pytest.mark.parametrize(
    ("steps", "step", "promoted_to"),
    [
        ("{weight: 5}, {weight: 20, hold: 600s}, {weight: 30}, {weight: 100}", 2, 30.0),
        ("{weight: 5}, {weight: 10}, {weight: 20, hold: 600s}, {weight: 40}, {weight: 100}", 3, 40.0),
        ("{weight: 20, hold: 600s}, {weight: 100}", 1, 100.0),
        ("{weight: 5}, {weight: 15, hold: 600s}, {weight: 50}, {weight: 100}", 2, 50.0),
        ("{weight: 30, hold: 600s}, {weight: 100}", 1, 30.0),
    ],
    ids=["later ones", "one inserted before", "one removed before", "this one, to less", "this one, to more"],
)
async def test_steps_may_change_on_the_way(tmp_path: Path, steps: str, step: int, promoted_to: float) -> None:
    """The weights stay as they are, and the time that was held counts on; then comes the first step that gives more."""
    world = World(rule_file(tmp_path))
    async with world.running():
        await world.has(5.0)
        world.rollouts.act("shop-v2", "promote", "by a test")
        await world.has(20.0)
        await world.until(lambda: world.status()["held_s"] > 0.2)
        held_s = world.status()["held_s"]
        world.path.write_text(world.path.read_text().replace(STEPS, f"    steps: [{steps}]\n"))
        await world.until(lambda: f"[{', '.join(WEIGHT.findall(steps))}]" == str(weights(world)))
        await world.until(lambda: world.status()["held_s"] > held_s)
        assert (world.status()["step"], world.status()["live_weight"]) == (step, 20.0)
        world.rollouts.act("shop-v2", "promote", "by a test")
        await world.has(promoted_to)
        assert "paused" not in world.events()


def weights(world: World) -> list[int]:
    return [int(step["weight"]) for step in world.status()["steps"]]


async def test_one_that_leaves_the_file_leaves_the_weights(tmp_path: Path) -> None:
    """Put back, or under another name, it begins where the weights are."""
    world = World(rule_file(tmp_path))
    async with world.running():
        await world.has(5.0)
        world.rollouts.act("shop-v2", "promote", "by a test")
        await world.has(20.0)
        whole = world.path.read_text()
        world.path.write_text(whole[: whole.index("rollouts:")])
        await world.until(lambda: not world.rollouts.names())
        with pytest.raises(LookupError, match="unknown rollout 'shop-v2'; there are none"):
            world.status()
        assert "v2: 20" in world.path.read_text()
        world.path.write_text(whole.replace("  shop-v2:", "  again:"))
        await world.until(lambda: world.rollouts.names() == ["again"] and world.rollouts.status("again")["journal"])
        status = world.rollouts.status("again")
        assert [entry["text"] for entry in status["journal"]] == ["v2 has 20 %", "2 of 4: v2 gets 20 %"]
        assert world.path.read_text() == whole.replace("  shop-v2:", "  again:")


async def test_it_goes_on_where_it_was(tmp_path: Path) -> None:
    """Another process with the same state file: the same step, held for as long, no event twice."""
    first = World(rule_file(tmp_path))
    async with first.running():
        await first.has(5.0)
        await first.until(lambda: first.status()["held_s"] > 0.2)
        known = first.status()
    second = World(first.path)
    async with second.running():
        assert second.status()["held_s"] >= known["held_s"]
        assert second.status()["journal"] == known["journal"]
        await second.until(lambda: second.status()["held_s"] > known["held_s"] + 0.2)
        assert second.events() == ["started", "step"]


@pytest.mark.parametrize("weights", ["v1: 95, v2: 5", "v1: 80, v2: 20"])
async def test_a_crash_around_a_save_costs_nothing(tmp_path: Path, weights: str) -> None:
    """The state says 20 % and the file still 5 %, or 20 % already: it is written, or seen to be, and nobody's edit."""
    state = {"phase": "progressing", "step": 1, "weight": 20.0, "arrived": False, "ours": [0.0, 5.0], "held_s": 0.0,
             "by_hand": False, "reason": ""}  # fmt: skip
    record = {"of": ["shop", "everyone", "v1", "v2"], "state": state, "before": None, "journal": []}
    (tmp_path / "state.json").write_text(json.dumps({"format": 1, "rollouts": {"shop-v2": record}}))
    world = World(rule_file(tmp_path, RULES.replace("v1: 100, v2: 0", weights)))
    async with world.running():
        await world.has(20.0)
        await world.until(lambda: world.status()["held_s"] > 0)
        assert (world.status()["phase"], world.events()) == ("progressing", [])


async def test_a_state_that_cannot_be_made_out_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It begins by what the rules say: here in the middle."""
    (tmp_path / "state.json").write_text("{")
    world = World(rule_file(tmp_path, RULES.replace("v1: 100, v2: 0", "v1: 80, v2: 20")))
    async with world.running():
        await world.until(lambda: world.events())
        assert world.status()["step"] == 2
    assert "state.json cannot be made out" in caplog.text


async def test_a_state_that_cannot_be_kept_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """And the rollout goes on all the same."""
    world = World(rule_file(tmp_path), "gone/state.json")
    async with world.running():
        await world.has(5.0)
        world.rollouts.act("shop-v2", "promote", "by a test")
        await world.has(20.0)
        await world.until(lambda: "cannot write" in caplog.text)
    said = [line for line in caplog.messages if "state.json: No such file or directory (see --state-dir)" in line]
    assert len(said) == 1


async def test_a_file_that_is_refused_holds_it_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half an edit of a person's is not written into; a save that just takes its time is not worth a word."""
    monkeypatch.setattr(controller, "SAVED_S", 0.3)
    monkeypatch.setattr(controller, "AGAIN_S", 0.04)
    world = World(rule_file(tmp_path))
    async with world.running():
        await world.has(5.0)
        good = world.path.read_text()
        world.path.write_text(good + "routs: []\n")
        world.rollouts.act("shop-v2", "promote", "by a test")
        await world.until(lambda: world.status()["obstacle"])
        assert world.status()["obstacle"].endswith("holds other rules than those in use; see /api/config")
        assert world.path.read_text() == good + "routs: []\n"
        world.path.write_text(good + "# mended\n")
        await world.has(20.0)
        await world.until(lambda: not world.status()["obstacle"])
        assert world.events() == ["started", "step", "step", "blocked"]
        assert world.path.read_text().endswith("# mended\n")


async def test_a_machine_that_slept_has_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an hour at once a few seconds count: nobody has seen requests meanwhile. Wall clocks do not matter at all."""
    jump = 0.0
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + jump, time=lambda: time.time() - 86400)
    monkeypatch.setattr(controller, "time", clock)
    world = World(rule_file(tmp_path))
    async with world.running():
        await world.has(5.0)
        await world.until(lambda: world.status()["held_s"] > 0)
        jump = 3600.0
        await world.until(lambda: world.status()["held_s"] >= controller.ELAPSED_MAX_S)
        assert world.status()["held_s"] < 2 * controller.ELAPSED_MAX_S
        assert world.events() == ["started", "step"]


async def test_two_containers_on_one_file_do_not_fight(tmp_path: Path) -> None:
    """Each with a state of its own: who moves the weights first leads, the other finds them changed and pauses."""
    one, two = World(rule_file(tmp_path), "one.json"), World(tmp_path / "rules.yaml", "two.json")
    async with one.running(), two.running():
        await one.has(5.0)
        await two.has(5.0)
        one.rollouts.act("shop-v2", "promote", "by a test")
        await one.has(20.0)
        await two.until(lambda: two.status()["phase"] == "paused")
        assert two.status()["reason"] == "the weights were edited by hand: v2 has 20 %"
        one.rollouts.act("shop-v2", "promote", "by a test")
        await one.has(50.0)
        await one.until(lambda: one.status()["phase"] == "waiting")
        await two.until(lambda: two.status()["live_weight"] == 50)
        assert one.events() == ["started", *["step"] * 3, "waiting"]


async def test_who_is_told_is_not_waited_for(tmp_path: Path) -> None:
    """A webhook that takes the connection and never answers, and one that nobody listens on."""

    async def hang(request: web.Request) -> web.Response:
        await request.read()
        reached.append(request.path)
        await world.until(lambda: False)
        return web.Response()

    reached: list[str] = []
    app = web.Application()
    app.router.add_post("/{path:.*}", hang)
    runner = web.AppRunner(app, shutdown_timeout=0.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    text = RULES.replace("600s", "50ms").replace("pause: true", "hold: 50ms")
    world = World(rule_file(tmp_path, f"{text}    notify: ['{url}', 'http://127.0.0.1:1/']\n"))
    async with world.running():
        await world.until(lambda: world.status()["settled"])
        assert world.status()["live_weight"] == 100 and world.notifier.pending == 12
        await world.until(lambda: reached)
    await runner.cleanup()


async def test_what_burns_goes_back_while_a_person_is_waited_for(tmp_path: Path) -> None:
    """In every phase: here one that waits for a person's promote, with no gate."""
    world = World(rule_file(tmp_path, RULES.replace("600s", "50ms")))
    async with world.running():
        await world.until(lambda: world.status()["phase"] == "waiting")
        world.answer("v1", 200, 50)
        world.answer("v2", 503, 50)
        await world.until(lambda: world.status()["settled"])
        assert world.events()[-3:] == ["waiting", "failed", "rolled_back"]
        assert world.status()["reason"] == "v2 is burning: 50 of its last 50 requests failed"
        assert "v1: 100, v2: 0" in world.path.read_text()
