"""Rollouts of a rule file in this very process: what is saved is in use at once, requests come as a test says."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from proxy.errors import RuleError
from proxy.observe.counters import Counters
from proxy.observe.metrics import Registry
from proxy.rollout.controller import Live, Rollouts
from proxy.rollout.editor import Editor
from proxy.rollout.notify import Notifier
from proxy.rules.model import RuleFile
from proxy.run.load import load
from proxy.sources.base import Content
from proxy.tasks import spawn

WAIT_S = 20.0
RULES = """\
services: {shop: {versions: {v1: {endpoints: [http://a:1]}, v2: {endpoints: [http://b:1]}}}}
routes: [{name: shop, service: shop, rules: [{name: everyone, split: {v1: 100, v2: 0}}]}]
rollouts:
  shop-v2:
    route: shop
    from: v1
    to: v2
    steps: [{weight: 5, hold: 600s}, {weight: 20, hold: 600s}, {weight: 50, pause: true}, {weight: 100, hold: 600s}]
    gates: []
"""


def read(data: bytes) -> RuleFile:
    return load(Content("rules.yaml", data)).rule_file


class World:
    """One container. path: its rule file. rollouts: what carries them out, once `running`."""

    def __init__(self, path: Path, state: str = "state.json") -> None:
        self.path = path
        self.registry = Registry()
        self.notifier = Notifier("")
        self.rollouts = Rollouts(self.registry, self.live, Editor(path, read), path.parent / state, self.notifier)
        self._counters = Counters()
        self._live: Live | None = None

    def live(self) -> Live | None:
        data = self.path.read_bytes()
        with contextlib.suppress(RuleError):  # the last good ones keep serving
            self._live = Live(read(data), hashlib.sha256(data).hexdigest())
        return self._live

    def answer(self, version: str, status: int, count: int) -> None:
        """So many answers to what the rule gave to the version."""
        decision = self._counters.decision("shop", "shop", version, "everyone", "weight")
        for _ in range(count):
            decision.finished(status, b"GET", 0.02)
        self.registry.merge(1, self._counters.take())

    def status(self) -> Any:
        return self.rollouts.status("shop-v2")

    def events(self) -> list[str]:
        return [entry["event"] for entry in self.status()["journal"]]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = spawn(self.rollouts.follow(), name="rollouts")
        try:
            await self.until(lambda: self.rollouts.names())
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def until(self, holds: Callable[[], Any]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not holds():
                await asyncio.sleep(0.005)

    async def has(self, percent: float) -> None:
        """Until the new version has so much, and the rollout knows it."""
        await self.until(lambda: self.status()["live_weight"] == percent == self.status()["weight"])


def rule_file(folder: Path, text: str = RULES) -> Path:
    path = folder / "rules.yaml"
    path.write_text(text)
    return path
