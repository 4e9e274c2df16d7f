"""proxy/downstream/https1.py: a connection within TLS ends well, and neither side floods the other."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from proxy.downstream.https1 import CLOSE_NOTIFY_S, LOOKS_MAX
from proxy.downstream.listener import LATE_S
from proxy.downstream.tls import Material, Pair
from tests.authority import Authority
from tests.talk import OK, PATIENCE_S, Answer, Stage, rounds, stage, until, wire

ASK = wire("GET / HTTP/1.1", "Host: a")
CLOSE = wire("GET / HTTP/1.1", "Host: a", "Connection: close")
BIG = 8 << 20


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def material(authority: Authority) -> Material:
    issued = authority.issue("localhost")
    return Material((Pair(issued.certificate.read_bytes(), issued.key.read_bytes()),))


@pytest.fixture
def begin(authority: Authority, material: Material) -> Begin:
    @asynccontextmanager
    async def tls_stage(*upstreams: Answer | bytes) -> AsyncIterator[Stage]:
        async with stage(*upstreams, certificates=material) as the:
            the.tls = authority.client()
            yield the

    return tls_stage


class Raw:
    """A client that does of TLS only what it is told: it answers no close_notify, and reads when the test says so."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        self._sock = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")

    async def _do(self, act: Callable[[], object]) -> object:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    return act()
                except ssl.SSLWantReadError:
                    await loop.sock_sendall(self._sock, self._outgoing.read())
                    data = await loop.sock_recv(self._sock, 1 << 16)
                    if not data:
                        self._incoming.write_eof()
                    self._incoming.write(data)
                finally:
                    if pending := self._outgoing.read():
                        await loop.sock_sendall(self._sock, pending)

    async def say(self, data: bytes) -> None:
        await self._do(lambda: self._tls.write(data))

    async def hear(self) -> bytes:
        """The next bytes, or none after a close_notify."""
        try:
            heard = await self._do(lambda: self._tls.read(1 << 16))
        except ssl.SSLZeroReturnError:
            return b""
        assert isinstance(heard, bytes)
        return heard

    async def notify_close(self) -> None:
        """Say that nothing more will be said, and read on nothing."""
        with pytest.raises(ssl.SSLWantReadError):
            self._tls.unwrap()
        await asyncio.get_running_loop().sock_sendall(self._sock, self._outgoing.read())


@asynccontextmanager
async def raw(the: Stage) -> AsyncIterator[Raw]:
    assert the.tls is not None
    with socket.socket() as sock:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", the.port))
        client = Raw(sock, the.tls)
        await client._do(client._tls.do_handshake)
        yield client


Begin = Callable[..., AbstractAsyncContextManager[Stage]]


async def test_an_answer_that_comes_before_the_request_has_ended_is_read(begin: Begin) -> None:
    """The rest of the request is thrown away and not answered by a reset, which would take the answer along."""
    async with begin(Answer(OK, early=True)) as the, the.client() as client:
        await client.say(wire("POST / HTTP/1.1", "Host: a", f"Content-Length: {BIG}"), bytes(1 << 16))
        await until(lambda: not the.version().in_flight, "the exchange ends")
        await client.say(bytes(BIG - (1 << 16)))
        heard = await client.hear_all()
        assert heard.startswith(b"HTTP/1.1 200 OK\r\n") and heard.endswith(b"\r\n\r\nok")


async def test_a_refusal_is_read_though_more_follows(begin: Begin) -> None:
    """As above, where the proxy itself answers."""
    async with begin() as the, the.client() as client:
        await client.say(wire("GET / HTTP/1.1", "Host: a", "Host: b") + bytes(1 << 20))
        assert (await client.hear_all()).startswith(b"HTTP/1.1 400 ")


async def test_who_does_not_answer_close_notify_is_not_waited_for(begin: Begin) -> None:
    """The connection ends soon after it was told to, whatever the client does."""
    async with begin() as the, raw(the) as client:
        await client.say(CLOSE)
        assert (await client.hear()).endswith(b"ok")
        assert await client.hear() == b""
        the.later(CLOSE_NOTIFY_S - 1)
        await rounds()
        assert the.listener.connections
        the.later(CLOSE_NOTIFY_S + 1)
        await until(lambda: not the.listener.connections, "the connection ends")


async def test_idle_connections_do_not_hold_up_a_drain(begin: Begin) -> None:
    """A drain waits for what is under way, and not for clients that keep a connection for later."""
    async with begin() as the, raw(the) as client:
        await client.say(ASK)
        assert (await client.hear()).endswith(b"ok")
        the.gateway.drain()
        assert await client.hear() == b""
        the.later(CLOSE_NOTIFY_S + 1)
        async with asyncio.timeout(PATIENCE_S):
            await the.gateway.drained()


async def test_a_connection_that_comes_while_draining_is_served_at_once_or_not(begin: Begin) -> None:
    """Its handshake was under way; its request may still come, but an idle one holds nothing up."""
    async with begin() as the:
        the.gateway.draining = True
        assert b"\r\nConnection: close\r\n" in await the.ask(ASK)
        async with raw(the) as client:
            await until(lambda: the.listener.connections, "the handshake is over")
            the.later(LATE_S + 1)
            assert await client.hear() == b""


