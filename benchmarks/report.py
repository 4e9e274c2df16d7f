"""From single runs to medians, and to a table that a person reads."""

from __future__ import annotations

import platform
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from benchmarks.load import Load
from benchmarks.processes import CpuTime


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of one proxy under one case."""

    case: str
    peer: str
    round: int
    load: Load
    cpu: CpuTime

    @property
    def cpu_us(self) -> float:
        """CPU microseconds of the proxy for each answered request."""
        return self.cpu.total / self.load.requests * 1e6

    @property
    def user_share(self) -> float:
        return self.cpu.user / ((self.cpu.user + self.cpu.system) or 1)

    @property
    def rate(self) -> float:
        return self.load.requests / self.load.seconds

    @property
    def core_share(self) -> float:
        """How much of its core the proxy used; well below 1 the client was the limit, and `rate` says nothing of it."""
        return self.cpu.total / self.load.seconds


@dataclass(frozen=True, slots=True)
class Row:
    """Medians over the rounds of one proxy under one case. Ratios are taken within a round: noise is shared there."""

    peer: str
    rounds: int
    cpu_us: float
    cpu_low_us: float
    cpu_high_us: float
    cpu_ratio: float | None
    user_us: float
    rate: float
    rate_ratio: float | None
    p50_ms: float
    p99_ms: float
    core_share: float
    errors: dict[str, int]


def summarize(samples: list[Sample], peers: list[str]) -> list[Row]:
    """One row for each of these proxies, from samples of one case. The ratios are to the first of them."""
    base = {sample.round: sample for sample in samples if sample.peer == peers[0]}
    rows = []
    for peer in peers:
        own = [sample for sample in samples if sample.peer == peer]
        errors: dict[str, int] = {}
        for sample in own:
            for kind, count in sample.load.errors.items():
                errors[kind] = errors.get(kind, 0) + count
        rows.append(
            Row(
                peer=peer,
                rounds=len(own),
                cpu_us=median(s.cpu_us for s in own),
                cpu_low_us=min(s.cpu_us for s in own),
                cpu_high_us=max(s.cpu_us for s in own),
                cpu_ratio=_ratio(own, base, lambda s: s.cpu_us),
                user_us=median(s.cpu_us * s.user_share for s in own),
                rate=median(s.rate for s in own),
                rate_ratio=_ratio(own, base, lambda s: s.rate),
                p50_ms=median(s.load.p50_ms for s in own),
                p99_ms=median(s.load.p99_ms for s in own),
                core_share=median(s.core_share for s in own),
                errors=errors,
            )
        )
    return rows


def _ratio(own: list[Sample], base: dict[int, Sample], value: Callable[[Sample], float]) -> float | None:
    ratios = [value(sample) / value(base[sample.round]) for sample in own if sample.round in base]
    return median(ratios) if ratios else None


def table(rows: list[Row], baseline: str) -> str:
    """Aligned columns; errors stand loud at the end of their line."""
    times = f"x {baseline}"
    lines = [["proxy", "CPU µs", "low-high", times, "user µs", "req/s", times, "p50 ms", "p99 ms", "core"]]
    for row in rows:
        lines.append(
            [
                row.peer,
                _short(row.cpu_us),
                f"{_short(row.cpu_low_us)}-{_short(row.cpu_high_us)}",
                "-" if row.cpu_ratio is None else f"{row.cpu_ratio:.2f}",
                _short(row.user_us),
                f"{row.rate:,.0f}",
                "-" if row.rate_ratio is None else f"{row.rate_ratio:.2f}",
                f"{row.p50_ms:.2f}",
                f"{row.p99_ms:.2f}",
                f"{row.core_share:.0%}",
            ]
        )
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    text = []
    for line, errors in zip(lines, [{}, *(row.errors for row in rows)], strict=True):
        first, *rest = (cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        loud = "  !!! ERRORS: " + ", ".join(f"{count} {kind}" for kind, count in errors.items()) if errors else ""
        text.append("  ".join([first.strip().ljust(widths[0]), *rest]) + loud)
    return "\n".join(text)


def _short(microseconds: float) -> str:
    return f"{microseconds:.1f}" if microseconds < 100 else f"{microseconds:.0f}"


def machine() -> dict[str, str]:
    """Where this was measured: a number without its machine says little."""
    processor = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    cores = len(re.findall(r"^processor", Path("/proc/cpuinfo").read_text(), re.M))
    system = re.search(r'PRETTY_NAME="(.+)"', Path("/etc/os-release").read_text())
    return {
        "processor": f"{processor[1] if processor else platform.machine()}, {cores} cores",
        "kernel": f"{platform.system()} {platform.release()}",
        "system": system[1] if system else "?",
        "python": platform.python_version(),
    }


def as_json(samples: list[Sample]) -> list[dict[str, object]]:
    derived = ("cpu_us", "user_share", "rate", "core_share")
    return [asdict(sample) | {name: getattr(sample, name) for name in derived} for sample in samples]
