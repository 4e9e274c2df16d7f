"""The open connections to one endpoint, and the requests that wait for one."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import deque
from typing import Final, cast

from proxy import pem
from proxy.clock import Clock
from proxy.errors import ProxyError
from proxy.rules.model import Limits
from proxy.tasks import spawn
from proxy.upstream.http1 import Connection, upstream_error
from proxy.upstream.https1 import CLOSE_NOTIFY_S, TlsConnection
from proxy.upstream.resolver import Addresses, Resolve, numeric, system_resolve
from proxy.upstream.stream import ResponseSink

IDLE_S: Final = 60.0
"""How long a connection waits for its next request; as nginx. What the endpoint closes earlier leaves the pool then."""
IDLE_CONNECTIONS_MAX: Final = 256
"""Connections kept without a request, per endpoint and worker; more are closed when their request ends."""
TROUBLE_S: Final = 60.0
"""Between two lines in the log about TLS with one endpoint: each request may meet the same trouble."""

log = logging.getLogger("grayhound.upstream")


class Pool:
    """Connections to one endpoint. The last one used is used next, so that spare ones grow idle and end.

    Those to a name are spread over all its addresses as they are opened; one that takes no connection is passed over.

    tls, server_name: how connections are secured, and the name that the endpoint must prove if that is not the host.
    open: connections that exist, tunnels too, or are being opened; at most limits.connections.
    """

    __slots__ = (
        "_addresses",
        "_choosy",
        "_clock",
        "_connecting",
        "_host",
        "_idle",
        "_port",
        "_quiet_until",
        "_retired",
        "_server_name",
        "_tls",
        "_waiting",
        "authority",
        "limits",
        "open",
    )

    def __init__(
        self, host: str, port: int, tls: ssl.SSLContext | None, limits: Limits, clock: Clock, server_name: str = "",
        resolve: Resolve = system_resolve,
    ) -> None:  # fmt: skip
        self._host = host
        self._port = port
        self._tls = tls
        self._server_name = server_name or host
        self._quiet_until = 0.0
        self._clock = clock
        self._idle: list[Connection] = []
        self._waiting: deque[tuple[ResponseSink, float]] = deque()
        self._connecting = 0
        self._retired = False
        self._choosy = False  # some connections may not stay when their request ends
        self._addresses = None if numeric(host) else Addresses(host, clock, resolve, self._moved)
        self.limits = limits
        self.open = 0
        default = 443 if tls else 80
        name = f"[{host}]" if ":" in host else host
        self.authority = (name if port == default else f"{name}:{port}").encode()

    def take(self) -> Connection | None:
        """A connection that is ready at once, if there is one."""
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
        return None

    def ask(self, sink: ResponseSink, connect_s: float) -> bool:
        """Let `sink` have the next connection; it hears `connected` or `connect_failed`. connect_s: 0 for no limit.

        False if as many wait as may: nothing was asked then.
        """
        if self.open < self.limits.connections:
            self._waiting.append((sink, connect_s))
            self._connect(connect_s)
            return True
        if len(self._waiting) - self._connecting >= self.limits.pending:  # the first ones' are on their way
            return False
        self._waiting.append((sink, connect_s))
        return True

    def forget(self, sink: ResponseSink) -> None:
        """`sink` no longer waits."""
        self._waiting = deque(waiter for waiter in self._waiting if waiter[0] is not sink)

    def release(self, connection: Connection) -> None:
        """A connection has served its request and can serve the next."""
        if self._waiting:
            self._waiting.popleft()[0].connected(connection)
        elif (self._choosy and not self._may_stay(connection)) or len(self._idle) >= IDLE_CONNECTIONS_MAX:
            connection.close()
        else:
            connection.idle_since = self._clock.now
            self._idle.append(connection)

    def dropped(self, connection: Connection) -> None:
        """A connection has ended."""
        if connection in self._idle:
            self._idle.remove(connection)
        self.tunnel_ended()

    def tunnel_ended(self) -> None:
        """A connection has ended that had become a tunnel, and was no longer ours but in the count."""
        self.open -= 1
        self._connect_for_waiting()

    def sweep(self, now: float) -> None:
        """Close what has been idle for too long, the oldest come first; see where the endpoint is."""
        while self._idle and self._idle[0].idle_since + IDLE_S < now:
            self._idle.pop(0).close()
        if self._addresses is not None:
            self._addresses.sweep(now)

    def retire(self) -> None:
        """The rules no longer name this endpoint: what is idle ends now, the rest when its request ends."""
        self._retired = True
        self._moved()

    def revive(self) -> None:
        """The rules name it again."""
        self._retired = False

    def _moved(self) -> None:
        """Some connections lead where the endpoint no longer is."""
        self._choosy = True
        idle, self._idle = self._idle, []
        for connection in idle:
            if self._may_stay(connection):
                self._idle.append(connection)
            else:
                connection.close()

    def _may_stay(self, connection: Connection) -> bool:
        return not self._retired and (self._addresses is None or connection.address in self._addresses.known)

    def _connect_for_waiting(self) -> None:
        """Whoever waits has a connection on its way, as far as the limit allows."""
        if len(self._waiting) > self._connecting and self.open < self.limits.connections:
            self._connect(self._waiting[self._connecting][1])

    def _connect(self, connect_s: float) -> None:
        self.open += 1
        self._connecting += 1
        spawn(self._open_one(connect_s), name=f"connect {self._host}:{self._port}")

    async def _open_one(self, connect_s: float) -> None:
        try:
            async with asyncio.timeout(connect_s or None):
                if self._addresses is None:
                    connection = await self._dial(self._host)
                else:
                    connection = await self._dial_one_of(await self._addresses.in_turn(), connect_s)
        except TimeoutError:
            self._failed(upstream_error("timeout", "the upstream did not accept a connection in time", 504))
        except ssl.SSLError as error:
            self._tls_failed(error)
            self._failed(upstream_error("connect", "no secure connection to the upstream"))
        except (OSError, ValueError):  # ValueError: a host name that no DNS query can carry
            self._failed(upstream_error("connect", "no connection to the upstream"))
        else:
            self._connecting -= 1
            if connection.usable:
                self.release(connection)
            else:
                self._connect_failed(upstream_error("connect", "the upstream closed the connection at once"))

    async def _dial_one_of(self, addresses: list[str], connect_s: float) -> Connection:
        """To the first of them that takes it; one that says nothing may use up its part of the time only."""
        assert self._addresses is not None
        for number, address in enumerate(addresses, 1):
            last = number == len(addresses)
            try:
                async with asyncio.timeout(None if last else connect_s / len(addresses) or None):
                    connection = await self._dial(address)
                    connection.address = address
                    return connection
            except OSError:  # a time-out is one too
                self._addresses.failed(address)
                if last:
                    raise
        raise AssertionError("a name has an address")

    async def _dial(self, address: str) -> Connection:
        loop = asyncio.get_running_loop()
        if self._tls is None:
            connection = Connection(self)
            await loop.create_connection(lambda: cast(asyncio.Protocol, connection), address, self._port)
            return connection
        secured = TlsConnection(self, self._tls_failed)
        await loop.create_connection(
            lambda: cast(asyncio.Protocol, secured), address, self._port, ssl=self._tls,
            server_hostname=self._server_name, ssl_shutdown_timeout=CLOSE_NOTIFY_S,
        )  # fmt: skip
        return secured

    def _tls_failed(self, error: ssl.SSLError) -> None:
        """Say why; the client is not told, and the counters know no reasons."""
        if self._clock.now >= self._quiet_until:
            self._quiet_until = self._clock.now + TROUBLE_S
            log.warning("no TLS with %s:%d: %s", self._host, self._port, pem.reason(error))

    def _failed(self, error: ProxyError) -> None:
        self.open -= 1
        self._connecting -= 1
        self._connect_failed(error)

    def _connect_failed(self, error: ProxyError) -> None:
        """Tell who waited for it, unless it has gone and the others have connections of their own on their way."""
        if len(self._waiting) > self._connecting:
            self._waiting.popleft()[0].connect_failed(error)
        self._connect_for_waiting()
