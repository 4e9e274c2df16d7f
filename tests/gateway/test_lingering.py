"""proxy/gateway/lingering.py: requests that began by earlier rules and may yet turn to another version."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from proxy.rules.actions import Mirror
from proxy.rules.model import RuleFile
from tests.talk import OK, Answer, Upstream, rules, stage, until, wire

NEW = wire("GET / HTTP/1.1", "Host: a", "X-Want: v2")
BAD = wire("HTTP/1.1 500 Internal Server Error", "Content-Length: 0")


def rescued(urls: list[str]) -> RuleFile:
    return rules({"v1": urls[:1], "v2": urls[1:]}, rescue=True)


async def test_what_may_be_rescued_lingers_until_it_is_over() -> None:
    """A request on v2 keeps its way back to v1 after the rules have forgotten v1, and takes it; then nothing does,
    though the connections of both sides stay open."""
    gate = asyncio.Event()
    old, new = Upstream(), Upstream(Answer(BAD, gate=gate))
    async with stage(old, new, rule_file=rescued) as the, the.client() as client:
        assert the.gateway.counts().lingering == set()
        await client.say(NEW)
        await until(lambda: new.heard, "the request is under way")
        the.gateway.apply(2, rules({"v2": [new.url]}))
        counts = the.gateway.counts()
        assert (counts.generation, counts.lingering) == (2, {("s", "v1"), ("s", "v2")})
        the.gateway.apply(3, rules({"v2": [new.url]}))
        assert the.gateway.counts().lingering == {("s", "v1"), ("s", "v2")}
        gate.set()
        assert await client.hear(len(OK)) == OK
        assert len(old.heard) == 1
        assert the.gateway.counts().lingering == set()


async def test_what_cannot_turn_elsewhere_leaves_the_other_alone() -> None:
    """A request on the stable version has no other to go to; it counts with its own."""
    gate = asyncio.Event()
    old, new = Upstream(Answer(gate=gate)), Upstream()
    async with stage(old, new, rule_file=rescued) as the, the.client() as client:
        await client.say(wire("GET / HTTP/1.1", "Host: a"))
        await until(lambda: old.heard, "the request is under way")
        the.gateway.apply(2, rules({"v1": [old.url]}))
        assert the.gateway.counts().lingering == {("s", "v1")}
        gate.set()
        assert await client.hear(len(OK)) == OK
        assert the.gateway.counts().lingering == set()


async def test_copies_linger_before_and_while_they_are_under_way() -> None:
    """The rules no longer mirror to v2: a request that began before will be copied there all the same."""
    answered, copied = asyncio.Event(), asyncio.Event()
    real, mirror = Upstream(Answer(gate=answered)), Upstream(Answer(gate=copied))

    def mirroring(urls: list[str]) -> RuleFile:
        made = rules({"v1": urls[:1], "v2": urls[1:]})
        return replace(made, routes=(replace(made.routes[0], mirror=(Mirror("v2"),)),))

    async with stage(real, mirror, rule_file=mirroring) as the, the.client() as client:
        await client.say(wire("GET / HTTP/1.1", "Host: a"))
        await until(lambda: real.heard, "the request is under way")
        the.gateway.apply(2, rules({"v1": [real.url]}))
        assert the.gateway.counts().lingering == {("s", "v1"), ("s", "v2")}
        answered.set()
        assert await client.hear(len(OK)) == OK
        await until(lambda: mirror.heard, "the copy is under way")
        assert the.gateway.counts().lingering == {("s", "v2")}
        copied.set()
        await until(lambda: not the.gateway.counts().lingering, "nothing is held")
