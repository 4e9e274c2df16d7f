"""An address where clients connect, and the connections they have open there."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, Final

from proxy.clock import Clock
from proxy.downstream.http1 import FLUSH_S, Connection
from proxy.downstream.https1 import TlsConnection
from proxy.downstream.stream import Gateway
from proxy.downstream.tls import HANDSHAKE_S, Certificates
from proxy.http.headers import Network, Peer

BACKLOG: Final = 4096
"""Connections the kernel may complete before a worker takes them; Linux cuts it at net.core.somaxconn (4096)."""

LATE_S: Final = 2.0
"""For the request of a connection whose handshake ends while the worker drains: it may have come with the last one."""


class Listener:
    """name: `host:port`, a metric label. certificates: those of a TLS listener.

    connections: open ones that are not tunnels; with TLS, from the end of the handshake on.
    """

    def __init__(
        self,
        gateway: Gateway,
        clock: Clock,
        name: str,
        proxies: tuple[Network, ...],
        certificates: Certificates | None = None,
    ) -> None:
        self.gateway = gateway
        self.clock = clock
        self.name = name
        self._scheme = b"https" if certificates else b"http"
        self.nobody = Peer("", self._scheme, ())
        self.connections: set[Connection] = set()
        self._proxies = proxies
        self._certificates = certificates
        self._server: asyncio.Server | None = None

    async def open(self, bound: socket.socket) -> None:
        """Take connections from a bound socket."""
        loop = asyncio.get_running_loop()
        if self._certificates is None:
            self._server = await loop.create_server(lambda: Connection(self), sock=bound, backlog=BACKLOG)
            return
        # The loop's time for closing covers what is left to send; `overdue` sees to clients that just do not answer.
        self._server = await loop.create_server(
            lambda: TlsConnection(self), sock=bound, backlog=BACKLOG, ssl=self._certificates.context,
            ssl_handshake_timeout=HANDSHAKE_S, ssl_shutdown_timeout=FLUSH_S,
        )  # fmt: skip

    def close(self) -> None:
        """Take no more connections; those that are open go on."""
        if self._server is not None:
            self._server.close()

    def sweep(self, now: float) -> None:
        """See to whatever is overdue on any connection."""
        for connection in tuple(self.connections):
            exchange = connection.exchange
            if exchange is None:
                if connection.deadline < now:
                    connection.overdue()
            elif exchange.deadline < now:
                exchange.overdue(now)

    def drain(self) -> None:
        """Let each connection end after what it is doing."""
        for connection in tuple(self.connections):
            connection.drain()

    def cut(self) -> None:
        """End every connection now, whatever it is doing."""
        for connection in tuple(self.connections):
            connection.cut()

    def peer(self, name: Any) -> Peer:
        return Peer(name[0] if isinstance(name, tuple) else "", self._scheme, self._proxies)

    def came(self, connection: Connection) -> None:
        self.connections.add(connection)
        if self.gateway.draining:
            connection.deadline = self.clock.now + LATE_S

    def left(self, connection: Connection) -> None:
        self.connections.discard(connection)
