"""The measurement itself: services and proxies up, checked, then round after round each proxy in turn."""

from __future__ import annotations

import contextlib
import itertools
import math
import sys
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import check, drive, load
from benchmarks.cases import Case
from benchmarks.certificate import certify
from benchmarks.drive import Aim
from benchmarks.peers.base import Peer, Setup, Site
from benchmarks.probes import Probe
from benchmarks.processes import (
    BenchmarkError,
    accepts,
    cpu_time,
    free_port,
    resident_bytes,
    running,
    wait_until,
)
from benchmarks.results import Reading, Results, Sample

ROOT = Path(__file__).resolve().parent.parent
LOG_LINE_BYTES = 40  # less than the shortest line of any proxy here
WARM_S = 1.0  # pools filled, code specialised, before the first counted run of a case; and to find a capacity


@dataclass(frozen=True, slots=True)
class Plan:
    peers: list[Peer]
    cases: list[Case]
    probes: list[Probe]
    rounds: int
    seconds: float
    wrk: str
    proxy_core: int
    client_core: int  # of the client and the services

    @property
    def minutes(self) -> float:
        """About how long it takes."""
        runs = [
            math.ceil(self.rounds / peer.every) * (self.seconds + WARM_S * bool(case.capacity) + 0.15) + WARM_S
            for case in self.cases
            for peer in self.peers
            if case.setup.features <= peer.features
        ]
        probes = [
            min(probe.rounds_max, self.rounds) * probe.seconds
            for probe in self.probes
            for peer in self.peers
            if probe.fits(peer)
        ]
        return (sum(runs) + sum(probes) + len(self.cases) * self.seconds) / 60


@dataclass(frozen=True, slots=True)
class Standing:
    """A proxy that runs and has passed the checks."""

    peer: Peer
    site: Site
    pid: int


