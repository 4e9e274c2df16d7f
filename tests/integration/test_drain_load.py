"""Idle means idle: under load, while rules change and workers are replaced, a version called so gets nothing more."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import aiohttp

from proxy.tasks import spawn
from tests.load import Counting
from tests.serve import Proxy, serving

ROUNDS = 6
CONNECTIONS = 32
MORE = 300
"""Requests that the other version is waited for to answer before it is believed that the idle one gets none."""


async def test_nothing_reaches_a_version_that_is_idle(tmp_path: Path) -> None:
    """Two versions take turns in the rule file; each time the one that left is asked for, and counts no request after
    it was called idle, also while workers are being replaced. No request fails on the way."""
    path, fresh = tmp_path / "rules.yaml", tmp_path / "rules.new"

    def save(*versions: Counting) -> None:
        named = ", ".join(f"{version.name}: {{endpoints: [{version.url}]}}" for version in versions)
        fresh.write_text(
            f"services: {{shop: {{fallback: any, rescue: true, versions: {{{named}}}}}}}\n"
            "routes: [{name: shop, service: shop}]\n"
        )
        fresh.rename(path)

    async with Counting("v1") as old, Counting("v2") as new:
        save(old, new)
        async with serving(path) as proxy:
            stop = asyncio.Event()
            loaded = spawn(_load(proxy.url, stop), name="load")
            for number in range(ROUNDS):
                save(new)
                if number % 3 == 1:
                    proxy.signal(signal.SIGUSR2)
                await _idle(proxy, old)
                seen = old.count
                await _answers(new, MORE)
                assert old.count == seen
                old, new = new, old
            stop.set()
            assert await loaded == []


async def _idle(proxy: Proxy, version: Counting) -> None:
    found = await proxy.until(
        lambda: proxy.api(f"/api/drain/shop/{version.name}?wait=20s"), lambda answer: answer["state"] == "idle", 20.0
    )
    assert found["left"] == []


async def _answers(version: Counting, more: int) -> None:
    until = version.count + more
    async with asyncio.timeout(20.0):
        while version.count < until:
            await asyncio.sleep(0.01)


async def _load(url: str, stop: asyncio.Event) -> list[str]:
    """Ask on keep-alive connections until told to stop; what went wrong."""
    wrong: list[str] = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONNECTIONS)) as session:

        async def one_connection() -> None:
            while not stop.is_set():
                try:
                    async with session.get(url) as response:
                        if response.status != 200:
                            wrong.append(f"{response.status} {await response.text()}")
                        await response.read()
                except (aiohttp.ClientError, OSError) as error:
                    wrong.append(repr(error))

        await asyncio.gather(*(one_connection() for _ in range(CONNECTIONS)))
    return wrong
