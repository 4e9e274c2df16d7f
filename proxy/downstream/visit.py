"""A client's connection before the event loop has it: it may end with its first answer, and then is never handed over.

PERF: a request on such a connection costs 0.8 of one whose connection the event loop makes and closes: no transport,
half the system calls, and the end goes out with the answer, in one packet that wakes the client once.
"""

from __future__ import annotations

import asyncio
import socket
from asyncio import Transport
from collections.abc import Callable
from typing import Any, Final, Protocol, cast

from proxy.protocol import StreamProtocol
from proxy.tasks import spawn

DEFER_S: Final = 1
"""Seconds that a connection waits in the kernel for its first bytes (TCP_DEFER_ACCEPT), if they do not come sooner."""
READ_BYTES: Final = 16 * 1024
"""Of the first read: nearly every head. What is more stays in the kernel for the event loop."""
_AT_THE_END: Final = socket.MSG_DONTWAIT | socket.MSG_MORE


class Visitor(Protocol):
    """The connection, as its visit sees it."""

    exchange: Any

    def come(self, transport: Transport, visiting: bool) -> None:
        """It is there, on a visit."""

    def data_received(self, data: bytes) -> None:
        """The first bytes. What is to happen but an answer and the end is left to `stay`."""

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended."""

    def settle(self, transport: Transport) -> None:
        """The event loop has it now."""

    def settled(self) -> None:
        """And reads from it."""


class Visit(StreamProtocol):
    """Stands for the connection's transport. What is written goes out with the end; if that does not come at once,
    by the event loop. visits: those that wait for their answer, this one too as long as it does.
    """

    __slots__ = (
        "_aborted", "_closing", "_eof", "_gone", "_looks", "_loop", "_seen", "_sock", "_staying", "_then", "_unsent",
        "_visitor", "_visits",
    )  # fmt: skip

    def __init__(self, sock: socket.SocketType, visitor: Visitor, visits: set[Visit]) -> None:
        self._sock = sock
        self._visitor = visitor
        self._visits = visits
        self._loop = asyncio.get_running_loop()
        self._then: Callable[[], None] | None = None
        self._unsent = b""
        self._looks = False  # is about to
        self._closing = self._gone = self._staying = self._eof = self._aborted = self._seen = False

    def begin(self) -> None:
        """Read what has come and answer it."""
        visitor = self._visitor
        visitor.come(cast(Transport, self), visiting=True)
        if self._closing or self._staying:
            return  # turned away
        try:
            data = self._sock.recv(READ_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            self.stay()
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        visitor.data_received(data)
        if self._closing or self._staying:
            return
        if visitor.exchange is None:
            self.stay()
        else:
            self._visits.add(self)

    def overdue(self) -> None:
        """Called at every tick. An answer that takes longer than one is waited for by the event loop, which hears it if
        the client leaves."""
        if self._seen:
            self.stay()
        self._seen = True

    def stay(self, then: Callable[[], None] | None = None) -> None:
        """Hand the connection to the event loop, and then do this."""
        self._staying = True
        self._then = then
        self._visits.discard(self)
        spawn(self._settle(), name="settle a client")

    async def _settle(self) -> None:
        sock = self._sock = socket.socket(fileno=self._sock.detach())
        await self._loop.connect_accepted_socket(lambda: cast(asyncio.Protocol, self), sock)
        self._visitor.settled()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        lasting = cast(Transport, transport)
        lasting.set_protocol(cast(asyncio.Protocol, self._visitor))
        self._visitor.settle(lasting)
        if self._aborted:
            lasting.abort()
            return
        if self._unsent:
            lasting.write(self._unsent)
        if self._closing:
            lasting.close()
        elif self._eof:
            lasting.write_eof()
        elif self._then is not None:
            self._then()

    # --- what its connection asks of a transport ---------------------------------------------------------------

    def write(self, data: bytes) -> None:
        if not self._closing:
            self._unsent += data
            self._look_soon()

    def close(self) -> None:
        if self._closing:
            return
        self._closing = True
        if self._staying:
            return
        try:
            sent = self._sock.send(self._unsent, _AT_THE_END) if self._unsent else 0
        except BlockingIOError:
            sent = 0
        except OSError:  # nobody is there to read it
            sent = len(self._unsent)
        if sent < len(self._unsent):
            self._unsent = self._unsent[sent:]
            self.stay()
        else:
            self._end()

    def abort(self) -> None:
        self._closing = self._aborted = True
        if not (self._staying or self._gone):
            self._end()

    def write_eof(self) -> None:
        self._eof = True
        if not self._staying:
            self.stay()

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return self._closing

    def pause_reading(self) -> None:
        """Nothing is read now; whether it may be is asked of the connection when it has settled."""

    def resume_reading(self) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return len(self._unsent)

    def get_extra_info(self, name: str) -> Any:
        return self._sock if name == "socket" and not self._gone else None

    def _end(self) -> None:
        self._sock.close()
        self._gone = True
        self._visits.discard(self)
        self._look_soon()

    def _look_soon(self) -> None:
        if not self._looks:
            self._looks = True
            self._loop.call_soon(self._look)

    def _look(self) -> None:
        self._looks = False
        if self._gone:
            self._visitor.connection_lost(None)
        elif not self._staying:
            self.stay()
