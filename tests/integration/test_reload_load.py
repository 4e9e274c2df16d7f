"""Many reloads under load: nobody notices."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from time import monotonic

from proxy.tasks import spawn
from tests.load import Counting, load
from tests.serve import serving

RELOADS_S = float(os.environ.get("GRAYHOUND_LOAD_S", "10"))
"""Seconds of reloads, three in each; 60 for the full measure."""
EVERY_S = 1 / 3
CONNECTIONS = 32


async def test_reloads_under_load_cost_no_request(tmp_path: Path) -> None:
    """Each save changes the shares; every one of them goes live, every request is answered and counted."""
    path, fresh = tmp_path / "rules.yaml", tmp_path / "rules.new"

    def save(number: int) -> None:
        fresh.write_text(
            f"services: {{shop: {{versions: {{v1: {{endpoints: [{v1.url}]}}, v2: {{endpoints: [{v2.url}]}}}}}}}}\n"
            "routes: [{name: shop, service: shop, rules: [{name: everyone, split: "
            f"{{v1: {100 - number % 100}, v2: {number % 100}}}}}]}}]\n# {number}\n"
        )
        fresh.rename(path)

    async with Counting("v1") as v1, Counting("v2") as v2:
        save(0)
        async with serving(path) as proxy:
            loaded = spawn(load(proxy.url, RELOADS_S, CONNECTIONS, lambda _: {}), name="load")
            began, count = monotonic(), int(RELOADS_S / EVERY_S)
            for number in range(1, count + 1):
                save(number)
                proxy.signal(signal.SIGHUP)
                await asyncio.sleep(max(0.0, began + number * EVERY_S - monotonic()))
            assert (await loaded).failures == []
            config = await proxy.until(
                lambda: proxy.api("/api/config"), lambda answer: answer["generation"] > count / 2
            )
            assert config["result"] in ("ok", "unchanged")
            assert await proxy.metric("config_reloads_total", 'result="refused"') == 0
            for version in (v1, v2):
                wanted = f'version="{version.name}"'
                await proxy.until(lambda w=wanted: proxy.metric("requests_total", w), float(version.count))  # type: ignore[misc]
