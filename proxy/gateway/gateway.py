"""The data plane of one worker: listeners before, endpoints behind, the current rules between."""

from __future__ import annotations

import asyncio
import random
import secrets
import socket
from collections.abc import Callable, Sequence
from time import monotonic, time
from typing import Final

from proxy.clock import TICK_S, Clock
from proxy.downstream.door import Door
from proxy.downstream.limits import NO_LIMIT
from proxy.downstream.listener import LATE_S, Listener
from proxy.downstream.stream import ClientStream
from proxy.downstream.tls import Certificates, Material
from proxy.errors import ProxyError
from proxy.gateway.exchange import Exchange
from proxy.gateway.lingering import Lingering
from proxy.gateway.logged import exchanges
from proxy.gateway.shadow import Shadows
from proxy.gateway.snapshot import Snapshot, making_snapshot
from proxy.gateway.state import State
from proxy.http.headers import Peer
from proxy.http.message import RequestHead
from proxy.observe.access_log import KEPT_FIELDS
from proxy.observe.counters import Counters
from proxy.observe.counts import Counts
from proxy.observe.observer import Observer
from proxy.rules.model import RuleFile
from proxy.settings import Settings
from proxy.steps import Steps, finish
from proxy.upstream.endpoint import EndpointRegistry

QUEUE_S: Final = 0.2
"""From the beginning of a drain to its listeners' end: for handshakes that are half done, and for those queued."""


