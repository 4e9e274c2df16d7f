"""proxy/upstream/pool.py: open == idle + busy, whatever happens; nobody waits for nothing."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from proxy.clock import Clock
from proxy.rules.model import Limits
from proxy.upstream import pool as pool_module
from proxy.upstream.pool import IDLE_S, Pool
from tests.talk import Answer, Upstream, until
from tests.upstream.sink import Ear, pool_of

CHUNKS = b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
REFUSED = 1  # a port where nobody listens


async def served(pool: Pool, *, connect_s: float = 5) -> Ear:
    ear = Ear()
    stream = pool.take()
    if stream is not None:
        ear.connected(stream)
    else:
        assert pool.ask(ear, connect_s)
        await ear.hears("connected")
    ear.says("GET / HTTP/1.1")
    return ear


async def test_the_last_one_used_is_used_next() -> None:
    """So that spare ones grow idle and end."""
    async with pool_of(Upstream()) as pool:
        first, second = await served(pool), await served(pool)
        await first.hears("head")
        await second.hears("head")
        assert (pool.open, len(pool._idle)) == (2, 2)
        last = pool._idle[-1]
        assert (await served(pool)).connection is last
        assert pool.open == 2 and last.reused


async def test_idle_connections_end_in_time() -> None:
    """The oldest first, and not before."""
    async with pool_of(Upstream()) as pool:
        await (await served(pool)).hears("head")
        pool.sweep(IDLE_S)
        assert len(pool._idle) == 1
        pool.sweep(IDLE_S + 0.1)
        assert pool.take() is None
        await until(lambda: pool.open == 0, "it has ended")


async def test_number_of_idle_connections_has_a_limit(constants: pytest.MonkeyPatch) -> None:
    """One more is closed when its request ends."""
    constants.setattr(pool_module, "IDLE_CONNECTIONS_MAX", 1)
    async with pool_of(Upstream()) as pool:
        ears = [await served(pool) for _ in range(2)]
        for ear in ears:
            await ear.hears("head")
        await until(lambda: pool.open == 1, "one is closed")
        assert len(pool._idle) == 1


async def test_limit_of_connections_and_of_those_who_wait() -> None:
    """At them, and one past them; the one who waits gets the first that is free."""
    async with pool_of(Upstream(), Limits(connections=1, pending=1)) as pool:
        busy = Ear()
        assert pool.ask(busy, 5)
        await busy.hears("connected")
        waiting, refused = Ear(), Ear()
        assert pool.ask(waiting, 5)
        assert not pool.ask(refused, 5)
        assert pool.open == 1 and not waiting.heard
        busy.says("GET / HTTP/1.1")
        await waiting.hears("connected")
        assert waiting.connection is busy.connection
        assert pool.open == 1
        pool.release(waiting.connection)


class Hasty(Ear):
    """Sends its request as soon as it is given a connection, as an exchange does."""

    def connected(self, stream: Any) -> None:
        super().connected(stream)
        self.says("GET / HTTP/1.1")


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("framed", [b"Content-Length: 2\r\n\r\nok", CHUNKS], ids=["length", "chunks"])
async def test_the_next_request_begins_before_the_answer_is_told(framed: bytes, version: str) -> None:
    """Who waits is given the connection at the last byte of an answer, and takes nothing of that answer."""
    answer = b"HTTP/1.1 200 OK\r\n" + framed
    async with pool_of(Upstream(answer, answer), Limits(connections=1)) as pool:
        busy, waiting = Ear(), Hasty()
        assert pool.ask(busy, 5) and pool.ask(waiting, 5)
        await busy.hears("connected")
        busy.says(f"GET / HTTP/{version}")
        body = b"ok" if version == "1.0" or framed is not CHUNKS else CHUNKS.partition(b"\r\n\r\n")[2]
        assert (await busy.hears("head"))[3:] == (body, True)
        await waiting.hears("head")


async def test_whose_connection_is_on_its_way_does_not_count_as_waiting() -> None:
    """Three at once, one connection, one place to wait: the third is refused, the second is not."""
    async with pool_of(Upstream(), Limits(connections=1, pending=1)) as pool:
        first, second, third = Ear(), Ear(), Ear()
        assert pool.ask(first, 5) and pool.ask(second, 5) and not pool.ask(third, 5)
        await first.hears("connected")
        pool.forget(second)
        assert first.connection is not None
        pool.release(first.connection)


async def test_who_waits_gets_a_new_connection_when_one_ends() -> None:
    """The limit has room again."""
    upstream = Upstream(Answer(b"", reset=True))
    async with pool_of(upstream, Limits(connections=1)) as pool:
        busy, waiting = Ear(), Ear()
        assert pool.ask(busy, 5) and pool.ask(waiting, 5)
        await busy.hears("connected")
        busy.says("GET / HTTP/1.1")
        assert (await busy.hears("failed"))[1:] == ("reset", False)
        await waiting.hears("connected")
        assert upstream.accepted == 2 and pool.open == 1
        assert waiting.connection is not None
        pool.release(waiting.connection)


async def test_who_no_longer_waits_is_forgotten() -> None:
    """The connection that was on its way for it is idle then."""
    async with pool_of(Upstream()) as pool:
        gone = Ear()
        assert pool.ask(gone, 5)
        pool.forget(gone)
        await until(lambda: len(pool._idle) == 1, "the connection is idle")
        assert not gone.heard and pool.open == 1


async def test_failure_tells_each_who_waits() -> None:
    """One connection at a time, three who want it: none starves."""
    pool = Pool("127.0.0.1", REFUSED, None, Limits(connections=1), Clock())
    ears = [Ear() for _ in range(3)]
    assert all(pool.ask(ear, 0) for ear in ears)
    for ear in ears:
        assert await ear.hears("connect_failed") == ("connect_failed", "connect", 502)
    assert pool.open == 0 and not pool._waiting


async def test_failure_of_a_connection_nobody_waits_for_fails_nobody_else() -> None:
    """One has gone; the other's connection is still on its way, and its failure is told once."""
    pool = Pool("127.0.0.1", REFUSED, None, Limits(), Clock())
    gone, waiting = Ear(), Ear()
    assert pool.ask(gone, 0) and pool.ask(waiting, 0)
    pool.forget(gone)
    await waiting.hears("connect_failed")
    await until(lambda: pool.open == 0, "both have failed")
    assert len(waiting.heard) == 1 and not gone.heard


