"""proxy/gateway/gateway.py: rules change under traffic, counters are true, and a drain leaves nobody out."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

from proxy.clock import TICK_S
from proxy.rules.model import Limits, Otherwise, Retry, Route, RuleFile
from tests.talk import NOW, OK, TAIL, TAIL_HEARD, Answer, Upstream, dateless, rules, stage, until, wire

GET = wire("GET / HTTP/1.1", "Host: a")
LAST = wire("GET / HTTP/1.1", "Host: a", "Connection: close")
BAD = wire("HTTP/1.1 500 Internal Server Error", "Content-Length: 0")


async def test_new_rules_hold_for_the_next_request_on_an_open_connection() -> None:
    """An exchange keeps the rules it began with; the next one follows the new ones; no connection is closed."""
    gate = asyncio.Event()
    old, new = Upstream(Answer(gate=gate)), Upstream()
    async with stage(old, new, rule_file=lambda urls: rules({"v1": urls[:1], "v2": urls[1:]})) as the:
        async with the.client() as client:
            await client.say(GET)
            await until(lambda: old.heard, "the request is under way")
            the.gateway.apply(2, rules({"v2": [new.url]}))
            assert [endpoint.url for endpoint in the.endpoints] == [new.url]
            gate.set()
            assert await client.hear(len(OK)) == OK
            await client.say(TAIL)
            assert await client.hear_all() == TAIL_HEARD
        assert (len(old.heard), len(new.heard)) == (1, 1)
        await until(lambda: not old.open, "what the rules no longer name is let go of")


async def test_requests_between_the_steps_of_a_reload() -> None:
    """While new rules are made the earlier ones hold, and their endpoints stay; then the new ones do, at once."""
    old, new = Upstream(), Upstream()
    async with stage(old, new, rule_file=lambda urls: rules({"v1": urls[:1]})) as the, the.client() as client:
        asked = 0
        for _ in the.gateway.applying(2, rules({"v2": [new.url]})):
            await client.say(GET)
            assert await client.hear(len(OK)) == OK
            asked += 1
        assert asked > 3 and len(old.heard) >= 3 and new.heard and len(old.heard) + len(new.heard) == asked
        await client.say(TAIL)
        assert await client.hear_all() == TAIL_HEARD
        assert not the.faults


async def test_endpoints_that_stay_keep_their_connections() -> None:
    """A weight edit must not close one keep-alive connection; new limits hold at once."""
    async with stage() as the:
        await the.ask(LAST)
        the.gateway.apply(2, rules({"v1": [the.upstream.url]}, limits=Limits(connections=7)))
        await the.ask(LAST)
        assert the.upstream.accepted == 1
        assert the.endpoints[0].pool.limits.connections == 7


async def test_answer_of_the_rules() -> None:
    """`otherwise: {status: 404}`: told by the proxy, counted under its route, and nothing is in flight after it."""
    route = Route("r", "s", Otherwise("status", status=451))

    def closed(urls: list[str]) -> RuleFile:
        return RuleFile({"s": rules({"v1": urls}).services["s"]}, (route,))

    async with stage(rule_file=closed) as the:
        heard = await the.ask(GET + LAST)
        assert heard.count(b"HTTP/1.1 451 ") == 2
        counts = the.gateway.counts()
        assert counts.add["requests_total"] == {("r", "s", "", "451", "GET"): 2}
        assert not the.upstream.heads
        assert all(number == 0 for number in counts.gauge["requests_in_flight"].values())


async def test_counters_equal_what_the_upstreams_saw() -> None:
    """After N mixed requests, errors and retries among them, every version's counts are what it heard and said."""
    dice = random.Random(7)
    one, two = Upstream(), Upstream()
    expected: Counter[tuple[str, str]] = Counter()
    async with stage(
        one, two, rule_file=lambda urls: rules({"v1": urls[:1], "v2": urls[1:]}, retry=Retry(attempts=0))
    ) as the:
        sent = heard = 0
        for _ in range(60):
            upstream, version = dice.choice([(one, "v1"), (two, "v2")])
            kind = dice.choice(["200", "500", "502", "200", "200"])
            upstream.script({"200": OK, "500": BAD, "502": Answer(b"nonsense\r\n\r\n")}[kind])
            body = b"x" * dice.randrange(2000)
            fields = ["Host: a", f"X-Want: {version}", f"Content-Length: {len(body)}", "Connection: close"]
            answer = await the.ask(wire("POST / HTTP/1.1", *fields, body=body))
            assert answer.startswith(f"HTTP/1.1 {kind}".encode())
            expected[version, kind] += 1
            sent += len(body)
            heard += 2 if kind == "200" else 0
        counts = the.gateway.counts()
        requests = {(key[2], key[3]): count for key, count in counts.add["requests_total"].items()}
        assert requests == expected
        seen = Counter({"v1": len(one.heard), "v2": len(two.heard)})
        decided = {key[2]: count for key, count in counts.add["decisions_total"].items()}
        assert decided == seen == Counter(version for version, _ in expected.elements())
        assert sum(counts.add["request_bytes_total"].values()) == sent
        assert sum(counts.add["response_bytes_total"].values()) == heard
        errors = {key[1]: count for key, count in counts.add["upstream_errors_total"].items() if key[2] == "protocol"}
        assert errors == {version: count for (version, code), count in expected.items() if code == "502"}
        for labels, (buckets, total) in counts.observe["request_duration_seconds"].items():
            assert sum(buckets) == seen[labels[2]] and total > 0
        assert all(state["in_flight"] == 0 for state in counts.endpoints.values())
        assert the.gateway.counts().add["requests_total"] == {}


