"""Taking in new rules: whole or not at all, and what is remembered of it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable

import pytest

from proxy.observe.metrics import ReloadResult
from proxy.rules.model import RuleFile
from proxy.run.channel import Rules
from proxy.run.load import load
from proxy.run.reload import Reloader
from proxy.sources.base import Content
from proxy.tasks import spawn

GOOD = "services: {shop: {versions: {v1: {endpoints: [http://127.0.0.1:1]}}}}\nroutes: [{name: r, service: shop}]\n"
OTHER = GOOD.replace("v1", "v2")
BAD = GOOD.replace("service: shop", "service: shoop")


class Hand:
    """A source that the test fills; `passing` contents are replaced before they are looked at again."""

    def __init__(self) -> None:
        self._contents: asyncio.Queue[Content] = asyncio.Queue()
        self.passing = False

    def put(self, text: str) -> None:
        self._contents.put_nowait(content(text))

    def read(self) -> Content:
        raise AssertionError("not asked for")

    async def changed(self) -> Content:
        return await self._contents.get()

    async def still(self, _: Content) -> bool:
        return not self.passing

    def reread(self) -> None:
        raise AssertionError("not asked for")


class Workers:
    """Workers that take every generation at once, with the `troubles` that the test gives them."""

    def __init__(self) -> None:
        self.given: list[int] = []
        self.troubles: list[str] = []

    def set_rules(self, rules: Rules, messages: bytes) -> None:
        assert messages == rules.messages()
        self.given.append(rules.generation)

    async def applied(self, generation: int, timeout_s: float) -> list[str]:
        assert self.given[-1] == generation
        return self.troubles


def content(text: str) -> Content:
    return Content("rules.yaml", text.encode())


class Scene:
    def __init__(self) -> None:
        self.source = Hand()
        self.workers = Workers()
        self.declared: list[int] = []
        self.results: asyncio.Queue[ReloadResult] = asyncio.Queue()
        self.reloader = Reloader(
            self.source, self.workers, self._make_ready, lambda result, _: self.results.put_nowait(result)
        )

    def _make_ready(self, _: RuleFile, generation: int) -> Callable[[], None]:
        assert threading.current_thread() is not threading.main_thread(), "what takes long holds up nobody"

        def going_live() -> None:
            assert threading.current_thread() is threading.main_thread(), "series are the event loop's"
            assert generation not in self.workers.given, "series stand before the workers can count"
            self.declared.append(generation)

        return going_live

    async def read(self, text: str) -> ReloadResult:
        self.source.put(text)
        async with asyncio.timeout(10):
            return await self.results.get()


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    scene = Scene()
    await scene.reloader.go_live(content(GOOD), load(content(GOOD)))
    assert await scene.results.get() == "ok"
    following = spawn(scene.reloader.follow(), name="follow")
    yield scene
    following.cancel()
    await asyncio.wait([following])


async def test_new_rules_are_the_next_generation(scene: Scene) -> None:
    """Declared first, given to the workers, then remembered as live."""
    assert await scene.read(OTHER) == "ok"
    assert scene.declared == scene.workers.given == [1, 2]
    state = scene.reloader.state
    assert (state.generation, state.result, state.hash) == (2, "ok", content(OTHER).digest)
    assert scene.reloader.rule_file == load(content(OTHER)).rule_file


async def test_a_fault_changes_nothing_until_it_is_mended(scene: Scene) -> None:
    """Refused: the faults are kept, the rest stays; the live text again is `unchanged` and clears them."""
    assert await scene.read(BAD) == "refused"
    state = scene.reloader.state
    assert (state.generation, state.hash) == (1, content(GOOD).digest)
    assert "shoop" in str(state.faults[0]) and "shoop" in state.lines[state.faults[0].line]
    assert scene.workers.given == [1]
    assert await scene.read(GOOD) == "unchanged"
    assert scene.reloader.state.faults == () and scene.reloader.state.lines == {}
    assert scene.workers.given == [1]


async def test_a_passing_fault_is_not_reported(scene: Scene) -> None:
    """Half a file is no event: what follows it is."""
    scene.source.passing = True
    scene.source.put(BAD)
    assert await scene.read(OTHER) == "ok"
    assert scene.results.empty()


async def test_text_that_is_not_utf8_is_a_fault_like_any_other(scene: Scene) -> None:
    """An encoding error names its place and changes nothing."""
    scene.source._contents.put_nowait(Content("rules.yaml", b"services: \xff"))
    assert await scene.results.get() == "refused"
    assert str(scene.reloader.state.faults[0]).startswith("rules.yaml:1:11: ")


async def test_a_worker_that_cannot_apply_is_reported(scene: Scene) -> None:
    """Should checked rules fail in a worker, it is said and not hidden."""
    scene.workers.troubles = ["worker 2: KeyError: 'x'"]
    assert await scene.read(OTHER) == "refused"
    assert "a fault of the proxy, not of the file: worker 2: KeyError" in str(scene.reloader.state.faults[0])