@dataclass(slots=True)
class Bench:
    plan: Plan
    folder: Path  # for configurations, logs and scripts
    results: Results = field(default_factory=Results)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _services_pid: int = 0

    def run(self) -> Generator[Case | Probe, None, None]:
        """Yields each case once its samples are in. The processes live no longer than this generator."""
        with self.services() as services:
            stages: dict[object, list[Case]] = {}  # cases whose proxies stand at the same time
            for case in self.plan.cases:
                stages.setdefault(case.turn or case.setup, []).append(case)
            for stage in stages.values():
                with contextlib.ExitStack() as stack:
                    setups = list(dict.fromkeys(case.setup for case in stage))
                    standing = [
                        one
                        for setup in setups
                        for peer in self.plan.peers
                        if setup.features <= peer.features and (one := self.start(peer, services, setup, stack))
                    ]
                    turns = [stage] if stage[0].turn else [[case] for case in stage]
                    for cases in turns:
                        self._measure(cases, standing, services)
                        yield from cases
                    self._check_logs(standing)
                    if setups == [Setup()]:
                        self.results.resident = {one.peer.name: resident_bytes(one.pid) for one in standing}
            for probe in self.plan.probes:
                self._probe(probe, services)
                yield probe

    @contextlib.contextmanager
    def services(self) -> Iterator[tuple[int, int]]:
        ports, log = (free_port(), free_port()), self.folder / "services.log"
        command = [sys.executable, "-m", "benchmarks.services", *map(str, ports)]
        with running(command, self.plan.client_core, log, cwd=ROOT) as process:
            wait_until(lambda: all(map(accepts, ports)), process, log)
            self._services_pid = process.pid
            yield ports

    def start(
        self, peer: Peer, services: tuple[int, int], setup: Setup, stack: contextlib.ExitStack
    ) -> Standing | None:
        """The proxy, running until the stack ends; None and a complaint if it fails to start or to do the work."""
        site = self.site(peer, services, setup)
        log = site.folder / "output.log"
        try:
            program = peer.find()
            assert program is not None, "only proxies that were found are in the plan"
            core = None if setup.workers else self.plan.proxy_core
            process = stack.enter_context(running(peer.command(program, site), core, log, cwd=ROOT))
            wait_until(lambda: peer.ready(site), process, log)
            if faults := check.faults(site):
                raise BenchmarkError("; ".join(faults))
        except (BenchmarkError, OSError) as error:
            self._complain(f"{peer.name} is left out: {error}")
            return None
        return Standing(peer, site, process.pid)

    def site(self, peer: Peer, services: tuple[int, int], setup: Setup) -> Site:
        folder = self.folder / f"{next(self._numbers)}-{peer.name}"
        folder.mkdir()
        if setup.tls:
            certify(folder)
        return Site(folder, free_port(), free_port(), services, setup)

    def _measure(self, cases: list[Case], standing: list[Standing], services: tuple[int, int]) -> None:
        """These cases, each round beginning with another proxy, so that none always follows the same one."""
        for case in cases:
            self._lua(case).write_text(load.script(case.messages))
            if not (case.setup.tls or case.capacity):
                with contextlib.suppress(BenchmarkError):
                    aim = self._aim(case, services[0], "http", self.plan.seconds)
                    self.results.direct[case.name] = case.drive(aim)
        cells = [(case, one) for one in standing for case in cases if case.setup == one.site.setup]
        alive = [cell for cell in cells if self._sample(*cell, 0, WARM_S)]
        for number in range(1, self.plan.rounds + 1):
            asked = [(case, one) for case, one in alive if (number - 1) % one.peer.every == 0]
            turn = number % (len(asked) or 1)
            for cell in asked[turn:] + asked[:turn]:
                sample = self._sample(*cell, number, self.plan.seconds)
                if sample:
                    self.results.samples.append(sample)

    def _sample(self, case: Case, one: Standing, number: int, seconds: float) -> Sample | None:
        try:
            rate = 0.0
            if case.capacity:
                rate = case.capacity * drive.wrk(self._aim(case, one.site.port, one.site.scheme, WARM_S)).rate
            before, services = cpu_time(one.pid), cpu_time(self._services_pid)
            seen = case.drive(self._aim(case, one.site.port, one.site.scheme, seconds, rate))
            if not seen.requests:
                raise BenchmarkError(f"no request was answered; the client counts {seen.errors or 'no errors'}")
        except BenchmarkError as error:
            self._complain(f"{one.peer.name}, case {case.name}, round {number}: {error}")
            return None
        others = cpu_time(self._services_pid).since(services).total
        sample = Sample(case.name, one.peer.name, number, seen, cpu_time(one.pid).since(before), others)
        if number:
            self._judge(sample, rate)
        return sample

    def _judge(self, sample: Sample, rate: float) -> None:
        """Complains of errors, and of a load that was not the one asked for."""
        where = f"{sample.peer}, case {sample.case}, round {sample.round}"
        if sample.load.errors:
            happened = ", ".join(f"{count} {kind}" for kind, count in sample.load.errors.items())
            self._complain(f"{where}: errors: {happened}")
        if rate and sample.rate < 0.98 * rate:
            self._complain(f"{where}: {sample.rate:,.0f} req/s were answered, asked for were {rate:,.0f}")

    def _lua(self, case: Case) -> Path:
        return self.folder / f"{case.name}.lua"

    def _aim(self, case: Case, port: int, scheme: str, seconds: float, rate: float = 0.0) -> Aim:
        core, wrk = self.plan.client_core, self.plan.wrk
        return Aim(port, case.messages, case.connections, seconds, core, wrk, self._lua(case), scheme, rate)

    def _check_logs(self, standing: list[Standing]) -> None:
        """A log that is not written costs nothing: too few bytes of it for the requests answered are complained of."""
        logged = {case.name for case in self.plan.cases if case.setup.access_log}
        for one in standing:
            if one.site.access_log:
                name = one.peer.name
                written = sum(file.stat().st_size for file in one.site.folder.glob("*.log"))
                own = [sample for sample in self.results.samples if sample.peer == name and sample.case in logged]
                answered = sum(sample.load.requests for sample in own)
                if written < answered * LOG_LINE_BYTES:
                    self._complain(f"{name} wrote {written} bytes of access log for {answered} requests")

    def _probe(self, probe: Probe, services: tuple[int, int]) -> None:
        """Each time of a proxy that has just been started."""
        peers = [peer for peer in self.plan.peers if probe.fits(peer)]
        for number in range(1, min(probe.rounds_max, self.plan.rounds) + 1):
            turn = number % (len(peers) or 1)
            for peer in peers[turn:] + peers[:turn]:
                site = self.site(peer, services, probe.setup)
                try:
                    value = probe.take(peer, site, self.plan.proxy_core, self.plan.client_core)
                except (BenchmarkError, OSError) as error:
                    self._complain(f"{peer.name}, {probe.name}, round {number}: {error}")
                else:
                    self.results.readings.append(Reading(probe.name, peer.name, number, value))

    def _complain(self, what: str) -> None:
        self.results.complaints.append(what)
        print(f"!!! {what}", flush=True)
