"""The control process: joins the source of rules, the workers, the metrics, the health checks and the admin port.

Each of them knows its own work, none knows the others; what one has to tell another goes through here.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Final

from proxy.admin.drain import Drains
from proxy.admin.view import ConfigState, View
from proxy.data import dataclass
from proxy.errors import StartError
from proxy.observe import logs
from proxy.observe.metrics import Registry
from proxy.observe.observer import check_observer
from proxy.rules.analysis.reach import reach
from proxy.rules.model import RuleFile
from proxy.run.birth import Nursery
from proxy.run.certificates import CertificateFiles, certificate_files
from proxy.run.channel import Rules, Start
from proxy.run.cookie_keys import check_key_file
from proxy.run.load import Loaded, load
from proxy.run.ports import Bound, Sockets, show
from proxy.run.reload import Reloader
from proxy.run.supervisor import Supervisor
from proxy.run.token import read_token
from proxy.settings import Settings
from proxy.sources.base import Content, RuleSource, SourceError
from proxy.sources.file import FileSource
from proxy.tasks import spawn

THREADS_MAX: Final = 256
"""For files and look-ups of names. Where DNS is dead each look-up hangs for half a minute, of health checks (64 at a
time), webhooks (100) and queries; the threads that read and write the rule file must not wait for theirs."""
NICENESS: Final = 5
"""Of these threads. Where workers need all cores they get a quarter of one, not half, so the largest file takes twice
as long; and a worker that wakes need not wait for them so often. PERF: a third of the waits of more than 2 ms for the
core while 10,000 routes are read. The event loop must not starve, and new workers would inherit its niceness."""
NO_RULES: Final = Rules.pack(0, RuleFile({}, ()))

log = logging.getLogger("grayhound.control")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the proxy is: what it listens on, for TLS too, by which sockets of each worker, and the admin port."""

    addresses: tuple[Bound, ...]
    tls_addresses: tuple[Bound, ...]
    sockets: Sequence[Sockets]
    admin_port: int


def control(settings: Settings, place: Place, nursery: Nursery, began: float) -> int:
    """Become the control process until told to end; the exit code. nursery: the workers have been asked for. began: on
    time.monotonic, when the process did. Raises StartError or RuleError if it cannot start."""
    logs.set_up(settings.log_level)
    source = FileSource(settings.rules)
    try:
        content = source.read()
    except SourceError as error:
        raise StartError(str(error)) from None
    check_observer(settings)
    check_key_file(settings.cookie_key_file)
    if settings.admin_token_file:
        read_token(settings.admin_token_file)
    certificates = certificate_files(settings)
    if certificates is not None:
        certificates.read()
    loaded = load(content, settings.cookie_key_file)
    start = Start(settings, place.addresses, NO_RULES, {}, place.tls_addresses)
    # Not uvloop: it keeps SIGCHLD to itself, control must hear of every child, and has little to do otherwise.
    return asyncio.run(
        Control(start, place.sockets, nursery, source, certificates, began).run(content, loaded, place.admin_port)
    )


