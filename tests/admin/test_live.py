"""proxy/admin/live.py: one snapshot a second, made once for all who watch."""

from __future__ import annotations

import asyncio
import json
import socket
import zlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from proxy.admin import live
from proxy.admin.app import serve
from proxy.admin.drain import Drains
from proxy.admin.figures import Figures
from proxy.admin.live import FAULTS_MAX, SERVICES_MAX, snapshot
from proxy.admin.view import ConfigState, View
from proxy.errors import Fault
from proxy.observe.counts import Counts
from proxy.observe.metrics import Registry
from proxy.observe.series import series_of
from proxy.rules.analysis.reach import reach
from proxy.rules.model import EndpointSpec, Otherwise, Route, Rule, RuleFile, Service, Split, Version

V1, V2 = "http://127.0.0.1:1001", "http://127.0.0.1:1002"
SHOP = Service("shop", "v1", {"v1": Version("v1", (EndpointSpec(V1),)), "v2": Version("v2", (EndpointSpec(V2),))})
SPLIT = Rule("everyone", split=Split((("v1", 80.0), ("v2", 20.0))))
RULES = RuleFile({"shop": SHOP}, (Route("all", "shop", Otherwise("version", "v1"), rules=(SPLIT,)),))


class Shown:
    """A container that shows itself. looked: how often its state was asked for."""

    def __init__(self, rules: RuleFile | None = RULES, state: ConfigState | None = None) -> None:
        self.registry = Registry()
        self.looked = 0
        self._state = state or ConfigState()
        drains = Drains(self.registry, dict)
        if rules is not None:
            self.registry.declare(series_of(rules), 1)
            drains.going_live(reach(rules), 1)
        self.view = View(self.registry, lambda: rules, self._look, list, drains)

    def _look(self) -> ConfigState:
        self.looked += 1
        return self._state

    def count(self, version: str, code: str, requests: float) -> None:
        self.registry.merge(1, Counts(add={"requests_total": {("all", "shop", version, code, "GET"): requests}}))


@pytest.fixture
async def shown() -> Shown:
    return Shown()


@asynccontextmanager
async def watching(url: str) -> AsyncIterator[aiohttp.ClientResponse]:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/api/events") as response:
        yield response


