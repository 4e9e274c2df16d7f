from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from proxy.rollout import notify
from proxy.rollout.notify import Notifier
from proxy.rules.rollouts import Webhook

EVENT = {"rollout": "shop-v2", "event": "failed", "text": "shop-v2: failed: é"}


class Receiver:
    """Of webhooks: refuses the first few events."""

    def __init__(self) -> None:
        self.url = ""
        self.refuses = 0
        self.got: asyncio.Queue[Any] = asyncio.Queue()

    async def take(self, request: web.Request) -> web.Response:
        self.refuses -= 1
        if self.refuses >= 0:
            raise web.HTTPServiceUnavailable
        self.got.put_nowait(await request.json())
        return web.Response()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    app = web.Application()
    app.router.add_post("/", made.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    yield made
    await runner.cleanup()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as made:
        yield made


async def test_a_webhook_gets_the_events_it_wants(receiver: Receiver, session: aiohttp.ClientSession) -> None:
    """As JSON; others it does not hear of."""
    other = Webhook(receiver.url, ("step",))
    Notifier("").tell(session, (other, Webhook(receiver.url, ("failed",))), EVENT)
    assert await receiver.got.get() == EVENT
    Notifier("").tell(session, (other, Webhook(receiver.url)), EVENT)
    assert await receiver.got.get() == EVENT and receiver.got.empty()


async def test_it_is_tried_again(
    receiver: Receiver, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A receiver that is away for a moment hears of it in the end."""
    monkeypatch.setattr(notify, "PAUSES_S", (0.0, 0.0, 0.0))
    receiver.refuses = 3
    Notifier("").tell(session, (Webhook(receiver.url),), EVENT)
    assert await receiver.got.get() == EVENT


async def test_a_command_gets_the_event(
    tmp_path: Path, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On its standard input, its names in the environment; one that fails is run again."""
    monkeypatch.setattr(notify, "PAUSES_S", (0.0, 0.0, 0.0))
    file, ready = tmp_path / "event", tmp_path / "ready"
    command = f'cat > {file}; echo "$GRAYHOUND_ROLLOUT $GRAYHOUND_EVENT" >> {ready}; test $(wc -l < {ready}) = 2'
    notifier = Notifier(command)
    notifier.tell(session, (), EVENT)
    while notifier.pending:
        await asyncio.sleep(0.01)
    assert json.loads(file.read_text()) == EVENT
    assert ready.read_text() == "shop-v2 failed\n" * 2


async def test_what_hangs_is_ended_and_told(
    session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A command with all its children, and nobody there; after the last try it is given up. A webhook's path is often
    its password, so the log has none."""
    monkeypatch.setattr(notify, "PAUSES_S", (0.0, 0.0, 0.0))
    monkeypatch.setattr(notify, "ANSWER_S", 0.05)
    notifier = Notifier("sleep 600")
    notifier.tell(session, (Webhook("http://bot:key@127.0.0.1:1/hooks/secret?token=secret"),), EVENT)
    while notifier.pending:
        await asyncio.sleep(0.01)
    assert "the rollout command was not told of a rollout's event, try 4 of 4: not done after 0.05 s" in caplog.text
    assert "the webhook at http://127.0.0.1:1 was not told of a rollout's event, try 4 of 4: " in caplog.text
    assert "secret" not in caplog.text and "key" not in caplog.text


async def test_what_piles_up_is_left_out(
    session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """At the limit nobody is told any more."""
    monkeypatch.setattr(notify, "PENDING_MAX", 1)
    notifier = Notifier("true")
    notifier.tell(session, (), EVENT)
    notifier.tell(session, (), EVENT)
    assert notifier.pending == 1
    assert "the rollout command is not told: 1 events are on their way already" in caplog.text
    while notifier.pending:
        await asyncio.sleep(0.01)
