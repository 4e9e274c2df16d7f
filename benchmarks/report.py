"""From single runs to medians, and to tables that a person reads."""

from __future__ import annotations

import platform
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks import goals
from benchmarks.cases import Case
from benchmarks.probes import Probe
from benchmarks.results import Reading, Results, Sample

FULL, SPARE = 0.95, 0.85  # of a core: so busy, or not


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
    client_share: float
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
                user_us=median(s.user_us for s in own),
                rate=median(s.rate for s in own),
                rate_ratio=_ratio(own, base, lambda s: s.rate),
                p50_ms=median(s.load.p50_ms for s in own),
                p99_ms=median(s.load.p99_ms for s in own),
                core_share=median(s.core_share for s in own),
                client_share=median(s.client_share for s in own),
                errors=errors,
            )
        )
    return rows


def _ratio(own: list[Sample], base: dict[int, Sample], value: Callable[[Sample], float]) -> float | None:
    ratios = [value(sample) / value(base[sample.round]) for sample in own if sample.round in base]
    return median(ratios) if ratios else None


def case(results: Results, one: Case | Probe, cannot: list[str]) -> str:
    """All there is to say of a case."""
    probed = [reading for reading in results.readings if reading.case == one.name]
    samples = [sample for sample in results.samples if sample.case == one.name]
    connections = f"; {one.connections} connections" if isinstance(one, Case) else ""
    text = [f"{one.name}: {one.about}{connections}"]
    if direct := results.direct.get(one.name):
        text.append(
            f"(no proxy: {direct.rate:,.0f} {one.unit}/s, p50 {direct.p50_ms:.2f} ms, p99 {direct.p99_ms:.2f} ms)"
        )
    if cannot:
        text.append(f"(cannot do it here: {', '.join(cannot)})")
    peers = results.peers(one.name)
    if samples:
        rows = summarize(samples, peers)
        text += [_aligned(_costs(rows, peers[0], one.unit), [_loud(row) for row in rows])]
        if short := [row.peer for row in rows if row.client_share > FULL and row.core_share < SPARE]:
            text.append(f"!!! the core of client and services was full, not the proxy's: {', '.join(short)}")
    if probed:
        text.append(_aligned(_readings(probed, peers, one.unit)))
    return "\n".join(text)


def goal_table(results: Results) -> str:
    rows = goals.lines(results)
    return _aligned(rows) if rows else ""


def _costs(rows: list[Row], baseline: str, unit: str) -> list[list[str]]:
    times = f"x {baseline}"
    lines = [
        ["proxy", "CPU µs", "low-high", times, "user µs", f"{unit}/s", times, "p50 ms", "p99 ms", "core", "client"]
    ]
    for row in rows:
        lines.append(
            [
                row.peer,
                short(row.cpu_us),
                f"{short(row.cpu_low_us)}-{short(row.cpu_high_us)}",
                "-" if row.cpu_ratio is None else f"{row.cpu_ratio:.2f}",
                short(row.user_us),
                f"{row.rate:,.0f}",
                "-" if row.rate_ratio is None else f"{row.rate_ratio:.2f}",
                f"{row.p50_ms:.2f}",
                f"{row.p99_ms:.2f}",
                f"{row.core_share:.0%}",
                f"{row.client_share:.0%}",
            ]
        )
    return lines


def _readings(readings: list[Reading], peers: list[str], unit: str) -> list[list[str]]:
    lines = [["proxy", unit, "low-high"]]
    for peer in peers:
        values = [one.value for one in readings if one.peer == peer]
        lines.append([peer, f"{median(values):.3g}", f"{min(values):.3g}-{max(values):.3g}"])
    return lines


def _loud(row: Row) -> str:
    """Errors stand at the end of their line."""
    errors = ", ".join(f"{count} {kind}" for kind, count in row.errors.items())
    return f"  !!! ERRORS: {errors}" if errors else ""


def _aligned(lines: list[list[str]], ends: list[str] | None = None) -> str:
    """The first column to the left, all others to the right."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    text = []
    for (first, *rest), end in zip(lines, ["", *(ends or [""] * (len(lines) - 1))], strict=True):
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))]
        text.append("  ".join(cells) + end)
    return "\n".join(text)


def short(microseconds: float) -> str:
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
