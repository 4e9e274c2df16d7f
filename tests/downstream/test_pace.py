"""proxy/downstream/pace.py: what is fast enough."""

from __future__ import annotations

import asyncio

from proxy.clock import NEVER
from proxy.downstream.limits import BYTES_PER_S_MIN
from proxy.downstream.pace import prolonged, unread
from tests.talk import until


def due_after(pace: float, every_s: float, pieces: int, idle_s: float = 60.0) -> float:
    """How much time is left after so many pieces, sent at this pace; below 0: it is over."""
    now, due = 0.0, idle_s
    for _ in range(pieces):
        now += every_s
        if now > due:
            return due - now
        due = prolonged(due, int(pace * every_s), now, idle_s)
    return due - now


def test_a_byte_now_and_then_does_not_count() -> None:
    """Whatever the trickle, it ends soon after the idle time-out."""
    assert due_after(1, 1.0, 1000) < 0
    assert due_after(1 / 59, 59.0, 10) < 0


def test_at_the_pace_it_goes_on_for_ever_and_below_it_does_not() -> None:
    """However long."""
    assert due_after(BYTES_PER_S_MIN, 1.0, 100_000) >= 0
    assert due_after(BYTES_PER_S_MIN - 1, 1.0, 100_000) < 0


def test_no_credit_is_saved_up() -> None:
    """Ten megabytes at once buy no more than the idle time-out."""
    assert prolonged(5.0, 10_000_000, 1.0, 60.0) == 61.0


def test_no_idle_time_out_no_pace() -> None:
    """Who switched the one off has switched off the other."""
    assert prolonged(NEVER, 1, 5.0, 0.0) == NEVER


async def test_unread_counts_what_the_kernel_holds() -> None:
    """Bytes of which nothing is left in the process are still on their way; they are not once they are read."""
    taken: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    server = await asyncio.start_server(lambda *streams: taken.put_nowait(streams), "127.0.0.1", 0, limit=1024)
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    reader, other = await taken.get()
    size = 32 << 20
    writer.write(bytes(size))
    stuck = unread(writer.transport)
    assert writer.transport.get_write_buffer_size() < stuck <= size
    await reader.readexactly(size)
    await until(lambda: not unread(writer.transport), "all is read")
    for end in (writer, other):
        end.close()
        await end.wait_closed()
    server.close()
    await server.wait_closed()
