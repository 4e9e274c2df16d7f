"""A load of real requests on keep-alive connections, each carried to its end, so that counts can be compared."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

import aiohttp
from aiohttp import web


@dataclass
class Outcome:
    """answers: how often each body was answered with 200. failures: whatever else happened."""

    answers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    @property
    def requests(self) -> int:
        return self.answers.total() + len(self.failures)


async def load(
    url: str,
    seconds: float,
    connections: int,
    headers: Callable[[int], dict[str, str]],
    stop: asyncio.Event | None = None,
) -> Outcome:
    """Ask for `url` as fast as it answers, for so long or until `stop`, on so many connections; `headers` of the n-th
    request."""
    outcome = Outcome()
    end = monotonic() + seconds
    stop = stop or asyncio.Event()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=connections)) as session:

        async def one_connection() -> None:
            while monotonic() < end and not stop.is_set():
                try:
                    async with session.get(url, headers=headers(outcome.requests)) as response:
                        text = await response.text()
                        if response.status == 200:
                            outcome.answers[text] += 1
                        else:
                            outcome.failures.append(f"{response.status} {text.strip()}")
                except (aiohttp.ClientError, OSError, TimeoutError) as error:
                    outcome.failures.append(repr(error))

        await asyncio.gather(*(one_connection() for _ in range(connections)))
    return outcome


class Counting:
    """A version of a service that answers its name and counts what it was asked."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.count = 0
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Counting:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        self.count += 1
        return web.Response(text=self.name)
