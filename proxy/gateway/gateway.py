"""The data plane of one worker: listeners before, endpoints behind, the current rules between."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import socket
from itertools import count
from time import monotonic

from proxy.clock import TICK_S, Clock
from proxy.downstream.listener import Listener
from proxy.downstream.stream import ClientStream
from proxy.errors import ProxyError
from proxy.gateway.exchange import Exchange
from proxy.gateway.snapshot import Lane, Snapshot, make_snapshot
from proxy.gateway.tunnel import Tunnel
from proxy.http.h1 import RequestReader
from proxy.http.message import RequestHead
from proxy.observe.counters import Counters, Counts
from proxy.rules.compile import compile_table
from proxy.rules.model import RuleFile
from proxy.settings import Settings
from proxy.upstream.endpoint import EndpointRegistry


class Gateway:
    """Serves requests by the rules last applied; an exchange keeps the rules it began with."""

    def __init__(self, settings: Settings) -> None:
        self.clock = Clock(monotonic())
        self.counters = Counters()
        self.tunnels: set[Tunnel] = set()
        self.draining = False
        self._settings = settings
        self._registry = EndpointRegistry(self.clock)
        self._listeners: list[Listener] = []
        self._nothing = self.counters.route("", "", "")
        self._timer: asyncio.TimerHandle | None = None
        self._drained = asyncio.Event()
        self._request_prefix = os.urandom(8).hex().encode()
        self._request_numbers = count(int.from_bytes(os.urandom(3), "big"))
        empty = compile_table(RuleFile({}, ()), random.random, _issue)
        self.snapshot = Snapshot(0, empty, RequestReader(), ())
        self.reader = self.snapshot.reader

    def apply(self, generation: int, rule_file: RuleFile) -> None:
        """Serve every request from now on by these rules, which have been checked."""
        snapshot = make_snapshot(generation, rule_file, self._registry, self.counters, random.random, _issue)
        self.snapshot = snapshot
        self.reader = snapshot.reader

    def set_health(self, up: dict[str, bool]) -> None:
        """What active checks say of endpoints, by url."""
        self._registry.set_up(up)

    def counts(self) -> Counts:
        """What happened since the last call, and what holds now."""
        for listener in self._listeners:
            self.counters.connections[listener.name] = len(listener.connections)
        counts = self.counters.take()
        counts.endpoints = self._registry.states()
        return counts

    async def listen(self, sockets: list[socket.socket]) -> None:
        """Serve on these bound sockets."""
        for bound in sockets:
            host, port = bound.getsockname()[:2]
            listener = Listener(self, self.clock, f"{host}:{port}", self._settings.trusted_proxies)
            await listener.open(bound)
            self._listeners.append(listener)
        self._tick()

    def drain(self) -> None:
        """Take no new connection; what is under way may end."""
        self.draining = True
        for listener in self._listeners:
            listener.close()
            listener.drain()

    async def drained(self) -> None:
        """Wait until nothing is under way. Call after `drain`."""
        await self._drained.wait()

    def close(self) -> None:
        """Cut whatever is still under way."""
        for tunnel in tuple(self.tunnels):
            tunnel.close()
        for listener in self._listeners:
            listener.cut()
        if self._timer is not None:
            self._timer.cancel()

    # --- what connections and exchanges ask for ----------------------------------------------------------------

    def exchange(self, client: ClientStream, head: RequestHead) -> Exchange:
        return Exchange(self, client, head)

    def request_id(self) -> bytes:
        """Unique, 24 hexadecimal digits: random for each worker, then counted."""
        return b"%b%08x" % (self._request_prefix, next(self._request_numbers))

    def finished(self, method: bytes, status: int, lane: Lane | None, started: float) -> None:
        """Count one exchange that has ended."""
        route = self._nothing if lane is None else lane.route_counts
        if not route.requests:
            labels = ("", "", "") if lane is None else lane.labels[:3]
            self.counters.touched.append((labels, route))
        key = (status, method)
        route.requests[key] = route.requests.get(key, 0) + 1
        route.duration.observe(monotonic() - started)
        if lane is not None:
            decisions = self.counters.decisions
            decisions[lane.labels] = decisions.get(lane.labels, 0) + 1

    def refused(self, error: ProxyError) -> None:
        """Count a request that was refused before it could be routed."""
        self.finished(b"", error.status, None, monotonic())

    def _tick(self) -> None:
        now = self.clock.now = monotonic()
        for listener in self._listeners:
            listener.sweep(now)
        self._registry.sweep(now)
        if self.draining and not self.tunnels and not any(listener.connections for listener in self._listeners):
            self._drained.set()
        self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick)


def _issue() -> str:
    """A sticky id that nobody can guess."""
    return secrets.token_hex(12)
