"""What all exchanges of a worker share: the current snapshot, the clock, the counters, the open tunnels."""

from __future__ import annotations

import os
from itertools import count
from typing import Protocol

from proxy.clock import Clock
from proxy.downstream.door import Door
from proxy.gateway.snapshot import Snapshot
from proxy.observe.counters import Counters


class OpenTunnel(Protocol):
    """A tunnel, as the worker sees it."""

    def hang_up(self) -> None:
        """End both ways once all that has come is delivered."""

    def close(self) -> None:
        """Cut both ways."""


class State:
    """snapshot: the rules in use; replaced as a whole by a reload."""

    __slots__ = ("_request_numbers", "_request_prefix", "clock", "counters", "door", "snapshot", "tunnels")

    def __init__(self, clock: Clock, counters: Counters, snapshot: Snapshot, door: Door) -> None:
        self.clock = clock
        self.counters = counters
        self.snapshot = snapshot
        self.door = door
        self.tunnels: set[OpenTunnel] = set()
        self._request_prefix = os.urandom(8).hex().encode()
        self._request_numbers = count(int.from_bytes(os.urandom(3), "big"))

    def request_id(self) -> bytes:
        """Unique, 24 hexadecimal digits: random for each worker, then counted."""
        return b"%b%08x" % (self._request_prefix, next(self._request_numbers))
