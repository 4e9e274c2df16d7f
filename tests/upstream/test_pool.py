"""proxy/upstream/pool.py: open == idle + busy, whatever happens; nobody waits for nothing."""

from __future__ import annotations

import pytest

from proxy.clock import Clock
from proxy.rules.model import Limits
from proxy.upstream import pool as pool_module
from proxy.upstream.pool import IDLE_S, Pool
from tests.talk import Answer, Upstream, until
from tests.upstream.sink import Ear, pool_of

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


async def test_number_of_idle_connections_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more is closed when its request ends."""
    monkeypatch.setattr(pool_module, "IDLE_CONNECTIONS_MAX", 1)
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


@pytest.mark.parametrize(
    ("host", "port", "authority"),
    [("a.example", 80, b"a.example"), ("a.example", 8080, b"a.example:8080"), ("::1", 80, b"[::1]")],
)
def test_authority(host: str, port: int, authority: bytes) -> None:
    """As Host writes it (RFC 9110 7.2)."""
    assert Pool(host, port, None, Limits(), Clock()).authority == authority
