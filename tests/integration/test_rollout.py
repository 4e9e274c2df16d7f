"""Rollouts of a running proxy under load: promoted untouched, rolled back when the new version fails, steered by hand,
and going on where they were after control was killed. Minutes are seconds here."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from proxy.tasks import spawn
from tests.serve import Proxy, run, serving

LONG_S = 60.0
"""For a rollout of some seconds, on a machine that is busy with other tests."""
RULES = """\
# Every letter of this file stays as it is, but for two weights.
services:
  shop:
    versions:
      v1: {{endpoints: [{v1}]}}
      v2: {{endpoints: [{v2}]}}
routes:
  - name: shop
    service: shop
    rules:
      - name: everyone
        split:
          v1:   {old}   # old
          v2:   {new}     # new
rollouts:
  shop-v2:
    route: shop
    from: v1
    to: v2
    steps: {steps}
    gates: {gates}
    min_requests: 5
"""
STEPS = "[{weight: 5, hold: 2s}, {weight: 20, hold: 3s}, {weight: 50, hold: 2s}, {weight: 100, hold: 2s}]"
GATES = "[{metric: success_rate, max_ratio: 1, window: 1s}, {metric: latency_p99, max: 10s, window: 1s}]"


class Version:
    """A version of a service, of which every n-th answer is an error if told so."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.url = ""
        self.fails_each = 0
        self.asked = 0

    async def answer(self, _: web.Request) -> web.Response:
        self.asked += 1
        failed = self.fails_each and self.asked % self.fails_each == 0
        return web.Response(text=self.name, status=500 if failed else 200)


