"""HTTP/1.1 within TLS: the same connection, which ends in another way.

TLS as event loops do it knows no half-closed connection. Closing sends what is left and a close_notify, and throws away
what still comes until the client answers with its own; so the client reads the whole answer (RFC 9112 section 9.8).
Many clients that hold an idle connection never answer, and would hold up a drain.
"""

from __future__ import annotations

from typing import Final

from proxy.clock import NEVER
from proxy.downstream.http1 import FLUSH_S, Connection, Home

CLOSE_NOTIFY_S: Final = 5.0
"""How long a client may take to answer our close_notify: a few round trips, as it owes us nothing more."""


class TlsConnection(Connection):
    """One connection of a client, its handshake done."""

    __slots__ = ("_flush_by",)

    def __init__(self, home: Home) -> None:
        super().__init__(home)
        self._flush_by = NEVER

    def _end_connection(self, request_read: bool) -> None:
        super()._end_connection(request_read)
        now = self._home.clock.now
        self._flush_by = now + FLUSH_S
        self.deadline = now + CLOSE_NOTIFY_S

    def overdue(self) -> None:
        transport, now = self._transport, self._home.clock.now
        if transport is None or not transport.is_closing() or now >= self._flush_by:
            super().overdue()
        elif transport.get_write_buffer_size():
            self.deadline = now + CLOSE_NOTIFY_S  # a slow client is still reading its answer
        else:
            transport.abort()

    def eof_received(self) -> None:
        """A close_notify: the client has left, as with the end of a plain connection. Without this the event loop
        would first wait until it has read all that was sent, and complain of every further write."""
        if self.exchange is not None:
            self.cut()
