"""Keeps the workers alive: gives each what it needs to begin, replaces the dead and, if told, the living, and ends all.

A worker's number, 1 to N, is its place: the sockets to listen on belong to the number, and pass from one process to
the next, with all that waits there to be accepted. Two live under one number while one relieves the other.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final, Protocol

from proxy.downstream.tls import Material
from proxy.errors import StartError
from proxy.observe.counts import Counts
from proxy.run.birth import Birth, Nursery
from proxy.run.channel import Channel, Kind, Rules, Start, encode
from proxy.run.ports import Sockets, begin_nothing, leave
from proxy.run.process import STEADY_S, Process, pause_before_start
from proxy.tasks import spawn

SILENT_MAX_S: Final = 30.0
"""Workers speak four times a second. One silent for so long is stuck: its connections are lost, it is replaced."""
WATCH_S: Final = 1.0
CUT_GRACE_S: Final = 2.0
"""After the drain time-out, for a worker to cut what is left, hand in its last counts and end."""
REAP_S: Final = 2.0
"""From a worker's closing its channel to its end; one that takes longer is killed."""
BEGIN_S: Final = 30.0
"""For a worker to begin when it relieves another; one that takes longer is given up, and the other stays."""
UNBORN_PAUSE_S: Final = 5.0
"""Before it is tried again to start a worker where there could be none."""
COUNT_S: Final = 0.15
"""For workers to hand in their counts when someone asks; one that is held up for longer is not waited for."""
TURN_S: Final = 1.0
"""For a worker to take new rules before the next gets them all the same; the largest file takes half of it."""

log = logging.getLogger("grayhound.supervisor")


class Watcher(Protocol):
    """Who is told what workers count and what becomes of them; `worker_id` is its pid."""

    def merge(self, worker_id: int, counts: Counts) -> None: ...

    def forget(self, worker_id: int) -> None: ...

    def worker_restarted(self) -> None: ...

    def set_workers(self, accepting: int) -> None: ...


