"""How a worker process comes about: exec'ed, with one end of a socketpair and the sockets it listens on.

Exec'ed and not forked: a fork would carry along control's threads, locks and loop, and what workers never import.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Sequence
from typing import Final

from proxy.data import dataclass

ALLOCATOR: Final = {"MALLOC_MMAP_THRESHOLD_": str(1024 * 1024), "MALLOC_TRIM_THRESHOLD_": str(4 * 1024 * 1024)}
"""Of glibc. A read of a body makes an object of up to 256 KiB and frees it soon after; by default the memory goes back
to the kernel each time and comes again page by page. PERF: 0.65 of the CPU of a 1 MiB response, for up to 4 MiB."""

WORK: Final = "import gc; gc.disable(); from proxy.run.worker import main; main()"
"""PERF: 0.86 of the CPU up to `main`: collections would walk all that is imported, again and again. Not by -m, which
takes 5 ms to import its own."""


@dataclass(frozen=True, slots=True)
class Birth:
    """A new worker process, and control's end of the channel to it."""

    pid: int
    end: socket.socket


def give_birth(listening: Sequence[socket.socket]) -> Birth:
    """Start a worker, which waits for its `start` message. Returns in about a millisecond."""
    ours, theirs = socket.socketpair()
    with theirs:
        inherited = [theirs.fileno(), *(sock.fileno() for sock in listening)]
        # -P and our own path: a folder named `proxy` where the command was started must not stand in for this package.
        environ = ALLOCATOR | os.environ | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-P", "-c", WORK, *map(str, inherited)],
            environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, fd, fd) for fd in inherited],  # onto itself: it alone is inherited
            setpgroup=0,  # Ctrl-C reaches control alone, which then tells the workers to drain
            setsigmask=[],
            setsigdef=[signal.SIGTERM, signal.SIGINT],
        )
    return Birth(pid, ours)
