"""What is not a cost per request: one value at a time, each of a proxy that has just been started."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import client
from benchmarks.cases import MANY, mix
from benchmarks.drive import pace
from benchmarks.memory import connect
from benchmarks.peers.base import Peer, Setup, Site, answers_200
from benchmarks.processes import RELOAD_S, BenchmarkError, resident_bytes, running, wait_until

ROOT = Path(__file__).resolve().parent.parent
IDLE = 3000  # connections; nginx is told to take 4,096
LOOK_S = 0.002  # how often a proxy that starts is asked
SETTLE_S = 1.0
PAUSE_RATE = 500.0  # requests a second: a pause of more than 2 ms is seen for certain
PAUSE_CONNECTIONS = 16
NEW_SHARE = 30


@dataclass(frozen=True, slots=True)
class Probe:
    name: str
    about: str
    unit: str
    take: Callable[[Peer, Site, int, int], float]  # the core of the proxy, the core of the client
    seconds: float  # about how long one takes
    setup: Setup = field(default_factory=Setup)
    rounds_max: int = 3
    reloads: bool = False

    def fits(self, peer: Peer) -> bool:
        return self.setup.features <= peer.features and (peer.reload is not None or not self.reloads)


@contextlib.contextmanager
def _standing(peer: Peer, site: Site, core: int) -> Iterator[subprocess.Popen[bytes]]:
    log = site.folder / "output.log"
    with running(peer.command(str(peer.find()), site), core, log, cwd=ROOT) as process:
        wait_until(lambda: peer.ready(site), process, log)
        yield process


def idle(peer: Peer, site: Site, proxy_core: int, client_core: int) -> float:
    """KiB of resident memory, of all processes, for a connection that has had one answer and stays. Not in it are the
    kernel's buffers, and what a proxy has set aside for connections from the start."""
    with _standing(peer, site, proxy_core) as process, ExitStack() as stack:
        for _ in range(20):
            connect(stack, site.port, "", None).close()
        time.sleep(SETTLE_S)
        before = resident_bytes(process.pid)
        for _ in range(IDLE):
            connect(stack, site.port, "", None)
        time.sleep(SETTLE_S)
        return (resident_bytes(process.pid) - before) / IDLE / 1024


def start(peer: Peer, site: Site, proxy_core: int, client_core: int) -> float:
    """Seconds from exec to the first 200 through the proxy."""
    command, log = peer.command(str(peer.find()), site), site.folder / "output.log"
    began = time.monotonic()
    with running(command, proxy_core, log, cwd=ROOT) as process:
        wait_until(lambda: answers_200(site.port, "/"), process, log, LOOK_S)
        return time.monotonic() - began


def pause(peer: Peer, site: Site, proxy_core: int, client_core: int) -> float:
    """Milliseconds: the longest that a request at a steady rate took while a file of 10,000 routes was reloaded."""
    assert peer.reload is not None
    messages = [one for host in site.setup.hosts[::1000] for one in mix("/", Host=host)]
    order = pace(site.port, messages, PAUSE_CONNECTIONS, 2 * RELOAD_S, PAUSE_RATE)
    with _standing(peer, site, proxy_core) as process, client.asking(order, client_core) as asking:
        changed = Site(site.folder, site.port, site.admin_port, site.services, site.setup, NEW_SHARE)
        peer.command(str(peer.find()), changed)
        peer.reload(changed, process.pid)
        time.sleep(SETTLE_S)
        asking.terminate()
        seen = client.heard(asking)
    if seen.errors:
        raise BenchmarkError(f"errors: {seen.errors}")
    return seen.max_ms


PROBES = [
    Probe("idle", "memory for each of 3,000 idle connections", "KiB", idle, 4.0, rounds_max=1),
    Probe("start", "from exec to the first 200, one worker", "s", start, 1.0),
    Probe(
        "pause", "longest request at 500 a second while 10,000 routes are reloaded", "ms", pause, 25.0, MANY, 5, True
    ),
]
