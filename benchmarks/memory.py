"""What a connection costs a worker in memory while nothing moves: python -m benchmarks.memory [--idle N] [--stalled N]
[--tls]

idle: a client that has had one answer and stays. stalled: a client that asked for 100 MiB and does not read.
Bytes are the growth of the worker's resident memory, divided by the connections; the kernel's buffers are not in it.
The CPU share is what the worker uses while all of them are idle: the looking after what is overdue.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.certificate import certify
from benchmarks.peers.grayhound import serving, workers
from benchmarks.processes import accepts, cpu_time, free_port, resident_bytes, running, wait_until

BODY_BYTES = 100 << 20
WATCH_S = 5.0  # how long the CPU share is taken over
SETTLE_S = 20.0  # every stalled client must have its first bytes by then
RULES = """\
services:
  small: {{versions: {{v1: {{endpoints: ["http://127.0.0.1:{small}"]}}}}, limits: {{connections: 20000}}}}
  big: {{versions: {{v1: {{endpoints: ["http://127.0.0.1:{big}"]}}}}, limits: {{connections: 20000}}}}
routes: [{{service: small}}, {{path: /big, service: big}}]
"""


class Service(asyncio.Protocol):
    """Answers `/big` with 100 MiB, as fast as they are taken, any other GET with two bytes, and waits for bodies."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        # On a machine of its own its buffers would not use up this one's memory for TCP.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 << 10)
        self.writable = asyncio.Event()
        self.writable.set()

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"GET /big"):
            self.sending = asyncio.ensure_future(self.send())  # noqa: TID251 - a script of its own
        elif data.startswith(b"GET "):
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async def send(self) -> None:
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BODY_BYTES)
        piece = bytes(1 << 16)
        for _ in range(BODY_BYTES // len(piece)):
            await self.writable.wait()
            self.transport.write(piece)

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.writable.set()


@contextmanager
def proxy(folder: Path, tls: bool = False) -> Iterator[tuple[int, int]]:
    """A proxy with one worker, on a core of its own: its port and the worker's pid. Two services are behind it, so that
    one that is busy with 100 MiB for many does not delay the small answers."""
    small, big, tls_port = free_port(), free_port(), free_port()
    options = ["--max-connections", "15000"]
    if tls:
        certify(folder)
        pair = f"{folder}/shop.pem:{folder}/shop.key"
        options += ["--listen", "", "--tls-listen", f"127.0.0.1:{tls_port}", "--tls-cert", pair]
    cores = sorted(os.sched_getaffinity(0))
    with ExitStack() as stack:
        for port in (small, big):
            stack.enter_context(service(folder, port, cores[-1]))
        served = stack.enter_context(serving(folder, RULES.format(small=small, big=big), cores[0], *options))
        yield tls_port if tls else served.port, workers(served.pid)[0]


@contextmanager
def service(folder: Path, port: int, core: int) -> Iterator[subprocess.Popen[bytes]]:
    """As a process of its own."""
    log = folder / f"{port}.log"
    with running([sys.executable, "-m", "benchmarks.memory", "--service", str(port)], core, log) as process:
        wait_until(lambda: accepts(port), process, log)
        yield process


def connect(stack: ExitStack, port: int, path: str, tls: ssl.SSLContext | None) -> socket.socket:
    """A client that has asked and has the first bytes of its answer, and reads no more."""
    client = stack.enter_context(socket.socket())
    client.settimeout(SETTLE_S)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", port))
    if tls is not None:
        client = stack.enter_context(tls.wrap_socket(client))
    client.sendall(b"GET /%b HTTP/1.1\r\nHost: bench.example.com\r\nUser-Agent: memory\r\n\r\n" % path.encode())
    client.recv(1024)
    return client


def measure(folder: Path, path: str, count: int, tls: bool) -> tuple[float, float]:
    """Bytes for each of `count` connections, and the share of a core that the worker uses meanwhile."""
    context = ssl._create_unverified_context() if tls else None
    with proxy(folder, tls) as (port, worker), ExitStack() as stack:
        for _ in range(20):
            connect(stack, port, "", context).close()
        before = resident_bytes(worker)
        for _ in range(count):
            connect(stack, port, path, context)
        time.sleep(2)  # until the worker has looked after each of them
        began, used = time.monotonic(), cpu_time(worker)
        time.sleep(WATCH_S)
        share = cpu_time(worker).since(used).total / (time.monotonic() - began)
        return (resident_bytes(worker) - before) / count, share


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Service, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--idle", type=int, default=9000)
    parser.add_argument("--stalled", type=int, default=1000)
    parser.add_argument("--tls", action="store_true", help="connections by TLS")
    parser.add_argument("--service", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if given.service:
        asyncio.run(serve(given.service))
        return
    print("| connections | state | bytes each | worker's CPU |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for state, path, count in (("idle", "", given.idle), ("stalled", "big", given.stalled)):
            if count:
                each, share = measure(Path(folder), path, count, given.tls)
                print(f"| {count:,} | {state} | {each:,.0f} | {share:.2%} |", flush=True)


if __name__ == "__main__":
    main()
