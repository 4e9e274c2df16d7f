"""What a rollout judges by: what became of the requests that a split gave to a version, as the data plane sees it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from proxy.observe.counts import Answers
from proxy.rules.model import Otherwise, Retry, Route, Rule, RuleFile, Split, Timeouts
from tests.talk import NOBODY, OK, TAIL, Answer, Stage, Upstream, rules, stage, until, wire

GET = wire("GET / HTTP/1.1", "Host: a")
LAST = wire("GET / HTTP/1.1", "Host: a", "Connection: close")
BAD = wire("HTTP/1.1 503 Service Unavailable", "Content-Length: 2", body=b"no")
SHORT = wire("HTTP/1.1 200 OK", "Content-Length: 5", body=b"ab")
DOWN = "http://127.0.0.1:2"


def split(new: list[str], old: list[str], **service: Any) -> RuleFile:
    """All requests are given to v2; v1 is the stable version."""
    made = rules({"v1": old, "v2": new}, retry=Retry(attempts=0), **service)
    everyone = Rule("everyone", split=Split((("v1", 0.0), ("v2", 1.0))))
    return RuleFile(made.services, (Route("r", "s", Otherwise("version", "v1"), rules=(everyone,)),))


def given(the: Stage, version: str = "v2") -> Answers:
    return the.gateway.counts().answers.get(("r", "s", "everyone", version)) or Answers()


async def test_a_whole_answer_has_its_status_and_its_time() -> None:
    async with stage(rule_file=lambda urls: split(urls, [NOBODY])) as the:
        await the.ask(GET + TAIL)
        answers = given(the)
        assert (answers.whole, answers.lost, answers.left, sum(answers.buckets)) == ({200: 2}, 0, 0, 2)
        assert given(the) == Answers()  # the next report has only what is new


@pytest.mark.parametrize("reset", [True, False])
async def test_what_breaks_off_is_lost(reset: bool) -> None:
    """Though its status is 200, and the client has it."""
    answer = Answer(SHORT, reset=reset, close=not reset)
    async with stage(answer, rule_file=lambda urls: split(urls, [NOBODY])) as the:
        heard = await the.ask(GET)
        answers = given(the)
        assert answers.lost == 1 and not any(answers.whole.values()) if heard else answers.whole == {502: 1}


async def test_what_stalls_is_lost() -> None:
    gate = asyncio.Event()
    upstream = Upstream(Answer(SHORT), Answer(gate=gate))
    async with stage(upstream, rule_file=lambda urls: split(urls, [], timeouts=Timeouts(idle=5))) as the:
        async with the.client() as client:
            await client.say(GET)
            assert await client.hear(len(SHORT)) == SHORT
            the.later(6)
            assert await client.hear_all() == b""
        answers = given(the)
        assert answers.lost == 1 and not any(answers.whole.values())
        gate.set()


@pytest.mark.parametrize(
    ("new", "service"),
    [([NOBODY], {"rescue": True}), ([DOWN], {"fallback": "stable"}), (["it"], {"rescue": True})],
    ids=["rescued from no connection", "no endpoint", "rescued from a 503"],
)
async def test_who_stands_in_is_the_failure_of_who_was_chosen(new: list[str], service: dict[str, Any]) -> None:
    """The client is answered by v1; it is v2 that has lost the request, and nothing is counted for v1."""

    def rule_file(urls: list[str]) -> RuleFile:
        return split([urls[0] if one == "it" else one for one in new], urls[1:], **service)

    async with stage(Upstream(*[BAD] * 4), Upstream(), rule_file=rule_file) as the:
        the.gateway.set_health({DOWN: False})
        assert (await the.ask(GET + LAST)).startswith(OK)
        counts = the.gateway.counts()
        answers = counts.answers["r", "s", "everyone", "v2"]
        assert (answers.whole, answers.lost, sum(answers.buckets)) == ({}, 2, 0)
        assert ("r", "s", "everyone", "v1") not in counts.answers
        assert {labels[2]: count for labels, count in counts.add["decisions_total"].items()} == {"v1": 2}


async def test_who_leaves_is_nobodys_failure() -> None:
    gate = asyncio.Event()
    async with (
        stage(Upstream(Answer(OK, gate=gate)), rule_file=lambda urls: split(urls, [NOBODY])) as the,
        the.client() as client,
    ):
        await client.say(GET)
        await until(lambda: the.upstream.heads, "the request arrives")
        client.leave()
        await until(lambda: the.gateway._state.counters._touched, "it is counted")
        answers = given(the)
        assert (answers.lost, answers.left, sum(answers.buckets)) == (0, 1, 0)
        assert not any(answers.whole.values())
        gate.set()
