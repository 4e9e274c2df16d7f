"""The nursery: a process that has imported what workers need, has neither loop nor thread, and forks them.

So nothing is imported twice at the start, a worker that replaces another is there in milliseconds, and they share the
memory of what was imported. Control cannot fork them itself: a fork would carry along its loop, threads and locks.

    control ── forks before it has any ──▶ nursery ── forks ──▶ one that ends at once ── forks ──▶ worker

Control asks over a socketpair (birth.py): a request brings the new worker's end of its channel and the sockets that it
is to listen on, and is answered with a pid. As the one between has ended, the worker is control's child. When control
closes its end or is gone, the nursery ends; workers have channels of their own, and need it no more.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Final, NoReturn

SHARED: Final = ("proxy.run.channel", "proxy.rules.compile", "proxy.observe.observer", "proxy.upstream.http1")
"""What control needs as well, and takes long to import. The rest of theirs, control and nursery import side by side."""
ALLOCATOR: Final = {"MALLOC_MMAP_THRESHOLD_": (-3, 1024 * 1024), "MALLOC_TRIM_THRESHOLD_": (-1, 4 * 1024 * 1024)}
"""Of glibc: what mallopt is told, unless the environment has such a variable. A read of a body makes an object of up to
256 KiB and frees it soon after; by default the memory goes back to the kernel each time and comes again page by page.
PERF: 0.65 of the CPU of a 1 MiB response, for up to 4 MiB."""
ANSWER: Final = struct.Struct("i")
"""The worker's pid; less than 0: an errno, why there is none."""
SOCKETS_MAX: Final = 253
"""In one request; the kernel's limit."""


def import_shared() -> None:
    """To be done before the nursery is forked."""
    for name in SHARED:
        import_module(name)


def be_nursery(end: socket.socket) -> NoReturn:
    """Fork workers as long as control holds the other end, and end this process."""
    _end_after(lambda: _fork_workers(end))


def main() -> None:
    """Of a nursery that was exec'ed: the command line is the number of its end."""
    be_nursery(socket.socket(fileno=int(sys.argv[1])))


def _fork_workers(end: socket.socket) -> None:
    # Control alone listens to signals and says `drain`; a supervisor that signals the whole group must not cut traffic.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    os.setpgid(0, 0)  # Ctrl-C reaches control alone, which then tells the workers to drain
    _be_called("gray-nursery")
    _tune_allocator()
    from proxy.run.worker import main as work

    def bear(sockets: list[socket.socket]) -> None:
        _be_called("gray-worker")
        _answer(end, _fork(lambda: begin(sockets)))

    def begin(sockets: list[socket.socket]) -> None:
        end.close()
        work(*sockets)

    while sockets := _requested(end):
        between = _fork(lambda: bear(sockets))
        if between < 0:
            _answer(end, between)
        else:
            os.waitpid(between, 0)
        for sock in sockets:
            sock.close()


def _requested(end: socket.socket) -> list[socket.socket]:
    """What the next worker is to have; nothing when control has gone."""
    with suppress(ConnectionError):
        _, inherited, _, _ = socket.recv_fds(end, 1, SOCKETS_MAX, socket.MSG_CMSG_CLOEXEC)
        return [socket.socket(fileno=fd) for fd in inherited]
    return []


def _answer(end: socket.socket, pid: int) -> None:
    with suppress(ConnectionError):
        end.send(ANSWER.pack(pid))


def _fork(do: Callable[[], None]) -> int:
    """A process that does this and ends: its pid, or an errno less than 0."""
    try:
        pid = os.fork()
    except OSError as error:
        return -(error.errno or errno.EAGAIN)
    if pid == 0:
        _end_after(do)
    return pid


def _end_after(do: Callable[[], None]) -> NoReturn:
    """Do this and end, without going back to what the process was about to do that has forked this one."""
    code = 1
    try:
        do()
        code = 0
    except (SystemExit, KeyboardInterrupt):  # a signal in the very first moment
        pass
    except BaseException:
        traceback.print_exc()
    os._exit(code)


def _tune_allocator() -> None:
    with suppress(AttributeError):  # not every C library has it
        for variable, (parameter, value) in ALLOCATOR.items():
            if variable not in os.environ:
                ctypes.CDLL(None).mallopt(parameter, value)


def _be_called(name: str) -> None:
    """For `ps -o comm`: the command lines are all the same."""
    with suppress(OSError):
        Path("/proc/self/comm").write_text(name)
