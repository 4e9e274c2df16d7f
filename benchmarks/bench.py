"""The measurement itself: services and proxies up, checked, then round after round each proxy in turn."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import check, load
from benchmarks.cases import Case
from benchmarks.load import Load
from benchmarks.peers.base import Peer, Site
from benchmarks.processes import (
    BenchmarkError,
    accepts,
    cpu_time,
    free_port,
    resident_bytes,
    running,
    wait_until,
)
from benchmarks.report import Sample

ROOT = Path(__file__).resolve().parent.parent
LOG_LINE_BYTES = 40  # less than the shortest line of any proxy here
WARM_S = 1.0  # pools filled, code specialised, before the first counted run of a case


@dataclass(frozen=True, slots=True)
class Plan:
    peers: list[Peer]
    cases: list[Case]
    rounds: int
    seconds: float
    wrk: str
    proxy_core: int
    client_core: int  # wrk and the services

    @property
    def minutes(self) -> float:
        """About how long it takes."""
        run_s = self.rounds * (self.seconds + 0.1) + WARM_S
        return len(self.cases) * (len(self.peers) * run_s + self.seconds) / 60


@dataclass(frozen=True, slots=True)
class Standing:
    """A proxy that runs and has passed the checks."""

    name: str
    port: int
    pid: int
    folder: Path  # with its logs


@dataclass(slots=True)
class Bench:
    plan: Plan
    folder: Path  # for configurations, logs and scripts
    samples: list[Sample] = field(default_factory=list)
    direct: dict[str, Load] = field(default_factory=dict)  # by case, without a proxy: what client and services can do
    resident: dict[str, int] = field(default_factory=dict)  # bytes at the end, by proxy
    complaints: list[str] = field(default_factory=list)

    def run(self) -> Iterator[Case]:
        """Yields each case once its samples are in. The processes live no longer than this generator."""
        with self._services() as services:
            for features in dict.fromkeys(case.features for case in self.plan.cases):
                with contextlib.ExitStack() as stack:
                    standing = [
                        one
                        for peer in self.plan.peers
                        if features <= peer.features and (one := self._start(peer, services, features, stack))
                    ]
                    for case in self.plan.cases:
                        if case.features == features:
                            self._measure(case, standing, services)
                            yield case
                    if "access_log" in features:
                        self._check_logs(standing)
                    self.resident |= {one.name: resident_bytes(one.pid) for one in standing}

    @contextlib.contextmanager
    def _services(self) -> Iterator[tuple[int, int]]:
        ports, log = (free_port(), free_port()), self.folder / "services.log"
        command = [sys.executable, str(ROOT / "benchmarks" / "services.py"), *map(str, ports)]
        with running(command, self.plan.client_core, log) as process:
            wait_until(lambda: all(map(accepts, ports)), process, log)
            yield ports

    def _start(
        self, peer: Peer, services: tuple[int, int], features: frozenset[str], stack: contextlib.ExitStack
    ) -> Standing | None:
        """The proxy, running until the stack ends; None and a complaint if it fails to start or to do the work."""
        folder = self.folder / "-".join([peer.name, *sorted(features)])
        folder.mkdir()
        access_log = folder / "access.log" if "access_log" in features else None
        site = Site(folder, free_port(), free_port(), services, access_log)
        log = folder / "output.log"
        try:
            program = peer.find()
            assert program is not None, "only proxies that were found are in the plan"
            process = stack.enter_context(running(peer.command(program, site), self.plan.proxy_core, log, cwd=ROOT))
            wait_until(lambda: peer.ready(site), process, log)
            if faults := check.faults(site.port):
                raise BenchmarkError("; ".join(faults))
        except (BenchmarkError, OSError) as error:
            self._complain(f"{peer.name} is left out: {error}")
            return None
        return Standing(peer.name, site.port, process.pid, folder)

    def _measure(self, case: Case, standing: list[Standing], services: tuple[int, int]) -> None:
        lua = self.folder / f"{case.name}.lua"
        lua.write_text(load.script(case.messages))
        with contextlib.suppress(BenchmarkError):
            self.direct[case.name] = self._load(case, lua, services[0], self.plan.seconds)
        alive = [one for one in standing if self._sample(case, lua, one, 0, WARM_S)]
        for number in range(1, self.plan.rounds + 1):
            # Each round begins with another proxy, so that none always follows the same one.
            turn = number % (len(alive) or 1)
            for one in alive[turn:] + alive[:turn]:
                sample = self._sample(case, lua, one, number, self.plan.seconds)
                if sample:
                    self.samples.append(sample)

    def _sample(self, case: Case, lua: Path, one: Standing, number: int, seconds: float) -> Sample | None:
        before = cpu_time(one.pid)
        try:
            seen = self._load(case, lua, one.port, seconds)
        except BenchmarkError as error:
            self._complain(f"{one.name}, case {case.name}, round {number}: {error}")
            return None
        if seen.errors and number:
            happened = ", ".join(f"{count} {kind}" for kind, count in seen.errors.items())
            self._complain(f"{one.name}, case {case.name}, round {number}: errors: {happened}")
        return Sample(case.name, one.name, number, seen, cpu_time(one.pid).since(before))

    def _load(self, case: Case, lua: Path, port: int, seconds: float) -> Load:
        seen = load.run(self.plan.wrk, lua, port, case.connections, seconds, self.plan.client_core)
        if not seen.requests:
            raise BenchmarkError(f"no request was answered; wrk counts {seen.errors or 'no errors'}")
        return seen

    def _check_logs(self, standing: list[Standing]) -> None:
        """A log that is not written costs nothing: too few bytes of it for the requests answered are complained of."""
        logged = {case.name for case in self.plan.cases if "access_log" in case.features}
        for one in standing:
            written = sum(file.stat().st_size for file in one.folder.glob("*.log"))
            own = [sample for sample in self.samples if sample.peer == one.name and sample.case in logged]
            answered = sum(sample.load.requests for sample in own)
            if written < answered * LOG_LINE_BYTES:
                self._complain(f"{one.name} wrote {written} bytes of access log for {answered} requests")

    def _complain(self, what: str) -> None:
        self.complaints.append(what)
        print(f"!!! {what}", flush=True)
