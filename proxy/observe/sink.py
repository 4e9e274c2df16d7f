"""Writes lines where they may get stuck, without getting stuck: from a thread of its own, with a bound on what waits.

Why a thread: standard output is mostly a pipe, and one shared with the other workers, control and whoever else has it.
Making it non-blocking would do so for all of them, and asking first whether it has room is a race between the workers.
A file can block as well, on a slow or a network disk. A thread that waits in write() holds up nobody.
"""

from __future__ import annotations

import logging
import os
import select
import stat
import threading
from queue import SimpleQueue
from typing import Final

WAITING_BYTES_MAX: Final = 4 * 1024 * 1024
"""Lines that wait for a slow sink, per worker: some 10,000, a second of full load. What comes then is dropped."""
PIECE_BYTES_MAX: Final = 4096
"""One write to what is no regular file. A pipe takes as much in one piece (PIPE_BUF), so that the lines of several
workers do not mix; a file takes any size so, at its end."""
CLOSE_S: Final = 1.0
"""How long the last lines may take at the end: less than control waits for a worker to end."""
FILE_MODE: Final = 0o640
"""Of a new file: it tells who asked for what."""

log = logging.getLogger("grayhound.access_log")
_REOPEN: Final = (b"", 0)


class Sink:
    """Writes to `fd`, or to the file `path`, which is opened; raises OSError if it cannot be. `put` never blocks.

    Data are whole lines. Called from one thread alone, but for what its own thread does.
    """

    def __init__(self, *, fd: int = -1, path: str = "") -> None:
        self._path = path
        self._fd = _open(path) if path else fd
        self._in_pieces = not stat.S_ISREG(os.fstat(self._fd).st_mode)
        self._queue: SimpleQueue[tuple[bytes, int] | None] = SimpleQueue()
        # The first three are written by the caller's thread alone, the others by the writer alone: no lock is needed.
        self._put_bytes = self._put_lines = self._refused_lines = 0
        self._done_bytes = self._done_lines = self._failed_lines = 0
        self._failing = self._torn = False
        self._thread = threading.Thread(target=self._run, name="access log", daemon=True)
        self._thread.start()

    @property
    def full(self) -> bool:
        """Whether so much waits that nothing more is taken."""
        return self._put_bytes - self._done_bytes >= WAITING_BYTES_MAX

    @property
    def lost_lines(self) -> int:
        """Lines that were not taken or could not be written, since the beginning."""
        return self._refused_lines + self._failed_lines

    def put(self, data: bytes, lines: int) -> None:
        """Let these lines be written."""
        self._put_bytes += len(data)
        self._put_lines += lines
        self._queue.put((data, lines))

    def refuse(self, lines: int) -> None:
        """Count lines that were not even made, as the sink is full."""
        self._refused_lines += lines

    def reopen(self) -> None:
        """Go on in a new file of the same name, after what has been put so far; log rotation moves the old one away."""
        if self._path:
            self._queue.put(_REOPEN)

    def close(self, timeout_s: float = CLOSE_S) -> None:
        """Write what waits, for so many seconds at most; the rest counts as lost."""
        self._queue.put(None)
        self._thread.join(timeout_s)
        left = self._put_lines - self._done_lines
        if left:
            self._refused_lines += left
            log.warning("%d lines could not be written in %g s", left, timeout_s)

    # --- the writer's thread -----------------------------------------------------------------------------------

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            data, lines = item
            if item is _REOPEN:
                self._open_again()
                continue
            left = self._write(data)
            if left:
                self._failed_lines += data.count(b"\n", len(data) - left)
            self._done_bytes += len(data)
            self._done_lines += lines
        if self._path:
            os.close(self._fd)

    def _write(self, data: bytes) -> int:
        """How many bytes at the end of `data` could not be written; the lines they belong to are lost."""
        start, size = 0, len(data)
        if self._torn:
            data, size = b"\n" + data, size + 1  # the last line of before stays torn, the next is a line of its own
        try:
            while start < size:
                end = self._piece_end(data, start)
                start += os.write(self._fd, data[start:end])
        except BlockingIOError:  # somebody who shares the descriptor has made it non-blocking
            select.select([], [self._fd], [])
            self._torn = False
            return self._write(data[start:])
        except OSError as error:
            self._torn = self._torn if not start else data[start - 1 : start] != b"\n"
            if not self._failing:
                log.error("the access log cannot be written: %s; lines are dropped until it can", error.strerror)
            self._failing = True
            return size - start
        self._torn = False
        if self._failing:
            log.warning("the access log can be written again; %d lines were dropped so far", self.lost_lines)
        self._failing = False
        return 0

    def _piece_end(self, data: bytes, start: int) -> int:
        if not self._in_pieces or len(data) - start <= PIECE_BYTES_MAX:
            return len(data)
        return data.rfind(b"\n", start, start + PIECE_BYTES_MAX) + 1 or start + PIECE_BYTES_MAX

    def _open_again(self) -> None:
        try:
            new = _open(self._path)
        except OSError as error:
            log.error("%s cannot be opened again: %s; the old file goes on", self._path, error.strerror)
            return
        os.close(self._fd)
        self._fd, self._torn = new, False


def _open(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
