"""proxy/downstream/http1.py: a client's connection over time, at its limits, and at its end. What it reads and writes
is in the table of conformance.py."""

from __future__ import annotations

import asyncio

import pytest

from proxy.downstream import limits
from proxy.downstream.limits import (
    FIELDS_MAX,
    FLUSH_S,
    HEAD_BYTES_MAX,
    HEAD_S,
    IDLE_S,
    LINGER_S,
    PIPELINED_BYTES_MAX,
    TARGET_BYTES_MAX,
)
from tests.talk import OK, TAIL, TAIL_HEARD, Answer, Upstream, rounds, stage, until, wire

GET = wire("GET / HTTP/1.1", "Host: a")


async def test_idle_connection_ends_in_time_and_not_before() -> None:
    """After its last answer; without a word, as nobody waits for one."""
    async with stage() as the, the.client() as client:
        await client.say(GET)
        assert await client.hear(len(OK)) == OK
        the.later(IDLE_S - 1)
        assert the.listener.connections
        the.later(IDLE_S + 1)
        assert await client.hear_all() == b""


async def test_connection_that_says_nothing_ends() -> None:
    """It has the time of a head."""
    async with stage() as the, the.client() as client:
        await until(lambda: the.listener.connections, "the connection is there")
        the.later(HEAD_S + 1)
        assert await client.hear_all() == b""


@pytest.mark.parametrize("before", [b"", GET], ids=["first", "second"])
async def test_head_that_does_not_come_in_time(before: bytes) -> None:
    """408, counted from its first byte, however slowly more of it comes."""
    async with stage() as the, the.client() as client:
        await client.say(before)
        assert await client.hear(len(OK) if before else 0) == (OK if before else b"")
        await client.say(GET[:-1])
        await until(lambda: any(one._buffer for one in the.listener.connections), "the head begins")
        the.later(HEAD_S - 1)
        assert the.listener.connections
        the.later(HEAD_S + 1)
        heard = await client.hear_all()
        assert heard.startswith(b"HTTP/1.1 408 ") and b"\r\nConnection: close\r\n" in heard


async def test_refused_client_may_read_its_answer_and_then_has_to_go() -> None:
    """RFC 9112 9.6: what it still sends is thrown away, for a moment; then the connection is cut."""
    async with stage() as the, the.client() as client:
        await client.say(b"nonsense\r\n\r\n")
        assert (await client.hear_all()).startswith(b"HTTP/1.1 400 ")
        await client.say(b"x" * 100_000)
        await rounds()
        assert the.listener.connections
        the.later(LINGER_S + 1)
        await until(lambda: not the.listener.connections, "the connection is cut")


async def test_client_that_does_not_take_its_last_answer_is_cut() -> None:
    """After the time to flush."""
    size = 32 << 20
    answer = Answer(wire("HTTP/1.1 200 OK", f"Content-Length: {size}", body=b"x" * size))
    async with stage(Upstream(answer)) as the, the.client() as client:
        client.writer.transport.pause_reading()
        await client.say(wire("GET / HTTP/1.0"))
        await until(lambda: the.upstream.heard, "the request arrives")
        (connection,) = the.listener.connections
        await until(lambda: connection._blocked, "the answer waits")
        the.later(FLUSH_S + 1)
        await until(lambda: not the.listener.connections, "the connection is cut")


@pytest.mark.parametrize("count", [FIELDS_MAX, FIELDS_MAX + 1])
async def test_number_of_fields(count: int) -> None:
    """At the limit, and one past it."""
    async with stage() as the:
        heard = await the.ask(wire("GET / HTTP/1.1", "Host: a", *["a: b"] * (count - 2), "Connection: close"))
        assert heard.startswith(b"HTTP/1.1 200 " if count == FIELDS_MAX else b"HTTP/1.1 431 ")