class Supervisor:
    """All workers. `start` first; `reap` at every SIGCHLD. sockets: to listen on, by number."""

    def __init__(
        self, settings_and_addresses: Start, sockets: Sequence[Sockets], nursery: Nursery, watcher: Watcher
    ) -> None:
        self._start = settings_and_addresses
        self._rules = b""
        self._sockets = sockets
        self._nursery = nursery
        self._watcher = watcher
        self._workers: dict[int, Process] = {}  # by pid
        self._looping: set[int] = set()
        self._asked = 0
        self._broken = ""
        self._relief: asyncio.Task[None] | None = None
        self._keepers: list[asyncio.Task[None]] = []
        self._news = asyncio.Event()
        self._ending = asyncio.Event()
        self._begun = False

    @property
    def workers(self) -> list[Process]:
        """Those that live, by number; of two with the same number, the one that accepts is the last."""
        return sorted(self._workers.values(), key=lambda worker: (worker.number, worker.accepting))

    @property
    def accepting(self) -> int:
        """How many workers accept connections."""
        return 0 if self._ending.is_set() else len({w.number for w in self._workers.values() if w.accepting})

    @property
    def trouble(self) -> str:
        """Why the container should get no traffic, in a few words; empty if it should.

        A worker that died and is replaced is no reason while others accept; at the start all must. One that dies again
        and again is: in each of its short lives it takes connections and cuts them.
        """
        wanted = self._start.settings.workers
        if self._ending.is_set():
            return "draining"
        if self._looping:
            return f"worker {min(self._looping)} dies again and again; {self.accepting} of {wanted} workers accept"
        if not self._begun or not self.accepting:
            return f"{self.accepting} of {wanted} workers accept"
        return ""

    async def start(self) -> None:
        """Take over the workers that the nursery has been asked for, and keep as many alive; returns when each has what
        it needs to begin. Raises StartError."""
        try:
            births = [self._nursery.born() for _ in self._sockets]
        except OSError as error:
            raise StartError(f"cannot start a worker: {error.strerror or error}") from None
        workers = [self._enlist(number, birth) for number, birth in enumerate(births, 1)]
        for worker, birth in zip(workers, births, strict=True):
            await self._open(worker, birth)
        self._watch(asyncio.get_running_loop().time())

    def set_rules(self, rules: Rules, messages: bytes) -> None:
        """Every worker, present and future, gets these rules. messages: the same, as they travel."""
        self._start = replace(self._start, rules=rules)
        for worker in self._workers.values():
            worker.fault = ""
        self._rules = messages
        self._hand_on()

    def set_health(self, up: dict[str, bool]) -> None:
        """Every worker, present and future, gets these verdicts."""
        self._start = replace(self._start, health=dict(up))
        self._tell(encode("health", self._start.health))

    def set_certificates(self, material: Material) -> None:
        """Every worker, present and future, shows these."""
        self._start = replace(self._start, certificates=material)
        self._tell(encode("certificates", material))

    def reopen_access_log(self) -> None:
        """Every worker goes on in a new file of the same name, if the log is a file."""
        self._tell(encode("reopen", None))

    async def applied(self, generation: int, timeout_s: float) -> list[str]:
        """Wait until every worker that accepts has this generation; what went wrong where, if anything did."""
        try:
            async with asyncio.timeout(timeout_s):
                while any(w.accepting and w.generation < generation and not w.fault for w in self._workers.values()):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            late = [worker.number for worker in self.workers if worker.generation < generation and not worker.fault]
            return [f"worker {number} has not taken it after {timeout_s:g} s" for number in late]
        return [f"worker {worker.number}: {worker.fault}" for worker in self.workers if worker.fault]

    async def count(self) -> None:
        """Have every worker hand in what it has counted up to now; returns when all have, or COUNT_S later."""
        number = self._asked = self._asked + 1
        asked = [worker for worker in self._workers.values() if worker.counting]
        for worker in asked:
            worker.send(encode("count", number))
        with suppress(TimeoutError):
            async with asyncio.timeout(COUNT_S):
                while any(worker.counting and worker.counted < number for worker in asked):
                    self._news.clear()
                    await self._news.wait()

    async def accepted(self) -> None:
        """Wait until every worker accepts connections. Raises StartError if one of them never will."""
        while self.accepting < self._start.settings.workers:
            if self._broken:
                raise StartError(self._broken)
            self._news.clear()
            await self._news.wait()

    def replace(self) -> None:
        """Let a new process relieve each worker, one after another; each old one ends what it has under way."""
        if self._relief is not None and not self._relief.done():
            log.warning("the workers are being replaced already")
        elif not self._ending.is_set():
            self._relief = spawn(self._replace(), name="replace workers")

    async def _replace(self) -> None:
        for number in range(1, self._start.settings.workers + 1):
            old = next((w for w in self._workers.values() if w.number == number and w.accepting), None)
            if old is None:
                continue  # it is being replaced anyway
            new = await self._born(number, relieved=old)
            if not await self._accepts(new, BEGIN_S):
                new.kill()
                log.error("worker %d (pid %d) did not begin; the old ones stay", number, new.pid)
                return
            log.info("worker %d (pid %d) relieves pid %d", number, new.pid, old.pid)
            old.accepting, old.leaving = False, True
            old.send(encode("drain", self._start.settings.drain_timeout_s))
            self._changed()
        log.info("all workers have been replaced")

    async def drain(self, timeout_s: float) -> None:
        """Let all workers end what is under way; returns when none lives, `timeout_s` and a little later at most."""
        self._ending.set()
        if self._relief is not None:
            self._relief.cancel()
        self._watcher.set_workers(0)
        for sockets in self._sockets:
            begin_nothing(sockets)
        self._tell(encode("drain", timeout_s))
        for sockets in self._sockets:
            for sock in sockets:
                sock.close()  # the workers', which see to what is queued, are the last
        try:
            async with asyncio.timeout(timeout_s + CUT_GRACE_S):
                await self._all_ended()
        except TimeoutError:
            self.kill()
            await self._all_ended()

    def kill(self) -> None:
        """End all workers at once, cutting what is under way."""
        for worker in self._workers.values():
            worker.kill()

    def reap(self) -> None:
        """Take note of every child that ended; as PID 1, also of those that are not ours."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            worker = self._workers.get(pid)
            if worker is not None:
                worker.status = status
                worker.reaped.set()

    def _enlist(self, number: int, birth: Birth) -> Process:
        """Before anything is awaited, so that its death cannot be missed."""
        now = asyncio.get_running_loop().time()
        worker = self._workers[birth.pid] = Process(number, birth.pid, now, now)
        self._keepers = [task for task in self._keepers if not task.done()]
        self._keepers.append(spawn(self._keep(worker), name=f"worker {number}"))
        return worker

    async def _born(self, number: int, deaths: int = 0, relieved: Process | None = None) -> Process:
        birth = self._nursery.bear(self._sockets[number - 1])
        worker = self._enlist(number, birth)
        worker.deaths = deaths
        if relieved is not None:
            relieved.successor = worker
        await self._open(worker, birth)
        return worker

    async def _all_ended(self) -> None:
        while keeping := [task for task in self._keepers if not task.done()]:
            await asyncio.wait(keeping)

    async def _accepts(self, worker: Process, timeout_s: float) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                while not worker.accepting and not worker.silent.is_set():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            pass
        return worker.accepting

    async def _keep(self, worker: Process) -> None:
        """Wait for the end of a worker, and see that there is another of its number."""
        await self._bury(worker)
        if self._ending.is_set() or worker.leaving or self._has_other(worker):
            return
        lived_s = asyncio.get_running_loop().time() - worker.started_at
        deaths = worker.deaths + 1 if lived_s < STEADY_S else 1
        pause_s = pause_before_start(deaths)
        if pause_s and not self._begun:
            self._broken = f"no worker can start: worker {worker.number} {worker.how_it_ended}"
            self._news.set()
            return
        when = f"replaced in {pause_s:g} s" if pause_s else "replaced"
        log.error("worker %d (pid %d) %s; %s", worker.number, worker.pid, worker.how_it_ended, when)
        self._watcher.worker_restarted()
        if pause_s:
            self._looping.add(worker.number)
            leave(self._sockets[worker.number - 1])  # nobody will accept for a while
            if await self._ends_within(pause_s):
                return
        await self._reborn(worker.number, deaths)

    async def _reborn(self, number: int, deaths: int) -> None:
        """Another worker for a number that has none; what keeps it from being born, as a limit of processes, passes."""
        while True:
            try:
                await self._born(number, deaths)
                return
            except OSError as error:
                why = error.strerror or error
                log.error("worker %d cannot be started: %s; tried again in %g s", number, why, UNBORN_PAUSE_S)
            leave(self._sockets[number - 1])
            if await self._ends_within(UNBORN_PAUSE_S):
                return

    def _has_other(self, dead: Process) -> bool:
        """Whether another has its number already: who was to relieve it, or whom it was to relieve."""
        other = dead.successor or next((w for w in self._workers.values() if w.successor is dead), None)
        if other is None or other.leaving or other.pid not in self._workers:
            return False
        other.successor = None
        log.error("worker %d (pid %d) %s; pid %d goes on", dead.number, dead.pid, dead.how_it_ended, other.pid)
        self._watcher.worker_restarted()
        return True

    def _hand_on(self) -> None:
        """Send the rules to the next worker, unless one is taking them: meanwhile the others carry the traffic."""
        loop, generation = asyncio.get_running_loop(), self._start.rules.generation
        now = loop.time()
        if any(worker.taking(generation) and now - worker.told_at < TURN_S for worker in self._workers.values()):
            return
        for worker in self.workers:
            if worker.told < generation and worker.channel is not None:
                worker.told, worker.told_at = generation, now
                worker.send(self._rules)
                worker.send(encode("health", self._start.health))  # they may name endpoints the last did not
                if worker.accepting:
                    loop.call_later(TURN_S, self._hand_on)
                    return

    async def _open(self, worker: Process, birth: Birth) -> None:
        """Open the channel to a new worker and give it all it needs to begin."""

        def receive(kind: Kind, payload: Any) -> None:
            self._receive(worker, kind, payload)

        worker.channel = await Channel.open(birth.end, receive, worker.silent.set)
        worker.told = self._start.rules.generation
        worker.send(encode("start", self._start))
        if self._ending.is_set():
            worker.send(encode("drain", 0.0))

    async def _ends_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await self._ending.wait()
        except TimeoutError:
            return False

    async def _bury(self, worker: Process) -> None:
        """Wait for a worker's end, and forget what it had under way."""
        await worker.silent.wait()
        try:
            async with asyncio.timeout(REAP_S):
                await worker.reaped.wait()
        except TimeoutError:
            worker.kill()
            await worker.reaped.wait()
        del self._workers[worker.pid]
        self._watcher.forget(worker.pid)
        self._changed()
        self._hand_on()

    def _receive(self, worker: Process, kind: Kind, payload: Any) -> None:
        worker.heard_at = asyncio.get_running_loop().time()
        match kind:
            case "counts":
                self._watcher.merge(worker.pid, payload)
                return
            case "counted":
                worker.counted = payload
            case "ready":
                worker.accepting = not worker.leaving
                self._looping.discard(worker.number)
                log.debug("worker %d (pid %d) accepts connections", worker.number, worker.pid)
            case "applied":
                worker.generation, worker.fault = payload, ""
                self._hand_on()
            case "failed":
                _, worker.fault = payload
                self._hand_on()
            case "gone":
                worker.accepting = False
            case _:
                raise AssertionError(f"a worker does not send {kind}")
        self._changed()

    def _changed(self) -> None:
        self._begun = self._begun or self.accepting == self._start.settings.workers
        self._watcher.set_workers(self.accepting)
        self._news.set()

    def _tell(self, message: bytes) -> None:
        for worker in self._workers.values():
            worker.send(message)

    def _watch(self, due: float) -> None:
        """Kill what is stuck. If control itself was held up, its workers' messages have yet to be read: not now."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if now - due < WATCH_S:
            for worker in self._workers.values():
                if now - worker.heard_at > SILENT_MAX_S and not self._ending.is_set():
                    log.error("worker %d (pid %d) has been silent for %g s", worker.number, worker.pid, SILENT_MAX_S)
                    worker.kill()
        loop.call_later(WATCH_S, self._watch, now + WATCH_S)