@asynccontextmanager
async def port(shown: Shown) -> AsyncIterator[str]:
    runner = await serve(shown.view, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with asyncio.timeout(0.9):  # no watcher holds up the end
        await runner.cleanup()


async def event(response: aiohttp.ClientResponse) -> Any:
    line = await response.content.readline()
    assert line.startswith(b"data: ") and await response.content.readline() == b"\n"
    return json.loads(line[6:])


async def test_a_watcher_gets_a_snapshot_at_once_and_figures_with_the_next(shown: Shown) -> None:
    async with port(shown) as url, watching(url) as response:
        assert response.content_type == "text/event-stream" and response.headers["Cache-Control"] == "no-store"
        first = await event(response)
        assert first["services"][0]["versions"][0]["live"] is None and first["totals"]["rate"] is None
        shown.count("v1", "200", 30)
        shown.count("v2", "500", 10)
        second = await event(response)
        old, new = (version["live"] for version in second["services"][0]["versions"])
        assert (old["requests"], old["share"], old["error_rate"]) == (30, pytest.approx(0.75, abs=0.001), 0.0)
        assert (new["requests"], new["error_rate"]) == (10, 1.0)
        assert second["totals"]["error_rate"] == 0.25


async def test_all_watchers_are_shown_the_same_made_once(shown: Shown) -> None:
    async with port(shown) as url, AsyncExitStack() as stack:
        watchers = [await stack.enter_async_context(watching(url)) for _ in range(5)]
        texts = {(await event(one))["at"] for _ in range(2) for one in watchers}
        assert len(texts) <= shown.looked <= len(texts) + 1 < 10


async def test_nothing_is_made_while_nobody_watches(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the last watcher has left, no task stays behind."""
    monkeypatch.setattr(live, "INTERVAL_S", 0.02)
    async with port(shown) as url:
        assert shown.looked == 0
        async with watching(url) as response:
            await event(response)
        before = len(asyncio.all_tasks())
        async with watching(url) as response:
            await event(response)
        for _ in range(100):
            looked = shown.looked
            await asyncio.sleep(0.05)
            if shown.looked == looked:
                break
        assert shown.looked == looked and len(asyncio.all_tasks()) <= before


async def test_watchers_have_a_limit(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the limit all watch, one past it is told why not; a place that is left is free again."""
    monkeypatch.setattr(live, "WATCHERS_MAX", 3)
    monkeypatch.setattr(live, "INTERVAL_S", 0.02)
    async with port(shown) as url, AsyncExitStack() as stack:
        watchers = [await stack.enter_async_context(watching(url)) for _ in range(3)]
        async with watching(url) as response:
            assert response.status == 503
            assert await response.json() == {"error": "3 watch already; close another dashboard"}
        watchers[0].close()
        async with asyncio.timeout(10):
            while True:
                async with watching(url) as response:
                    if response.status == 200:
                        break
                await asyncio.sleep(0.02)


async def test_who_takes_gzip_is_sent_the_same_squeezed(shown: Shown) -> None:
    """Each event by itself, so that any may be missed; all of a stream are one gzip member that never ends."""
    async with (
        port(shown) as url,
        aiohttp.ClientSession(auto_decompress=False) as session,
        session.get(f"{url}/api/events", headers={"Accept-Encoding": "br, gzip"}) as squeezed,
        session.get(f"{url}/api/events", headers={"Accept-Encoding": "br"}) as plain,
    ):
        assert squeezed.headers["Content-Encoding"] == "gzip" and "Content-Encoding" not in plain.headers
        assert squeezed.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"
        gunzip, got, wanted = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS), b"", b""
        for _ in range(2):
            wanted += await plain.content.readline() + await plain.content.readline()
            while len(got) < len(wanted):
                got += gunzip.decompress(await squeezed.content.readany())
        assert {*got.splitlines()} & {*wanted.splitlines()} - {b""}


async def test_who_does_not_read_is_let_go(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for one watcher is what a connection may hold; after WRITE_S the connection is closed, and nothing is
    made for it any more."""
    many = RuleFile({f"s{number:03}": replace(SHOP, name=f"s{number:03}") for number in range(SERVICES_MAX)}, ())
    shown = Shown(many)
    monkeypatch.setattr(live, "WRITE_S", 0.2)
    monkeypatch.setattr(live, "INTERVAL_S", 0.01)
    async with port(shown) as url:
        stalled = socket.socket()
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stalled.setblocking(False)
        await asyncio.get_running_loop().sock_connect(stalled, ("127.0.0.1", int(url.rpartition(":")[2])))
        stalled.send(b"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        with closing(stalled):
            async with asyncio.timeout(20):
                while not shown.looked:
                    await asyncio.sleep(0.01)
                looked = -1
                while looked != shown.looked:
                    looked = shown.looked
                    await asyncio.sleep(0.3)
                while await asyncio.get_running_loop().sock_recv(stalled, 1 << 20):
                    pass  # what the kernel had taken, and then the end


async def test_a_head_is_not_a_watcher(shown: Shown) -> None:
    async with port(shown) as url, aiohttp.ClientSession() as session, session.head(f"{url}/api/events") as response:
        assert response.status == 405


def test_a_thousand_services_are_cut_to_the_busiest() -> None:
    """At the limit all are shown, in the order of the file; past it those with the most requests."""
    names = [f"s{number:04}" for number in range(SERVICES_MAX + 5)]
    few = RuleFile({name: replace(SHOP, name=name) for name in names[:SERVICES_MAX]}, ())
    assert len(snapshot(Shown(few).view, {}, {})["services"]) == SERVICES_MAX
    many = RuleFile({name: replace(SHOP, name=name) for name in names}, ())
    figures = {(name, "v1"): Figures(10, 1.0, 0.0, None, None, None) for name in names[5:]}
    taken = snapshot(Shown(many).view, figures, {})
    assert [service["service"] for service in taken["services"]] == names[5:]
    assert taken["services_left_out"] == 5


def test_a_rule_tells_what_it_took_beside_its_shares() -> None:
    taken = snapshot(Shown().view, {}, {("all", "everyone"): {"v1": 7.9, "v2": 2.1}})
    assert [(rule["rule"], rule["weights"], rule["taken"]) for rule in taken["services"][0]["rules"]] == [
        ("everyone", {"v1": 80.0, "v2": 20.0}, {"v1": 7.9, "v2": 2.1})
    ]


def test_faults_are_cut_and_the_rest_is_counted() -> None:
    faults = tuple(Fault("r.yaml", line, 1, "", "wrong") for line in range(FAULTS_MAX + 2))
    config = snapshot(Shown(state=ConfigState(1, "a", "refused", 1.0, faults)).view, {}, {})["config"]
    assert (len(config["faults"]), config["faults_left_out"], config["warnings_left_out"]) == (FAULTS_MAX, 2, 0)


def test_without_rules_there_is_still_something_to_show() -> None:
    taken = snapshot(Shown(None).view, {}, {})
    assert (taken["services"], taken["services_left_out"], taken["mirrors"]) == ([], 0, [])


def test_a_version_without_a_request_has_no_share_of_none() -> None:
    """Nor does what the proxy itself answers count as a version's."""
    taken = snapshot(Shown().view, {("shop", ""): Figures(requests=10, rate=1.0)}, {})
    assert [version["live"]["share"] for version in taken["services"][0]["versions"]] == [None, None]
    assert taken["totals"]["rate"] == 1.0
