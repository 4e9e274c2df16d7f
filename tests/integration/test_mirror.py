"""A mirrored version that is slow, dead or speaks nonsense: clients of the real process notice nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from proxy.gateway.shadow import IN_FLIGHT_MAX
from tests.load import Counting, load
from tests.mortal import Mortal
from tests.serve import Proxy, serving

RULES = """
services:
  shop:
    versions:
      v1: {endpoints: ["%s"]}
      v2: {endpoints: ["%s"]}
routes:
  - name: shop
    service: shop
    mirror: [{version: v2, compare: true}]
"""
REQUESTS_MIN = 200
WORKERS = 2


async def numbers(proxy: Proxy) -> dict[str, Any]:
    (mirror,) = (await proxy.api("/api/mirrors"))["mirrors"]
    return mirror  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("mood", "results"),
    [
        ("hang", {"dropped", "timeout"}),
        ("", {"failed", "dropped"}),
        ("garbage", {"failed", "dropped"}),
        ("endless", {"different", "dropped"}),
    ],
    ids=["slow", "dead", "garbage", "endless"],
)
async def test_clients_notice_nothing_of_a_mirror_in_trouble(mood: str, results: set[str], tmp_path: Path) -> None:
    """Every request is answered by v1 and well, and what becomes of each copy is counted, or it is under way yet."""
    rules = tmp_path / "rules.yaml"
    async with Mortal("v1") as v1, Mortal("v2") as v2:
        await (v2.become(mood) if mood else v2.die())
        rules.write_text(RULES % (v1.url, v2.url))
        async with serving(rules) as proxy:
            outcome = await load(proxy.url + "/", 1.5, 50, lambda _: {})
            assert outcome.failures == [] and outcome.requests >= REQUESTS_MIN
            assert outcome.answers == {"v1": await v1.count("GET")}

            def settled(mirror: dict[str, Any]) -> bool:
                return bool(sum(mirror["requests"].values()) + mirror["in_flight"] == outcome.requests)

            mirror = await proxy.until(lambda: numbers(proxy), settled)
            assert mirror["in_flight"] <= WORKERS * IN_FLIGHT_MAX
            assert {result for result, count in mirror["requests"].items() if count} <= results
            assert await proxy.metric("requests_total", 'version="v2"') == 0
            assert await proxy.metric("upstream_errors_total") == 0
            (service,) = (await proxy.api("/api/services"))["services"]
            assert all(endpoint["up"] for version in service["versions"] for endpoint in version["endpoints"])


async def test_differences_are_counted_and_shown(tmp_path: Path) -> None:
    """In the metrics and, with examples of both answers, under /api/mirrors."""
    rules = tmp_path / "rules.yaml"
    async with Counting("v1") as v1, Counting("v2") as v2:
        rules.write_text(RULES % (v1.url, v2.url))
        async with serving(rules) as proxy:
            for _ in range(3):
                assert await proxy.get("/cart?secret=1") == (200, "v1")
            of_v2 = 'service="shop",version="v2"'
            await proxy.until(lambda: proxy.metric("mirror_requests_total", 'result="different"', of_v2), 3.0)
            assert await proxy.metric("mirror_differences_total", 'kind="body"', of_v2) == 3
            assert await proxy.metric("mirror_differences_total") == 3
            mirror = await numbers(proxy)
            assert mirror["requests"]["different"] == 3 == v2.count
            assert [one["path"] for one in mirror["examples"]] == ["/cart"] * 3
            assert (mirror["examples"][0]["real"]["version"], mirror["examples"][0]["mirror"]["version"]) == (
                "v1",
                "v2",
            )


async def test_a_version_that_gets_copies_is_not_idle(tmp_path: Path) -> None:
    """The drain says so, until the rules copy nothing more."""
    rules = tmp_path / "rules.yaml"
    async with Counting("v1") as v1, Counting("v2") as v2:
        text = (RULES % (v1.url, v2.url)).replace("versions:", "fallback: none\n    versions:")
        rules.write_text(text)
        async with serving(rules) as proxy:
            drain = await proxy.api("/api/drain/shop/v2")
            assert (drain["state"], [way["kind"] for way in drain["ways"]]) == ("active", ["mirror"])
            rules.write_text(text.replace("mirror:", "# mirror:"))
            await proxy.until(lambda: proxy.api("/api/drain/shop/v2"), lambda drain: drain["state"] == "idle")
