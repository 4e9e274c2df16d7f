"""proxy/downstream/porch.py: what comes before a client's first request: the PROXY header and the TLS handshake."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import socket
import ssl
from contextlib import suppress
from dataclasses import replace

import pytest

from proxy.downstream.tls import Material, Pair, examine
from tests.authority import Authority
from tests.http.test_proxy_header import BAD, GOOD, IPV4, TCP4, UNSPEC, v1, v2
from tests.talk import Client, Stage, stage, until, wire

ASK = wire("GET / HTTP/1.1", "Host: a", "Connection: close")
ANN, BOB = v1("PROXY TCP4 192.0.2.1 10.0.0.1 1 2"), v1("PROXY TCP4 192.0.2.2 10.0.0.1 1 2")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def material(authority: Authority) -> Material:
    issued = authority.issue("localhost")
    made = Pair(issued.certificate.read_bytes(), issued.key.read_bytes())
    return Material((replace(made, names=examine(made).names),))


def results(the: Stage, metric: str) -> dict[str, float]:
    """What was counted since the last call, without what did not happen."""
    return {labels[1]: count for labels, count in the.gateway.counts().add[metric].items() if count}


def client_of(heard: bytes) -> str:
    (line,) = (line for line in heard.split(b"\r\n") if line.startswith(b"X-Forwarded-For: "))
    return line.partition(b": ")[2].decode()


@pytest.mark.parametrize(("header", "client"), GOOD.values(), ids=GOOD)
async def test_the_header_names_the_client(header: bytes, client: str) -> None:
    """Whole, with the request in one piece; byte by byte; and cut in two, the end together with the request. Where it
    names none, the connection is the sender's own."""
    pieces = [[header + ASK], [header[:-1], header[-1:] + ASK], [header[:5], header[5:], ASK]]
    if len(header) < 300:
        pieces.append([header[at : at + 1] for at in range(len(header))] + [ASK])
    async with stage(proxy_headers=True) as the:
        for number, cut in enumerate(pieces, 1):
            assert (await the.ask(*cut)).endswith(b"ok")
            assert len(the.upstream.heard) == number
        assert {client_of(heard) for heard in the.upstream.heard} == {client or "127.0.0.1"}
        assert results(the, "proxy_headers_total") == {"ok": len(pieces)}


async def test_every_byte_boundary() -> None:
    """Wherever a header is cut in two, and the request with it, the same is heard."""
    async with stage(proxy_headers=True) as the:
        for header in (ANN, v2(TCP4, IPV4 + b"\x04\x00\x03pad")):
            data = header + ASK
            for cut in range(1, len(data)):
                assert (await the.ask(data[:cut], data[cut:])).endswith(b"ok")
        assert {client_of(heard) for heard in the.upstream.heard} == {"192.0.2.1"}


