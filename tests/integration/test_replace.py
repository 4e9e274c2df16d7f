"""Workers that are replaced, told to or dead, under load: nobody but who was being served by a dead one notices."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic

import pytest

from proxy.tasks import spawn
from tests.load import Counting, load
from tests.serve import Proxy, serving

CONNECTIONS = 32
RULES = """\
services: {{shop: {{versions: {{v1: {{endpoints: [{url}]}}}}}}}}
routes: [{{name: shop, service: shop}}]
"""


@pytest.fixture
async def service() -> AsyncIterator[Counting]:
    async with Counting("v1") as started:
        yield started


@pytest.fixture
async def proxy(tmp_path: Path, service: Counting) -> AsyncIterator[Proxy]:
    path = tmp_path / "rules.yaml"
    path.write_text(RULES.format(url=service.url))
    async with serving(path) as started:
        yield started


async def fresh_connections(proxy: Proxy, seconds: float) -> list[str]:
    """Ask again and again, each time on a new connection; what went wrong."""
    failures = []
    end = monotonic() + seconds

    async def one_after_another() -> None:
        while monotonic() < end:
            try:
                answer = await proxy.get()
            except OSError as error:
                failures.append(repr(error))
            else:
                if answer != (200, "v1"):
                    failures.append(repr(answer))

    await asyncio.gather(*(one_after_another() for _ in range(CONNECTIONS)))
    return failures


async def test_usr2_replaces_every_worker_and_no_request_fails(proxy: Proxy, service: Counting) -> None:
    """One after another, twice over; on connections that are kept and on new ones; and every request is counted."""
    kept = spawn(load(proxy.url, 6.0, CONNECTIONS, lambda _: {}), name="kept")
    fresh = spawn(fresh_connections(proxy, 6.0), name="fresh")
    for _ in range(2):
        before = set(proxy.workers())
        proxy.signal(signal.SIGUSR2)
        await proxy.until(lambda b=before: _replaced(proxy, b), True)  # type: ignore[misc]
    assert (await kept).failures == []
    assert await fresh == []
    assert await proxy.metric("worker_restarts_total") == 0
    await proxy.until(lambda: proxy.metric("requests_total", 'code="200"'), float(service.count))
    assert (await proxy.api("/api/config"))["workers"] == [
        {"worker": 1, "generation": 1},
        {"worker": 2, "generation": 1},
    ]


async def _replaced(proxy: Proxy, before: set[int]) -> bool:
    now = set(proxy.workers())
    return len(now) == 2 and not now & before


async def test_a_killed_worker_costs_only_what_it_was_answering(proxy: Proxy) -> None:
    """Each connection loses one request at most; who waits to be accepted is not reset; counters never go back."""
    counted: list[float] = []
    load_ending = spawn(load(proxy.url, 4.0, CONNECTIONS, lambda _: {}), name="kept")
    for _ in range(3):
        victim = proxy.workers()[0]
        os.kill(victim, signal.SIGKILL)
        began = monotonic()
        await proxy.until(lambda v=victim: _back(proxy, v), True)  # type: ignore[misc]
        assert monotonic() - began < 5.0, "a second on a machine that has nothing else to do"
        counted.append(await proxy.metric("requests_total"))
    outcome = await load_ending
    assert len(outcome.failures) <= 3 * CONNECTIONS
    assert all("Disconnected" in failure or "ClientOSError" in failure for failure in outcome.failures)
    assert outcome.answers["v1"] > 10 * CONNECTIONS
    assert counted == sorted(counted)


async def _back(proxy: Proxy, victim: int) -> bool:
    return victim not in proxy.workers() and await proxy.metric("workers") == 2


async def test_who_waits_to_be_accepted_is_served_by_the_next(proxy: Proxy) -> None:
    """With all workers dead for a moment, new connections wait and are answered, not refused or reset."""
    for pid in proxy.workers():
        os.kill(pid, signal.SIGSTOP)  # so that connections queue up
    asking = [spawn(proxy.get(), name="waiting") for _ in range(20)]
    await asyncio.sleep(0.2)
    for pid in proxy.workers():
        os.kill(pid, signal.SIGKILL)
    assert await asyncio.gather(*asking) == [(200, "v1")] * 20


async def test_a_crash_loop_backs_off_and_is_said(proxy: Proxy) -> None:
    """Who dies at each start is given a pause; /readyz says so; meanwhile every connection goes to the others."""
    seen: set[int] = set()
    (first, other) = proxy.workers()
    deadline = monotonic() + 20
    while (await proxy.api("/readyz"))["ready"]:
        assert monotonic() < deadline
        for pid in set(proxy.workers()) - {other} - seen:
            seen.add(pid)
            os.kill(pid, signal.SIGKILL)
    assert first in seen
    assert len(seen) == 4
    assert "dies again and again" in (await proxy.api("/readyz"))["reasons"][0]
    assert await fresh_connections(proxy, 0.3) == []
    await proxy.until(lambda: proxy.api("/readyz"), lambda answer: answer["ready"])
