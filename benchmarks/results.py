"""What a comparison has found: single runs, kept as JSON, of which tables and pictures are made."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.load import Load
from benchmarks.processes import CpuTime

FOLDER = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of one proxy under one case."""

    case: str
    peer: str
    round: int
    load: Load
    cpu: CpuTime
    services_s: float = 0.0  # CPU time of the services, which share a core with the client

    @property
    def cpu_us(self) -> float:
        """CPU microseconds of the proxy for each answered request."""
        return self.cpu.total / self.load.requests * 1e6

    @property
    def user_share(self) -> float:
        return self.cpu.user / ((self.cpu.user + self.cpu.system) or 1)

    @property
    def user_us(self) -> float:
        return self.cpu_us * self.user_share

    @property
    def rate(self) -> float:
        return self.load.rate

    @property
    def p99_ms(self) -> float:
        return self.load.p99_ms

    @property
    def core_share(self) -> float:
        """How much of its core the proxy used; well below 1 the client was the limit, and `rate` says nothing of it."""
        return self.cpu.total / self.load.seconds

    @property
    def client_share(self) -> float:
        """How much of their core client and services used."""
        return (self.load.client_s + self.services_s) / self.load.seconds


@dataclass(frozen=True, slots=True)
class Reading:
    """One value that one probe took of one proxy."""

    case: str
    peer: str
    round: int
    value: float


@dataclass(slots=True)
class Results:
    machine: dict[str, str] = field(default_factory=dict)  # and the versions of all that was used
    plan: str = ""
    samples: list[Sample] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    direct: dict[str, Load] = field(default_factory=dict)  # by case, without a proxy: what client and services can do
    resident: dict[str, int] = field(default_factory=dict)  # bytes at the end, by proxy
    complaints: list[str] = field(default_factory=list)

    def values(self, case: str, peer: str, measure: str) -> dict[int, float]:
        """Of each round; `measure` is a property of Sample. Of a probe, which has no more than one, it is ignored."""
        found = {one.round: one.value for one in self.readings if (one.case, one.peer) == (case, peer)}
        samples = [one for one in self.samples if (one.case, one.peer) == (case, peer)]
        return found | {one.round: getattr(one, measure) for one in samples}

    def peers(self, case: str) -> list[str]:
        """Those measured, in the order in which they are listed."""
        measured: list[Sample | Reading] = [*self.samples, *self.readings]
        found = {one.peer for one in measured if one.case == case}
        return [name for name in self.machine if name in found]

    def write(self, file: Path) -> None:
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, file: Path) -> Results:
        known: dict[str, Any] = json.loads(file.read_text())
        known["samples"] = [
            Sample(**one | {"load": Load(**one["load"]), "cpu": CpuTime(**one["cpu"])}) for one in known["samples"]
        ]
        known["readings"] = [Reading(**one) for one in known["readings"]]
        known["direct"] = {case: Load(**one) for case, one in known["direct"].items()}
        return cls(**known)
