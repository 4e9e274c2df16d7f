"""proxy/downstream/visit.py: connections that end with their first answer, and those that turn out to go on."""

from __future__ import annotations

import asyncio
import socket

import pytest

from tests.talk import OK, Answer, Stage, rounds, stage, until, wire

LAST = wire("GET / HTTP/1.1", "Host: a", "Connection: close")
OLD = wire("GET / HTTP/1.0", "Host: a")
ENDED = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
BIG = 8 << 20


def hold_the_clock(the: Stage) -> None:
    """Look at nothing but when the test says so."""
    assert the.gateway._timer is not None
    the.gateway._timer.cancel()


@pytest.mark.parametrize("request_", [LAST, OLD], ids=["1.1", "1.0"])
async def test_one_request_and_its_answer(request_: bytes) -> None:
    """Answered and ended in good order, and never handed to the event loop."""
    gate = asyncio.Event()
    async with stage(Answer(gate=gate)) as the, the.client() as client:
        hold_the_clock(the)
        await client.say(request_)
        await until(lambda: the.upstream.heard, "the request arrives")
        assert len(the.listener._visits) == 1
        gate.set()
        assert (await client.hear_all()).endswith(b"\r\n\r\nok")
        assert not the.listener._visits


@pytest.mark.parametrize("first", [b"", b"G", LAST[:-2]], ids=["nothing", "a byte", "nearly all"])
async def test_a_request_that_does_not_come_at_once(first: bytes) -> None:
    """Who waits with the rest, or with all of it, is waited for."""
    async with stage() as the, the.client() as client:
        await client.say(first)
        await until(lambda: the.listener.connections, "it has come")
        await rounds(10)
        await client.say(LAST[len(first) :])
        assert await client.hear_all() == ENDED


@pytest.mark.parametrize("length", [True, False], ids=["a length", "until the end"])
async def test_an_answer_larger_than_all_buffers(length: bool) -> None:
    """What the kernel does not take at once is sent by the event loop, and nothing is kept of what waits."""
    head = wire("HTTP/1.1 200 OK", *[f"Content-Length: {BIG}"] * length)
    async with (
        stage(Answer([head, *[b"x" * (1 << 16)] * (BIG >> 16)], close=not length)) as the,
        the.client() as client,
    ):
        client.writer.transport.pause_reading()
        await client.say(OLD)
        await until(lambda: any(one._blocked for one in the.listener.connections), "the client is blocked")
        client.writer.transport.resume_reading()
        heard = await client.hear_all()
        assert heard.endswith(b"\r\n\r\n" + b"x" * BIG)


async def test_pieces_of_an_answer_go_out_as_they_come() -> None:
    """An interim head, and the first part of a body, do not wait for the end."""
    gate = asyncio.Event()
    interim = wire("HTTP/1.1 103 Early Hints", "Link: </a>")
    parts = [wire("HTTP/1.1 200 OK", "Content-Length: 4", body=b"on"), b"e!"]
    async with stage(Answer(parts[1], at_head=interim, gate=gate)) as the, the.client() as client:
        await client.say(LAST)
        assert await client.hear_head() == interim
        for writer in the.upstream.open:
            writer.write(parts[0])
        assert (await client.hear_head()).startswith(b"HTTP/1.1 200 OK\r\n")
        assert await client.hear(2) == b"on"
        gate.set()
        assert await client.hear_all() == b"e!"


async def test_a_client_that_leaves_is_noticed_when_looked_for_twice() -> None:
    """Its request is given up, though it was answered to a bare socket till then."""
    gate = asyncio.Event()
    async with stage(Answer(gate=gate)) as the, the.client() as client:
        hold_the_clock(the)
        await client.say(LAST)
        await until(lambda: the.upstream.heard, "the request arrives")
        client.leave()
        the.later(0)
        the.later(0)
        await until(lambda: not the.listener.connections, "it is gone")
        assert the.gateway.counts().add["requests_total"]["r", "s", "v1", "499", "GET"] == 1
        gate.set()


async def test_an_answer_after_two_looks() -> None:
    """The event loop sends it, and ends the connection."""
    gate = asyncio.Event()
    async with stage(Answer(gate=gate)) as the, the.client() as client:
        hold_the_clock(the)
        await client.say(LAST)
        await until(lambda: the.upstream.heard, "the request arrives")
        the.later(0)
        the.later(0)
        gate.set()
        assert await client.hear_all() == ENDED


async def test_an_answer_to_nobody() -> None:
    """A client that reset its connection before any look: what is sent is lost, and nothing is wrong."""
    gate = asyncio.Event()
    async with stage(Answer(gate=gate)) as the, the.client() as client:
        hold_the_clock(the)
        await client.say(LAST)
        await until(lambda: the.upstream.heard, "the request arrives")
        client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.leave()
        gate.set()
        await until(lambda: not the.listener.connections, "it is gone")
        assert the.gateway.counts().add["requests_total"]["r", "s", "v1", "200", "GET"] == 1


@pytest.mark.parametrize("cut", [True, False])
async def test_cut_while_it_is_handed_over(cut: bool) -> None:
    """Or ended in good order, as its request cannot be one."""
    async with stage() as the, the.client() as client:
        await client.say(b"nonsense\r\n\r\n" if not cut else b"GET /")
        await until(lambda: the.listener.connections, "it has come")
        if cut:
            the.listener.cut()
        assert (await client.hear_all()).startswith(b"" if cut else b"HTTP/1.1 400 ")


async def test_a_whole_body_and_one_in_parts() -> None:
    """Of an HTTP/1.0 client, who is answered at once with the first, and waited for with the second."""
    head = wire("POST / HTTP/1.0", "Host: a", "Content-Length: 4")
    async with stage() as the:
        assert (await the.ask(head + b"body")).endswith(b"ok")
        assert (await the.ask(head + b"bo", b"dy")).endswith(b"ok")
        assert [heard[-4:] for heard in the.upstream.heard] == [b"body"] * 2


async def test_requests_before_the_last() -> None:
    """All that came together is answered, in order."""
    async with stage() as the:
        heard = await the.ask(wire("GET / HTTP/1.1", "Host: a") + LAST)
        assert heard == OK + ENDED
