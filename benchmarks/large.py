"""What a very large rule file costs: python -m benchmarks.large [--count 10000] [--seconds 10]

    routes   so many routes, each with a host of its own, a match and a split
    values   one route whose rules ask for so many values of one header

Printed of each: seconds that `check` takes, from the start to ready, and from a save to its being live in all workers,
alone and under load; resident memory of control and of a worker; p50 and p99 of requests, with nothing else going on,
and while one saved file after another is read and applied. Needs wrk (apt-get install wrk).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from benchmarks import load
from benchmarks.load import Load, Message
from benchmarks.peers.grayhound import generation, serving, workers
from benchmarks.processes import free_port, resident_bytes, running, wait

CONNECTIONS = 16
SERVICES = """\
services:
  shop:
    versions:
      v1: {{endpoints: ["http://127.0.0.1:{0}"]}}
      v2: {{endpoints: ["http://127.0.0.1:{1}"]}}
routes:
"""


def routes(count: int, share: int) -> str:
    """The route of the requests stands among the others."""
    return "".join(
        f"  - name: route-{number}\n    hosts: [host-{number}.example.com]\n    service: shop\n    rules:\n"
        "      - {name: testers, match: {header: {foo: bar}}, version: v2}\n"
        f"      - {{name: everyone, split: {{v1: {100 - share}, v2: {share}}}}}\n"
        for number in range(count)
    )


def values(count: int, share: int) -> str:
    rules = "".join(
        f"      - {{name: user-{number}, match: {{header: {{x-user: u{number}}}}}, version: v2}}\n"
        for number in range(count)
    )
    everyone = f"      - {{name: everyone, split: {{v1: {100 - share}, v2: {share}}}}}\n"
    return f"  - name: shop\n    service: shop\n    rules:\n{rules}{everyone}"


KINDS: dict[str, Callable[[int, int], str]] = {"routes": routes, "values": values}


class Proxy:
    """A proxy with one worker before two services, as it was left to the scheduler on which core each runs."""

    def __init__(self, folder: Path, kind: str, count: int, stack: ExitStack) -> None:
        self._kind, self._count, self._share = kind, count, 1
        self.core = max(os.sched_getaffinity(0))
        ports = free_port(), free_port()
        stack.enter_context(
            running([sys.executable, "benchmarks/services.py", *map(str, ports)], self.core, folder / "services.log")
        )
        self._services = SERVICES.format(*ports)
        began = time.monotonic()
        self.served = stack.enter_context(serving(folder, self._rules(), None))
        self.start_s = time.monotonic() - began

    def _rules(self) -> str:
        return self._services + KINDS[self._kind](self._count, self._share)

    def reload(self) -> float:
        """Another share of the new version in every split: seconds from the save until it is live in all workers."""
        before = generation(self.served.admin)
        self._share = self._share % 50 + 1
        new = self.served.file.with_suffix(".new")
        new.write_text(self._rules())
        new.rename(self.served.file)
        began = time.monotonic()
        wait(lambda: generation(self.served.admin) > before, "the new rules are live")
        return time.monotonic() - began

    def memory(self) -> str:
        """What control and the worker hold."""
        pid = self.served.pid
        (worker,) = workers(pid)
        return f"control {resident_bytes(pid, alone=True) >> 20}, worker {resident_bytes(worker) >> 20}"


def measure(folder: Path, kind: str, count: int, seconds: float) -> None:
    with ExitStack() as stack:
        proxy = Proxy(folder, kind, count, stack)
        began = time.monotonic()
        subprocess.run(
            [sys.executable, "-m", "proxy", "check", str(proxy.served.file)], check=True, stdout=subprocess.DEVNULL
        )
        check_s = time.monotonic() - began
        lua = folder / "wrk.lua"
        fields = {"Host": f"host-{count // 2}.example.com", "X-User": f"u{count // 2}"}
        lua.write_text(load.script([Message("/", fields=fields)]))
        print(f"{kind}, {count:,}: check {check_s:.1f} s, start to ready {proxy.start_s:.1f} s")
        print(f"  reload {proxy.reload():.1f} s without load; MiB: {proxy.memory()}")
        quiet = load.run("wrk", lua, proxy.served.port, CONNECTIONS, seconds, proxy.core)
        took: list[float] = []
        over = threading.Event()
        reloading = threading.Thread(target=lambda: took.extend(iter(lambda: over.is_set() or proxy.reload(), True)))
        reloading.start()
        busy = load.run("wrk", lua, proxy.served.port, CONNECTIONS, 2 * seconds, proxy.core)
        over.set()
        reloading.join()
        _tell("nothing else going on", quiet)
        _tell(f"reloading, {max(took):.1f} s the longest of {len(took)}", busy)
        print(f"  afterwards MiB: {proxy.memory()}")


def _tell(when: str, seen: Load) -> None:
    errors = f", errors: {seen.errors}" if seen.errors else ""
    rate = seen.requests / seen.seconds
    print(f"  {when}: {rate:,.0f} req/s, p50 {seen.p50_ms:.1f} ms, p99 {seen.p99_ms:.1f} ms{errors}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    for kind in KINDS:
        with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
            measure(Path(folder), kind, options.count, options.seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
