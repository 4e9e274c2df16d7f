"""An address where clients connect, and the connections they have open there."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, Final, cast

from proxy.clock import Clock
from proxy.downstream.door import Door
from proxy.downstream.entrance import Complaints, Entrance
from proxy.downstream.http1 import Connection
from proxy.downstream.https1 import TlsConnection
from proxy.downstream.limits import IDLE_S, NO_LIMIT, RETRY_AFTER, UNSENT_BYTES_MAX
from proxy.downstream.porch import Porch
from proxy.downstream.stream import Gateway, Guest
from proxy.downstream.tls import Certificates
from proxy.downstream.visit import DEFER_S, Visit
from proxy.http.headers import Network, Peer

REST_S: Final = 1.0
"""How often connections are looked at that had nothing to do when they were looked at last: looking at ten thousand
takes a millisecond, which ten times a second would be a hundredth of a core."""
PEERS_REMEMBERED_MAX: Final = 1024
"""Addresses for which all is ready; who comes anew for each request comes from one of a few."""
LATE_S: Final = 1.0
"""For the next request on an idle connection that has not heard of the drain: a busy client sends it at once."""


class Listener:
    """name: `host:port`, a metric label. certificates: those of a TLS listener. proxy_headers: each connection begins
    with a header of the PROXY protocol.

    connections: open ones that are not tunnels, from the end of the header and the TLS handshake on.
    """

    def __init__(
        self,
        gateway: Gateway,
        clock: Clock,
        name: str,
        proxies: tuple[Network, ...],
        certificates: Certificates | None = None,
        door: Door | None = None,
        body_bytes_max: int = NO_LIMIT,
        proxy_headers: bool = False,
    ) -> None:
        self.gateway = gateway
        self.clock = clock
        self.name = name
        self._scheme = b"https" if certificates else b"http"
        self.body_bytes_max = body_bytes_max
        self.idle_s = IDLE_S
        self.connections: set[Guest] = set()
        self._awake: set[Guest] = set()
        self._door = door or Door()
        self._rest_at = 0.0
        self._proxies = proxies
        self._peers: dict[str, Peer] = {}
        self._visits: set[Visit] = set()
        self._entrance = Entrance(self._door, Complaints(name), self._come)
        self._porch: Porch | None = None
        if certificates is not None or proxy_headers:
            protocol = TlsConnection if certificates else Connection
            self._porch = Porch(
                name, self._door, self.peer, lambda peer: cast(asyncio.Protocol, protocol(self, peer)),
                certificates.context if certificates else None, proxy_headers, bool(proxies),
            )  # fmt: skip

    @property
    def busy(self) -> bool:
        """Whether anybody is here, or about to be."""
        return bool(self.connections) or (self._porch is not None and not self._porch.empty)

    def open(self, bound: socket.socket) -> None:
        """Take connections from a bound socket."""
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES_MAX)  # accepted sockets inherit it
        if self._porch is not None:
            self._porch.open(bound)
        else:
            bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, DEFER_S)
            self._entrance.open(bound)

    def close(self) -> None:
        """Take no more connections; those that are open go on."""
        self._entrance.close()
        if self._porch is not None:
            self._porch.close(LATE_S)

    def sweep(self, now: float) -> None:
        """See to whatever is overdue on any connection."""
        for visit in tuple(self._visits):
            visit.overdue()
        to_rest = now >= self._rest_at
        if to_rest:
            self._rest_at = now + REST_S
        for connection in tuple(self.connections if to_rest or self.gateway.draining else self._awake):
            exchange = connection.exchange
            if exchange is None:
                if connection.deadline < now:
                    connection.overdue()
                elif to_rest and not connection.resting:
                    self._awake.discard(connection)
                    connection.rest()
            elif exchange.deadline < now:
                exchange.overdue(now)

    def drain(self, idle_s: float) -> None:
        """Let each connection end after what it is doing, or its next request if that comes within `idle_s`."""
        self.idle_s = idle_s
        for connection in tuple(self.connections):
            connection.drain()

    def cut(self) -> None:
        """End every connection now, whatever it is doing."""
        if self._porch is not None:
            self._porch.cut()
        for connection in tuple(self.connections):
            connection.cut()

    def take(self) -> dict[str, dict[tuple[str, ...], float]]:
        """How the headers and handshakes of those who came have ended since the last call, as counters."""
        return self._porch.take() if self._porch is not None else {}

    def peer(self, name: Any) -> Peer:
        return Peer(name[0] if isinstance(name, tuple) else "", self._scheme, self._proxies)

    def _come(self, sock: socket.SocketType, name: Any) -> None:
        address = name[0]
        peer = self._peers.get(address)
        if peer is None:
            if len(self._peers) >= PEERS_REMEMBERED_MAX:
                self._peers.clear()
            peer = self._peers[address] = self.peer(name)
        Visit(sock, Connection(self, peer), self._visits).begin()

    def came(self, connection: Guest) -> None:
        self.connections.add(connection)
        self._awake.add(connection)
        if self.gateway.draining:
            connection.deadline = self.clock.now + min(self.idle_s, LATE_S)
        refusal = self._door.enter(connection.peer) if self._porch is None else self._porch.left(connection.peer)
        if refusal is None:
            return
        if self._door.crowded:
            connection.cut()
        else:
            connection.turn_away(refusal, RETRY_AFTER)

    def woke(self, connection: Guest) -> None:
        connection.resting = False
        self._awake.add(connection)

    def left(self, connection: Guest) -> None:
        self.connections.discard(connection)
        self._awake.discard(connection)
        self._door.leave(connection.peer)
