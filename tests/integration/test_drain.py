"""`grayhound drain` and /api/drain of a running proxy: idle only when no worker has anything left, nor can get it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from proxy.tasks import spawn
from tests.serve import Proxy, Service, run, services, serving

Versions = list[Service]


def both(old: Service, new: Service, split: str, stable: str = "v1") -> str:
    return f"""\
services:
  shop:
    stable: {stable}
    versions: {{v1: {{endpoints: [{old.url}]}}, v2: {{endpoints: [{new.url}]}}}}
routes: [{{name: shop, service: shop, rules: [{{name: everyone, split: {split}}}]}}]
"""


def only(new: Service) -> str:
    return f"""\
services: {{shop: {{versions: {{v2: {{endpoints: [{new.url}]}}}}}}}}
routes: [{{name: shop, service: shop}}]
"""


@pytest.fixture
async def versions() -> AsyncIterator[Versions]:
    async with services("v1", "v2") as started:
        yield started


@pytest.fixture
async def proxy(tmp_path: Path, versions: Versions) -> AsyncIterator[Proxy]:
    """A proxy that gives everything to v1."""
    (tmp_path / "rules.yaml").write_text(both(*versions, "{v1: 1, v2: 0}"))
    async with serving(tmp_path / "rules.yaml") as started:
        yield started


async def drain(proxy: Proxy, version: str = "v1", wait: str = "0s") -> Any:
    return await proxy.api(f"/api/drain/shop/{version}?wait={wait}")


async def command(proxy: Proxy, *arguments: str) -> tuple[int, str, str]:
    return await run("drain", *arguments, "--admin", proxy.admin)


async def until_state(proxy: Proxy, state: str, version: str = "v1") -> Any:
    return await proxy.until(lambda: drain(proxy, version), lambda found: found["state"] == state)


async def test_a_version_may_leave_the_rules_while_it_drains(tmp_path: Path, proxy: Proxy, versions: Versions) -> None:
    """The way of every release: active, then out of the file with a request still under way, then idle; whoever waits
    is told at once."""
    old, new = versions
    found = await drain(proxy)
    assert (found["state"], found["safe_to_switch_off"]) == ("active", False)
    assert found["left"] == ["route 'shop', rule 'everyone': all of its requests"]
    slow = spawn(proxy.get("/slow"), name="slow request")
    await old.arrived.wait()
    (tmp_path / "rules.yaml").write_text(only(new))
    found = await proxy.until(lambda: drain(proxy), lambda found: found["left"] == ["1 in flight"])
    assert (found["state"], found["in_rules"], found["in_flight"]) == ("draining", False, 1)
    (shop,) = (await proxy.api("/api/services"))["services"]
    assert shop["draining"] == [{"version": "v1", "state": "draining", "in_flight": 1, "tunnels": 0}]
    assert [(version["version"], version["state"]) for version in shop["versions"]] == [("v2", "active")]
    waiting = spawn(drain(proxy, wait="60s"), name="wait")
    telling = spawn(command(proxy, "shop", "v1"), name="command")
    old.release.set()
    assert await slow == (200, "v1")
    found = await waiting
    assert (found["state"], found["left"], found["safe_to_switch_off"]) == ("idle", [], True)
    code, out, _ = await telling
    assert code == 0 and out.endswith("shop v1 is idle: it is safe to switch off\n")
    assert (await proxy.api("/api/services"))["services"][0]["draining"] == []


async def test_weight_0_is_not_enough_for_a_version_that_stands_in(
    tmp_path: Path, proxy: Proxy, versions: Versions
) -> None:
    """As the fallback of the new one, the stable version may get requests at any time. When the time is over the
    command says so, by exit code 1; with the new one stable, it is safe."""
    assert await command(proxy, "shop", "v2") == (0, "shop v2 is idle: it is safe to switch off\n", "")
    (tmp_path / "rules.yaml").write_text(both(*versions, "{v1: 0, v2: 1}"))
    await proxy.until(proxy.get, (200, "v2"))
    code, out, err = await command(proxy, "shop", "v1", "--timeout", "100ms")
    left = "fallback of version 'v2', when it has no available endpoint"
    assert (code, out) == (1, "")
    assert err == f"grayhound drain: shop v1 cannot be switched off after 100ms: {left}\n"
    (tmp_path / "rules.yaml").write_text(both(*versions, "{v1: 0, v2: 1}", stable="v2"))
    assert (await command(proxy, "shop", "v1"))[0] == 0


async def test_unknown_names_are_told_the_known_ones(proxy: Proxy) -> None:
    """404 with the names there are; for the command that is a wrong call."""
    assert await drain(proxy, "v9") == {"error": "unknown version 'v9' of service 'shop'; it has v1, v2"}
    assert await proxy.api("/api/drain/card/v1") == {"error": "unknown service 'card'; there are shop"}
    assert await command(proxy, "shop", "v9") == (
        2,
        "",
        "grayhound drain: unknown version 'v9' of service 'shop'; it has v1, v2\n",
    )
    assert "300 s at most" in (await drain(proxy, wait="1h"))["error"]
    assert "not a duration" in (await drain(proxy, wait="soon"))["error"]


async def test_a_tunnel_is_waited_for(tmp_path: Path, versions: Versions) -> None:
    """An upgraded connection is no request in flight any more, but its version is not idle."""

    async def upgrade(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(upgrade, "127.0.0.1", 0)
    old = Service("v1", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    (tmp_path / "rules.yaml").write_text(both(old, versions[1], "{v1: 1}"))
    async with server, serving(tmp_path / "rules.yaml") as proxy:
        reader, writer = await asyncio.open_connection(*proxy.url.removeprefix("http://").split(":"))
        writer.write(b"GET / HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        (tmp_path / "rules.yaml").write_text(only(versions[1]))
        found = await proxy.until(lambda: drain(proxy), lambda found: found["left"] == ["1 tunnel open"])
        assert (found["state"], found["in_flight"], found["tunnels"]) == ("draining", 0, 1)
        writer.close()
        await until_state(proxy, "idle")


async def test_every_worker_must_have_the_rules(tmp_path: Path, proxy: Proxy, versions: Versions) -> None:
    """While one has yet to take them it may begin a request by the earlier ones, whatever the others say."""
    stopped = proxy.workers()[1]
    os.kill(stopped, signal.SIGSTOP)
    (tmp_path / "rules.yaml").write_text(only(versions[1]))
    left = f"worker 2 (pid {stopped}) may still serve by earlier rules"
    found = await proxy.until(lambda: drain(proxy), lambda found: found["left"] == [left])
    assert found["state"] == "draining" and found["in_flight"] == 0
    os.kill(stopped, signal.SIGCONT)
    await until_state(proxy, "idle")


async def test_a_worker_that_is_relieved_counts_until_its_end(tmp_path: Path, proxy: Proxy, versions: Versions) -> None:
    """It takes new rules too, and ends only when its last request has."""
    slow = spawn(proxy.get("/slow"), name="slow request")
    await versions[0].arrived.wait()
    proxy.signal(signal.SIGUSR2)
    await proxy.said("all workers have been replaced", 20.0)
    (tmp_path / "rules.yaml").write_text(only(versions[1]))
    await proxy.until(lambda: drain(proxy), lambda found: found["left"] == ["1 in flight"])
    versions[0].release.set()
    assert await slow == (200, "v1")
    await until_state(proxy, "idle")


async def test_a_killed_worker_leaves_nothing_behind(tmp_path: Path, proxy: Proxy, versions: Versions) -> None:
    """What it had under way ended with it; its successor must have said that it serves by the new rules."""
    reader, writer = await asyncio.open_connection(*proxy.url.removeprefix("http://").split(":"))
    writer.write(b"GET /slow HTTP/1.1\r\nHost: shop\r\n\r\n")
    await versions[0].arrived.wait()
    (tmp_path / "rules.yaml").write_text(only(versions[1]))
    await until_state(proxy, "draining")
    for pid in proxy.workers():
        os.kill(pid, signal.SIGKILL)
    assert await reader.read() == b""
    writer.close()
    assert (await drain(proxy, wait="20s"))["state"] == "idle"
    assert (await drain(proxy, "v2"))["state"] == "active"


async def test_nobody_there_is_exit_1(tmp_path: Path) -> None:
    """One line; whoever cannot ask has not been told that it is safe."""
    code, out, err = await run("drain", "shop", "v1", "--admin", "127.0.0.1:1")
    url = "http://127.0.0.1:1/api/drain/shop/v1"
    assert (code, out, err) == (1, "", f"grayhound: no answer from the admin port at {url}: Connection refused\n")
    assert (await run("drain", "shop", "v1", "--timeout", "soon"))[0] == 2


async def test_the_command_asks_the_proxy_of_its_environment(proxy: Proxy) -> None:
    """Inside a container the admin port is where GRAYHOUND_ADMIN put it, for `serve` and for whoever asks it."""
    asked = await run("drain", "shop", "v2", GRAYHOUND_ADMIN=proxy.admin.removeprefix("http://"))
    assert asked == (0, "shop v2 is idle: it is safe to switch off\n", "")