@pytest.fixture
async def versions() -> AsyncIterator[list[Version]]:
    started, runners = [Version("v1"), Version("v2")], []
    for version in started:
        app = web.Application()
        app.router.add_get("/{path:.*}", version.answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        version.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        runners.append(runner)
    yield started
    for runner in runners:
        await runner.cleanup()


@asynccontextmanager
async def load(url: str) -> AsyncIterator[Counter[str]]:
    """Requests one after another on a few connections for as long as this lasts: how often each answer came."""
    answers: Counter[str] = Counter()
    async with aiohttp.ClientSession() as session:

        async def one_connection() -> None:
            while True:
                try:
                    async with session.get(url) as response:
                        text = await response.text()
                        answers[text if response.status == 200 else f"{response.status} {text}"] += 1
                except aiohttp.ClientError as error:
                    answers[repr(error)] += 1
                await asyncio.sleep(0.01)

        tasks = [spawn(one_connection(), name="load") for _ in range(4)]
        try:
            yield answers
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def rules(path: Path, versions: list[Version], steps: str = STEPS, gates: str = GATES) -> str:
    """Write the rule file; its text, with places for the weights."""
    text = RULES.replace("{steps}", steps.replace("{", "{{").replace("}", "}}"))
    text = text.replace("{gates}", gates.replace("{", "{{").replace("}", "}}"))
    text = text.replace("{v1}", versions[0].url).replace("{v2}", versions[1].url)
    path.write_text(text.format(old=100, new=0))
    return text


async def rollout(proxy: Proxy) -> Any:
    return await proxy.api("/api/rollouts/shop-v2")


async def until(proxy: Proxy, wanted: Callable[[Any], bool]) -> Any:
    return await proxy.until(lambda: rollout(proxy), wanted, LONG_S)


async def act(proxy: Proxy, verb: str) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as session, session.post(f"{proxy.admin}/api/rollouts/shop-v2/{verb}") as answer:
        return answer.status, await answer.json()


def events(status: Any) -> list[str]:
    return [entry["event"] for entry in status["journal"]]


async def test_an_equal_version_is_promoted_untouched(tmp_path: Path, versions: list[Version]) -> None:
    """From nothing to all of it, with no request lost; the file says so, and has not changed besides."""
    path = tmp_path / "rules.yaml"
    text = rules(path, versions)
    heard = tmp_path / "heard"
    async with (
        serving(path, "--rollout-command", f"cat >> {heard}; echo >> {heard}") as proxy,
        load(proxy.url) as answers,
    ):
        status = await until(proxy, lambda status: status["phase"] == "promoted" and status["live_weight"] == 100)
        assert path.read_text() == text.format(old=0, new=100)
        assert events(status) == ["started", *["step"] * 4, "promoted"]
        assert [entry["text"].partition(" (")[0] for entry in status["journal"]] == [
            "v2 has 0 %", "1 of 4: v2 gets 5 %", "2 of 4: v2 gets 20 %", "3 of 4: v2 gets 50 %",
            "4 of 4: v2 gets 100 %", "v2 has 100 %: the gates held",
        ]  # fmt: skip
        assert [gate["outcome"] for gate in status["gates"]] == ["holds", "holds"]
        before = versions[0].asked
        assert await proxy.get() == (200, "v2") and versions[0].asked == before
        assert set(answers) == {"v1", "v2"}
        phase = 'rollout="shop-v2"', 'phase="promoted"'
        assert await proxy.metric("rollout_phase", *phase) == 1
        told = [json.loads(line) for line in heard.read_text().splitlines()]
        assert [(event["event"], event["weight"]) for event in told][:2] == [("started", 5.0), ("step", 5.0)]
        assert [event["event"] for event in told][2:5] == ["step"] * 3
        assert not [line for line in proxy.lines if "child" in line or "not told" in line]
        assert await proxy.metric("rollout_step", "shop-v2") == 4
        assert await proxy.metric("rollout_events_total", 'event="step"') == 4


@pytest.mark.parametrize(("fails_each", "why"), [(1, "v2 is burning: "), (3, "success_rate: v2 fails ")])
async def test_a_version_that_begins_to_fail_is_rolled_back(
    tmp_path: Path, versions: list[Version], fails_each: int, why: str
) -> None:
    """At 20 %: within seconds if nothing but errors comes, else by the gate; the old version has it all again."""
    path = tmp_path / "rules.yaml"
    gates = GATES if fails_each > 1 else "[]"
    text = rules(path, versions, STEPS.replace("3s", "60s"), gates)
    async with serving(path) as proxy, load(proxy.url) as answers:
        await until(proxy, lambda status: status["live_weight"] == 20)
        versions[1].fails_each = fails_each
        status = await until(proxy, lambda status: status["phase"] == "rolled_back" and status["live_weight"] == 0)
        assert path.read_text() == text.format(old=100, new=0)
        assert events(status) == ["started", "step", "step", "failed", "rolled_back"]
        assert status["journal"][-1]["text"].startswith(why)
        await proxy.until(lambda: proxy.get(), (200, "v1"))
        asked = versions[1].asked
        for _ in range(50):
            assert await proxy.get() == (200, "v1")
        assert versions[1].asked == asked
        assert set(answers) == {"v1", "v2", "500 v2"}


async def test_a_dead_version_is_rolled_back_though_no_client_notices(tmp_path: Path, versions: list[Version]) -> None:
    """What the old version answers in its place is its failure."""
    path = tmp_path / "rules.yaml"
    versions[1].url = "http://127.0.0.1:1"
    text = rules(path, versions, STEPS.replace("hold: 2s", "hold: 60s"), "[]")
    async with serving(path) as proxy, load(proxy.url) as answers:
        status = await until(proxy, lambda status: status["phase"] == "rolled_back" and status["live_weight"] == 0)
        assert status["reason"].startswith("v2 is burning: ")
        assert path.read_text() == text.format(old=100, new=0)
        assert set(answers) == {"v1"}


async def test_it_goes_on_where_it_was_after_control_was_killed(tmp_path: Path, versions: list[Version]) -> None:
    """kill -9 in the middle of a step: the next start knows the step, and how long it has held."""
    path = tmp_path / "rules.yaml"
    text = rules(path, versions, "[{weight: 20, hold: 1s}, {weight: 50, hold: 600s}]")
    async with serving(path) as proxy, load(proxy.url):
        held = (await until(proxy, lambda status: status["step"] == 2 and status["held_s"] > 6))["held_s"]
        os.kill(proxy.pid, signal.SIGKILL)
        await proxy.ended()
    assert path.read_text() == text.format(old=50, new=50)
    async with serving(path) as proxy, load(proxy.url):
        status = await until(proxy, lambda status: status["phase"] == "progressing")
        assert (status["step"], status["live_weight"]) == (2, 50)
        assert status["held_s"] > held - 6
        assert events(status) == ["started", "step", "step"]  # it has not begun anew
        await until(proxy, lambda later: later["held_s"] > status["held_s"] and later["gates"][0]["outcome"] == "holds")
        assert path.read_text() == text.format(old=50, new=50)
        await proxy.until(lambda: act(proxy, "abort"), lambda answer: answer[0] == 200)
        await until(proxy, lambda status: status["live_weight"] == 0)
    async with serving(path) as proxy:  # nor does a rollout that was rolled back
        status = await until(proxy, lambda status: status["phase"] == "rolled_back")
        assert path.read_text() == text.format(old=100, new=0)


async def test_a_file_that_cannot_be_written_is_waited_for(tmp_path: Path, versions: list[Version]) -> None:
    """It says so, and goes on as soon as it can."""
    path = tmp_path / "rules.yaml"
    text = rules(path, versions, "[{weight: 5, hold: 600s}]")
    path.chmod(0o444)
    async with serving(path) as proxy:
        status = await until(proxy, lambda status: status["obstacle"])
        assert status["obstacle"] == f"cannot write {path}: it is read-only"
        assert events(status) == ["started", "step", "blocked"]
        await proxy.until(lambda: proxy.metric("rollout_blocked"), 1.0)
        path.chmod(0o644)
        status = await until(proxy, lambda status: status["live_weight"] == 5)
        assert path.read_text() == text.format(old=95, new=5)
        assert (await until(proxy, lambda status: not status["obstacle"]))["phase"] == "progressing"
        await proxy.until(lambda: proxy.metric("rollout_blocked"), 0.0)


async def test_an_edit_by_hand_is_not_fought(tmp_path: Path, versions: list[Version]) -> None:
    """Whoever saves other weights in the middle of a step has them; the rollout pauses until told to go on."""
    path = tmp_path / "rules.yaml"
    text = rules(path, versions, "[{weight: 5, hold: 600s}, {weight: 50, hold: 600s}]")
    async with serving(path) as proxy:
        await until(proxy, lambda status: status["live_weight"] == 5)
        path.write_text(text.format(old=63, new=37))
        status = await until(proxy, lambda status: status["phase"] == "paused")
        assert status["reason"] == "the weights were edited by hand: v2 has 37 %"
        assert path.read_text() == text.format(old=63, new=37)
        code, status = await act(proxy, "promote?full=yes")
        assert (code, status["error"]) == (400, "full is true, or left out")
        assert (await act(proxy, "resume"))[0] == 200
        await until(proxy, lambda status: status["live_weight"] == 50)
        code, status = await act(proxy, "resume")
        assert code == 409 and status["error"].endswith("progressing: resume is for one that is paused")
        assert (await act(proxy, "stop"))[1]["error"].startswith("unknown act 'stop'")
        assert (await act(proxy, "set-weight?weight=12.5"))[1]["phase"] == "paused"
        await until(proxy, lambda status: status["live_weight"] == 12.5)
        assert path.read_text() == text.format(old=87.5, new=12.5)
        status = await rollout(proxy)
        assert status["journal"][-1]["by"] == "by 127.0.0.1" and events(status)[-1] == "weight_set"
        assert (await proxy.api("/api/rollouts"))["rollouts"][0]["rollout"] == "shop-v2"
        assert "unknown rollout 'x'; there are shop-v2" in (await proxy.api("/api/rollouts/x"))["error"]


async def test_the_command_tells_and_steers(tmp_path: Path, versions: list[Version]) -> None:
    """One line each; an exit code for scripts; what makes no sense is a usage error, what is refused is told."""
    path, token = tmp_path / "rules.yaml", tmp_path / "token"
    text = rules(path, versions, "[{weight: 5, hold: 600s}, {weight: 50, pause: true}]", "[]")
    token.write_text("secret\n")
    async with serving(path, "--admin-token-file", str(token)) as proxy:

        async def command(*arguments: str) -> tuple[int, str, str]:
            return await run("rollout", *arguments, "--admin", proxy.admin)

        told = ("--token-file", str(token))
        await until(proxy, lambda status: status["live_weight"] == 5)
        code, out, _ = await command("list")
        assert code == 0 and out.startswith("shop-v2: progressing, step 1 of 2, v2 has 5 %, held for ")
        code, _, err = await command("promote", "shop-v2")
        assert code == 1 and "answers 401: a change needs the token" in err
        code, out, _ = await command("promote", "shop-v2", *told)
        assert code == 0 and out.startswith("shop-v2: progressing, step 2 of 2")
        await until(proxy, lambda status: status["phase"] == "waiting")
        code, out, _ = await command("status", "shop-v2")
        assert (code, out) == (
            0, "shop-v2: waiting, step 2 of 2, v2 has 50 %, at 50 %, until somebody promotes it\n"
        )  # fmt: skip
        for same in (("shop-v2",), ("list", "shop-v2")):
            assert await command(*same) == (0, out, "")
        code, _, err = await command("promot", "shop-v2")
        assert code == 2 and "unknown act 'promot'; there are list, status, promote" in err
        code, _, err = await command("resume", "shop-v2", *told)
        assert code == 1 and "rollout 'shop-v2' is waiting: resume is for one that is paused" in err
        code, _, err = await command("status", "shop")
        assert (code, err) == (2, "grayhound rollout: unknown rollout 'shop'; there are shop-v2\n")
        for wrong in (("promote",), ("list", "x"), ("set-weight", "shop-v2"), ("abort", "shop-v2", "--full")):
            assert (await command(*wrong))[0] == 2
        assert (await command("set-weight", "shop-v2", "101", *told))[0] == 2
        assert (await command("set-weight", "shop-v2", "30%", *told))[0] == 0
        await until(proxy, lambda status: status["live_weight"] == 30)
        code, out, _ = await command("abort", "shop-v2", "--watch", *told)
        assert code == 1 and out.splitlines()[-1].startswith("shop-v2: rolled back")
        assert path.read_text() == text.format(old=100, new=0)
        code, out, _ = await command("retry", "shop-v2", *told)
        code, out, _ = await command("promote", "shop-v2", "--full", "--watch", *told)
        assert code == 0 and path.read_text() == text.format(old=50, new=50)


async def test_the_reference_of_all_this_passes_check(tmp_path: Path, versions: list[Version]) -> None:
    """What the tests here serve is a file without fault or warning."""
    rules(tmp_path / "rules.yaml", versions)
    code, out, _ = await run("check", str(tmp_path / "rules.yaml"))
    assert code == 0 and "0 warnings" in out
