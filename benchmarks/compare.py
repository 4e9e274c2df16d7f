"""What does a request cost in Grayhound and in its peers, with the same canary rules under the same load?

Run from the project's root: python -m benchmarks.compare [--quick] [--only nginx,grayhound] [--cases small]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from benchmarks import load, report
from benchmarks.bench import Bench, Plan
from benchmarks.cases import CASES, Case
from benchmarks.peers import PEERS
from benchmarks.peers.base import first_line, on_path
from benchmarks.processes import BenchmarkError

T = TypeVar("T")


def main() -> int:
    """Exit code 0: every proxy was measured and answered every request; 1: not so, the lines with !!! say why."""
    options = _options()
    # Both leave through every `with`: the children are stopped. A shell's background job would ignore SIGINT else.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    plan, missing = _plan(options)
    facts = report.machine() | {"wrk": first_line("-v")(plan.wrk).partition(" Copyright")[0]}
    facts |= {peer.name: peer.version(str(peer.find())) for peer in plan.peers}
    for name, value in facts.items():
        print(f"{name:10} {value}")
    plan_text = f"{len(plan.cases)} cases, {plan.rounds} rounds of {plan.seconds:g} s: {plan.minutes:.0f} minutes"
    print(f"{'plan':10} {plan_text}", flush=True)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        bench = Bench(plan, Path(folder))
        bench.complaints += missing
        try:
            # Closed at once on Ctrl-C too: a generator left alone would stop its processes only when collected.
            with contextlib.closing(bench.run()) as cases:
                for case in cases:
                    _print_case(case, bench)
        except BenchmarkError as error:  # of the services; a proxy's is only a complaint
            sys.exit(f"{error}\n(the services need: pip install uvloop)")
        except KeyboardInterrupt:
            if bench.samples:
                _print_case(next(case for case in CASES if case.name == bench.samples[-1].case), bench)
            bench.complaints.append("interrupted; the numbers are of the rounds that were done")
    return _finish(bench, facts, options.json)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", metavar="NAMES", help=f"proxies, joined by commas: {','.join(PEERS)}")
    cases = "".join(f"\n  {case.name:8} {case.about}" for case in CASES)
    parser.epilog = f"cases:{cases}"
    parser.add_argument("--cases", metavar="NAMES", help="cases, joined by commas, see below")
    parser.add_argument("--rounds", type=int, default=5, help="rounds for each case (%(default)s)")
    parser.add_argument("--seconds", type=float, default=3.0, help="seconds of each run (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="3 rounds of 2 seconds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="writes every single run")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 3, 2.0
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
    cases = _chosen(options.cases, {case.name: case for case in CASES})
    return Plan(found, cases, options.rounds, options.seconds, wrk, cores[0], cores[-1]), missing


def _chosen(names: str | None, things: Mapping[str, T]) -> list[T]:
    wanted = names.split(",") if names else list(things)
    if unknown := [name for name in wanted if name not in things]:
        sys.exit(f"unknown: {', '.join(unknown)}; there are: {', '.join(things)}")
    return [thing for name, thing in things.items() if name in wanted]


def _print_case(case: Case, bench: Bench) -> None:
    samples = [sample for sample in bench.samples if sample.case == case.name]
    print(f"\n{case.name}: {case.about}; {case.connections} connections", flush=True)
    if direct := bench.direct.get(case.name):
        rate = direct.requests / direct.seconds
        print(f"(no proxy: {rate:,.0f} req/s, p50 {direct.p50_ms:.2f} ms, p99 {direct.p99_ms:.2f} ms)")
    if without := [peer.name for peer in bench.plan.peers if not case.features <= peer.features]:
        print(f"(cannot do it: {', '.join(without)})")
    if samples:
        order = sorted({sample.peer for sample in samples}, key=list(PEERS).index)
        print(report.table(report.summarize(samples, order), order[0]), flush=True)


def _finish(bench: Bench, facts: dict[str, str], file: Path | None) -> int:
    if bench.resident:
        print("\nresident:", ", ".join(f"{name} {size / 2**20:.0f} MiB" for name, size in bench.resident.items()))
    if bench.complaints:
        print("\nnot all went well:", *bench.complaints, sep="\n  !!! ")
    if file:
        direct = {name: seen.requests / seen.seconds for name, seen in bench.direct.items()}
        result = {"machine": facts, "direct_per_s": direct, "resident_bytes": bench.resident}
        result |= {"complaints": bench.complaints, "samples": report.as_json(bench.samples)}
        file.write_text(json.dumps(result, indent=1) + "\n")
    return 1 if bench.complaints else 0


if __name__ == "__main__":
    sys.exit(main())
