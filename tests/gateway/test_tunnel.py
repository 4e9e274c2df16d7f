"""proxy/gateway/tunnel.py: bytes both ways after an upgrade, until both sides have said all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from proxy.clock import NEVER
from proxy.downstream.pace import unread
from proxy.rules.model import Limits
from tests.talk import OK, Client, Stage, Upstream, reset, stage, until, wire

ASK = wire("GET /chat HTTP/1.1", "Host: a", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x")
GET = wire("GET / HTTP/1.1", "Host: a")
ACCEPT = wire("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: websocket")
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
BIG = 32 << 20


@asynccontextmanager
async def tunnel(serve: Serve, greeting: bytes = b"", early: bytes = b"") -> AsyncIterator[tuple[Stage, Client]]:
    """A tunnel to an upstream that accepts the upgrade, says its greeting and then does what `serve` does."""
    done = asyncio.Event()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" in head
        writer.write(ACCEPT + greeting)
        await serve(reader, writer)
        writer.close()
        done.set()

    async with stage() as the, the.client() as client:
        server = await asyncio.start_server(one, "127.0.0.1", 0)
        the.upstream._server.close()
        the.endpoints[0].pool._port = server.sockets[0].getsockname()[1]
        await client.say(ASK + early)
        heard = await client.hear(len(ACCEPT) + len(greeting))
        assert heard == ACCEPT + greeting
        yield the, client
        await client.close()
        async with asyncio.timeout(5):
            await done.wait()
        server.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(1 << 16):
        writer.write(piece)
        await writer.drain()


async def test_bytes_pass_both_ways_from_the_first() -> None:
    """What follows the heads at once belongs to the tunnel already; it is counted, and no request
    in flight any more, but the endpoint has it on its hands."""
    async with tunnel(echo, greeting=b"hello", early=b"early") as (the, client):
        assert await client.hear(5) == b"early"
        await client.say(b"GET / HTTP/1.1\r\n\r\n")
        assert await client.hear(18) == b"GET / HTTP/1.1\r\n\r\n"
        assert (the.version().in_flight, the.version().tunnels) == (0, 1)
        assert (the.endpoints[0].in_flight, the.endpoints[0].pool.open) == (1, 1)
        counts = the.gateway.counts()
        assert counts.add["requests_total"] == {("r", "s", "v1", "101", "GET"): 1}
        assert counts.gauge["tunnels_open"] == {("s", "v1"): 1}
        assert not the.listener.connections


async def test_client_that_has_said_all_still_hears() -> None:
    """Half-close passes: the upstream hears the end, answers, and ends."""

    async def sum_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"%d" % len(await reader.read()))

    async with tunnel(sum_up) as (_, client):
        await client.say(b"abc")
        client.writer.write_eof()
        assert await client.hear_all() == b"3"


async def test_upstream_that_has_said_all_still_hears() -> None:
    """The other way round."""
    heard = asyncio.Queue[bytes]()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"bye")
        writer.write_eof()
        heard.put_nowait(await reader.read())

    async with tunnel(listen) as (_, client):
        assert await client.hear_all() == b"bye"
        await client.say(b"last words")
        client.writer.write_eof()
        assert await heard.get() == b"last words"


async def test_reset_of_the_upstream_ends_the_tunnel() -> None:
    """The client hears the end."""

    async def tear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        reset(writer)

    async with tunnel(tear) as (the, client):
        await client.say(b"x")
        assert await client.hear_all() == b""
        await until(lambda: the.version().tunnels == 0, "the tunnel ends")


async def test_client_that_leaves_ends_the_tunnel() -> None:
    """The upstream hears the end."""
    async with tunnel(echo) as (the, client):
        client.leave()
        await until(lambda: the.version().tunnels == 0, "the tunnel ends")


@pytest.mark.parametrize("slow", ["client", "upstream"])
async def test_slow_side_stops_the_other(slow: str) -> None:
    """Bytes wait where they come from, and all of them arrive."""
    gate = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if slow == "client":
            writer.write(b"x" * BIG)
            await writer.drain()
            await reader.read()
            return
        await gate.wait()
        assert len(await reader.readexactly(BIG)) == BIG
        writer.write(b"got it")

    async with tunnel(talk) as (the, client):
        (open_tunnel,) = the.gateway._state.tunnels
        writer = open_tunnel.client.transport if slow == "client" else open_tunnel.upstream.transport
        if slow == "client":
            client.writer.transport.pause_reading()
        else:
            client.writer.write(b"x" * BIG)
        await until(lambda: writer.get_write_buffer_size() > 1 << 16, "bytes wait")
        for _ in range(500):
            await asyncio.sleep(0)
        assert writer.get_write_buffer_size() < 2 << 20
        if slow == "client":
            client.writer.transport.resume_reading()
            assert len(await client.hear(BIG)) == BIG
        else:
            gate.set()
            assert await client.hear(6) == b"got it"


@pytest.mark.parametrize("slow", ["client", "upstream"])
async def test_a_side_that_takes_nothing_is_cut_in_time(slow: str) -> None:
    """Else it would hold its connections for ever, as nobody hears the other side's end. Who takes a little stays."""
    done = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if slow == "client":
            writer.write(b"x" * BIG)
        await done.wait()
        writer.transport.abort()

    async with tunnel(talk) as (the, client):
        (open_tunnel,) = the.gateway._state.tunnels
        end = open_tunnel.client if slow == "client" else open_tunnel.upstream
        if slow == "client":
            client.writer.transport.pause_reading()
        else:
            client.writer.write(b"x" * BIG)
        await until(lambda: end.behind, "a side does not keep up")
        end.behind += 1 << 20  # as if it had taken so much since
        open_tunnel.overdue(the.gateway._state.clock.now)
        assert the.version().tunnels == 1 and open_tunnel.deadline < NEVER
        await until(lambda: (before := end.behind) == unread(end.transport) and before, "nothing moves any more")
        open_tunnel.overdue(the.gateway._state.clock.now)
        done.set()
        await until(lambda: the.version().tunnels == 0, "it is cut")


