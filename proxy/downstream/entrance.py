"""Where connections are accepted: by us, not by the event loop, so that the first bytes are read from a bare socket."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from typing import Any, Final

from proxy.downstream.door import Door
from proxy.downstream.limits import BACKLOG

ACCEPTS_MAX: Final = 16
"""Connections taken at one time, before others have their turn; the event loop comes back at once for the rest."""
NO_FILES: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
NO_FILES_S: Final = 0.5
"""Until the next try where the process may open no more files; those who wait are in the kernel's queue."""
TROUBLE_S: Final = 60.0
"""Between two lines in the log about the same trouble: the internet knocks all day."""

log = logging.getLogger("grayhound.downstream")


class Complaints:
    """What the listener of this name has to complain of, and not too often."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._quiet_until: dict[str, float] = {}

    def make(self, what: str, level: int, text: str) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._quiet_until.get(what, 0.0):
            self._quiet_until[what] = now + TROUBLE_S
            log.log(level, "%s: %s", self._name, text)


class Entrance:
    """welcome: is given each connection and the address of its other end.

    PERF: connections are bare sockets (SocketType), which are made and closed in a third of the time of whole ones.
    """

    def __init__(self, door: Door, complaints: Complaints, welcome: Callable[[socket.SocketType, Any], None]) -> None:
        self._door = door
        self._complaints = complaints
        self._welcome = welcome
        self._bound: socket.socket | None = None
        self._kind = 0, 0

    def open(self, bound: socket.socket) -> None:
        bound.setblocking(False)
        bound.listen(BACKLOG)
        self._bound = bound
        self._kind = bound.family, bound.type
        self._watch()

    def close(self) -> bool:
        """Take no more; whether any were taken till now."""
        bound, self._bound = self._bound, None
        if bound is None:
            return False
        asyncio.get_running_loop().remove_reader(bound)
        bound.close()
        return True

    def _watch(self) -> None:
        if self._bound is not None:
            asyncio.get_running_loop().add_reader(self._bound, self._accept)

    def _accept(self) -> None:
        bound, (family, kind) = self._bound, self._kind
        for _ in range(ACCEPTS_MAX):
            if bound is None:
                return
            try:
                # PERF: 0.4 of accept(), which asks what kind of socket the bound one is.
                number, address = bound._accept()  # type: ignore[attr-defined]
            except OSError as error:  # mostly: no more of them
                if error.errno in NO_FILES:
                    self._pause(error)
                return
            sock = socket.SocketType(family, kind, 0, number)
            if self._door.crowded:
                sock.close()
            else:
                self._welcome(sock, address)

    def _pause(self, error: OSError) -> None:
        self._complaints.make("accept", logging.ERROR, f"no connection can be accepted: {error.strerror}")
        assert self._bound is not None
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._bound)
        loop.call_later(NO_FILES_S, self._watch)
