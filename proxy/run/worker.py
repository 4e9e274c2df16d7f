"""A worker process: one event loop that carries traffic and does what control says over the channel.

The nursery forks it, and calls `main`. Imports nothing that only control needs: its start is the proxy's start.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import sys
from dataclasses import replace
from time import monotonic
from typing import Any, Final

import uvloop

from proxy.downstream.listener import LATE_S
from proxy.gateway.gateway import Gateway
from proxy.observe import logs
from proxy.observe.observer import Observer, open_observer
from proxy.run.channel import Channel, Kind, Rules, Start, encode
from proxy.steps import Steps, T, finish
from proxy.tasks import spawn

COUNTS_INTERVAL_S: Final = 0.25
"""What a killed worker's counts may miss, and how late those may be that nobody asks for."""
DECISIONS_MAX: Final = 256
"""In one report, some 2 ms of work. Of 10,000 routes thousands may have had a request since the last: to tell of each
would be a pause of 50 ms, and cost half as much again as the request. Those that wait gather more of them, for ten
seconds at most; who asks gets all."""
GC_THRESHOLD: Final = (20_000, 20, 50)
"""The collector looks for cycles, and the hot path leaves none: the default would walk the young objects each time
700 more of them live, so each time some hundred connections have come. A cycle that does arise goes a little later."""
SLICE_S: Final = 0.001
"""Of work on new rules, between two turns of traffic: a large file takes seconds, and no request should feel it."""
FAREWELL_S: Final = 0.5
"""After the drain time-out, for tunnels to deliver what has come and end in good order."""

log = logging.getLogger("grayhound.worker")