async def test_host_name_that_cannot_be() -> None:
    """No crash: a failed connection like any other."""
    pool = Pool("x" * 80 + ".example", 80, None, Limits(), Clock())
    ear = Ear()
    assert pool.ask(ear, 5)
    assert (await ear.hears("connect_failed"))[1] == "connect"


async def test_retired_pool_keeps_nothing() -> None:
    """What is idle ends now, what is busy when its request ends; a revived one keeps again."""
    async with pool_of(Upstream()) as pool:
        await (await served(pool)).hears("head")
        busy = Ear()
        assert pool.ask(busy, 5)
        await busy.hears("connected")
        pool.retire()
        assert pool.take() is None
        busy.says("GET / HTTP/1.1")
        await busy.hears("head")
        await until(lambda: pool.open == 0, "all have ended")
        pool.revive()
        await (await served(pool)).hears("head")
        assert len(pool._idle) == pool.open == 1


async def test_connection_the_endpoint_ends_leaves_the_pool() -> None:
    """Without a request it is nobody's loss."""
    upstream = Upstream()
    async with pool_of(upstream) as pool:
        await (await served(pool)).hears("head")
        await upstream.hang_up()
        await until(lambda: pool.open == 0, "it leaves")
        assert pool.take() is None


# --- A name with several addresses ---------------------------------------------------------------------------------


class House:
    """A name whose addresses are real upstreams on one port of 127.0.0.1, .2, .3. at: where the name leads."""

    def __init__(self) -> None:
        self.clock = Clock(100.0)
        self.upstreams: dict[str, Upstream] = {}
        self.at: list[str] = []
        self.port = 0

    async def resolve(self, host: str) -> list[str]:
        return self.at

    def pool(self, **more: Limits) -> Pool:
        return Pool("house.example", self.port, None, more.get("limits", Limits()), self.clock, resolve=self.resolve)

    async def later(self, pool: Pool, seconds: float) -> None:
        self.clock.now += seconds
        pool.sweep(self.clock.now)
        assert pool._addresses is not None and pool._addresses._asking is not None
        await pool._addresses._asking

    def accepted(self) -> list[int]:
        return [upstream.accepted for upstream in self.upstreams.values()]