async def test_method_is_no_label_that_a_client_chooses() -> None:
    """An unusual method is `other`; a refused request has no method at all."""
    async with stage() as the:
        await the.ask(wire("PROPFIND / HTTP/1.1", "Host: a", "Connection: close"))
        await the.ask(b"nonsense\r\n\r\n")
        counts = the.gateway.counts().add["requests_total"]
        assert counts == {("r", "s", "v1", "200", "other"): 1, ("", "", "", "400", "other"): 1}


async def test_connections_are_counted_by_listener() -> None:
    """`connections_open`, by the address clients connect to."""
    async with stage() as the:
        async with the.client() as client:
            await client.say(GET)
            await client.hear(len(OK))
            assert the.gateway.counts().gauge["connections_open"] == {(f"127.0.0.1:{the.port}",): 1}
        await the.settled()
        assert the.gateway.counts().gauge["connections_open"] == {(f"127.0.0.1:{the.port}",): 0}


async def test_drain_ends_what_is_idle_and_lets_the_rest_finish() -> None:
    """An idle connection ends at once; a busy one with its answer, which says Connection: close."""
    gate = asyncio.Event()
    async with stage(Upstream(OK, Answer(gate=gate))) as the, the.client() as idle, the.client() as busy:
        await idle.say(GET)
        assert await idle.hear(len(OK)) == OK
        await busy.say(GET)
        await until(lambda: len(the.upstream.heard) == 2, "a request is under way")
        the.gateway.drain()
        assert await idle.hear_all() == b""
        assert not the.gateway._drained.is_set()
        gate.set()
        assert await busy.hear_all() == OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        async with asyncio.timeout(20 * TICK_S):
            await the.gateway.drained()


async def test_close_cuts_what_is_under_way() -> None:
    """At the end of the time to drain."""
    gate = asyncio.Event()
    async with stage(Upstream(Answer(gate=gate))) as the, the.client() as client:
        await client.say(GET)
        await until(lambda: the.upstream.heard, "the request is under way")
        the.gateway.close()
        assert await client.hear_all() == b""
        gate.set()


async def test_fallback_is_counted_where_it_went() -> None:
    """reason `fallback`, under the version that answered."""
    async with stage(Upstream(), Upstream(), rule_file=lambda urls: rules({"v1": urls[:1], "v2": urls[1:]})) as the:
        the.gateway.set_health({the.upstreams[1].url: False})
        await the.ask(wire("GET / HTTP/1.1", "Host: a", "X-Want: v2", "Connection: close"))
        assert the.gateway.counts().add["decisions_total"] == {("r", "s", "v1", "v2", "fallback"): 1}
        states = the.gateway.counts().endpoints
        assert [state["available"] for state in states.values()] == [True, False]


async def test_request_ids_differ() -> None:
    """24 hexadecimal digits, never twice."""
    async with stage() as the:
        ids = {the.gateway._state.request_id() for _ in range(100)}
        assert len(ids) == 100 and all(len(one) == 24 and int(one, 16) for one in ids)


async def test_answers_say_what_time_it_is_now() -> None:
    """The date of a response goes on while the gateway serves, whatever it was (RFC 9110 section 6.6.1)."""
    async with stage(Upstream(dateless("HTTP/1.1 204 No Content"), dateless("HTTP/1.1 204 No Content"))) as the:
        clock = the.gateway._state.clock
        clock.move(clock.now, 0.0)
        assert b"\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n" in await the.ask(LAST)
        await until(lambda: b"1970" not in clock.date, "the clock moves")
        assert await the.ask(LAST) == dateless("HTTP/1.1 204 No Content", NOW, "Connection: close")


async def test_an_endpoint_that_is_the_proxy_itself() -> None:
    """A request cannot go round for ever (RFC 9110 section 7.6): it gets a Via each time, and a head has limits."""
    async with stage() as the:
        the.gateway.apply(2, rules({"v1": [f"http://127.0.0.1:{the.port}"]}))
        assert (await the.ask(LAST)).startswith(b"HTTP/1.1 431 ")
        assert the.gateway.counts().add["requests_total"]["", "", "", "431", "other"] == 1
        the.gateway.apply(3, rules({"v1": [the.upstream.url]}))