@pytest.mark.parametrize("size", [HEAD_BYTES_MAX, HEAD_BYTES_MAX + 1])
async def test_size_of_a_head(size: int) -> None:
    """At the limit, and one past it."""
    head = wire("GET / HTTP/1.1", "Host: a", "Connection: close", "A: ")
    head = head[:-4] + b"x" * (size - len(head)) + b"\r\n\r\n"
    async with stage() as the:
        heard = await the.ask(head)
        assert heard.startswith(b"HTTP/1.1 200 " if size == HEAD_BYTES_MAX else b"HTTP/1.1 431 ")


@pytest.mark.parametrize("size", [TARGET_BYTES_MAX, TARGET_BYTES_MAX + 1])
async def test_size_of_a_target(size: int) -> None:
    """At the limit, and one past it."""
    async with stage() as the:
        heard = await the.ask(wire("GET /" + "x" * (size - 1) + " HTTP/1.1", "Host: a", "Connection: close"))
        assert heard.startswith(b"HTTP/1.1 200 " if size == TARGET_BYTES_MAX else b"HTTP/1.1 414 ")


async def test_pipelined_bytes_have_a_limit() -> None:
    """While one request is answered, no more than so much of the next ones is read."""
    gate = asyncio.Event()
    flood = wire("GET / HTTP/1.1", "Host: a", "A: " + "x" * 1000)
    count = 4000
    async with stage(Upstream(Answer(gate=gate))) as the, the.client() as client:
        await client.say(GET)
        await until(lambda: the.upstream.heard, "the first request is under way")
        client.writer.write(flood * count + TAIL)
        (connection,) = the.listener.connections
        await until(lambda: connection._paused, "the client has to wait")
        await rounds(50)
        assert len(connection._buffer) <= PIPELINED_BYTES_MAX + (256 << 10)
        gate.set()
        assert await client.hear_all() == OK * (count + 1) + TAIL_HEARD


async def test_body_and_next_request_in_one_piece() -> None:
    """The body's end is where its length says, while it is read as when it began."""
    post = wire("POST / HTTP/1.1", "Host: a", "Content-Length: 4", body=b"ab")
    async with stage() as the:
        assert await the.ask(post, b"cd" + TAIL) == OK + TAIL_HEARD
        assert the.upstream.heard[0].endswith(b"\r\n\r\nabcd")


async def test_client_that_leaves_between_requests() -> None:
    """Nothing is amiss."""
    async with stage() as the, the.client() as client:
        await client.say(GET)
        assert await client.hear(len(OK)) == OK
        client.leave()
        await until(lambda: not the.listener.connections, "the connection ends")


async def test_draining_refuses_and_answers_with_close() -> None:
    """A head that was begun before the drain gets its answer, and that is the last."""
    async with stage() as the, the.client() as client:
        await client.say(GET[:5])
        await until(lambda: the.listener.connections, "the head begins")
        (connection,) = the.listener.connections
        await until(lambda: connection._buffer, "the head begins")
        the.gateway.drain()
        await client.say(GET[5:] + TAIL)
        assert await client.hear_all() == OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


async def test_requests_of_one_connection_have_a_limit(constants: pytest.MonkeyPatch) -> None:
    """The last answer says so; what the client had sent on is not answered, and it can read what was."""
    constants.setattr(limits, "REQUESTS_MAX", 3)
    last = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    async with stage() as the, the.client() as client:
        await client.say(GET * 5)
        assert await client.hear_all() == OK * 2 + last
        assert len(the.upstream.heard) == 3


async def test_resting_connection_is_as_good_as_any() -> None:
    """After a while without a request it is looked at less often; the next request wakes it, and time-outs hold."""
    async with stage() as the, the.client() as client:
        await client.say(GET)
        assert await client.hear(len(OK)) == OK
        (connection,) = the.listener.connections
        the.later(2)
        assert connection.resting and connection not in the.listener._awake
        await client.say(GET)
        assert await client.hear(len(OK)) == OK
        assert not connection.resting and connection in the.listener._awake
        the.later(4)
        the.later(IDLE_S + 1)
        assert await client.hear_all() == b""
