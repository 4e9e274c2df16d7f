"""Tells others what happens to rollouts: by webhook, and by a command of the operator's. Nothing waits for them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable
from typing import Any, Final

import aiohttp
from yarl import URL

from proxy.rules.rollouts import Webhook
from proxy.tasks import spawn

TRIES: Final = 4
PAUSES_S: Final = (1.0, 5.0, 30.0)
"""Between the tries: a receiver that restarts is back by the last one."""
ANSWER_S: Final = 10.0
"""For a receiver, or a command, to be done with one event."""
PENDING_MAX: Final = 100
"""Events on their way at a time; more means that nobody takes them."""
DONE: Final = "done"

log = logging.getLogger("grayhound.rollout")


class Failed(Exception):
    """One try failed; the text says how."""


class Notifier:
    """command: run by the shell for each event, which it gets as JSON on its standard input; empty: none is.
    pending: events on their way, one for each who is told."""

    def __init__(self, command: str) -> None:
        self._command = command
        self.pending = 0
        self._turn = asyncio.Lock()  # one after the other: a thread that hangs must not keep rules from being read

    def tell(self, session: aiohttp.ClientSession, webhooks: tuple[Webhook, ...], event: dict[str, Any]) -> None:
        """Send an event on its way to all who want it."""
        for webhook in webhooks:
            if not webhook.events or event["event"] in webhook.events:
                self._start(_origin(webhook.url), lambda webhook=webhook: _post(session, webhook.url, event))  # type: ignore[misc]
        if self._command:
            self._start("the rollout command", lambda: self._command_done(event))

    def _start(self, whom: str, attempt: Callable[[], Awaitable[None]]) -> None:
        if self.pending >= PENDING_MAX:
            log.warning("%s is not told: %d events are on their way already", whom, self.pending)
            return
        self.pending += 1
        spawn(self._deliver(whom, attempt), name=f"event for {whom}")

    async def _command_done(self, event: dict[str, Any]) -> None:
        async with self._turn:
            await asyncio.to_thread(_run, self._command, event)

    async def _deliver(self, whom: str, attempt: Callable[[], Awaitable[None]]) -> None:
        try:
            for number in range(1, TRIES + 1):
                try:
                    await attempt()
                    return
                except TimeoutError:
                    why = f"not done after {ANSWER_S:g} s"
                except (Failed, aiohttp.ClientError, OSError) as error:
                    why = str(error) or type(error).__name__
                log.warning("%s was not told of a rollout's event, try %d of %d: %s", whom, number, TRIES, why)
                if number < TRIES:
                    await asyncio.sleep(PAUSES_S[number - 1])
        finally:
            self.pending -= 1


def _origin(url: str) -> str:
    """Whom it leads to, without what must not stand in a log: the path of a chat's webhook is its password."""
    return f"the webhook at {URL(url).origin()}"


async def _post(session: aiohttp.ClientSession, url: str, event: dict[str, Any]) -> None:
    async with asyncio.timeout(ANSWER_S), session.post(url, json=event, allow_redirects=False) as response:
        if not 200 <= response.status < 300:
            raise Failed(f"it answers {response.status}")


def _run(command: str, event: dict[str, Any]) -> None:
    """In a thread, as the supervisor takes the exit code of every child: that it went well is said on its output."""
    process = subprocess.Popen(
        ("/bin/sh", "-c", f"{{ {command}\n}} >/dev/null 2>&1 && echo {DONE}"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        env=os.environ | {"GRAYHOUND_ROLLOUT": event["rollout"], "GRAYHOUND_EVENT": event["event"]},
    )
    try:
        out, _ = process.communicate(json.dumps(event, ensure_ascii=False).encode(), ANSWER_S)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise TimeoutError from None
    if out.strip() != DONE.encode():
        raise Failed("it failed")
