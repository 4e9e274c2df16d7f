"""Twenty minutes at high load: python -m benchmarks.soak [--minutes 20] [--workers N]

wrk asks as fast as it is answered, 64 kept connections, the requests of the case `small`, in intervals of 20 s. At the
end of each: resident memory and open files of every process, p50 and p99, the requests that the proxy counts. Passes
(exit code 0) if no request failed, if the counters agree with the client, and if after the first quarter neither memory
nor latency grows: MEMORY_GROWTH_MAX and LATENCY_GROWTH_MAX of the median, by the slope of a line through the rest.
Kept in benchmarks/results/soak.json, of which `python -m benchmarks.publish` draws the picture.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from statistics import median

from benchmarks import load, report
from benchmarks.cases import mix
from benchmarks.peers.base import Setup, Site
from benchmarks.peers.grayhound import PEER, workers
from benchmarks.processes import accepts, end_by_signals, free_port, resident_bytes, running, wait_until
from benchmarks.results import FOLDER

ROOT = Path(__file__).resolve().parent.parent
KEPT = FOLDER / "soak.json"
CONNECTIONS = 64
INTERVAL_S = 20
WARM_SHARE = 0.25  # caches, pools and arenas fill
MEMORY_GROWTH_MAX = 0.02  # over the whole time; what leaks a byte a request leaks 20 MiB in as many minutes
LATENCY_GROWTH_MAX = 0.25  # wider: a neighbour on the machine moves it
COUNTED_S = 1.0  # counts come to control four times a second


@dataclass(frozen=True, slots=True)
class Interval:
    """end_s: since the beginning. By process: control, worker 1, ..."""

    end_s: float
    requests: int
    rate: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    errors: int
    resident_mib: list[float]
    files: list[int]
    counted: int  # requests, by the proxy's own counters


def observe(began: float, seen: load.Load, pid: int, admin: int) -> Interval:
    pids = [pid, *sorted(workers(pid))]
    resident = [resident_bytes(one, alone=True) / 2**20 for one in pids]
    files = [len(list(Path(f"/proc/{one}/fd").iterdir())) for one in pids]
    errors = sum(seen.errors.values())
    end_s = time.monotonic() - began
    return Interval(
        end_s, seen.requests, seen.rate, seen.p50_ms, seen.p99_ms, seen.max_ms, errors, resident, files, counted(admin)
    )


def counted(admin: int) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{admin}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return round(sum(map(float, re.findall(r"^grayhound_requests_total\{.*\} (\S+)$", text, re.M))))


def soak(minutes: float, workers: int) -> list[Interval]:
    cores = sorted(os.sched_getaffinity(0))
    intervals: list[Interval] = []
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name, ExitStack() as stack:
        folder, ports = Path(name), (free_port(), free_port())
        services = [sys.executable, "-m", "benchmarks.services", *map(str, ports)]
        process = stack.enter_context(running(services, cores[-1], folder / "services.log", ROOT))
        wait_until(lambda: all(map(accepts, ports)), process, folder / "services.log")
        site = Site(folder, free_port(), free_port(), ports, Setup(workers=workers))
        log = folder / "output.log"
        process = stack.enter_context(
            running(PEER.command(str(PEER.find()), site), cores[0] if workers == 1 else None, log, ROOT)
        )
        wait_until(lambda: PEER.ready(site), process, log)
        lua = folder / "wrk.lua"
        lua.write_text(load.script(mix("/")))
        began = time.monotonic()
        while time.monotonic() - began < minutes * 60:
            seen = load.run("wrk", lua, site.port, CONNECTIONS, INTERVAL_S, cores[-1])
            intervals.append(observe(began, seen, process.pid, site.admin_port))
            last = intervals[-1]
            resident = ", ".join(f"{one:.1f}" for one in last.resident_mib)
            print(
                f"{last.end_s:6.0f} s  {last.rate:8,.0f} req/s  p50 {last.p50_ms:.2f}  p99 {last.p99_ms:.2f} ms  "
                f"MiB {resident}  files {last.files}  errors {last.errors}",
                flush=True,
            )
        time.sleep(COUNTED_S)
        intervals.append(observe(began, seen, process.pid, site.admin_port))
    return intervals


def growth(times: list[float], values: list[float]) -> float:
    """By how much of its median a line through them rises from the first to the last. The line is Theil and Sen's, the
    median of the slopes between any two: a neighbour's spike in one interval does not tilt it."""
    pairs = combinations(zip(times, values, strict=True), 2)
    slope = median((later - value) / (then - time) for (time, value), (then, later) in pairs)
    return slope * (times[-1] - times[0]) / median(values)


def faults(intervals: list[Interval]) -> list[str]:
    """What did not go as it should."""
    *measured, last = intervals
    rest = measured[int(len(measured) * WARM_SHARE) :]
    found = [f"{failed} requests failed"] if (failed := sum(one.errors for one in measured)) else []
    asked = sum(one.requests for one in measured)
    # wrk leaves at the end of each interval what it has asked and not heard: as many as it has connections.
    if not asked <= last.counted <= asked + CONNECTIONS * len(measured):
        found.append(f"the proxy counted {last.counted:,} requests, the client {asked:,}")
    if len(rest) < 3:
        return [*found, "too short to tell whether anything grows"]
    times = [one.end_s for one in rest]
    for number in range(len(last.resident_mib)):
        share = growth(times, [one.resident_mib[number] for one in rest])
        if share > MEMORY_GROWTH_MAX:
            found.append(f"{process_name(number)} grew by {share:.1%}")
    for name in ("p50_ms", "p99_ms"):
        if (share := growth(times, [getattr(one, name) for one in rest])) > LATENCY_GROWTH_MAX:
            found.append(f"{name} grew by {share:.0%}")
    return found


def process_name(number: int) -> str:
    return f"worker {number}" if number else "control"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    end_by_signals()
    intervals = soak(given.minutes, given.workers)
    found = faults(intervals)
    *measured, last = intervals
    print(f"\n{sum(one.requests for one in measured):,} requests, {last.counted:,} by the proxy's counters")
    print(*(f"!!! {fault}" for fault in found), sep="\n") if found else print("flat memory, steady latency")
    KEPT.parent.mkdir(exist_ok=True)
    kept = {"machine": report.machine(), "faults": found, "intervals": [asdict(one) for one in intervals]}
    KEPT.write_text(json.dumps(kept, indent=1) + "\n")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
