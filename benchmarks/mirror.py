"""What clients feel of a mirror: python -m benchmarks.mirror [--rounds N] [--seconds S] [--percent P]

Proxies with the same rules but for the mirror (needs wrk: apt-get install wrk): without one, and with one, compared,
to a version that is well, slow, silent, dead, speaks garbage or never ends. They run side by side, one worker each on
one core; services and wrk have the other. In each round each is measured once, beginning with another one; given are
medians, and medians of the ratios to the proxy without a mirror in the same round.

Two loads: a steady one, at which the worker has time to spare, shows what a client waits; the fastest possible one,
what the copies cost the worker.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks import load
from benchmarks.load import Load, Message
from benchmarks.peers.grayhound import serving
from benchmarks.processes import accepts, cpu_time, free_port, running, wait_until

ROOT = Path(__file__).resolve().parent.parent
MOODS = ("none", "well", "slow", "silent", "dead", "garbage", "endless")
CONNECTIONS = 20
STEADY_DELAY_MS = 20  # between a client's answer and its next request: a thousand requests a second in all
PROXY_CORE, OTHER_CORE = 1, 0
WARM_S = 1.0
RULES = """\
services:
  shop:
    versions:
      v1: {endpoints: ["http://127.0.0.1:%d"]}
      v2: {endpoints: ["http://127.0.0.1:%d"]}
    fallback: none
routes:
  - name: shop
    service: shop
    otherwise: v1
"""
MIRROR = "    mirror: [{version: v2, percent: %g, compare: true}]\n"


@dataclass(frozen=True, slots=True)
class Standing:
    """A proxy that runs."""

    mood: str
    port: int
    admin_port: int
    pid: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One run."""

    load: Load
    cpu_s: float

    @property
    def cpu_us(self) -> float:
        return self.cpu_s / self.load.requests * 1e6


@contextlib.contextmanager
def proxies(folder: Path, percent: float) -> Iterator[list[Standing]]:
    """All of them, with the services behind."""
    with contextlib.ExitStack() as stack:
        v1 = free_port()
        command = [sys.executable, "-m", "benchmarks.services", str(v1), str(free_port())]
        log = folder / "services.log"
        process = stack.enter_context(running(command, OTHER_CORE, log, ROOT))
        wait_until(lambda: accepts(v1), process, log)
        yield [stack.enter_context(_proxy(folder, mood, v1, percent)) for mood in MOODS]


@contextlib.contextmanager
def _proxy(folder: Path, mood: str, v1: int, percent: float) -> Iterator[Standing]:
    v2 = free_port()
    rules = RULES % (v1, v2) + (MIRROR % percent if mood != "none" else "")
    with contextlib.ExitStack() as stack:
        if mood not in ("none", "dead"):
            command = [sys.executable, "-m", "benchmarks.mirrored", mood, str(v2)]
            process = stack.enter_context(running(command, OTHER_CORE, folder / f"{mood}-v2.log", ROOT))
            wait_until(lambda: accepts(v2), process, folder / f"{mood}-v2.log")
        served = stack.enter_context(serving(folder, rules, PROXY_CORE))
        yield Standing(mood, served.port, served.admin, served.pid)


def measure(one: Standing, lua: Path, seconds: float) -> Sample:
    before = cpu_time(one.pid)
    seen = load.run(shutil.which("wrk") or "wrk", lua, one.port, CONNECTIONS, seconds, OTHER_CORE)
    return Sample(seen, cpu_time(one.pid).since(before).total)


def copies(one: Standing) -> str:
    """What became of them, in parts of all."""
    connection = http.client.HTTPConnection("127.0.0.1", one.admin_port, timeout=5)
    connection.request("GET", "/api/mirrors")
    mirrors = json.load(connection.getresponse())["mirrors"]
    connection.close()
    counts: dict[str, int] = mirrors[0]["requests"] if mirrors else {}
    total = sum(counts.values()) or 1
    return ", ".join(f"{result} {count / total:.1%}" for result, count in counts.items() if count) or "-"


def report(samples: dict[str, list[Sample]]) -> None:
    print("| mirrored version | requests/s | errors | p50 ms | p99 ms | CPU µs a request | p50 | p99 | CPU |")
    print("|---|---|---|---|---|---|---|---|---|")
    for mood, runs in samples.items():
        pairs = list(zip(runs, samples["none"], strict=True))
        ratios = (
            median(run.load.p50_ms / plain.load.p50_ms for run, plain in pairs),
            median(run.load.p99_ms / plain.load.p99_ms for run, plain in pairs),
            median(run.cpu_us / plain.cpu_us for run, plain in pairs),
        )
        errors = sum(sum(run.load.errors.values()) for run in runs)
        print(
            f"| {mood} | {median(run.load.requests / run.load.seconds for run in runs):,.0f} | {errors} "
            f"| {median(run.load.p50_ms for run in runs):.2f} | {median(run.load.p99_ms for run in runs):.2f} "
            f"| {median(run.cpu_us for run in runs):.0f} | " + " | ".join(f"{ratio:.2f}" for ratio in ratios) + " |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each run")
    parser.add_argument("--percent", type=float, default=100.0, help="of the requests that are copied")
    given = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit(f"needs wrk: {load.INSTALL}")
    with tempfile.TemporaryDirectory() as name, proxies(Path(name), given.percent) as standing:
        for load_name, delay in (("steady", STEADY_DELAY_MS), ("as fast as it goes", 0)):
            lua = Path(name) / "load.lua"
            pace = f"function delay()\n  return {delay}\nend\n" if delay else ""
            lua.write_text(load.script([Message()]) + pace)
            samples: dict[str, list[Sample]] = {one.mood: [] for one in standing}
            for one in standing:
                measure(one, lua, WARM_S)
            for number in range(given.rounds):
                turn = number % len(standing)
                for one in standing[turn:] + standing[:turn]:
                    samples[one.mood].append(measure(one, lua, given.seconds))
            print(f"\n{load_name}: {CONNECTIONS} connections, {given.percent:g} % mirrored, ratios to none\n")
            report(samples)
        print()
        for one in standing:
            print(f"copies, {one.mood}: {copies(one)}")


if __name__ == "__main__":
    main()