class Control:
    """One run of the proxy. start: what workers begin with, but for the certificates, which have been read.
    sockets: where they listen, by worker. began: when the process did, on time.monotonic."""

    def __init__(
        self,
        start: Start,
        sockets: Sequence[Sockets],
        nursery: Nursery,
        source: RuleSource,
        certificates: CertificateFiles | None,
        began: float,
    ) -> None:
        self._settings = start.settings
        self._source = source
        self._addresses = [(bound, "") for bound in start.addresses]
        self._addresses += [(bound, " for TLS") for bound in start.tls_addresses]
        self._certificates = certificates
        self._began = began
        self._registry = Registry()
        self._supervisor = Supervisor(start, sockets, nursery, self._registry)
        self._drains = Drains(self._registry, self._living)
        self._reloader = Reloader(
            source, self._supervisor, self._make_ready, self._registry.reloaded, start.settings.cookie_key_file
        )
        self._check: Callable[[RuleFile], None] = lambda _: None  # until the checker is there
        self._told_to_end = asyncio.Event()
        self._cannot_start: StartError | None = None

    async def run(self, content: Content, loaded: Loaded, admin_port: int) -> int:
        """Serve until told to end; 0, the exit code. Raises StartError."""
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS_MAX, "control", _give_way))
        self._listen_to_signals()
        self._certificates_changed()
        await self._reloader.go_live(content, loaded)
        await self._supervisor.start()
        self._supervisor.reap()  # those that ended before anyone listened
        ready, told = (spawn(each, name="start") for each in (self._say_when_ready(), self._told_to_end.wait()))
        await asyncio.wait((ready, told), return_when=asyncio.FIRST_COMPLETED)
        # Imported only now: aiohttp takes a quarter of a second, and the workers are carrying traffic meanwhile.
        from proxy.admin.app import serve
        from proxy.run.rollouts import make_rollouts
        from proxy.upstream.checker import Checker

        checker = Checker(self._health_changed)
        self._check = checker.update
        checker.update(loaded.rule_file)
        try:
            token_file = self._settings.admin_token_file
            token = (lambda: read_token(token_file)) if token_file else None
            rollouts = make_rollouts(self._settings, self._registry, self._reloader)
            runner = await serve(replace(self._view(), rollouts=rollouts), self._settings.admin[0], admin_port, token)
            log.info("admin port on %s", show((self._settings.admin[0], admin_port)))
            gc.freeze()  # as in workers: what stands now stands for good
            gc.enable()
            following = [
                spawn(self._reloader.follow(), name="reload"),
                spawn(self._reloader.follow_files(), name="reload of files"),
                spawn(rollouts.follow(), name="rollouts"),
            ]
            if self._certificates is not None:
                changed = self._certificates_changed
                following.append(spawn(self._certificates.follow(changed), name="certificates"))
            await self._told_to_end.wait()
            for task in following:
                task.cancel()
            if self._cannot_start is None:
                log.info("draining, for %g s at most", self._settings.drain_timeout_s)
            await self._supervisor.drain(0.0 if self._cannot_start else self._settings.drain_timeout_s)
            await runner.cleanup()
        finally:
            self._supervisor.kill()
            await checker.close()
        if self._cannot_start is not None:
            raise self._cannot_start
        log.info("ended")
        return 0

    def _view(self) -> View:
        return View(
            self._registry,
            lambda: self._reloader.rule_file,
            self._config,
            self._unready,
            self._drains,
            counted=self._supervisor.count,
        )

    def _living(self) -> dict[int, str]:
        return {worker.pid: f"worker {worker.number} (pid {worker.pid})" for worker in self._supervisor.workers}

    def _config(self) -> ConfigState:
        applied = {worker.number: worker.generation for worker in self._supervisor.workers}
        return replace(self._reloader.state, applied=applied)

    def _unready(self) -> list[str]:
        return [self._supervisor.trouble] if self._supervisor.trouble else []

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end, number.name)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)
        loop.add_signal_handler(signal.SIGUSR2, self._supervisor.replace)
        loop.add_signal_handler(signal.SIGCHLD, self._supervisor.reap)

    def _hang_up(self) -> None:
        self._source.reread()
        self._supervisor.reopen_access_log()

    def _end(self, name: str) -> None:
        if self._told_to_end.is_set():
            log.warning("%s again: ending at once", name)
            self._supervisor.kill()
        else:
            log.info("%s", name)
            self._told_to_end.set()

    async def _say_when_ready(self) -> None:
        try:
            await self._supervisor.accepted()
        except StartError as error:
            self._cannot_start = error
            self._told_to_end.set()
            return
        for bound, purpose in self._addresses:
            after = " after PROXY headers" if bound.proxy_headers else ""
            log.info("listening%s%s on %s", purpose, after, show((bound.host, bound.port)))
        took_s = time.monotonic() - self._began
        log.info("ready: %d workers, %.2f s after the start (pid %d)", self._settings.workers, took_s, os.getpid())

    def _make_ready(self, rule_file: RuleFile, generation: int) -> Callable[[], None]:
        """What has to be done before workers have these rules; made ready in a thread, to be done on the loop."""
        series, ways = self._registry.undeclared(rule_file), reach(rule_file)

        def going_live() -> None:
            self._registry.declare(series, generation)  # each stands at 0 when the first request arrives
            self._drains.going_live(ways, generation)
            self._check(rule_file)

        return going_live

    def _certificates_changed(self) -> None:
        if self._certificates is not None:
            self._registry.set_certificates(self._certificates.not_after)
            self._supervisor.set_certificates(self._certificates.material)

    def _health_changed(self, up: dict[str, bool]) -> None:
        self._registry.set_health(up)
        self._supervisor.set_health(up)


def _give_way() -> None:
    """Let workers have the core before this thread: on Linux niceness is each thread's own."""
    with suppress(OSError):  # forbidden: it works all the same
        os.nice(NICENESS)