@pytest.mark.parametrize("header", BAD.values(), ids=BAD)
async def test_without_a_good_header_nothing_is_answered(header: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """The connection is closed; that is counted, and said once in a minute."""
    async with stage(proxy_headers=True) as the:
        for _ in range(3):
            with suppress(ConnectionError):
                assert await the.ask(header + ASK) == b""
        assert the.upstream.heard == []
        assert results(the, "proxy_headers_total") == {"malformed": 3}
    (line,) = (record.getMessage() for record in caplog.records if record.levelno == logging.WARNING)
    assert "a connection without a good PROXY header was closed: from 127.0.0.1: " in line


async def test_senders_that_leave_or_say_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who leaves before the header's end is no trouble: health checks do. Who says nothing is not waited for."""
    monkeypatch.setattr("proxy.downstream.porch.HEADER_S", 0.05)
    async with stage(proxy_headers=True) as the:
        for said in (b"", ANN[:9], v2(TCP4, IPV4)[:20]):
            async with the.client() as client:
                await client.say(said)
                client.writer.write_eof()
                assert await client.hear_all() == b""
        assert results(the, "proxy_headers_total") == {"closed": 3}
        async with the.client() as client:
            await client.say(ANN[:-1])
            assert await client.hear_all() == b""
        assert results(the, "proxy_headers_total") == {"timeout": 1}


async def test_only_trusted_proxies_are_believed() -> None:
    """Where some are set, no one else may connect; and whom they name is no proxy by that."""
    async with stage(proxy_headers=True, trusted=["10.0.0.0/8"]) as the:
        with suppress(ConnectionError):
            assert await the.ask(ANN + ASK) == b""
        assert results(the, "proxy_headers_total") == {"untrusted": 1}
    forged = wire("GET / HTTP/1.1", "Host: a", "X-Forwarded-For: 6.6.6.6", "Connection: close")
    async with stage(proxy_headers=True, trusted=["127.0.0.1"]) as the:
        for header in (ANN, v2(UNSPEC, command=0x20), v1("PROXY TCP4 127.0.0.1 127.0.0.1 1 2")):
            assert (await the.ask(header + forged)).endswith(b"ok")
        assert list(map(client_of, the.upstream.heard)) == ["192.0.2.1", *["6.6.6.6, 127.0.0.1"] * 2]


async def test_limits_are_those_of_the_client_named() -> None:
    """Each has its own, and the sender's own address none of it."""
    async with stage(proxy_headers=True, connections_per_client=1) as the, the.client() as ann:
        await ann.say(ANN)
        await until(lambda: the.listener.connections, "she is here")
        async with the.client() as silent:
            await until(lambda: the.gateway._state.door.open == 2, "one whose header is still to come")
            assert (await the.ask(ANN + ASK)).startswith(b"HTTP/1.1 429 ")
            assert (await the.ask(BOB + ASK)).endswith(b"ok")
            await silent.say(v1("PROXY TCP4 192.0.2.3 10.0.0.1 1 2") + ASK)
            assert (await silent.hear_all()).endswith(b"ok")


@pytest.mark.parametrize("header", [ANN, v2(TCP4, IPV4), v2(UNSPEC, command=0x20)])
@pytest.mark.parametrize("apart", [True, False])
async def test_tls_after_the_header(authority: Authority, material: Material, header: bytes, apart: bool) -> None:
    """Also where the header and the beginning of the handshake come in one segment."""
    async with stage(proxy_headers=True, certificates=material) as the:
        heard = await asyncio.to_thread(ask_by_tls, the.port, authority.client(), header, apart)
        assert heard.endswith(b"ok")
        (said,) = the.upstream.heard
        assert client_of(said) == ("127.0.0.1" if len(header) == 16 else "192.0.2.1")
        assert b"\r\nX-Forwarded-Proto: https\r\n" in said
        assert (results(the, "proxy_headers_total"), len(the.upstream.heard)) == ({"ok": 1}, 1)


def ask_by_tls(port: int, context: ssl.SSLContext, header: bytes, apart: bool) -> bytes:
    """The header goes out with the first bytes of the handshake, or alone before them."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with socket.create_connection(("127.0.0.1", port), 10) as sock:
        if apart:
            sock.sendall(header)
            header = b""
        steps = iter((tls.do_handshake, lambda: tls.write(ASK), lambda: tls.read(1 << 16)))
        heard, step = b"", next(steps)
        while True:
            try:
                said = step()
                heard += said if isinstance(said, bytes) else b""
                if heard:
                    return heard
                step = next(steps)
            except ssl.SSLWantReadError:
                pass
            sock.sendall(header + outgoing.read())
            header = b""
            if not incoming.pending:
                incoming.write(sock.recv(1 << 16))


async def test_handshakes_under_way_are_counted(material: Material) -> None:
    """For all connections and for those of one address; who is told that there are too many has little time for it."""
    async with stage(certificates=material, connections_per_client=2) as the:
        door = the.gateway._state.door
        async with the.client(), the.client():
            await until(lambda: door.open == 2, "both are in their handshake")
            assert not the.listener.connections and the.listener.busy
        await until(lambda: not door.open, "they have left")
        assert results(the, "tls_handshakes_total") == {"closed": 2}
        assert not door._by_address


async def test_too_many_handshakes_of_one_client(
    authority: Authority, material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One past the limit is told so, if it comes to an end of its handshake soon."""
    monkeypatch.setattr("proxy.downstream.porch.LINGER_S", 0.2)
    async with stage(certificates=material, connections_per_client=1) as the, the.client():
        await until(lambda: the.gateway._state.door.open == 1, "the first is in its handshake")
        async with the.client() as third:
            assert await third.hear_all() == b""
        the.tls = authority.client()
        async with the.client() as second:
            await second.say(ASK)
            assert (await second.hear_all()).startswith(b"HTTP/1.1 429 ")
        assert results(the, "tls_handshakes_total") == {"ok": 1, "timeout": 1}


async def test_a_crowd_is_not_even_shaken_hands_with(material: Material, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past all limits, a connection is closed as it comes."""
    async with stage(certificates=material) as the:
        monkeypatch.setattr(the.gateway._state.door, "_connections_max", -1000)
        async with the.client() as client:
            assert await client.hear_all() == b""


async def test_a_drain_waits_for_handshakes_but_not_for_long(
    authority: Authority, material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is in its handshake still gets an answer; who says nothing is cut."""
    monkeypatch.setattr("proxy.downstream.listener.LATE_S", 0.3)
    async with stage(certificates=material) as the, the.client() as silent:
        await until(lambda: the.listener.busy, "it is there")
        the.gateway.drain()
        the.tls = authority.client()
        assert (await the.ask(ASK)).startswith(b"HTTP/1.1 200 ")
        await the.gateway.drained()
        assert await silent.hear_all() == b""


async def test_no_more_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where none can be opened, who comes waits in the kernel's queue, and is served when one can be."""
    monkeypatch.setattr("proxy.downstream.entrance.NO_FILES_S", 0.05)
    async with stage(proxy_headers=True) as the:
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        with socket.socket() as sock:
            next_file = os.dup(sock.fileno())
            os.close(next_file)
            resource.setrlimit(resource.RLIMIT_NOFILE, (next_file, before[1]))
            try:
                sock.connect(("127.0.0.1", the.port))
                await until(lambda: the.faults, "it is said")
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, before)
            sock.setblocking(False)
            client = Client(*await asyncio.open_connection(sock=sock))
            await client.say(ANN + ASK)
            assert (await client.hear_all()).endswith(b"ok")
            await client.close()
        assert the.faults == [f"127.0.0.1:{the.port}: no connection can be accepted: Too many open files"]
        the.faults.clear()
