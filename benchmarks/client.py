"""A client for what wrk does not do: a steady rate, connections asked in turn, messages on an upgraded connection.

    echo ORDER_AS_JSON | python -m benchmarks.client

It sends ready-made bytes on raw sockets, one question on a connection at a time, and takes the answer for whole when
it ends as expected. A kept connection that is closed before the first byte of an answer is replaced and the question
asked again, as browsers do (RFC 9112 section 9.3.1). With a rate, a question is due at its moment whether or not the
last ones were answered: if all connections are busy it waits, and its time counts from the moment when it was due (no
coordinated omission). Where the client itself came too late, its core was taken from it, or the whole machine from all:
that is no time of the proxy's, which has another core, and is taken off. Without a rate each answer is followed by the
next question. SIGTERM ends it early. Prints one line of JSON.
"""

from __future__ import annotations

import collections
import contextlib
import ctypes
import gc
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path

from benchmarks.load import Load
from benchmarks.processes import BenchmarkError, pinned

CLOCK_MONOTONIC, NONBLOCKING, ABSOLUTE = 1, 0x800, 1
READ_BYTES = 1 << 16
FAREWELL_S = 2.0  # for the last answers
PATIENCE_S = 20.0
OVERSLEPT_S = 0.001  # less is the time of the client's own work
READY = "ready\n"


@dataclass(frozen=True, slots=True)
class Order:
    """What the client is to do. Texts are latin-1."""

    port: int
    questions: list[str]  # whole, in turn
    begins: str  # every answer
    ends: str
    connections: int
    seconds: float
    rate: float = 0.0  # questions a second; 0: as fast as they are answered
    first: str = ""  # asked once on each connection, before the time begins
    first_ends: str = "\r\n\r\n"


class _Timer:
    """A timerfd that fires `rate` times a second. epoll itself knows whole milliseconds only."""

    def __init__(self, rate: float) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd: int = libc.timerfd_create(CLOCK_MONOTONIC, NONBLOCKING)
        every_ns = max(1, round(1e9 / rate))
        began_ns = time.monotonic_ns()
        self.every_s, self.began = every_ns / 1e9, began_ns / 1e9
        times = (*divmod(every_ns, 10**9), *divmod(began_ns + every_ns, 10**9))
        libc.timerfd_settime(self.fd, ABSOLUTE, (ctypes.c_long * 4)(*times), None)

    def expirations(self) -> int:
        """Since they were last asked for."""
        try:
            return int.from_bytes(os.read(self.fd, 8), sys.byteorder)
        except BlockingIOError:
            return 0


