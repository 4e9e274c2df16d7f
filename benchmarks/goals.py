"""What a request may cost: the goals, and the bars below which Grayhound is not done. Filled from one run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median

from benchmarks.results import Results

BASELINE, OURS = "nginx", "grayhound"


@dataclass(frozen=True, slots=True)
class Goal:
    """Of one case: at most so much. A ratio is taken within each round, as what disturbs both cancels out there."""

    work: str
    case: str
    goal: float
    bar: float
    measure: str = "cpu_us"
    to: str = BASELINE  # a proxy; or a case, then the ratio is that of the same proxy in both; "": no ratio
    unit: str = "×"
    bars: Mapping[str, float] = field(default_factory=dict)  # more of them: to other proxies

    def of(self, results: Results, peer: str, to: str | None = None) -> float | None:
        """The median; None if it was not measured."""
        to = self.to if to is None else to
        own = results.values(self.case, peer, self.measure)
        if to in results.machine:
            base = results.values(self.case, to, self.measure)
        elif to:
            base = results.values(to, peer, self.measure)
        else:
            base = dict.fromkeys(own, 1.0)
        ratios = [value / base[number] for number, value in own.items() if base.get(number)]
        return median(ratios) if ratios else None

    def verdict(self, results: Results) -> str:
        """Whether it is reached: the goal; the bar, and all other bars; or neither."""
        own = self.of(results, OURS)
        if own is None:
            return "-"
        over = [peer for peer, bar in self.bars.items() if (self.of(results, OURS, peer) or 0.0) > bar]
        if own > self.bar or over:
            return "NOT MET" + (f": {', '.join(over)}" if over else "")
        return "goal" if own <= self.goal else "bar"


GOALS = [
    Goal("small response, 10 fields, rules, 80/20", "small", 1.0, 1.4, bars={"envoy": 0.5, "caddy": 0.35}),
    Goal("the same, sticky by cookie", "sticky", 1.0, 1.5),
    Goal("the same, JSON access log", "log", 1.0, 1.5),
    Goal("10 KiB response", "10k", 0.9, 1.15),
    Goal("1 MiB response", "1m-4k", 0.5, 0.8),
    Goal("1 MiB response, nginx with 16 KiB buffers", "1m", 0.5, 0.8),
    Goal("1 MiB upload", "upload", 0.5, 0.8),
    Goal("64 KiB in chunks of 4 KiB", "chunked", 1.0, 1.3),
    Goal("a new connection per request", "close", 1.0, 1.5),
    Goal("TLS keep-alive, small", "tls", 1.0, 1.6),
    Goal("WebSocket message of 64 bytes", "websocket", 1.0, 1.3),
    Goal("p99 at half of one's own capacity", "half", 1.0, 2.0, "p99_ms"),
    Goal("memory per idle connection", "idle", 4.0, 10.0, to="", unit="KiB"),
    Goal("start to ready", "start", 0.2, 0.6, to="", unit="s"),
    Goal("10,000 routes against 10, ten asked for", "routes-many", 1.0, 1.2, to="routes-few"),
    Goal("10,000 routes against 10, all asked for", "routes-all", 1.0, 1.2, to="routes-few"),
    Goal("longest pause, 10,000 routes reloaded", "pause", 2.0, 20.0, to="", unit="ms"),
]


def lines(results: Results) -> list[list[str]]:
    """The table, its heading first; empty if nothing of it was measured."""
    peers = [name for name in results.machine if any(name in results.peers(goal.case) for goal in GOALS)]
    rows = []
    for goal in GOALS:
        if not results.peers(goal.case):
            continue
        values = [_cell(goal.of(results, peer), goal.unit) for peer in peers]
        limits = [f"{goal.goal:g} {goal.unit}", f"{goal.bar:g} {goal.unit}"]
        limits[1] += "".join(f", {bar:g} × {peer}" for peer, bar in goal.bars.items())
        rows.append([goal.work, *limits, *values, goal.verdict(results)])
    return [["work", "goal", "bar", *peers, "met"], *rows] if rows else []


def _cell(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if unit == "×" else f"{value:.3g}"