async def test_a_tunnel_holds_a_connection_of_its_endpoint() -> None:
    """It counts for limits.connections until both sides have ended; then who waits for a connection has one."""
    async with (
        stage(ACCEPT, limits=Limits(connections=1, pending=1)) as the,
        the.client() as chatting,
        the.client() as waiting,
        the.client() as turned_away,
    ):
        await chatting.say(ASK)
        assert await chatting.hear(len(ACCEPT)) == ACCEPT
        await waiting.say(GET)
        await until(lambda: the.endpoints[0].pool._waiting, "the second one waits")
        await turned_away.say(GET)
        assert await turned_away.hear(12) == b"HTTP/1.1 503"
        await chatting.close()
        assert await waiting.hear(len(OK)) == OK


async def test_least_requests_heeds_tunnels() -> None:
    """While one endpoint has a tunnel, requests that come one at a time go to the other."""
    upstreams = Upstream(ACCEPT), Upstream(ACCEPT)
    async with stage(*upstreams, balance="least_requests") as the, the.client() as chatting, the.client() as client:
        await chatting.say(ASK)
        assert await chatting.hear(len(ACCEPT)) == ACCEPT
        (other,) = (upstream for upstream in upstreams if not upstream.heard)
        other.script()
        for _ in range(6):
            await client.say(GET)
            assert await client.hear(len(OK)) == OK
        assert len(other.heard) == 6


async def test_who_does_not_read_the_end_is_cut(constants: pytest.MonkeyPatch) -> None:
    """The upstream has said all and left: its place is free at once, and the client has its time to read, no more."""
    constants.setattr("proxy.gateway.tunnel.FLUSH_S", 0.1)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        reset(writer)

    async with tunnel(talk) as (the, client):
        (open_tunnel,) = the.gateway._state.tunnels
        client.writer.transport.pause_reading()
        open_tunnel.client.transport.write(b"x" * BIG)
        open_tunnel.upstream.transport.resume_reading()  # as if little were left to read
        await client.say(b"x")
        await until(lambda: the.endpoints[0].pool.open == 0, "the place is free")
        assert the.version().tunnels == 1
        await until(lambda: the.version().tunnels == 0, "the client is cut")


async def test_closing_gateway_cuts_tunnels() -> None:
    """At the end of the drain both sides are cut."""
    async with tunnel(echo) as (the, client):
        the.gateway.close()
        assert await client.hear_all() == b""


async def test_upgrade_that_is_refused_is_a_plain_response() -> None:
    """Any other status: the connection goes on with HTTP."""
    async with stage(wire("HTTP/1.1 426 Upgrade Required", "Upgrade: h2c", "Content-Length: 0")) as the:
        heard = await the.ask(ASK + wire("GET /tail HTTP/1.1", "Host: a", "Connection: close"))
        asked = "Content-Length: 0", "Connection: Upgrade", "Upgrade: h2c"
        assert heard.startswith(wire("HTTP/1.1 426 Upgrade Required", *asked))
        assert heard.endswith(b"tail")
