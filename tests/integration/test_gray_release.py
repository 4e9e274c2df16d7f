"""The two scenarios of a gray release, from a rule file to two live services, under load while the file is saved."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.load import Counting, Outcome, load
from tests.serve import Proxy, serving

LOAD_S = float(os.environ.get("GRAYHOUND_LOAD_S", "8"))
"""Seconds of load for each scenario; 30 for the full measure."""
CONNECTIONS = 64
SAVES = 20

TESTERS = """
      - name: testers
        match: {any: [{header: {foo: bar}}, {cookie: {foo: bar}}]}
        version: v2"""


def rules(v1: Counting, v2: Counting, *more: str) -> str:
    return f"""\
services:
  shop:
    versions:
      v1: {{endpoints: [{v1.url}]}}
      v2: {{endpoints: [{v2.url}]}}
routes:
  - name: shop
    service: shop
    rules:{"".join(more)}
"""


def split(old: int, new: int) -> str:
    return f"\n      - {{name: everyone, split: {{v1: {old}, v2: {new}}}}}"


@pytest.fixture
async def versions() -> AsyncIterator[tuple[Counting, Counting]]:
    async with Counting("v1") as v1, Counting("v2") as v2:
        yield v1, v2


async def save(path: Path, text: str, proxy: Proxy) -> None:
    """Save the file as an editor does, and wait until all workers serve by it."""
    before = (await proxy.api("/api/config"))["generation"]
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.rename(path)
    await proxy.until(lambda: proxy.api("/api/config"), lambda config: config["generation"] > before)


async def counters_agree(proxy: Proxy, v1: Counting, v2: Counting) -> None:
    """The proxy's counters say what the services counted, to the last request."""
    for version in (v1, v2):
        wanted = f'version="{version.name}"'
        await proxy.until(lambda w=wanted: proxy.metric("requests_total", w), float(version.count))


async def test_testers_go_to_the_new_version_and_later_everyone_does(
    tmp_path: Path, versions: tuple[Counting, Counting]
) -> None:
    """Scenario 1: a header or a cookie decides; then all moves over. Not one request fails, not one goes astray."""
    v1, v2 = versions
    path = tmp_path / "rules.yaml"
    path.write_text(rules(v1, v2, TESTERS))
    kinds = [{"foo": "bar"}, {"Cookie": "a=b; foo=bar"}, {}, {"foo": "baz"}]
    async with serving(path) as proxy:

        async def kind(number: int, seconds: float) -> Outcome:
            return await load(proxy.url, seconds, CONNECTIONS // 4, lambda _: kinds[number])

        before = asyncio.gather(*(kind(number, LOAD_S) for number in range(4)))
        for number in range(SAVES):
            await save(path, rules(v1, v2, TESTERS) + f"# save {number}\n", proxy)
            await asyncio.sleep(LOAD_S / SAVES / 2)
        by_header, by_cookie, plain, other = await before
        assert [outcome.failures for outcome in (by_header, by_cookie, plain, other)] == [[], [], [], []]
        assert set(by_header.answers) == set(by_cookie.answers) == {"v2"}
        assert set(plain.answers) == set(other.answers) == {"v1"}

        during = asyncio.gather(*(kind(number, 2) for number in range(4)))
        await save(path, rules(v1, v2, "\n      - {name: everyone, version: v2}"), proxy)
        assert not any(outcome.failures for outcome in await during)
        after = await asyncio.gather(*(kind(number, 0.5) for number in range(4)))
        assert [set(outcome.answers) for outcome in after] == [{"v2"}] * 4
        assert not any(outcome.failures for outcome in after)
        await counters_agree(proxy, v1, v2)


async def test_a_share_of_all_traffic_goes_to_the_new_version(
    tmp_path: Path, versions: tuple[Counting, Counting]
) -> None:
    """Scenario 2: 20 % goes to the new version, within a point, whatever is saved meanwhile."""
    v1, v2 = versions
    path = tmp_path / "rules.yaml"
    path.write_text(rules(v1, v2, split(80, 20)))
    async with serving(path) as proxy:
        running = asyncio.gather(load(proxy.url, LOAD_S, CONNECTIONS, lambda _: {}))
        for number in range(SAVES):
            await save(path, rules(v1, v2, split(80, 20)) + f"# save {number}\n", proxy)
            await asyncio.sleep(LOAD_S / SAVES / 2)
        (outcome,) = await running
        assert outcome.failures == []
        share = outcome.answers["v2"] / outcome.requests
        assert abs(share - 0.2) < max(0.01, 5 * math.sqrt(0.2 * 0.8 / outcome.requests))
        await counters_agree(proxy, v1, v2)


async def test_the_share_is_raised_step_by_step_and_the_old_version_goes_offline(
    tmp_path: Path, versions: tuple[Counting, Counting]
) -> None:
    """Scenario 2 to its end: the old version leaves the file and its service stops, and no request is lost."""
    v1, v2 = versions
    path = tmp_path / "rules.yaml"
    path.write_text(rules(v1, v2, split(100, 0)))
    async with serving(path) as proxy:
        running = asyncio.gather(load(proxy.url, LOAD_S, CONNECTIONS, lambda _: {}))
        for new in (5, 20, 50, 90, 100):
            await save(path, rules(v1, v2, split(100 - new, new)), proxy)
            await asyncio.sleep(LOAD_S / 10)
        without_old = rules(v1, v2, "\n      - {name: everyone, version: v2}").replace(
            f"      v1: {{endpoints: [{v1.url}]}}\n", ""
        )
        await save(path, without_old, proxy)
        await proxy.until(lambda: proxy.metric("requests_in_flight", 'version="v1"'), 0.0)
        count = v1.count
        (outcome,) = await running
        assert outcome.failures == []
        assert v1.count == count
        assert outcome.answers["v1"] == v1.count
        await counters_agree(proxy, v1, v2)
