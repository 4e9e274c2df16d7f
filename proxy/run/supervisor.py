"""Keeps the workers alive: gives each what it needs to begin, replaces the dead, and ends them all."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from proxy.downstream.tls import Material
from proxy.observe.counters import Counts
from proxy.run.birth import Birth, give_birth
from proxy.run.channel import Channel, Kind, Rules, Start, encode
from proxy.tasks import spawn

STEADY_S: Final = 10.0
"""A worker that lived so long was well: its death is not counted with the one before."""
DEATHS_AT_ONCE: Final = 3
"""So many deaths in a row are made good at once; from then on there is a crash loop, and a pause before each start."""
PAUSE_FIRST_S: Final = 1.0
PAUSE_MAX_S: Final = 30.0
"""Doubling from the first to the last: a crash loop may neither burn a core nor keep a recovered proxy waiting long."""
SILENT_MAX_S: Final = 30.0
"""Workers speak four times a second. One silent for so long is stuck: its connections are lost, it is replaced."""
WATCH_S: Final = 1.0
CUT_GRACE_S: Final = 2.0
"""After the drain time-out, for a worker to cut what is left, hand in its last counts and end."""
REAP_S: Final = 2.0
"""From a worker's closing its channel to its end; one that takes longer is killed."""

log = logging.getLogger("grayhound.supervisor")


class Watcher(Protocol):
    """Who is told what workers count and what becomes of them; `worker` is its number, 1 to N."""

    def merge(self, worker_id: int, counts: Counts) -> None: ...

    def forget(self, worker_id: int) -> None: ...

    def worker_restarted(self) -> None: ...

    def set_workers(self, accepting: int) -> None: ...


@dataclass(slots=True)
class Worker:
    """A live worker process as control sees it. generation: the last it applied. Times are the loop's."""

    number: int
    pid: int
    started_at: float
    heard_at: float
    generation: int = 0
    accepting: bool = False
    fault: str = ""
    channel: Channel | None = None
    silent: asyncio.Event = field(default_factory=asyncio.Event)
    """The channel is closed: nothing more will be heard."""
    reaped: asyncio.Event = field(default_factory=asyncio.Event)
    status: int = 0
    """What waitpid gave."""

    def send(self, message: bytes) -> None:
        if self.channel is not None:
            self.channel.send(message)

    def kill(self) -> None:
        if not self.reaped.is_set():  # until then the pid cannot have gone to another process
            os.kill(self.pid, signal.SIGKILL)

    @property
    def how_it_ended(self) -> str:
        code = os.waitstatus_to_exitcode(self.status)
        return f"ended with code {code}" if code >= 0 else f"was ended by signal {-code} ({signal.strsignal(-code)})"


def pause_before_start(deaths: int) -> float:
    """Seconds to wait before the next start, after so many deaths in a row, each soon after the start."""
    if deaths <= DEATHS_AT_ONCE:
        return 0.0
    return float(min(PAUSE_MAX_S, PAUSE_FIRST_S * 2 ** min(deaths - DEATHS_AT_ONCE - 1, 10)))


