"""proxy/gateway/exchange.py: one request and its response passing through, and all that can go wrong on the way."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest

from proxy.clock import TICK_S
from proxy.gateway import retry
from proxy.rules.health import PassiveHealth
from proxy.rules.model import Limits, Retry, RuleFile, Timeouts
from tests.talk import NOBODY, OK, TAIL, TAIL_HEARD, Answer, Upstream, rules, stage, until, wire

GET = wire("GET / HTTP/1.1", "Host: a")
LAST = wire("GET / HTTP/1.1", "Host: a", "Connection: close")
POST = wire("POST / HTTP/1.1", "Host: a", "Content-Length: 2", body=b"ab")
BAD = wire("HTTP/1.1 503 Service Unavailable", "Content-Length: 2", body=b"no")
SHORT = wire("HTTP/1.1 200 OK", "Content-Length: 5", body=b"ab")
NEVER_AGAIN = Retry(attempts=0)
ON_503 = Retry(statuses=(503,))


@pytest.fixture
def deaf_url() -> Iterator[str]:
    """An address that answers no SYN: its queue is full."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = []
        for _ in range(3):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(full.getsockname())
            waiting.append(one)
        yield f"http://127.0.0.1:{full.getsockname()[1]}"
        for one in waiting:
            one.close()


# --- several requests ----------------------------------------------------------------------------------------------


async def test_pipelined_requests_are_answered_in_order() -> None:
    """RFC 9112 9.3.2: answers come in the order of the requests, whatever their upstreams' haste."""
    answers = [wire("HTTP/1.1 200 OK", "Content-Length: 1", body=b"%d" % n) for n in range(5)]
    async with stage(Upstream(*answers)) as the:
        heard = await the.ask(GET * 5 + TAIL)
        assert heard == b"".join(answers) + TAIL_HEARD
        assert the.upstream.accepted == 1


