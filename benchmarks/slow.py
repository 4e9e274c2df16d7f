"""What normal clients see while slowhttptest holds connections: python -m benchmarks.slow [--connections N]

slowhttptest (apt-get install slowhttptest wrk) in three modes: heads that do not end, bodies that trickle, readers that
take 32 bytes a second. Meanwhile one client asks for a small page over and over, each time on a new connection, and wrk
does on kept ones, as fast as it is answered.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks import load
from benchmarks.memory import proxy
from benchmarks.processes import cpu_time, resident_bytes

MODES = {
    "no attack": [],
    "slow heads": ["-H", "-i", "5"],
    "slow bodies": ["-B", "-i", "5", "-s", "8192", "-x", "10"],
    "slow readers": ["-X", "-w", "256", "-y", "512", "-n", "1", "-z", "32", "-k", "1"],
}
ASK = b"GET / HTTP/1.1\r\nHost: bench.example.com\r\nConnection: close\r\n\r\n"
BETWEEN_S = 0.01  # about a hundred requests a second
PATIENCE_S = 5.0
SECONDS_MAX = 120
KEPT = 8  # wrk's connections


class Visitor(threading.Thread):
    """The normal client. times_s: how long each answer took, from connecting on; failed: what was no 200."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.port = port
        self.times_s: list[float] = []
        self.failed: list[str] = []
        self.over = False

    def run(self) -> None:
        while not self.over:
            began = time.monotonic()
            try:
                with socket.create_connection(("127.0.0.1", self.port), PATIENCE_S) as client:
                    client.sendall(ASK)
                    heard = client.recv(4096)
                if not heard.startswith(b"HTTP/1.1 200 "):
                    self.failed.append(heard[:12].decode("latin-1"))
            except OSError as error:
                self.failed.append(type(error).__name__)
            self.times_s.append(time.monotonic() - began)
            time.sleep(BETWEEN_S)

    def percentile_ms(self, share: float) -> float:
        return sorted(self.times_s)[int(share * (len(self.times_s) - 1))] * 1000


def attack(options: list[str], port: int, connections: int, seconds: int) -> str:
    """Let slowhttptest run for so long: how many of its connections were open, closed and refused at the end."""
    if not options:
        time.sleep(seconds)
        return "-"
    path = "/big" if "-X" in options else "/"
    command = ["slowhttptest", *options, "-c", str(connections), "-r", "500", "-l", str(seconds), "-p", "3"]
    command += ["-u", f"http://127.0.0.1:{port}{path}"]
    try:
        out = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_MAX + 10).stdout
    except subprocess.TimeoutExpired as error:
        out = (error.stdout or b"").decode()
    plain = re.sub("\x1b\\[[0-9;]*[A-Za-z]", "", out)
    counts = {name: re.findall(rf"{name}: +(\d+)", plain) for name in ("connected", "closed", "error")}
    return ", ".join(f"{found[-1]} {name}" for name, found in counts.items() if found)


def measure(mode: str, connections: int, seconds: int) -> str:
    with tempfile.TemporaryDirectory() as folder, proxy(Path(folder)) as (port, worker):
        visitor = Visitor(port)
        before, used, began = resident_bytes(worker), cpu_time(worker), time.monotonic()
        visitor.start()
        lua = Path(folder) / "wrk.lua"
        lua.write_text(load.script([load.Message()]))
        with ThreadPoolExecutor() as pool:
            running = pool.submit(load.run, "wrk", lua, port, KEPT, seconds, max(os.sched_getaffinity(0)))
            held = attack(MODES[mode], port, connections, seconds)
            kept = running.result()
        visitor.over = True
        visitor.join()
        share = cpu_time(worker).since(used).total / (time.monotonic() - began)
        grown = (resident_bytes(worker) - before) / (1 << 20)
        bad = len(visitor.failed)
        return (
            f"| {mode} | {held} | {len(visitor.times_s)} | {bad} | {visitor.percentile_ms(0.5):.1f} | "
            f"{visitor.percentile_ms(0.99):.1f} | {visitor.percentile_ms(1):.1f} | {kept.requests} | "
            f"{sum(kept.errors.values())} | {kept.p99_ms:.1f} | {kept.max_ms:.1f} | {share:.0%} | {grown:.0f} MiB |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.slow", description=__doc__)
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--seconds", type=int, default=20, help=f"of each mode, {SECONDS_MAX} at most")
    given = parser.parse_args()
    for tool in ("slowhttptest", "wrk"):
        if shutil.which(tool) is None:
            sys.exit(f"needs {tool}: apt-get install {tool}")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    print(
        "| mode | slowhttptest's connections | fresh | failed | p50 ms | p99 ms | max ms "
        "| kept | failed | p99 ms | max ms | worker's CPU | grown by |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|---|---|")
    for mode in MODES:
        print(measure(mode, given.connections, min(given.seconds, SECONDS_MAX)), flush=True)


if __name__ == "__main__":
    main()
