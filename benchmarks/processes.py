"""Child processes of a benchmark: started on one core, ready or an error, counted in CPU time, always stopped."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

START_S = 120.0  # Caddy and Envoy take about a second on a busy machine, 10,000 routes more
RELOAD_S = 120.0  # of 10,000 routes, on a machine that has much else to do
LOOK_S = 0.05
STOP_S = 3.0  # then it is killed: nothing here has state worth a longer farewell
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


class BenchmarkError(Exception):
    """What stops the measurement of one proxy; the others go on."""


@dataclass(frozen=True, slots=True)
class CpuTime:
    """CPU seconds of a process tree since it began."""

    total: float  # from schedstat, in nanoseconds there: all threads
    user: float  # from stat, in clock ticks there: good for the share of user space, not for short times
    system: float

    def since(self, before: CpuTime) -> CpuTime:
        return CpuTime(self.total - before.total, self.user - before.user, self.system - before.system)


def end_by_signals() -> None:
    """Ctrl-C and SIGTERM leave through every `with`: the children are stopped. A shell's background job would ignore
    SIGINT else."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on. It is below those that the kernel gives to who asks for any or
    connects, so none of these takes it first."""
    given = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(10_000, max(given, 20_000))
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@contextlib.contextmanager
def pinned(core: int | None) -> Iterator[None]:
    """Whatever is started inside stays on this core, as with `taskset`; None: it may run anywhere."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, before if core is None else {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def running(
    command: list[str], core: int | None, log: Path, cwd: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """The command as a session of its own on `core`, its output in `log`; the whole session is stopped at the end."""
    with open(log, "wb") as output, pinned(core):
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=cwd, start_new_session=True
        )
    try:
        yield process
    finally:
        _stop(process)


def wait(done: Callable[[], bool], what: str) -> None:
    """Returns once `done()`; BenchmarkError if RELOAD_S pass before."""
    deadline = time.monotonic() + RELOAD_S
    while not done():
        if time.monotonic() > deadline:
            raise BenchmarkError(f"not within {RELOAD_S:.0f} s: {what}")
        time.sleep(LOOK_S)


def wait_until(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, look_s: float = LOOK_S) -> None:
    """Returns once `ready()`; BenchmarkError with the end of the log if the process ends or START_S pass before."""
    deadline = time.monotonic() + START_S
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            tail = log.read_text(errors="replace").strip()[-1500:]
            reason = "ended" if process.poll() is not None else f"was not ready within {START_S:.0f} s"
            raise BenchmarkError(f"{Path(process.args[0]).name} {reason}; it said:\n{tail}")  # type: ignore[index]
        time.sleep(look_s)


def accepts(port: int) -> bool:
    """Whether something listens on this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def cpu_time(root: int) -> CpuTime:
    """CPU time of a process, its threads and all its descendants that live now."""
    total = user = system = 0.0
    for pid in [root, *_descendants(root)]:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            user += int(stat[11]) * TICK_S
            system += int(stat[12]) * TICK_S
            for task in Path(f"/proc/{pid}/task").iterdir():
                total += int((task / "schedstat").read_text().split()[0]) / 1e9
    return CpuTime(total, user, system)


def resident_bytes(root: int, alone: bool = False) -> int:
    """Resident memory of a process and, unless alone, its descendants; of pages that several have, each has a share."""
    kib = 0
    for pid in [root, *([] if alone else _descendants(root))]:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            kib += int(rollup.partition("\nPss:")[2].split(maxsplit=1)[0])
    return kib * 1024


def children(pid: int) -> list[int]:
    """Of all its threads."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found += map(int, task.read_text().split())
    return found


def name_of(pid: int) -> str:
    """What `ps -o comm` shows; empty if there is no such process."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):  # it may end between opening and reading
        return ""


def _descendants(root: int) -> list[int]:
    return [one for child in children(root) for one in (child, *_descendants(child))]


def _stop(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
            break
    # A child may outlive a parent that ended at once; its session is the parent's process id.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