async def test_a_slow_client_gets_the_whole_answer(begin: Begin) -> None:
    """The upstream waits for the client; after the last byte the client has FLUSH_S, however long it takes to start."""
    answer = wire("HTTP/1.1 200 OK", f"Content-Length: {BIG}", body=bytes(BIG))
    async with begin(answer) as the, raw(the) as client:
        await client.say(CLOSE)
        await until(lambda: the.listener.connections, "the request came")
        (connection,) = the.listener.connections
        await until(lambda: connection._blocked, "the client is too slow")
        assert connection._transport.get_write_buffer_size() < 1 << 20
        heard = 0
        while not connection._transport.is_closing():
            heard += len(await client.hear())
        for _ in range(LOOKS_MAX):
            the.later(CLOSE_NOTIFY_S + 1)
        while data := await client.hear():
            heard += len(data)
        assert heard > BIG


async def test_a_client_that_stops_reading_is_cut(begin: Begin) -> None:
    """FLUSH_S after the last byte was handed over."""
    answer = wire("HTTP/1.1 200 OK", f"Content-Length: {BIG}", body=bytes(BIG))
    async with begin(answer) as the, raw(the) as client:
        await client.say(CLOSE)
        await until(lambda: the.listener.connections, "the request came")
        (connection,) = the.listener.connections
        while not (connection._transport and connection._transport.is_closing()):
            await client.hear()
        for _ in range(LOOKS_MAX):
            the.later(CLOSE_NOTIFY_S + 1)
        await rounds()
        assert the.listener.connections
        the.later(CLOSE_NOTIFY_S + 1)
        await until(lambda: not the.listener.connections, "the connection ends")


async def test_an_upstream_that_does_not_read_stops_the_client(begin: Begin) -> None:
    """The request's body waits in the kernel, not in memory."""
    reading, done = asyncio.Event(), asyncio.Event()

    async def read_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reading.wait()
        while await reader.read(1 << 16):
            pass
        writer.close()
        done.set()

    async with begin() as the:
        server = await asyncio.start_server(read_late, "127.0.0.1", 0, limit=1 << 16)
        the.endpoints[0].pool._port = server.sockets[0].getsockname()[1]
        async with the.client() as client:
            await client.say(wire("POST / HTTP/1.1", "Host: a", f"Content-Length: {4 * BIG}"), bytes(4 * BIG))
            await until(lambda: the.listener.connections, "the request came")
            (connection,) = the.listener.connections
            await until(lambda: connection._paused, "the client has to wait")
            assert connection._transport.get_read_buffer_size() < 1 << 20
            reading.set()
            await until(lambda: the.version().request_bytes == 4 * BIG, "the body has passed")
        await done.wait()
        server.close()


@pytest.mark.parametrize("reads", [True, False])
async def test_a_client_that_says_close_notify_has_left(
    begin: Begin, reads: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Its request is given up at once, and nothing more is written to it, even if it does not read what it was sent."""
    pieces = [wire("HTTP/1.1 200 OK", f"Content-Length: {BIG}"), *[bytes(1 << 16)] * (BIG >> 16)]
    gate = asyncio.Event()
    async with begin(Answer(OK, gate=gate) if reads else Answer(pieces)) as the, raw(the) as client:
        await client.say(ASK)
        await until(lambda: the.upstream.heard, "the request has arrived")
        await client.notify_close()
        await until(lambda: not the.version().in_flight and not the.listener.connections, "it is given up")
        gate.set()
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


# --- Tunnels -------------------------------------------------------------------------------------------------------

UPGRADE = wire("GET /chat HTTP/1.1", "Host: a", "Connection: Upgrade", "Upgrade: websocket")
ACCEPT = wire("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: websocket")


@asynccontextmanager
async def tunnel(
    begin: Begin, serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
) -> AsyncIterator[Stage]:
    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ACCEPT)
        await serve(reader, writer)
        writer.close()
        done.set()

    done = asyncio.Event()
    async with begin() as the:
        server = await asyncio.start_server(one, "127.0.0.1", 0)
        the.endpoints[0].pool._port = server.sockets[0].getsockname()[1]
        yield the
        await done.wait()
        server.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()


async def test_a_tunnel_by_tls(begin: Begin, caplog: pytest.LogCaptureFixture) -> None:
    """Bytes pass both ways, more than any buffer holds; the client's leaving ends it, and nothing is logged."""
    data = bytes(range(256)) * (BIG >> 8)
    async with tunnel(begin, echo) as the, the.client() as client:
        await client.say(UPGRADE)
        assert await client.hear(len(ACCEPT)) == ACCEPT
        client.writer.write(data)
        assert await client.hear(len(data)) == data
        await client.close()
        await until(lambda: not the.version().tunnels, "the tunnel ends")
    assert caplog.records == []


async def test_a_tunnel_ends_with_the_upstream(begin: Begin) -> None:
    """What it said last arrives."""

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(bytes(BIG))

    async with tunnel(begin, say) as the, the.client() as client:
        await client.say(UPGRADE)
        assert len(await client.hear_all()) == len(ACCEPT) + BIG
