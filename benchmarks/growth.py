"""What a request costs as something grows: python -m benchmarks.growth [--only routes,rules] [--rounds N] [--seconds S]

CPU time of the proxy, control and worker, for each request, as in `compare`: one worker on a core of its own, wrk with
64 connections on the other, but for the curve of connections, which are asked in turn at a steady rate. The proxies of
one curve stand side by side and have their turns in each round. Kept in benchmarks/results/growth.json, of which
`python -m benchmarks.publish` draws the curves.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks import client, drive, load, report
from benchmarks.cases import HEADS
from benchmarks.drive import Aim
from benchmarks.load import Load, Message
from benchmarks.peers.grayhound import ROUTE, Served, serving
from benchmarks.processes import (
    BenchmarkError,
    CpuTime,
    accepts,
    cpu_time,
    end_by_signals,
    free_port,
    running,
    wait_until,
)
from benchmarks.results import FOLDER

ROOT = Path(__file__).resolve().parent.parent
KEPT = FOLDER / "growth.json"
WARM_S = 1.0
RATE = 2000.0  # requests a second over the connections that are asked in turn
PORTS = 256  # of services: endpoints, versions
OPTIONS = ("--max-connections", "15000")


def as_fast_as_it_goes(aim: Aim, pid: int) -> float:
    """CPU µs of the proxy for each request."""
    before = cpu_time(pid)
    seen = drive.wrk(aim)
    return _cost(seen, cpu_time(pid).since(before))


def in_turn(aim: Aim, pid: int) -> float:
    """The same, without what it takes to open the connections and to close them."""
    order = drive.pace(aim.port, aim.messages, aim.connections, aim.seconds, aim.rate)
    with client.asking(order, aim.core) as asking:
        before = cpu_time(pid)
        seen = client.heard(asking)
        return _cost(seen, cpu_time(pid).since(before))


def _cost(seen: Load, used: CpuTime) -> float:
    """Of a run in which nothing was answered, on a machine without time for it, there is none."""
    if seen.errors:
        raise BenchmarkError(f"errors: {seen}")
    return used.total / seen.requests * 1e6 if seen.requests else math.nan


@dataclass(frozen=True, slots=True)
class Series:
    """rules: the routes of a size. versions: how many endpoints each has. messages: what is asked then."""

    name: str
    routes: Callable[[int], str]
    messages: Callable[[int], list[Message]]
    versions: Callable[[int], list[int]] = lambda size: [1, 1]


@dataclass(frozen=True, slots=True)
class Curve:
    name: str
    what: str  # grows
    sizes: tuple[int, ...]
    series: tuple[Series, ...]
    drive: Callable[[Aim, int], float] = as_fast_as_it_goes
    connections: Callable[[int], int] = lambda size: 64


# --- Routes and requests --------------------------------------------------------------------------------------------


def routes(count: int) -> str:
    """Each with a host, and rules as in `compare`."""
    names = (f"host-{number}.example.com" for number in range(count))
    return "".join(
        ROUTE % {"name": f"shop-{number}", "hosts": f"\n    hosts: [{host}]", "old": 80, "new": 20}
        for number, host in enumerate(names)
    )


def hosts(asked: int) -> Callable[[int], list[Message]]:
    """Of all hosts so many are asked for, spread over them, one after the other. No head comes again soon even if there
    is one host only, or what is saved then would hide what more of them cost."""

    def messages(count: int) -> list[Message]:
        names = [f"host-{number}.example.com" for number in range(0, count, max(1, count // asked))]
        times = max(1, HEADS // len(names))
        return [Message(fields={"Host": name, "X-Person": str(n)}) for n, name in enumerate(names * times)]

    return messages


def rules(test: str) -> Callable[[int], str]:
    """One route; so many rules ask for values of one header, then a split takes what is left."""

    def text(count: int) -> str:
        every = (test.format(number=number) for number in range(count))
        matches = (f"      - {{match: {{header: {{x-user: {one}}}}}, version: v2}}\n" for one in every)
        return f"  - service: shop\n    rules:\n{''.join(matches)}      - split: {{v1: 80, v2: 20}}\n"

    return text


def users(count: int) -> list[Message]:
    """Half of them hit a rule, each another one; half hit none. No head comes again soon, as with hosts."""
    hits = [f"u{number * count // 20}-" for number in range(20)]
    names = [user for pair in zip(hits, ["nobody"] * 20, strict=True) for user in pair] * (HEADS // 40)
    return [Message(fields={"X-User": user, "X-Person": str(person)}) for person, user in enumerate(names)]


def split(count: int) -> str:
    weights = ", ".join(f"v{number}: 1" for number in range(1, count + 1))
    return f"  - service: shop\n    rules:\n      - split: {{{weights}}}\n"


def fields(people: int) -> Callable[[int], list[Message]]:
    """Heads of so many fields of 30 bytes beside Host, of so many people in turn on each connection."""

    def messages(count: int) -> list[Message]:
        names = [f"X-Field-{number:02d}" for number in range(count)]
        return [Message(fields=dict.fromkeys(names, f"value-{person:08d}"), plain=True) for person in range(people)]

    return messages


def plain(size: int) -> list[Message]:
    return [Message()]


def common(size: int) -> str:
    return split(2)


CURVES = [
    Curve(
        "routes",
        "routes, each a host with rules",
        (1, 10, 100, 1000, 10_000),
        (Series("10 hosts asked", routes, hosts(10)), Series("all asked in turn", routes, hosts(10_000))),
    ),
    Curve(
        "rules",
        "rules of the route, on one header",
        (1, 10, 100, 1000),
        (
            Series("equal to", rules("u{number}-"), users),
            Series("beginning with", rules("{{prefix: u{number}-}}"), users),
        ),
    ),
    Curve(
        "endpoints",
        "endpoints of the version",
        (1, 4, 16, 64, 256),
        (Series("round robin", lambda size: split(1), plain, lambda size: [size]),),
    ),
    Curve(
        "connections",
        "connections asked in turn, 2,000 requests/s",
        (1, 10, 100, 1000, 10_000),
        (Series("kept alive", common, plain),),
        drive=in_turn,
        connections=lambda size: size,
    ),
    Curve(
        "versions",
        "versions among which is split",
        (1, 2, 4, 8, 16),
        (Series("equal weights", split, plain, lambda size: [1] * size),),
    ),
    Curve(
        "fields",
        "header fields of 30 bytes",
        (1, 4, 16, 64),
        (Series("the same again", common, fields(1)), Series("of 40 people", common, fields(40))),
    ),
]

# --- Measuring ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cell:
    """A proxy that stands, and one of the loads that it is to carry."""

    series: str
    size: int
    pid: int
    aim: Aim


def _rules(series: Series, size: int, ports: list[int]) -> str:
    """The whole file; the versions take their endpoints' ports from the left."""
    left = iter(ports)
    lines = []
    for number, count in enumerate(series.versions(size), 1):
        urls = ", ".join(f'"http://127.0.0.1:{next(left)}"' for _ in range(count))
        lines.append(f"      v{number}: {{endpoints: [{urls}]}}\n")
    return f"services:\n  shop:\n    versions:\n{''.join(lines)}routes:\n{series.routes(size)}"


