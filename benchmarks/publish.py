"""Puts what was measured into the pages, and draws the pictures: python -m benchmarks.publish

Of benchmarks/results/: compare.json fills the marked places of README.md, docs/operation.md and benchmarks/README.md
and draws costs.svg; growth.json and soak.json give growth.svg and soak.svg. What was not measured stays as it is.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import goals, report, svg
from benchmarks.cases import CASES, Case
from benchmarks.goals import BASELINE, OURS, Goal
from benchmarks.growth import KEPT as GROWTH
from benchmarks.probes import PROBES, Probe
from benchmarks.results import FOLDER, Results
from benchmarks.soak import KEPT as SOAK
from benchmarks.soak import process_name

ROOT = Path(__file__).resolve().parent.parent
COMPARE = FOLDER / "compare.json"
TITLES = {
    "nginx": "nginx",
    "haproxy": "HAProxy",
    "envoy": "Envoy",
    "caddy": "Caddy",
    "grayhound": "Grayhound",
    "source": "(not compiled)",
}
DRAWN = {  # the panels of README's picture
    "small": "Small response, browser headers",
    "10k": "10 KiB response",
    "1m": "1 MiB response",
    "chunked": "64 KiB in chunks of 4 KiB",
    "tls": "Small, by TLS",
    "log": "Small, with a JSON access log",
}
MOST_TIMES = 7.0  # of nginx's bar: aiohttp's would make all others short
SIZED = {
    "small": "small answer, headers as of a browser",
    "new": "the same, with heads that are never the same twice",
    "tls": "small answer, by TLS",
    "log": "small answer, with an access log",
    "close": "on a new connection",
    "1m": "answer of 1 MiB",
    "upload": "upload of 1 MiB",
}
FLEET = (10_000, 50_000, 200_000)  # requests a second
GOALS_ARE = """\
What Grayhound is to come to, from the run below: CPU time (or p99) as a multiple of nginx's in the same round; memory,
start and pause as they are; of routes the CPU time with 10,000 to that with ten. The bar is the least."""
BUSY = 0.5  # of a core, as planned: a peak and the loss of a replica have room
REPLICA_CORES = 4


# --- Pages ----------------------------------------------------------------------------------------------------------


def pages(results: Results) -> dict[str, dict[str, str]]:
    """Of each page, what is to stand between the marks of a name."""
    return {page: {name: fill(results) for name, fill in places.items()} for page, places in PLACES.items()}


def filled(text: str, name: str, content: str) -> str:
    """The page, with this between its marks."""
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.S)
    return pattern.sub(lambda found: f"{found[1]}{content.rstrip()}\n{found[2]}", text)


def costs(results: Results) -> str:
    """README's picture, its main figures for those who do not see it, and of what it is."""
    small = {peer: median(results.values("small", peer, "cpu_us").values()) for peer in results.peers("small")}
    figures = ", ".join(f"{TITLES.get(peer, peer)} {report.short(cost)} µs" for peer, cost in small.items())
    versions = ", ".join(_version(results, peer) for peer in small if "grayhound" not in results.machine[peer])
    picture = f"![CPU time of a small request: {figures}](benchmarks/results/costs.svg)"
    return f"{picture}\n\nMeasured on {results.machine['processor']}, against {versions}."


def _version(results: Results, peer: str) -> str:
    version = re.search(r"\d+\.\d+", results.machine[peer])
    return f"{TITLES.get(peer, peer)} {version[0] if version else ''}".strip()