class Gateway:
    """Serves requests by the rules last applied; an exchange keeps the rules it began with.

    observer: who hears of each request, if anybody does; the owner flushes and closes it.
    """

    def __init__(self, settings: Settings, observer: Observer | None = None) -> None:
        clock, counters = Clock(monotonic(), time()), Counters()
        self._settings = settings
        self._observer = observer
        self._kept = KEPT_FIELDS if observer is not None else frozenset()
        self._registry = EndpointRegistry(clock, settings.workers)
        self._shadows = Shadows(clock, settings.workers)
        door = Door(settings.max_connections, settings.max_connections_per_client)
        self._state = State(clock, counters, finish(self._making(0, RuleFile({}, ()), counters)), door)
        self._lingering = Lingering()
        self._certificates: Certificates | None = None
        self._listeners: list[Listener] = []
        self._timer: asyncio.TimerHandle | None = None
        self._drained = asyncio.Event()
        self.draining = self._closed = False
        self.reader = self._state.snapshot.reader
        self.exchange: Callable[[ClientStream, RequestHead], Exchange] = exchanges(self._state, observer)

    def apply(self, generation: int, rule_file: RuleFile) -> None:
        """Serve every request from now on by these rules, which have been checked."""
        finish(self.applying(generation, rule_file))

    def applying(self, generation: int, rule_file: RuleFile) -> Steps[None]:
        """The same in steps, between which requests are served: by the earlier rules until the very last of them are
        made, then by these. One at a time."""
        snapshot = yield from self._making(generation, rule_file, self._state.counters)
        earlier, self._state.snapshot = self._state.snapshot, snapshot
        self.reader = snapshot.reader
        self._lingering.add(earlier)
        self._registry.retire_all_but(
            {(version.service, version.name, one.url) for version in snapshot.versions for one in version.endpoints}
        )
        yield from earlier.taking_apart()

    def _making(self, generation: int, rule_file: RuleFile, counters: Counters) -> Steps[Snapshot]:
        chance = random.random, _issue
        return making_snapshot(generation, rule_file, self._registry, self._shadows, counters, *chance, self._kept)

    def set_health(self, up: dict[str, bool]) -> None:
        """What active checks say of endpoints, by url."""
        self._registry.set_up(up)
        self._shadows.registry.set_up(up)

    def set_certificates(self, material: Material) -> None:
        """Show these, which have been examined, in every handshake from now on; open connections stay."""
        if self._certificates is None:
            self._certificates = Certificates(material)
        else:
            self._certificates.update(material)

    @property
    def uncounted(self) -> int:
        """Decisions that the next `counts` will tell of."""
        return self._state.counters.untold

    def counts(self, decisions_max: int | None = None) -> Counts:
        """What happened since the last call, of so many decisions at most, and what holds now."""
        for listener in self._listeners:
            self._state.counters.connections[listener.name] = len(listener.connections)
        counts = self._state.counters.take(decisions_max)
        for listener in self._listeners:
            for metric, ended in listener.take().items():
                counts.add.setdefault(metric, {}).update(ended)
        counts.endpoints = self._registry.states()
        counts.generation = self._state.snapshot.generation
        counts.lingering = self._lingering.versions()
        if self._observer is not None:
            counts.add.update((name, {(): lost}) for name, lost in self._observer.take_dropped().items())
        return counts

    async def listen(
        self, sockets: Sequence[socket.socket], tls_sockets: Sequence[socket.socket] = (),
        headed: Sequence[socket.socket] = (),
    ) -> None:  # fmt: skip
        """Serve on these bound sockets; on `tls_sockets` with the certificates, which have been set; on those that are
        among `headed` after a header of the PROXY protocol."""
        for bound in (*sockets, *tls_sockets):
            host, port = bound.getsockname()[:2]
            certificates = None if bound in sockets else self._certificates
            listener = Listener(
                self, self._state.clock, f"{host}:{port}", self._settings.trusted_proxies, certificates,
                self._state.door, self._settings.max_body or NO_LIMIT, bound in headed,
            )  # fmt: skip
            listener.open(bound)
            self._listeners.append(listener)
        self._tick()

    def drain(self, idle_s: float = LATE_S) -> None:
        """Take nothing new; what is under way may end.

        Connections that wait to be accepted still are, and one that is idle may have sent its next request already:
        it ends with the answer, or after idle_s.
        """
        self.draining = True
        asyncio.get_running_loop().call_later(QUEUE_S, self._close_listeners)
        for listener in self._listeners:
            listener.drain(idle_s)

    async def drained(self) -> None:
        """Wait until nothing is under way. Call after `drain`."""
        await self._drained.wait()

    def hang_up(self) -> None:
        """End the tunnels as if both sides had: what has come is delivered, then each hears the end."""
        for tunnel in tuple(self._state.tunnels):
            tunnel.hang_up()

    def close(self) -> None:
        """Cut whatever is still under way."""
        self._close_listeners()
        if self._observer is not None:
            self._observer.ending = True
        for tunnel in tuple(self._state.tunnels):
            tunnel.close()
        for listener in self._listeners:
            listener.cut()
        self._shadows.close()
        if self._timer is not None:
            self._timer.cancel()

    # --- what connections and exchanges ask for ----------------------------------------------------------------

    def refused(self, error: ProxyError, peer: Peer, data: bytes) -> None:
        """Count a request that was refused before it could be routed; `data` is what came of it."""
        self._state.snapshot.nowhere.decided.finished(error.status, b"", 0.0)
        if self._observer is not None:
            self._observer.refused(error, peer.address, data, self._state.snapshot.generation)

    def _close_listeners(self) -> None:
        self._closed = True
        for listener in self._listeners:
            listener.close()

    def _tick(self) -> None:
        now = monotonic()
        self._state.clock.move(now, time())
        due = now - TICK_S  # what is timed began by a clock up to a tick old: nothing may end before its time
        for listener in self._listeners:
            listener.sweep(due)
        self._registry.sweep(now)
        self._shadows.sweep(due)
        for tunnel in [tunnel for tunnel in self._state.tunnels if tunnel.deadline < due]:
            tunnel.overdue(due)
        if self._closed and not self._state.tunnels and not any(listener.busy for listener in self._listeners):
            self._drained.set()
        self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick)


def _issue() -> str:
    """A sticky id that nobody can guess."""
    return secrets.token_hex(12)
