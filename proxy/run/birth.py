"""Where control has its workers from: it asks the nursery (nursery.py) for them, and they are its children.

The first nursery is forked, as long as there is no loop and no thread. If it dies, and a worker is wanted, another is
exec'ed.
"""

from __future__ import annotations

import ctypes
import errno
import logging
import os
import socket
import sys
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from proxy.data import dataclass
from proxy.run.nursery import ANSWER, be_nursery, import_shared

ANSWER_S: Final = 10.0
"""For the nursery to answer: milliseconds, or half a second if it has just been exec'ed. Longer, and it is stuck."""
PR_SET_CHILD_SUBREAPER: Final = 36
EXECED: Final = "import gc; gc.disable(); from proxy.run.nursery import main; main()"
"""PERF: 0.86 of the CPU up to `main`: collections would walk all that is imported, again and again. Not by -m, which
takes 5 ms to import its own."""

log = logging.getLogger("grayhound.birth")


@dataclass(frozen=True, slots=True)
class Birth:
    """A new worker process, and control's end of the channel to it."""

    pid: int
    end: socket.socket


class Nursery:
    """Control's end of the nursery: of one that fork_nursery or exec_nursery has begun."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._unborn: deque[socket.socket] = deque()
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # whose parent has ended is this process' child

    def ask(self, listening: Sequence[socket.socket]) -> None:
        """Ask for a worker that is to listen there, and will wait for its `start` message. Raises OSError."""
        ours, theirs = socket.socketpair()
        self._unborn.append(ours)
        with theirs, suppress(ConnectionError):  # if it has died, `born` says so
            socket.send_fds(self._end, [b"!"], [theirs.fileno(), *(sock.fileno() for sock in listening)])

    def born(self) -> Birth:
        """The first worker that was asked for and has not been told of, waited for. Raises OSError."""
        answer = self._end.recv(ANSWER.size)
        if not answer:
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        (pid,) = ANSWER.unpack(answer)
        if pid < 0:
            self._unborn.popleft().close()
            raise OSError(-pid, os.strerror(-pid))
        return Birth(pid, self._unborn.popleft())

    def bear(self, listening: Sequence[socket.socket]) -> Birth:
        """A worker, as with `ask`, in some milliseconds; if the nursery has died, of another. Raises OSError."""
        if not self._unborn:  # else it has not answered the last time
            try:
                self.ask(listening)
                return self.born()
            except (ConnectionError, TimeoutError):
                pass
        log.error("the nursery is gone; another begins")
        self.close()
        self._end = exec_nursery()
        self.ask(listening)
        return self.born()

    def close(self) -> None:
        """The nursery ends, and so does who was asked for and has not been told of."""
        self._end.close()
        while self._unborn:
            self._unborn.pop().close()


def fork_nursery() -> socket.socket:
    """Control's end of a new one. Only for a process that has no loop and no threads. Raises OSError."""
    import_shared()
    ours, theirs = _pair()
    if os.fork() == 0:
        ours.close()
        be_nursery(theirs)
    theirs.close()
    return ours


def exec_nursery() -> socket.socket:
    """Control's end of a new one. Returns in about a millisecond. Raises OSError."""
    ours, theirs = _pair()
    with theirs:
        # -P and our own path: a folder named `proxy` where the command was started must not stand in for this package.
        environ = os.environ | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
        os.posix_spawn(
            sys.executable,
            [sys.executable, "-P", "-c", EXECED, str(theirs.fileno())],
            environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, theirs.fileno(), theirs.fileno())],  # onto itself: it is inherited
            setpgroup=0,
            setsigmask=[],
        )
    return ours


def _pair() -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(ANSWER_S)
    return ours, theirs
