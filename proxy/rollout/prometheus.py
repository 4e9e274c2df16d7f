"""Asks Prometheus what a gate's query gives now."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

import aiohttp
from yarl import URL

from proxy.rollout.gates import Verdict, judge_answer
from proxy.rules.rollouts import Gate

ANSWER_S: Final = 10.0
"""For one query; Prometheus itself gives up after two minutes, and a window is a minute."""
ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024
"""A query that a gate can be judged by gives a few numbers."""


async def ask(session: aiohttp.ClientSession, gate: Gate) -> Verdict:
    """The gate judged by the answer; none can be had: no verdict, and why."""
    where = URL(gate.url).with_user(None)  # what people are told has no password
    try:
        async with asyncio.timeout(ANSWER_S):
            async with session.post(f"{gate.url}/api/v1/query", data={"query": gate.prometheus}) as response:
                body = await response.content.read(ANSWER_BYTES_MAX)
                if response.status != 200:
                    return Verdict("none", f"{where} answers {response.status}: {_error(body)}")
        return judge_answer(gate, _values(json.loads(body)["data"]))
    except TimeoutError:
        return Verdict("none", f"{where} has not answered within {ANSWER_S:g} s")
    except (aiohttp.ClientError, OSError) as error:
        return Verdict("none", f"{where} cannot be asked: {error or type(error).__name__}")
    except (ValueError, KeyError, TypeError, IndexError):
        return Verdict("none", f"{where} gives no answer of Prometheus to a query")


def _values(data: Any) -> list[float]:
    """Of an instant vector or a scalar: values come as texts, beside their time."""
    if data["resultType"] == "scalar":
        return [float(data["result"][1])]
    if data["resultType"] == "vector":
        return [float(series["value"][1]) for series in data["result"]]
    raise ValueError(data["resultType"])


def _error(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return body[:100].decode(errors="replace").strip()
