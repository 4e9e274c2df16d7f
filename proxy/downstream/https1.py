"""HTTP/1.1 within TLS: the same connection, which ends in another way.

TLS as event loops do it knows no half-closed connection. Closing sends what is left and a close_notify, and throws away
what still comes until the client answers with its own; so the client reads the whole answer (RFC 9112 section 9.8).
Many clients that hold an idle connection never answer, and would hold up a drain.
"""

from __future__ import annotations

from typing import Final

from proxy.downstream.http1 import Connection
from proxy.downstream.limits import FLUSH_S
from proxy.downstream.pace import in_kernel
from proxy.downstream.stream import Home
from proxy.http.headers import Peer

CLOSE_NOTIFY_S: Final = 5.0
"""How long a client may take to answer our close_notify: a few round trips, as it owes us nothing more."""
LOOKS_MAX: Final = int(FLUSH_S / CLOSE_NOTIFY_S)
"""How often a connection is given that time again because its client is still reading."""


class TlsConnection(Connection):
    """One connection of a client, its handshake done."""

    __slots__ = ("_looks",)

    def __init__(self, home: Home, peer: Peer) -> None:
        super().__init__(home, peer)
        self._looks = 0

    def _end_connection(self, request_read: bool) -> None:
        super()._end_connection(request_read)
        self.deadline = self._home.clock.now + CLOSE_NOTIFY_S

    def overdue(self) -> None:
        transport = self._transport
        if transport is None or not transport.is_closing():
            super().overdue()
        elif self._looks < LOOKS_MAX and in_kernel(transport):
            # The transport knows of only a part of what is on its way; but whatever it holds waits for the kernel, so
            # the kernel's own count is never 0 then.
            self._looks += 1
            self.deadline = self._home.clock.now + CLOSE_NOTIFY_S
        else:
            transport.abort()

    def eof_received(self) -> None:
        """A close_notify: the client has left, as with the end of a plain connection. Without this the event loop
        would first wait until it has read all that was sent, and complain of every further write."""
        if self.exchange is not None:
            self.cut()