def measure(curve: Curve, ports: list[int], folder: Path, rounds: int, seconds: int) -> dict[str, object]:
    """What is kept of a curve: for each series size, lowest, median and highest µs."""
    cores = sorted(os.sched_getaffinity(0))
    taken: dict[tuple[str, int], list[float]] = {}
    with contextlib.ExitStack() as stack:
        standing: dict[str, Served] = {}  # by rules: series with the same ones share a proxy
        cells: list[Cell] = []
        for series in curve.series:
            for size in curve.sizes:
                text = _rules(series, size, ports)
                if text not in standing:
                    standing[text] = stack.enter_context(serving(folder, text, cores[0], *OPTIONS))
                port, pid = standing[text].port, standing[text].pid
                lua = folder / f"{len(cells)}.lua"
                messages = series.messages(size)
                lua.write_text(load.script(messages))
                aim = Aim(port, messages, curve.connections(size), seconds, cores[-1], "wrk", lua, rate=RATE)
                cells.append(Cell(series.name, size, pid, aim))
        for cell in cells:
            drive.wrk(Aim(cell.aim.port, cell.aim.messages, 8, WARM_S, cores[-1], "wrk", cell.aim.lua))
        for number in range(rounds):
            turn = number * len(cells) // rounds
            for cell in cells[turn:] + cells[:turn]:
                if not math.isnan(cost := curve.drive(cell.aim, cell.pid)):
                    taken.setdefault((cell.series, cell.size), []).append(cost)
    series_kept = {
        series.name: [[size, min(t), median(t), max(t)] for size in curve.sizes if (t := taken[series.name, size])]
        for series in curve.series
    }
    return {"what": curve.what, "series": series_kept}


@contextlib.contextmanager
def _services(folder: Path) -> Iterator[list[int]]:
    log = folder / "services.log"
    ports: set[int] = set()
    while len(ports) < PORTS:
        ports.add(free_port())
    listed = sorted(ports)
    command = [sys.executable, "-m", "benchmarks.services", *map(str, listed)]
    with running(command, max(os.sched_getaffinity(0)), log, ROOT) as process:
        wait_until(lambda: accepts(listed[-1]), process, log)
        yield listed


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=(__doc__ or "").partition("\n")[0])
    names = [curve.name for curve in CURVES]
    parser.add_argument("--only", metavar="NAMES", default=",".join(names), help=f"of {', '.join(names)}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2, help="of each run")
    given = parser.parse_args()
    if unknown := set(given.only.split(",")) - set(names):
        parser.error(f"unknown: {', '.join(unknown)}")
    if shutil.which("wrk") is None:
        sys.exit(f"needs wrk: {load.INSTALL}")
    end_by_signals()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {"curves": {}}
    kept["machine"] = report.machine()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name, _services(Path(name)) as ports:
        for curve in CURVES:
            if curve.name in given.only.split(","):
                found = measure(curve, ports, Path(name), given.rounds, given.seconds)
                kept["curves"][curve.name] = found
                KEPT.parent.mkdir(exist_ok=True)
                KEPT.write_text(json.dumps(kept, indent=1) + "\n")
                print(f"\n{curve.what}\n{json.dumps(found['series'])}", flush=True)


if __name__ == "__main__":
    main()