class Supervisor:
    """All workers. `start` first; `reap` at every SIGCHLD."""

    def __init__(self, settings_and_addresses: Start, watcher: Watcher) -> None:
        self._start = settings_and_addresses
        self._watcher = watcher
        self._workers: dict[int, Worker] = {}
        self._looping: set[int] = set()
        self._keepers: list[asyncio.Task[None]] = []
        self._news = asyncio.Event()
        self._ending = asyncio.Event()
        self._begun = False

    @property
    def workers(self) -> list[Worker]:
        """Those that live, by number."""
        return sorted(self._workers.values(), key=lambda worker: worker.number)

    @property
    def accepting(self) -> int:
        """How many workers accept connections."""
        return 0 if self._ending.is_set() else sum(worker.accepting for worker in self._workers.values())

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

    async def start(self, births: Sequence[Birth]) -> None:
        """Take over processes already born and keep as many alive; returns when each has what it needs to begin."""
        workers = [self._enlist(number, birth) for number, birth in enumerate(births, 1)]
        for worker, birth in zip(workers, births, strict=True):
            await self._open(worker, birth)
            self._keepers.append(spawn(self._keep(worker), name=f"worker {worker.number}"))
        self._watch(asyncio.get_running_loop().time())

    def set_rules(self, rules: Rules) -> None:
        """Every worker, present and future, gets these rules."""
        self._start = replace(self._start, rules=rules)
        for worker in self._workers.values():
            worker.fault = ""
        self._tell(encode("rules", rules))
        self._tell(encode("health", self._start.health))  # the new generation may know endpoints the last did not

    def set_health(self, up: dict[str, bool]) -> None:
        """Every worker, present and future, gets these verdicts."""
        self._start = replace(self._start, health=dict(up))
        self._tell(encode("health", self._start.health))

    def set_certificates(self, material: Material) -> None:
        """Every worker, present and future, shows these."""
        self._start = replace(self._start, certificates=material)
        self._tell(encode("certificates", material))

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

    async def accepted(self) -> None:
        """Wait until every worker accepts connections."""
        while self.accepting < self._start.settings.workers:
            self._news.clear()
            await self._news.wait()

    async def drain(self, timeout_s: float) -> None:
        """Let all workers end what is under way; returns when none lives, `timeout_s` and a little later at most."""
        self._ending.set()
        self._watcher.set_workers(0)
        self._tell(encode("drain", timeout_s))
        if self._keepers:
            await asyncio.wait(self._keepers, timeout=timeout_s + CUT_GRACE_S)
            self.kill()
            await asyncio.wait(self._keepers)

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
            for worker in self._workers.values():
                if worker.pid == pid:
                    worker.status = status
                    worker.reaped.set()

    def _enlist(self, number: int, birth: Birth) -> Worker:
        """Before anything is awaited, so that its death cannot be missed."""
        now = asyncio.get_running_loop().time()
        worker = self._workers[number] = Worker(number, birth.pid, now, now)
        return worker

    async def _keep(self, worker: Worker) -> None:
        """Keep alive what begins as `worker`, until the end."""
        deaths = 0
        while True:
            await self._bury(worker)
            if self._ending.is_set():
                return
            lived_s = asyncio.get_running_loop().time() - worker.started_at
            deaths = deaths + 1 if lived_s < STEADY_S else 1
            pause_s = pause_before_start(deaths)
            when = f"replaced in {pause_s:g} s" if pause_s else "replaced"
            log.error("worker %d (pid %d) %s; %s", worker.number, worker.pid, worker.how_it_ended, when)
            self._watcher.worker_restarted()
            if pause_s:
                self._looping.add(worker.number)
                if await self._ends_within(pause_s):
                    return
            birth = give_birth()
            worker = self._enlist(worker.number, birth)
            await self._open(worker, birth)

    async def _open(self, worker: Worker, birth: Birth) -> None:
        """Open the channel to a new worker and give it all it needs to begin."""

        def receive(kind: Kind, payload: Any) -> None:
            self._receive(worker, kind, payload)

        worker.channel = await Channel.open(birth.end, receive, worker.silent.set)
        worker.send(encode("start", self._start))
        if self._ending.is_set():
            worker.send(encode("drain", 0.0))

    async def _ends_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await self._ending.wait()
        except TimeoutError:
            return False

    async def _bury(self, worker: Worker) -> None:
        """Wait for a worker's end, and forget what it had under way."""
        await worker.silent.wait()
        try:
            async with asyncio.timeout(REAP_S):
                await worker.reaped.wait()
        except TimeoutError:
            worker.kill()
            await worker.reaped.wait()
        del self._workers[worker.number]
        self._watcher.forget(worker.number)
        self._changed()

    def _receive(self, worker: Worker, kind: Kind, payload: Any) -> None:
        worker.heard_at = asyncio.get_running_loop().time()
        match kind:
            case "counts":
                self._watcher.merge(worker.number, payload)
                return
            case "ready":
                worker.accepting = True
                self._looping.discard(worker.number)
                log.debug("worker %d (pid %d) accepts connections", worker.number, worker.pid)
            case "applied":
                worker.generation, worker.fault = payload, ""
            case "failed":
                _, worker.fault = payload
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
