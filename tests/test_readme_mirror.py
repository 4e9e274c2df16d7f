"""docs/rules.md on mirrors: its rule file, served, does what stands beside it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.gateway.retry import REPLAYED_BYTES_MAX
from proxy.gateway.shadow import ANSWER_BYTES_SPARE, IN_FLIGHT_MAX, REST
from proxy.http.digest import KINDS
from proxy.observe.mirrors import RESULTS, ROOM_MIN
from proxy.rules.actions import Compare, Mirror
from proxy.upstream.health import EJECTION_FACTOR_MAX
from tests.serve import Proxy, services, serving
from tests.test_readme import README, YAML

SECTION = README[README.index("## Try a new version") :].partition("\n## ")[0]
(RULES,) = [text for text in YAML if text in SECTION]


@pytest.fixture
async def proxy(tmp_path: Path) -> AsyncIterator[Proxy]:
    """The section's rule file with live services; all requests are copied, not a tenth."""
    async with services("v1", "v2") as (v1, v2):
        path = tmp_path / "rules.yaml"
        text = RULES.replace("http://10.0.0.11:8080", v1.url).replace("http://10.0.0.21:8080", v2.url)
        path.write_text(text.replace("percent: 10\n", "percent: 100\n"))
        async with serving(path) as started:
            yield started


async def test_everybody_is_answered_by_v1_and_differences_are_shown(proxy: Proxy) -> None:
    """In the metrics that it names, with their labels, and under /api/mirrors."""
    assert await proxy.get("/cart") == (200, "v1")
    assert await proxy.get("/cart", headers={"foo": "bar"}) == (200, "v1")
    metrics = set(re.findall(r"grayhound_(mirror_[a-z_]+)", SECTION))
    assert metrics == {"mirror_requests_total", "mirror_differences_total"}
    await proxy.until(lambda: proxy.metric("mirror_requests_total", 'version="v2"', 'result="different"'), 2.0)
    assert await proxy.metric("mirror_differences_total", 'kind="body"', 'version="v2"') == 2
    (mirror,) = (await proxy.api("/api/mirrors"))["mirrors"]
    assert [example["differences"] for example in mirror["examples"]] == [["body"]] * 2


def test_the_numbers_and_words_it_says_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| (`[a-z_`, ]+`) \|", SECTION, re.MULTILINE)
    assert {word for row in rows for word in re.findall(r"`([a-z_]+)`", row)} - {"result"} == set(RESULTS)
    assert all(f"`{kind}`" in SECTION for kind in KINDS)
    assert f"{ROOM_MIN} at first, up to {IN_FLIGHT_MAX} as they are answered" in " ".join(SECTION.split())
    assert f"{REPLAYED_BYTES_MAX // 1024} KiB" in SECTION
    assert f"{ANSWER_BYTES_SPARE // 1024 // 1024} MiB longer" in SECTION
    assert (REST.consecutive_5xx, REST.ejection, EJECTION_FACTOR_MAX) == (5, 1, 10) and "five failures" in SECTION
    assert f"methods: [{', '.join(Mirror('v2').methods)}]" in SECTION
    assert f"compare: {{headers: [{', '.join(Compare().headers)}]}}" in SECTION