async def test_extra_bytes_after_a_response_reach_nobody() -> None:
    """What an upstream says after its response belongs to no request: the connection is not used again."""
    async with stage(Upstream(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")) as the:
        assert await the.ask(GET + TAIL) == OK + TAIL_HEARD
        assert the.upstream.accepted == 2


async def test_what_an_idle_connection_says_reaches_nobody() -> None:
    """The same when it comes late, after the connection went back to the pool."""
    async with stage() as the, the.client() as client:
        await client.say(GET)
        assert await client.hear(len(OK)) == OK
        for writer in the.upstream.open:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        await until(lambda: the.endpoints[0].pool.open == 0, "the connection leaves the pool")
        await client.say(TAIL)
        assert await client.hear_all() == TAIL_HEARD


# --- pooled connections that have died -----------------------------------------------------------------------------


async def test_get_on_a_connection_that_died_idle_is_sent_again() -> None:
    """RFC 9112 9.3.1: the endpoint closed a pooled connection as the request came; an idempotent one is repeated."""
    async with stage(Upstream(OK, Answer(b"", close=True)), retry=NEVER_AGAIN) as the:
        assert await the.ask(GET + LAST) == OK + OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        assert the.upstream.accepted == 2
        assert the.version().retries == {}


async def test_post_that_may_have_been_carried_out_is_not_sent_again() -> None:
    """RFC 9110 9.2.2: a request that is not idempotent is never repeated after bytes of it were sent."""
    async with stage(Upstream(OK, Answer(b"", close=True))) as the:
        heard = await the.ask(GET + POST + TAIL)
        assert heard.startswith(OK + b"HTTP/1.1 502 ")
        assert heard.endswith(TAIL_HEARD)
        assert [heard[:4] for heard in the.upstream.heard] == [b"GET ", b"POST", b"GET "]


async def test_post_takes_no_connection_that_is_closing() -> None:
    """A connection that the endpoint has spoiled is not handed out, in whatever turn of the loop that is."""
    async with stage() as the, the.client() as client:
        await client.say(GET)
        assert await client.hear(len(OK)) == OK
        (connection,) = the.endpoints[0].pool._idle
        connection.data_received(b"noise")  # closes; the transport tells of its end one turn later
        await client.say(POST + TAIL)
        assert await client.hear_all() == OK + TAIL_HEARD


# --- tries on other endpoints and versions -------------------------------------------------------------------------


async def test_refused_connection_leads_to_the_next_endpoint() -> None:
    """Nothing was sent, so any method is tried elsewhere."""

    def two(urls: list[str]) -> RuleFile:
        return rules({"v1": [NOBODY, *urls]})

    async with stage(rule_file=two) as the:
        for _ in range(4):
            assert await the.ask(POST + TAIL) == OK + TAIL_HEARD
        assert the.version().errors["connect"] == the.version().retries["connect_failure"] >= 2


@pytest.mark.parametrize(("fallback", "status"), [("stable", 200), ("any", 200), ("none", 502)])
async def test_version_without_a_living_endpoint_falls_back(fallback: str, status: int) -> None:
    """After the last endpoint refused, the fallback decides."""

    def two(urls: list[str]) -> RuleFile:
        return rules({"v1": urls, "v2": [NOBODY]}, fallback=fallback)

    async with stage(rule_file=two) as the:
        heard = await the.ask(wire("GET / HTTP/1.1", "Host: a", "X-Want: v2", "Connection: close"))
        assert heard.startswith(b"HTTP/1.1 %d " % status)


async def test_a_version_that_takes_no_connection_falls_back_when_no_retry_is_left() -> None:
    """Nothing was sent, and no other endpoint of it is available. Where one is, the version has not failed."""

    def file(urls: list[str]) -> RuleFile:
        return rules({"v1": urls[:1], "v2": [NOBODY], "v3": [NOBODY, urls[1]]}, fallback="stable", retry=NEVER_AGAIN)

    async with stage(Upstream(), Upstream(), rule_file=file) as the:
        first = wire("POST / HTTP/1.1", "Host: a", "X-Want: v2", "Content-Length: 0", "Connection: close")
        assert (await the.ask(first))[9:12] == b"200"
        assert the.version("v2").errors == {"connect": 1, "no_endpoint": 1} and not the.version("v2").retries
        wanted = wire("GET / HTTP/1.1", "Host: a", "X-Want: v3", "Connection: close")
        assert {(await the.ask(wanted))[9:12] for _ in range(2)} == {b"200", b"502"}
        assert [len(upstream.heard) for upstream in the.upstreams] == [1, 1]


@pytest.mark.parametrize(("fallback", "status"), [("stable", 200), ("any", 200), ("none", 503)])
async def test_version_that_checks_call_down_falls_back(fallback: str, status: int) -> None:
    """No available endpoint: the stable version, any, or 503 with Retry-After."""
    async with stage(
        Upstream(), Upstream(), rule_file=lambda urls: rules({"v1": urls[:1], "v2": urls[1:]}, fallback=fallback)
    ) as the:
        the.gateway.set_health({the.upstreams[1].url: False})
        heard = await the.ask(wire("GET / HTTP/1.1", "Host: a", "X-Want: v2", "Connection: close"))
        assert heard.startswith(b"HTTP/1.1 %d " % status)
        assert (b"\r\nRetry-After: 1\r\n" in heard) == (status == 503)
        assert the.version("v2").errors == {"no_endpoint": 1}
        assert not the.upstreams[1].heard


async def test_connection_refused_everywhere() -> None:
    """502 to the client, whose connection lives on."""
    async with stage(rule_file=lambda urls: rules({"v1": [NOBODY]})) as the:
        heard = await the.ask(POST + LAST)
        assert heard.count(b"HTTP/1.1 502 ") == 2


async def test_status_is_tried_again_if_the_rules_say_so() -> None:
    """An idempotent request, on another endpoint; the client sees nothing of it."""
    async with stage(Upstream(BAD), Upstream(BAD), retry=Retry(attempts=3, statuses=(503,))) as the:
        assert await the.ask(GET + TAIL) == OK + TAIL_HEARD
        assert the.version().retries == {"503": 2}


async def test_status_is_not_tried_again_for_post_nor_without_end() -> None:
    """A POST is not repeated, and attempts have a number."""
    async with stage(Upstream(*[BAD] * 9), retry=Retry(attempts=2, statuses=(503,))) as the:
        assert await the.ask(POST + GET + TAIL) == BAD + BAD + TAIL_HEARD
        assert len(the.upstream.heard) == 1 + 3 + 1


async def test_retry_leaves_the_connection_of_a_whole_response_alone() -> None:
    """The connection that brought the 503 is back in the pool, perhaps at work for another: nobody resets it."""
    gate = asyncio.Event()
    upstream = Upstream(Answer(BAD, gate=gate), Answer(OK), Answer(OK))
    async with (
        stage(upstream, retry=ON_503, limits=Limits(connections=1), timeouts=Timeouts(response=5)) as the,
        the.client() as first,
        the.client() as second,
    ):
        await first.say(GET)
        await until(lambda: upstream.heard, "the first request arrives")
        await second.say(POST)
        await until(lambda: the.endpoints[0].pool._waiting, "the second waits")
        gate.set()
        assert await second.hear(len(OK)) == OK
        assert await first.hear(len(OK)) == OK
        assert upstream.accepted == 1


async def test_rescue_takes_a_failed_idempotent_request_to_stable_once() -> None:
    """rescue: true; a POST keeps the new version's failure."""

    def two(urls: list[str]) -> RuleFile:
        return rules({"v1": urls[:1], "v2": urls[1:]}, rescue=True)

    new = wire("GET / HTTP/1.1", "Host: a", "X-Want: v2")
    async with stage(Upstream(), Upstream(*[BAD] * 2), rule_file=two) as the:
        assert await the.ask(new + new.replace(b"GET", b"POST") + TAIL) == OK + BAD + TAIL_HEARD
        assert the.version("v2").retries == {"rescue": 1}


@pytest.mark.parametrize(("rescue", "method", "status"), [(True, "GET", 200), (True, "POST", 504), (False, "GET", 504)])
async def test_new_version_that_hangs_is_rescued_too(rescue: bool, method: str, status: int) -> None:
    """A time-out is a failure as a 500 is: the stable version answers what may be repeated."""
    new = wire(f"{method} / HTTP/1.1", "Host: a", "X-Want: v2", "Content-Length: 0", "Connection: close")
    async with stage(
        Upstream(), Answer(gate=asyncio.Event()),
        rule_file=lambda urls: rules(
            {"v1": urls[:1], "v2": urls[1:]}, rescue=rescue, timeouts=Timeouts(response=0.05)
        ),
    ) as the:  # fmt: skip
        assert (await the.ask(new)).startswith(b"HTTP/1.1 %d " % status)
        assert the.version("v2").errors == {"timeout": 1}


async def test_body_of_a_retried_request_is_sent_whole() -> None:
    """What came of the body is kept, and sent again; the client is not left waiting when the next try is at once."""
    put = wire("PUT / HTTP/1.1", "Host: a", "Content-Length: 6", body=b"abc")

    def two(urls: list[str]) -> RuleFile:
        return rules({"v1": [*urls, NOBODY]})

    async with stage(rule_file=two) as the:
        async with the.client() as client:  # an idle connection to the living endpoint, taken at once later
            await client.say(GET + GET)
            assert await client.hear(2 * len(OK)) == OK * 2
        for _ in range(4):
            async with the.client() as client:
                await client.say(put)
                await until(lambda: the.upstream.heads and the.upstream.heads[-1][:3] == b"PUT", "the head arrives")
                await client.say(b"def" + TAIL)
                assert await client.hear_all() == OK + TAIL_HEARD
            puts = [heard for heard in the.upstream.heard if heard[:3] == b"PUT"]
            assert puts[-1].endswith(b"\r\n\r\nabcdef")
            the.upstream.heads.clear()


@pytest.fixture
def patience(constants: pytest.MonkeyPatch) -> None:
    """The wait before a second retry is longer than any test."""
    constants.setattr(retry, "BACKOFF_S", 60.0)
    constants.setattr(retry, "BACKOFF_MAX_S", 60.0)
    constants.setattr(retry, "random", lambda: 1.0)


@pytest.mark.usefixtures("patience")
async def test_wait_before_another_try_ends_when_the_client_leaves() -> None:
    """Nothing is tried for somebody who is gone."""
    async with stage(Upstream(*[BAD] * 9), retry=Retry(attempts=5, statuses=(503,))) as the:
        async with the.client() as client:
            await client.say(GET)
            await until(lambda: the.version().retries == {"503": 2}, "it waits for the second retry")
            client.leave()
        await until(lambda: not the.version().in_flight, "it is over")
        assert len(the.upstream.heard) == 2


@pytest.mark.usefixtures("patience")
async def test_wait_before_another_try_is_within_the_time_of_the_whole() -> None:
    """504 when that is over; the body of a request that has not come whole waits at the client meanwhile."""
    put = wire("PUT / HTTP/1.1", "Host: a", "Content-Length: 6", body=b"abc")
    bad = Answer(BAD, early=True)
    async with stage(
        Upstream(bad, bad, bad), retry=Retry(attempts=5, statuses=(503,)), timeouts=Timeouts(request=60)
    ) as the:
        async with the.client() as client:
            await client.say(put)
            await until(lambda: the.version().retries == {"503": 2}, "it waits for the second retry")
            (connection,) = the.listener.connections
            assert connection._paused
            the.later(61)
            assert (await client.hear_all()).startswith(b"HTTP/1.1 504 ")
        assert len(the.upstream.heads) == 2


async def test_many_requests_that_fail_at_once_are_tried_elsewhere() -> None:
    """An endpoint that dies with 60 requests under way costs none of them: the budget looks at ten seconds."""
    gate = asyncio.Event()
    dying = Upstream(*[Answer(b"", reset=True, gate=gate)] * 60)
    async with stage(dying, Upstream()) as the:
        asked = asyncio.gather(*[the.ask(LAST) for _ in range(120)])
        await until(lambda: len(dying.heard) == 60, "its share has arrived")
        gate.set()
        assert all(heard.startswith(b"HTTP/1.1 200 ") for heard in await asked)


async def test_endpoint_that_fails_is_ejected_and_returns() -> None:
    """Passive health: after so many 5xx in a row it gets nothing, until its time is over."""
    sick, well = Upstream(*[BAD] * 2), Upstream()
    async with stage(sick, well, passive=PassiveHealth(2, ejection=30), retry=NEVER_AGAIN) as the:
        for _ in range(10):
            await the.ask(LAST)
        assert len(sick.heard) == 2
        the.later(31)
        for _ in range(4):
            await the.ask(LAST)
        assert len(sick.heard) == 4


# --- time ----------------------------------------------------------------------------------------------------------


async def test_response_that_does_not_come_in_time() -> None:
    """504, and the upstream's connection ends."""
    async with stage(Answer(gate=asyncio.Event()), timeouts=Timeouts(response=0.05)) as the:
        heard = await the.ask(GET + TAIL)
        assert heard.startswith(b"HTTP/1.1 504 ") and heard.endswith(TAIL_HEARD)
        assert the.version().errors == {"timeout": 1}


async def test_no_time_out_comes_early() -> None:
    """A service that is quicker than its time-out is never cut off, wherever between two ticks its request came."""
    gate = asyncio.Event()
    time = asyncio.get_running_loop().time
    async with stage(*[Answer(gate=gate)] * 7, timeouts=Timeouts(response=2 * TICK_S), retry=NEVER_AGAIN) as the:
        for _ in range(7):
            asked_at = time()
            assert (await the.ask(LAST)).startswith(b"HTTP/1.1 504 ")
            assert time() - asked_at >= 2 * TICK_S
            await asyncio.sleep(TICK_S / 3)


async def test_connection_that_does_not_come_in_time(deaf_url: str) -> None:
    """504 after the time to connect."""
    async with stage(
        rule_file=lambda urls: rules({"v1": [deaf_url]}, timeouts=Timeouts(connect=0.05), retry=NEVER_AGAIN)
    ) as the:
        assert (await the.ask(LAST)).startswith(b"HTTP/1.1 504 ")
        assert the.version().errors == {"timeout": 1}


async def test_connect_timeout_leads_to_the_next_endpoint(deaf_url: str) -> None:
    """As a refusal does."""
    async with stage(rule_file=lambda urls: rules({"v1": [deaf_url, *urls]}, timeouts=Timeouts(connect=0.05))) as the:
        for _ in range(2):
            assert (await the.ask(POST + TAIL)) == OK + TAIL_HEARD


async def test_whole_request_has_a_time() -> None:
    """timeouts.request ends even what goes on byte by byte, retries included."""
    async with stage(Answer(gate=asyncio.Event()), timeouts=Timeouts(request=0.05)) as the:
        assert (await the.ask(LAST)).startswith(b"HTTP/1.1 504 ")


async def test_response_body_that_stalls_is_cut() -> None:
    """timeouts.idle between two bytes: the client sees the body cut short, at the length it was told."""
    gate = asyncio.Event()
    async with stage(Upstream(Answer(SHORT), Answer(gate=gate)), timeouts=Timeouts(idle=5)) as the:
        async with the.client() as client:
            await client.say(GET)
            assert await client.hear(len(SHORT)) == SHORT
            the.later(6)
            assert await client.hear_all() == b""
        gate.set()


async def test_request_body_that_stalls_is_the_clients_fault() -> None:
    """408, and the connection ends."""
    async with stage(timeouts=Timeouts(idle=5)) as the, the.client() as client:
        await client.say(POST[:-1])
        await until(lambda: the.upstream.heads, "the head arrives")
        the.later(6)
        heard = await client.hear_all()
        assert heard.startswith(b"HTTP/1.1 408 ") and b"\r\nConnection: close\r\n" in heard
        assert the.version().errors == {}


# --- bodies cut short ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["close", "reset"])
@pytest.mark.parametrize(
    "answer",
    [
        SHORT,
        wire("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=b"5\r\nab"),
        wire("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=b"2\r\nab\r\n"),
        wire("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=b"2\r\nab\r\n0\r\n"),
    ],
    ids=["length", "within a chunk", "between chunks", "before the trailers' end"],
)
async def test_response_cut_short_is_seen_as_cut_short(answer: bytes, end: str) -> None:
    """RFC 9112 8: the client gets what came and then the end of the connection, never a made-up end of the body."""
    async with stage(Answer(answer, close=end == "close", reset=end == "reset")) as the:
        heard = await the.ask(GET + TAIL)
        assert answer.startswith(heard) if end == "reset" else heard == answer
        assert the.version().errors == ({"reset": 1} if heard else the.version().errors)


async def test_body_that_ends_with_a_reset_is_cut_short() -> None:
    """Close-delimited: a reset is no end, so HTTP/1.1 gets no last chunk and HTTP/1.0 a reset too."""
    async with stage() as the:
        the.upstream.script(*[Answer(wire("HTTP/1.1 200 OK", body=b"ab"), reset=True)] * 2)
        heard = await the.ask(GET)
        assert not heard.endswith(b"0\r\n\r\n")
        async with the.client() as client:
            await client.say(wire("GET / HTTP/1.0"))
            with pytest.raises(ConnectionResetError):
                while await client.reader.read(1 << 16):
                    pass


async def test_malformed_chunks_in_the_middle_cut_the_response() -> None:
    """The head is out, so the connection ends."""
    answer = wire("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=b"2\r\nab\r\n")
    async with stage(Answer([answer, b"x\r\n\r\n"])) as the:
        assert await the.ask(GET + TAIL) == answer
        assert the.version().errors == {"protocol": 1}


async def test_reset_within_the_head_is_tried_again() -> None:
    """Nothing of it has reached the client."""
    async with stage(Upstream(Answer(b"HTTP/1.1 200 OK\r\nA: b", reset=True))) as the:
        assert await the.ask(GET + TAIL) == OK + TAIL_HEARD


# --- clients that leave, and answers that come early -----------------------------------------------------------------


@pytest.mark.parametrize("says", [GET, POST[:-1], GET + GET], ids=["waiting", "in its body", "pipelining"])
async def test_client_that_leaves_takes_its_request_along(says: bytes) -> None:
    """Nobody waits for the response: the upstream's connection ends, and the request is counted as 499."""
    gate = asyncio.Event()
    async with stage(Upstream(Answer(gate=gate))) as the, the.client() as client:
        await client.say(says)
        await until(lambda: the.upstream.heads, "the request arrives")
        client.leave()
        await until(lambda: the.endpoints[0].pool.open == 0, "the upstream's connection ends")
        gate.set()
        await until(lambda: not the.upstream.open, "the upstream hears of it")
        counts = the.gateway.counts()
        assert counts.add["requests_total"] == {("r", "s", "v1", "499", says[:4].strip().decode()): 1}


async def test_client_that_leaves_while_a_connection_is_waited_for(deaf_url: str) -> None:
    """The waiting place is given back."""
    async with (
        stage(rule_file=lambda urls: rules({"v1": [deaf_url]}, timeouts=Timeouts(connect=0.2))) as the,
        the.client() as client,
    ):
        await client.say(GET)
        await until(lambda: the.endpoints[0].pool._waiting, "it waits")
        client.leave()
        await until(lambda: not the.endpoints[0].pool._waiting, "it waits no longer")


async def test_response_before_the_request_has_ended() -> None:
    """RFC 9112 9.3: it is delivered whole, and the connection ends, as the rest of the request is not wanted."""
    error = wire("HTTP/1.1 413 Content Too Large", "Content-Length: 2", body=b"no")
    for extra in (b"", b"b", b"b" + TAIL):
        async with stage(Answer(error, early=True, close=True)) as the, the.client() as client:
            await client.say(POST[:-1])
            closing = error.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)
            assert await client.hear(len(closing)) == closing
            await client.say(extra)
            assert await client.hear_all() == b""
            assert not the.upstream.heard


async def test_final_status_instead_of_100() -> None:
    """RFC 9110 10.1.1: the client that waits for 100 gets the final status, and its body is not waited for."""
    denied = wire("HTTP/1.1 401 Unauthorized", "Content-Length: 0")
    async with stage(Answer(denied, early=True, close=True)) as the:
        heard = await the.ask(wire("PUT / HTTP/1.1", "Host: a", "Expect: 100-continue", "Content-Length: 9"))
        assert heard == denied.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


async def test_malformed_body_after_the_response_began_cuts_it() -> None:
    """Where the request ends is unknown: the exchange is given up on both sides."""
    async with stage(Answer(SHORT, early=True)) as the, the.client() as client:
        await client.say(wire("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked"))
        await client.hear_head()
        await client.say(b"x\r\n")
        assert await client.hear_all() == b"ab"


# --- limits and flow -----------------------------------------------------------------------------------------------


async def test_more_requests_than_may_wait() -> None:
    """limits: one connection, one in the queue; the next is told 503 at once, and the others are served."""
    gate = asyncio.Event()
    async with (
        stage(Upstream(Answer(gate=gate)), limits=Limits(connections=1, pending=1)) as the,
        the.client() as first,
        the.client() as second,
    ):
        await first.say(GET)
        await until(lambda: the.upstream.heard, "the first arrives")
        await second.say(GET)
        await until(lambda: the.endpoints[0].pool._waiting, "the second waits")
        assert (await the.ask(LAST)).startswith(b"HTTP/1.1 503 ")
        gate.set()
        assert await first.hear(len(OK)) == await second.hear(len(OK)) == OK


async def test_waiters_do_not_starve_when_a_connection_fails() -> None:
    """The one connection that could serve them does not come about: each is told, none waits for nothing."""
    async with stage(
        rule_file=lambda urls: rules(
            {"v1": [NOBODY]}, limits=Limits(connections=1), retry=NEVER_AGAIN, timeouts=Timeouts(connect=0)
        )
    ) as the:
        heard = await asyncio.gather(*[the.ask(LAST) for _ in range(5)])
        assert all(one.startswith(b"HTTP/1.1 502 ") for one in heard)


BIG = 32 << 20


async def test_slow_client_stops_the_upstream() -> None:
    """The response waits upstream, not in the proxy's memory, and arrives whole."""
    answer = wire("HTTP/1.1 200 OK", f"Content-Length: {BIG}")
    async with stage(Answer([answer, *[b"x" * (1 << 18)] * (BIG >> 18)])) as the, the.client() as client:
        client.writer.transport.pause_reading()
        await client.say(GET)
        await until(lambda: the.endpoints[0].in_flight, "the exchange begins")
        (connection,) = the.listener.connections
        await until(lambda: connection.exchange and connection.exchange._blocked, "the response is blocked")
        assert connection._transport.get_write_buffer_size() < 2 << 20
        client.writer.transport.resume_reading()
        assert len(await client.hear(len(answer) + BIG)) == len(answer) + BIG


async def test_client_that_reads_nothing_is_not_served_its_pipeline() -> None:
    """Further requests wait while the client does not read: what waits for it in memory has a limit."""
    size, count = 1 << 16, 400
    answer = wire("HTTP/1.1 200 OK", f"Content-Length: {size}", body=b"x" * size)
    async with stage(Upstream(*[answer] * count)) as the, the.client() as client:
        client.writer.transport.pause_reading()
        await client.say(GET * count)
        await until(lambda: the.upstream.heard, "the first request arrives")
        (connection,) = the.listener.connections
        await until(lambda: connection._blocked, "the client's buffer is full")
        for _ in range(2000):
            await asyncio.sleep(0)
        assert len(the.upstream.heard) < count
        assert connection._transport.get_write_buffer_size() < 1 << 20
        client.writer.transport.resume_reading()
        assert len(await client.hear(count * len(answer))) == count * len(answer)


async def test_slow_upstream_stops_the_client() -> None:
    """The request's body waits at the client, and arrives whole."""
    gate = asyncio.Event()
    upstream = Upstream(Answer(early=True, gate=gate))
    async with stage(upstream) as the, the.client() as client:
        await client.say(wire("POST / HTTP/1.1", "Host: a", f"Content-Length: {BIG}"), *[b"x" * (1 << 18)] * 4)
        await until(lambda: upstream.heads, "the head arrives")
        client.writer.write(b"x" * (BIG - (4 << 18)))
        (connection,) = the.listener.connections
        await until(lambda: connection.exchange._stalled, "the request is stalled")
        assert connection._paused
        assert connection.exchange._upstream._transport.get_write_buffer_size() < 2 << 20
        gate.set()
        assert (await client.hear(len(OK) + 19)).startswith(b"HTTP/1.1 200 OK")


async def test_no_route_is_404() -> None:
    """A request that no route takes is answered here; a HEAD without a body."""
    async with stage(rule_file=lambda urls: RuleFile({}, ())) as the:
        heard = await the.ask(wire("HEAD / HTTP/1.1", "Host: a") + LAST)
        first, second = heard.split(b"HTTP/1.1 404 ")[1:]
        assert first.endswith(b"\r\n\r\n") and second.endswith(b"\r\n\r\nno route for this request\n")