@pytest.fixture
async def house() -> AsyncIterator[House]:
    made = House()
    for number in (1, 2, 3):
        upstream = Upstream()
        address = f"127.0.0.{number}"
        server = await asyncio.start_server(upstream._serve, address, made.port)
        upstream._server = server
        made.port = server.sockets[0].getsockname()[1]
        made.upstreams[address] = upstream
    made.at = list(made.upstreams)
    yield made
    for upstream in made.upstreams.values():
        await upstream.stop()


async def emptied(pool: Pool) -> None:
    pool.retire()
    await until(lambda: pool.open == 0, "the pool is empty")


async def test_connections_are_spread_over_all_addresses(house: House) -> None:
    """Six at a time, two to each; Host is the name."""
    pool = house.pool()
    ears = [Ear() for _ in range(6)]
    assert all(pool.ask(ear, 5) for ear in ears)
    for ear in ears:
        await ear.hears("connected")
        ear.says("GET / HTTP/1.1")
        await ear.hears("head")
    assert house.accepted() == [2, 2, 2]
    assert pool.authority == b"house.example:%d" % house.port
    await emptied(pool)


async def test_a_dead_address_is_passed_over(house: House) -> None:
    """No connection fails, and the dead one is not even tried again for a while."""
    await house.upstreams["127.0.0.2"].stop()
    pool = house.pool()
    for _ in range(2):
        ears = [Ear() for _ in range(6)]
        assert all(pool.ask(ear, 5) for ear in ears)
        for ear in ears:
            await ear.hears("connected")
        assert pool._addresses is not None and set(pool._addresses._failed) == {"127.0.0.2"}
    await until(lambda: sum(house.accepted()) == 12, "all are accepted")
    assert house.accepted()[0] == pytest.approx(6, abs=1)
    for ear in ears:
        assert ear.connection is not None
        ear.connection.close()
    await emptied_all(pool, house)


async def emptied_all(pool: Pool, house: House) -> None:
    """Connections that were never used end with their upstreams."""
    for upstream in house.upstreams.values():
        await upstream.hang_up()
    await emptied(pool)


async def test_an_address_that_says_nothing_takes_its_part_of_the_time_only(house: House) -> None:
    """Its queue is full: the next address is tried within the time to connect."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.4", house.port))
        deaf.listen(0)
        filling = [socket.socket() for _ in range(3)]
        for one in filling:
            one.setblocking(False)
            one.connect_ex(deaf.getsockname())
        house.at = ["127.0.0.4", "127.0.0.1"]
        pool = house.pool()
        for _ in range(2):
            ear = Ear()
            assert pool.ask(ear, 1.0)
            await ear.hears("connected")
        for one in filling:
            one.close()
        await emptied_all(pool, house)


async def test_every_address_is_dead(house: House) -> None:
    """One failure, told once."""
    for upstream in house.upstreams.values():
        await upstream.stop()
    pool, ear = house.pool(), Ear()
    assert pool.ask(ear, 5)
    assert await ear.hears("connect_failed") == ("connect_failed", "connect", 502)
    assert pool.open == 0 and len(ear.heard) == 1


async def test_who_moves_is_followed(house: House) -> None:
    """New addresses get connections; those to old ones end when they are idle, or when their request has ended."""
    house.at = ["127.0.0.1"]
    pool = house.pool()
    idle, busy = await served(pool), await served(pool)
    await idle.hears("head")
    await busy.hears("head")
    busy = Ear()
    stream = pool.take()
    assert stream is not None
    busy.connected(stream)
    house.at = ["127.0.0.2"]
    await house.later(pool, 20.0)
    await until(lambda: pool.open == 1, "the idle one ends")
    busy.says("GET / HTTP/1.1")
    await busy.hears("head")
    await until(lambda: pool.open == 0, "the busy one ends")
    for _ in range(2):
        await (await served(pool)).hears("head")
    assert house.accepted() == [2, 1, 0] and len(pool._idle) == 1
    await emptied(pool)


@pytest.mark.parametrize(
    ("host", "port", "authority"),
    [("a.example", 80, b"a.example"), ("a.example", 8080, b"a.example:8080"), ("::1", 80, b"[::1]")],
)
def test_authority(host: str, port: int, authority: bytes) -> None:
    """As Host writes it (RFC 9110 7.2)."""
    assert Pool(host, port, None, Limits(), Clock()).authority == authority
