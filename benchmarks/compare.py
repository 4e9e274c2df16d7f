"""What does a request cost in Grayhound and in its peers, with the same canary rules under the same load?

Run from the project's root: python -m benchmarks.compare [--quick] [--only nginx,grayhound] [--cases small]
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from benchmarks import load, report
from benchmarks.bench import ROOT, Bench, Plan
from benchmarks.cases import CASES, Case
from benchmarks.peers import PEERS
from benchmarks.peers.base import first_line, on_path
from benchmarks.probes import PROBES, Probe
from benchmarks.processes import BenchmarkError, end_by_signals
from benchmarks.results import Results

T = TypeVar("T")
ALL: list[Case | Probe] = [*CASES, *PROBES]
KEPT = "benchmarks/results/compare.json"


def main() -> int:
    """Exit code 0: every proxy was measured and answered every request; 1: not so, the lines with !!! say why."""
    options = _options()
    end_by_signals()
    plan, missing = _plan(options)
    results = Results(report.machine(), complaints=missing)
    results.machine |= {"wrk": first_line("-v")(plan.wrk).partition(" Copyright")[0]}
    results.machine |= {peer.name: peer.version(str(peer.find())) for peer in plan.peers}
    results.plan = f"{plan.rounds} rounds of {plan.seconds:g} s"
    for name, value in results.machine.items():
        print(f"{name:10} {value}")
    count = len(plan.cases) + len(plan.probes)
    print(f"{'plan':10} {count} cases, {results.plan}: about {plan.minutes:.0f} minutes", flush=True)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        try:
            # Closed at once on Ctrl-C too: a generator left alone would stop its processes only when collected.
            with contextlib.closing(Bench(plan, Path(folder), results).run()) as cases:
                for case in cases:
                    cannot = [peer.name for peer in plan.peers if peer.name not in results.peers(case.name)]
                    print(f"\n{report.case(results, case, cannot)}", flush=True)
        except BenchmarkError as error:  # of the services; a proxy's is only a complaint
            sys.exit(f"{error}\n(the services need: pip install uvloop)")
        except KeyboardInterrupt:
            results.complaints.append("interrupted; the numbers are of the rounds that were done")
    return _finish(results, options.json)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", metavar="NAMES", help=f"proxies, joined by commas: {','.join(PEERS)}")
    cases = "".join(f"\n  {case.name:11} {case.about}" for case in ALL)
    parser.epilog = f"cases:{cases}"
    parser.add_argument("--cases", metavar="NAMES", help="cases, joined by commas, see below")
    parser.add_argument("--rounds", type=int, default=15, help="rounds for each case (%(default)s)")
    parser.add_argument("--seconds", type=float, default=1.0, help="seconds of each run (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="3 rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help=f"every single run; if all are measured: {KEPT}")
    options = parser.parse_args()
    if not (options.only or options.cases):
        options.json = options.json or ROOT / KEPT
    if options.quick:
        options.rounds = 3
    if options.rounds < 1 or options.seconds < 1:
        parser.error("a benchmark needs a round, and a second for each run")
    return options


def _plan(options: argparse.Namespace) -> tuple[Plan, list[str]]:
    """What can be done here, and a complaint for each proxy that is not installed."""
    wrk = on_path("wrk")()
    if wrk is None:
        sys.exit(f"wrk is missing; install it with: {load.INSTALL}")
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        print("!!! one core for proxy, client and services: compare CPU, not requests/s")
    wanted = _chosen(options.only, PEERS)
    found = [peer for peer in wanted if peer.find()]
    missing = [f"{peer.name} is missing; install it with: {peer.install}" for peer in wanted if peer not in found]
    for complaint in missing:
        print(f"!!! {complaint}")
    chosen = _chosen(options.cases, {case.name: case for case in ALL})
    cases = [case for case in chosen if isinstance(case, Case)]
    probes = [case for case in chosen if isinstance(case, Probe)]
    return Plan(found, cases, probes, options.rounds, options.seconds, wrk, cores[0], cores[-1]), missing


def _chosen(names: str | None, things: Mapping[str, T]) -> list[T]:
    wanted = names.split(",") if names else list(things)
    if unknown := [name for name in wanted if name not in things]:
        sys.exit(f"unknown: {', '.join(unknown)}; there are: {', '.join(things)}")
    return [thing for name, thing in things.items() if name in wanted]


def _finish(results: Results, file: Path | None) -> int:
    if results.resident:
        print("\nresident:", ", ".join(f"{name} {size / 2**20:.0f} MiB" for name, size in results.resident.items()))
    print(f"\n{report.goal_table(results)}")
    if results.complaints:
        print("\nnot all went well:", *results.complaints, sep="\n  !!! ")
    if file:
        results.write(file)
        print(f"\nkept in {file}; `python -m benchmarks.publish` puts it into the pages")
    return 1 if results.complaints else 0


if __name__ == "__main__":
    sys.exit(main())