class Client:
    """All connections, each idle or waiting for an answer since a moment."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self._questions = cycle([question.encode("latin-1") for question in order.questions])
        self._begins, self._ends = order.begins.encode("latin-1"), order.ends.encode("latin-1")
        self._epoll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._since: dict[int, float] = {}  # when the question that waits was due
        self._begun: set[int] = set()  # those whose answer has come in part
        self._idle: collections.deque[int] = collections.deque()
        self._late: collections.deque[float] = collections.deque()  # due, and all connections are busy
        self.took_s: list[float] = []
        self.errors: collections.Counter[str] = collections.Counter()
        self.over = False
        for _ in range(order.connections):
            self._idle.append(self._connect())

    def _connect(self) -> int:
        one = socket.create_connection(("127.0.0.1", self.order.port), PATIENCE_S)
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        one.sendall(self.order.first.encode("latin-1"))
        answer, ends = b"", self.order.first_ends.encode("latin-1")
        while not answer.endswith(ends):
            if not (piece := one.recv(READ_BYTES)):
                raise BenchmarkError(f"the first answer was {answer!r}")
            answer += piece
        one.setblocking(False)
        self._sockets[one.fileno()] = one
        self._epoll.register(one.fileno(), select.EPOLLIN)
        return one.fileno()

    def run(self) -> float:
        """Ask until the time is over: how many seconds that were."""
        began = time.monotonic()
        end = began + self.order.seconds
        if self.order.rate:
            self._at_a_rate(end)
        else:
            while self._idle:
                self._ask(time.monotonic())
            while not self.over and time.monotonic() < end:
                self._listen(0.1)
                while self._idle:
                    self._ask(time.monotonic())
        ended = time.monotonic()
        self._late.clear()
        while self._since and time.monotonic() < ended + FAREWELL_S:
            self._listen(0.1)
        if self._since:
            self.errors["timeout"] += len(self._since)
        return ended - began

    def _at_a_rate(self, end: float) -> None:
        timer = _Timer(self.order.rate)
        self._epoll.register(timer.fd, select.EPOLLIN)
        due = 0
        while not self.over and time.monotonic() < end:
            ready = self._epoll.poll(0.1)
            woke, fired = time.monotonic(), timer.expirations()
            overslept = woke - (timer.began + (due + 1) * timer.every_s)
            if overslept > OVERSLEPT_S:
                self._take_off(overslept)
            self._read(ready, woke)
            for _ in range(fired):
                due += 1
                self._late.append(max(woke, timer.began + due * timer.every_s))
            while self._late and self._idle:
                self._ask(self._late.popleft())
        os.close(timer.fd)

    def _take_off(self, seconds: float) -> None:
        """From what waits for an answer, or for a connection, since before the client overslept."""
        for number in self._since:
            self._since[number] += seconds
        for place in range(len(self._late)):
            self._late[place] += seconds

    def _ask(self, due: float) -> None:
        number = self._idle.popleft()
        self._since[number] = due
        try:
            self._sockets[number].sendall(next(self._questions))
        except OSError as error:
            self._lost(number, type(error).__name__)

    def _listen(self, longest_s: float) -> None:
        ready = self._epoll.poll(longest_s)
        self._read(ready, time.monotonic())

    def _read(self, ready: list[tuple[int, int]], woke: float) -> None:
        """What was there when the client woke; how long it then takes to read it all is its own time."""
        sockets, since = self._sockets, self._since
        for number, _ in ready:
            one = sockets.get(number)
            if one is None:
                continue  # the timer
            try:
                data = one.recv(READ_BYTES)
            except OSError as error:
                self._lost(number, type(error).__name__)
                continue
            if not data:
                self._lost(number, "closed")
                continue
            if number not in self._begun and not data.startswith(self._begins):
                self.errors["status"] += 1
            if data.endswith(self._ends):
                self._begun.discard(number)
                self.took_s.append(woke - since.pop(number))
                self._idle.append(number)
            else:
                self._begun.add(number)

    def close(self) -> None:
        for one in self._sockets.values():
            one.close()
        self._epoll.close()

    def _lost(self, number: int, how: str) -> None:
        due, begun = self._since.pop(number, None), number in self._begun
        self._epoll.unregister(number)
        self._sockets.pop(number).close()
        self._begun.discard(number)
        if due is None:
            self._idle.remove(number)
        another = self._connect()
        if due is not None and not begun:
            self._idle.appendleft(another)
            self._ask(due)
        else:
            self._idle.append(another)
            if due is not None:
                self.errors[how] += 1


@contextlib.contextmanager
def asking(order: Order, core: int) -> Iterator[subprocess.Popen[str]]:
    """The client as a process of its own on `core`, its connections open; they stay so until the end of this."""
    with pinned(core):
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.client"],
            cwd=Path(__file__).resolve().parent.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps(asdict(order)) + "\n")
        process.stdin.flush()
        if process.stdout.readline() != READY:
            raise BenchmarkError(f"the client failed: {process.communicate()[1][-1000:]}")
        yield process
    finally:
        process.kill()
        process.communicate()


def heard(process: subprocess.Popen[str]) -> Load:
    """What it says when it has asked."""
    assert process.stdout is not None
    if not (said := process.stdout.readline()):
        raise BenchmarkError(f"the client failed: {process.communicate()[1][-1000:]}")
    return Load(**json.loads(said))


def run(order: Order, core: int) -> Load:
    with asking(order, core) as process:
        return heard(process)


def main() -> None:
    order = Order(**json.loads(sys.stdin.readline()))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    client = Client(order)
    signal.signal(signal.SIGTERM, lambda *_: setattr(client, "over", True))
    gc.collect()
    gc.disable()
    print(READY, end="", flush=True)
    used = time.process_time()
    seconds = client.run()
    client_s = time.process_time() - used
    took = sorted(client.took_s) or [0.0]
    p50, p99, longest = (took[int(share * (len(took) - 1))] * 1000 for share in (0.5, 0.99, 1.0))
    received = len(client.took_s) * len(order.ends)
    seen = Load(len(client.took_s), seconds, received, p50, p99, longest, dict(client.errors), client_s)
    print(json.dumps(asdict(seen)), flush=True)
    sys.stdin.read()
    client.close()


if __name__ == "__main__":
    main()
