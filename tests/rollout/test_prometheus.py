from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from proxy.rollout import prometheus
from proxy.rollout.prometheus import ask
from proxy.rules.rollouts import Gate

ANSWERS: dict[str, tuple[int, Any]] = {
    "one": (200, {"status": "success", "data": {"resultType": "vector", "result": [{"value": [1.0, "0.25"]}]}}),
    "two": (200, {"data": {"resultType": "vector", "result": [{"value": [1.0, "0.1"]}, {"value": [1.0, "0.75"]}]}}),
    "scalar": (200, {"data": {"resultType": "scalar", "result": [1.0, "0.5"]}}),
    "none": (200, {"data": {"resultType": "vector", "result": []}}),
    "matrix": (200, {"data": {"resultType": "matrix", "result": []}}),
    "wrong": (400, {"status": "error", "error": "parse error"}),
    "list": (200, []),
}


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async def answer(request: web.Request) -> web.Response:
        status, body = ANSWERS[str((await request.post())["query"])]
        return web.json_response(body, status=status)

    app = web.Application()
    app.router.add_post("/api/v1/query", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.mark.parametrize(
    ("query", "outcome", "text"),
    [
        ("one", "holds", "the query gives 0.25"),
        ("two", "fails", "the query gives 0.75, more than 0.5"),
        ("scalar", "holds", "the query gives 0.5"),
        ("none", "none", "the query gives nothing; if that means 0, write (...) or vector(0)"),
        ("matrix", "none", "URL gives no answer of Prometheus to a query"),
        ("wrong", "none", "URL answers 400: parse error"),
        ("list", "none", "URL gives no answer of Prometheus to a query"),
    ],
)
async def test_what_prometheus_answers(url: str, query: str, outcome: str, text: str) -> None:
    """Each value is held against the limit; what is no answer is no verdict."""
    async with aiohttp.ClientSession() as session:
        verdict = await ask(session, Gate(prometheus=query, max=0.5, url=url))
    assert (verdict.outcome, verdict.text) == (outcome, text.replace("URL", url))


async def test_nobody_there_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused connection, and an answer that does not come."""
    gate = Gate(prometheus="one", max=0.5, url="http://127.0.0.1:1")
    async with aiohttp.ClientSession() as session:
        assert "http://127.0.0.1:1 cannot be asked: " in (await ask(session, gate)).text
        monkeypatch.setattr(prometheus, "ANSWER_S", 0.0)
        assert (await ask(session, gate)).text == "http://127.0.0.1:1 has not answered within 0 s"
