"""A real Prometheus scrapes the real proxy: what it says is what was sent."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from tests.prometheus import WAIT_S, answered, finished, prometheus, tool
from tests.serve import Proxy, services, serving

ROOT = Path(__file__).parent.parent.parent
RULES = """\
services:
  shop:
    versions:
      v1: {{endpoints: ["{v1}"]}}
      v2: {{endpoints: ["{v2}"]}}
      gone: {{endpoints: ["http://127.0.0.1:1"]}}
  lost:
    fallback: none
    versions:
      nobody: {{endpoints: ["http://127.0.0.1:1"]}}
routes:
  - {{name: lost, path: /lost, service: lost}}
  - name: shop
    path: /shop
    service: shop
    rules:
      - {{name: testers, match: {{header: {{foo: bar}}}}, version: v2}}
      - {{name: broken, match: {{header: {{foo: gone}}}}, version: gone}}
      - {{name: everyone, split: {{v1: 60, v2: 40}}}}
"""
SCRAPE = """\
global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
scrape_configs:
  - job_name: grayhound
    static_configs: [{{targets: ["{target}"]}}]
"""

Query = Callable[[str], Awaitable[dict[str, float]]]


@pytest.fixture
async def proxy(tmp_path: Path) -> AsyncIterator[Proxy]:
    async with services("v1", "v2") as (v1, v2):
        path = tmp_path / "rules.yaml"
        path.write_text(RULES.format(v1=v1.url, v2=v2.url))
        async with serving(path) as started:
            yield started


async def mixed_traffic(proxy: Proxy) -> Counter[str]:
    """All kinds of answers; how many each version was charged with ("": no route led there)."""
    sent: Counter[str] = Counter()
    for number in range(200):
        status, text = await proxy.get(f"/shop/{number}")
        assert status == 200
        sent[text] += 1
    for _ in range(20):
        assert await proxy.get("/shop", headers={"foo": "bar"}) == (200, "v2")
        assert (await proxy.get("/nowhere"))[0] == 404
        assert (await proxy.get("/lost"))[0] in (502, 503)
    sent.update({"v2": 20, "": 20, "nobody": 20})
    async with aiohttp.ClientSession() as session:
        for method in ("POST", "PUT", "PROPFIND", "HEAD"):
            async with session.request(
                method, proxy.url + "/shop", headers={"foo": "bar"}, data=b"x" * 1000
            ) as response:
                assert response.status == 200
                sent["v2"] += 1
    return sent


async def test_a_scrape_has_all_that_was_answered_before_it(proxy: Proxy) -> None:
    """It is the whole container as of now: each worker hands in what it has counted when somebody asks."""
    for number in range(1, 21):
        assert (await proxy.get("/shop"))[0] == 200
        assert await proxy.metric("requests_total", 'route="shop"', 'code="200"') == number


# --- promtool ------------------------------------------------------------------------------------------------------


async def test_promtool_has_nothing_to_say_of_the_metrics(proxy: Proxy) -> None:
    """After answers of every kind, those by a stand-in and those of the proxy itself included."""
    promtool = tool("promtool")
    sent = await mixed_traffic(proxy)
    assert (await proxy.get("/shop", headers={"foo": "gone"})) == (200, "v1")
    await proxy.until(lambda: proxy.metric("requests_total"), float(sent.total() + 1))
    async with aiohttp.ClientSession() as session, session.get(proxy.admin + "/metrics") as response:
        metrics = await response.read()
    assert b'reason="fallback"' in metrics and b'method="other"' in metrics
    assert await finished(promtool, "check", "metrics", given=metrics) == (0, "")


async def test_the_scrape_configuration_is_right() -> None:
    """config/prometheus/prometheus.yml, which people copy."""
    code, said = await finished(tool("promtool"), "check", "config", str(ROOT / "config/prometheus/prometheus.yml"))
    assert code == 0, said


# --- Prometheus ----------------------------------------------------------------------------------------------------


@pytest.fixture
async def scraping(proxy: Proxy, tmp_path: Path) -> AsyncIterator[str]:
    """A running Prometheus with the proxy as its one target: its address."""
    async with prometheus(tmp_path, SCRAPE.format(target=proxy.admin.removeprefix("http://"))) as address:
        yield address


@pytest.fixture
async def query(scraping: str) -> AsyncIterator[Query]:
    """Ask it in PromQL: value by the label `version`."""
    async with aiohttp.ClientSession(scraping) as session:

        async def ask(text: str) -> dict[str, float]:
            answer = await answered(session, "/api/v1/query", query=text)
            return {one["metric"].get("version", ""): float(one["value"][1]) for one in answer.get("result", ())}

        yield ask


async def test_the_target_is_up_and_its_counts_are_what_was_sent(scraping: str, query: Query, proxy: Proxy) -> None:
    """In the words of Prometheus' own API; to the last request, by version, over all workers."""
    sent = await mixed_traffic(proxy)
    await proxy.until(lambda: query("sum by (version) (grayhound_requests_total) > 0"), dict(sent), WAIT_S)
    decided = await query("sum by (version) (grayhound_decisions_total) > 0")
    assert {version: sent[version] for version in decided} == decided
    of_versions = {version: float(count) for version, count in sent.items() if version}
    counted = 'sum by (version) (grayhound_request_duration_seconds_count{version!=""}) > 0'
    assert await query(counted) == of_versions
    assert await query('grayhound_version_weight{rule="everyone"}') == {"v1": 0.6, "v2": 0.4, "gone": 0.0}
    async with aiohttp.ClientSession(scraping) as session:
        (target,) = (await answered(session, "/api/v1/targets"))["activeTargets"]
        assert (target["health"], target["lastError"]) == ("up", "")


async def test_the_queries_of_the_manual_have_answers(query: Query, proxy: Proxy) -> None:
    """Error rate and p99 of the new version beside the old one, as written there."""
    manual = (ROOT / "docs/operation.md").read_text()
    block = re.search(
        r"^    (1 - sum by \(version\).*?)\n    (histogram_quantile.*?)\n\n", manual, re.DOTALL | re.MULTILINE
    )
    assert block is not None
    error_rate, p99 = block.groups()

    async def quantiles() -> dict[str, float]:
        """Of more and more traffic, until there are two scrapes to take a rate from."""
        await mixed_traffic(proxy)
        return await query(p99)

    found = await proxy.until(quantiles, lambda found: found.get("v1", 0) > 0 < found.get("v2", 0), WAIT_S)
    assert found["v1"] < 10 > found["v2"]
    errors = await query(error_rate)
    assert (errors["v1"], errors["v2"]) == (0.0, 0.0) and math.isnan(errors["gone"])  # without requests it has no rate

    async def errors_of_lost() -> dict[str, float]:
        await mixed_traffic(proxy)
        return await query(error_rate.replace("shop", "lost"))

    await proxy.until(errors_of_lost, {"nobody": 1.0}, WAIT_S)