class Worker:
    """What a worker does with each message from control."""

    def __init__(self, sockets: list[socket.socket]) -> None:
        self._sockets = sockets
        self._channel: Channel
        self._gateway: Gateway | None = None
        self._observer: Observer | None = None
        self._drain_timeout_s = 0.0
        self._listening = False
        self._told_to_drain = asyncio.Event()
        self._pieces: list[bytes] = []  # of rules that are on their way
        self._next_rules: Rules | None = None
        self._applying = False

    async def run(self, end: socket.socket) -> None:
        """Serve until control says `drain` or is gone, end what is under way, and return."""
        self._channel = await Channel.open(end, self._receive, self._told_to_drain.set)
        await self._told_to_drain.wait()
        await self._drain()

    def _receive(self, kind: Kind, payload: Any) -> None:
        match kind:
            case "start":
                self._start(payload)
            case "pieces":
                self._pieces += payload
            case "rules":
                pieces, self._pieces = self._pieces, []
                self._apply(replace(payload, pieces=tuple(pieces)))
            case "health":
                if self._gateway is not None:
                    self._gateway.set_health(payload)
            case "certificates":
                if self._gateway is not None:
                    self._gateway.set_certificates(payload)
            case "reopen":
                if self._observer is not None:
                    self._observer.reopen()
            case "count":
                spawn(self._hand_in(payload), name="counts")
            case "drain":
                self._drain_timeout_s = payload
                self._told_to_drain.set()
            case _:
                raise AssertionError(f"control does not send {kind}")

    def _start(self, start: Start) -> None:
        try:
            gateway = self._begin(start)
        except Exception as error:
            spawn(self._failed(error), name="failed")
        else:
            spawn(self._listen(gateway, start), name="listen")

    async def _failed(self, error: Exception) -> None:
        """The start did: control says why, and starts another or gives up."""
        reason = error.strerror if isinstance(error, OSError) else None
        if reason is None:  # a bug of ours
            log.error("the start failed", exc_info=error)
        self._channel.send(encode("failed", (0, reason or f"{type(error).__name__}: {error}")))
        self._told_to_drain.set()

    def _begin(self, start: Start) -> Gateway:
        logs.set_up(start.settings.log_level)
        self._drain_timeout_s = start.settings.drain_timeout_s
        self._observer = open_observer(start.settings)
        gateway = self._gateway = Gateway(start.settings, self._observer)
        gateway.apply(start.rules.generation, finish(start.rules.unpacking()))
        gateway.set_health(start.health)
        if start.certificates is not None:
            gateway.set_certificates(start.certificates)
        gc.freeze()  # what stands now stands for good: later collections need not walk it
        gc.set_threshold(*GC_THRESHOLD)
        gc.enable()  # not before: the nursery has none, serve.py and birth.py say why
        return gateway

    async def _listen(self, gateway: Gateway, start: Start) -> None:
        plain, addresses = len(start.addresses), start.addresses + start.tls_addresses
        headed = [sock for sock, bound in zip(self._sockets, addresses, strict=True) if bound.proxy_headers]
        try:
            await gateway.listen(self._sockets[:plain], self._sockets[plain:], headed)
        except Exception as error:
            await self._failed(error)
            return
        self._listening = True
        self._channel.send(encode("applied", start.rules.generation))
        self._channel.send(encode("ready", None))
        self._go_on_counting()

    def _apply(self, rules: Rules) -> None:
        """Apply them, after those that are being applied just now; what is overtaken meanwhile is left out."""
        self._next_rules = rules
        if not self._applying:
            self._applying = True
            spawn(self._apply_all(), name="apply rules")

    async def _apply_all(self) -> None:
        while (rules := self._next_rules) is not None:
            self._next_rules = None
            await self._apply_one(rules)
        self._applying = False

    async def _apply_one(self, rules: Rules) -> None:
        assert self._gateway is not None, "control sends `start` first"
        gc.disable()  # PERF: 0.85 of the time with 3,000 services; and a collection would be a long pause
        try:
            rule_file = await _in_slices(rules.unpacking())
            await _in_slices(self._gateway.applying(rules.generation, rule_file))
        except Exception as error:  # checked rules cannot fail; if they do, it is our fault and traffic must go on
            log.exception("generation %d could not be applied", rules.generation)
            self._channel.send(encode("failed", (rules.generation, f"{type(error).__name__}: {error}")))
        else:
            self._channel.send(encode("applied", rules.generation))
        finally:
            gc.freeze()  # as at the start: a collection would be a pause of a fifth of a second with 10,000 routes
            gc.enable()

    def _go_on_counting(self) -> None:
        """Send counts at intervals. Lines of the access log that are too few for a batch go with them."""
        if self._observer is not None:
            self._observer.flush()
        self._count()
        asyncio.get_running_loop().call_later(COUNTS_INTERVAL_S, self._go_on_counting)

    async def _hand_in(self, number: int) -> None:
        """Send all that has been counted up to now, a report at a time between turns of traffic."""
        assert self._gateway is not None
        for _ in range(1 + self._gateway.uncounted // DECISIONS_MAX):
            self._count()
            await asyncio.sleep(0)
        self._channel.send(encode("counted", number))

    def _count(self) -> None:
        """Send counts, unless control is behind: deltas add up here and none is lost."""
        assert self._gateway is not None
        if self._channel.idle:
            self._channel.send(encode("counts", self._gateway.counts(DECISIONS_MAX)))

    async def _drain(self) -> None:
        gateway = self._gateway
        if gateway is not None and self._listening:
            gateway.drain(min(LATE_S, self._drain_timeout_s / 2))
            if not await self._drained(gateway, self._drain_timeout_s):
                log.warning("cut off what was still under way after %g s", self._drain_timeout_s)
                gateway.hang_up()
                await self._drained(gateway, FAREWELL_S)
            gateway.close()
            if self._observer is not None:
                await asyncio.sleep(0)  # what was cut just now ends only now
                self._observer.close()
            self._channel.send(encode("counts", gateway.counts()))
        self._channel.send(encode("gone", None))
        await self._channel.close()

    async def _drained(self, gateway: Gateway, timeout_s: float) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                await gateway.drained()
        except TimeoutError:
            return False
        return True


async def _in_slices(steps: Steps[T]) -> T:
    """Work at it while traffic goes on, which comes to its turn after each slice."""
    begun = monotonic()
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
        if monotonic() - begun >= SLICE_S:
            await asyncio.sleep(0)
            begun = monotonic()


def _unraisable(what: sys.UnraisableHookArgs) -> None:
    """Python's ssl cannot raise where a client asks for a name that is not ASCII: it refuses the handshake, and
    complains here. That is the client's fault, and no reason to fill the log."""
    if not isinstance(what.exc_value, UnicodeDecodeError):
        sys.__unraisablehook__(what)


def main(end: socket.socket, *sockets: socket.socket) -> None:
    """Be a worker until told to end. end: its end of the channel to control; sockets: to listen on."""
    logs.set_up("info")
    sys.unraisablehook = _unraisable
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(Worker(list(sockets)).run(end))