def _times(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def _ours(results: Results, case: str, measure: str = "cpu_us") -> float:
    return median(results.values(case, OURS, measure).values())


def sizing(results: Results) -> str:
    """The page on operation: what a core carries, and a fleet on paper."""
    rows = ["| a request | CPU of the proxy | a core, half busy, carries |", "|---|---|---|"]
    for case, what in SIZED.items():
        cost = _ours(results, case)
        rows.append(f"| {what} | {report.short(cost)} µs | {_round(BUSY * 1e6 / cost):,}/s |")
    idle_mib = _ours(results, "idle") * 10_000 / 1024
    resident = results.resident[OURS] / 2**20
    one, two = ({m: _ours(results, case, m) for m in ("cpu_us", "rate")} for case in ("one-worker", "two-workers"))
    heads = ("small", "new", "tls")
    rows += ["", "A fleet on paper, cores half busy, connections kept:", ""]
    rows += ["| requests/s | cores: heads repeat | never repeat | by TLS | replicas of 4 cores, heads never repeat |"]
    rows += ["|---|---|---|---|---|"]
    for rate in FLEET:
        cores = [math.ceil(rate * _ours(results, case) / 1e6 / BUSY) for case in heads]
        replicas = max(2, math.ceil(cores[1] / REPLICA_CORES))
        rows.append(f"| {rate:,} | {' | '.join(map(str, cores))} | {replicas} |")
    rates, cost = two["rate"] / one["rate"], two["cpu_us"] / one["cpu_us"]
    rows += [
        "",
        f"* **Memory**: {resident:.0f} MiB for control and a worker, {idle_mib:.0f} MiB for 10,000 idle connections.",
        f"* **Two workers** on two cores, which they shared with client and services, answered {rates:.2f} times as"
        f" much as one, at {cost:.2f} times the CPU a request.",
    ]
    return "\n".join(rows)


def _round(value: float) -> int:
    """To two figures: more would be a promise."""
    step = 10 ** max(0, math.floor(math.log10(value)) - 1)
    return int(value // step * step)


def goal_section(results: Results) -> str:
    met = [line[-1] for line in goals.lines(results)[1:]]
    said = f"{met.count('goal')} of {len(met)} goals are reached, {met.count('bar')} more are within their bar."
    return "\n".join(["", "## Goals", "", GOALS_ARE, said, "", _block(report.goal_table(results))])


def tables(results: Results) -> str:
    everything: list[Case | Probe] = [*CASES, *PROBES]
    text = [f"{name:10} {value}" for name, value in results.machine.items()] + [f"{'plan':10} {results.plan}"]
    for case in everything:
        if measured := results.peers(case.name):
            cannot = [peer for peer in results.peers("small") if peer not in measured]
            text += ["", report.case(results, case, cannot)]
    resident = ", ".join(f"{name} {size / 2**20:.0f} MiB" for name, size in results.resident.items())
    text += ["", f"resident: {resident}", *(f"!!! {complaint}" for complaint in results.complaints)]
    return _block("\n".join(text))


def _block(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.splitlines())


PLACES: dict[str, dict[str, Callable[[Results], str]]] = {
    "README.md": {"costs": costs},
    "docs/operation.md": {"sizing": sizing},
    "benchmarks/README.md": {"goals": goal_section, "results": tables},
}

# --- Pictures -------------------------------------------------------------------------------------------------------


def draw_costs(results: Results) -> str:
    """A panel for each of the main cases, a bar for each proxy."""
    panels = []
    for case, title in DRAWN.items():
        rows = []
        for peer in results.peers(case):
            cost, times = median(results.values(case, peer, "cpu_us").values()), Goal("", case, 1, 1).of(results, peer)
            text = f"{report.short(cost)} µs · {_times(times)}×" if peer != BASELINE else f"{report.short(cost)} µs"
            rows.append(svg.Bar(TITLES.get(peer, peer), cost, text, peer == OURS))
        most = MOST_TIMES * median(results.values(case, BASELINE, "cpu_us").values())
        panels.append(svg.bars(title, rows, min(most, max(row.value for row in rows))))
    return svg.page(panels, 2, 400, 152, "CPU time of the proxy for a request, and how many times nginx's that is")


def draw_growth(kept: dict[str, Any]) -> str:
    panels = []
    for name, curve in kept["curves"].items():
        given = [
            svg.Line(series, [(x, middle) for x, _, middle, _ in points], [(low, high) for _, low, _, high in points])
            for series, points in curve["series"].items()
        ]
        panels.append(svg.lines(name.capitalize(), curve["what"], "µs", given, log=True))
    return svg.page(panels, 3, 300, 210, "CPU time of a request as something grows (median, lowest and highest round)")


def draw_soak(kept: dict[str, Any]) -> str:
    *intervals, _ = kept["intervals"]
    minutes = [one["end_s"] / 60 for one in intervals]

    def line(name: str, value: Callable[[dict[str, Any]], float]) -> svg.Line:
        return svg.Line(name, [(x, value(one)) for x, one in zip(minutes, intervals, strict=True)])

    count = len(intervals[0]["resident_mib"])
    memory = [line(process_name(n), lambda one, n=n: one["resident_mib"][n]) for n in range(count)]  # type: ignore[misc]
    latency = [line("p50", lambda one: one["p50_ms"]), line("p99", lambda one: one["p99_ms"])]
    rate = [line("answered", lambda one: one["rate"] / 1000)]
    panels = [
        svg.lines("Resident memory", "minutes", "MiB", memory),
        svg.lines("Latency, 64 connections always busy", "minutes", "ms", latency),
        svg.lines("Requests", "minutes", "thousand a second", rate),
    ]
    return svg.page(panels, 3, 300, 200, f"{minutes[-1]:.0f} minutes at full load")


def main() -> None:
    if COMPARE.exists():
        results = Results.read(COMPARE)
        (FOLDER / "costs.svg").write_text(draw_costs(results))
        for page, places in pages(results).items():
            text = (ROOT / page).read_text()
            for name, content in places.items():
                text = filled(text, name, content)
            (ROOT / page).write_text(text)
        print(report.goal_table(results))
    for kept, draw in ((GROWTH, draw_growth), (SOAK, draw_soak)):
        if kept.exists():
            kept.with_suffix(".svg").write_text(draw(json.loads(kept.read_text())))


if __name__ == "__main__":
    main()
