"""What all exchanges of a worker share: the current snapshot, the clock, the counters, the open tunnels."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import count
from typing import Protocol

from proxy.clock import Clock
from proxy.downstream.door import Door
from proxy.gateway.snapshot import Snapshot
from proxy.observe.counters import Counters


class OpenTunnel(Protocol):
    """A tunnel, as the worker sees it. deadline: when to call `overdue`; NEVER if both sides take their bytes."""

    deadline: float

    def overdue(self, now: float) -> None:
        """A side has not taken its bytes for long: cut both, if it has taken next to nothing."""

    def hang_up(self) -> None:
        """End both ways once all that has come is delivered."""

    def close(self) -> None:
        """Cut both ways."""


class State:
    """snapshot: the rules in use; replaced as a whole by a reload."""

    __slots__ = ("clock", "counters", "door", "request_id", "snapshot", "tunnels")

    def __init__(self, clock: Clock, counters: Counters, snapshot: Snapshot, door: Door) -> None:
        self.clock = clock
        self.counters = counters
        self.snapshot = snapshot
        self.door = door
        self.tunnels: set[OpenTunnel] = set()
        prefix, first = os.urandom(8).hex().encode(), int.from_bytes(os.urandom(3), "big")
        self.request_id: Callable[[], bytes] = map((prefix + b"%08x").__mod__, count(first)).__next__
        """Unique, 24 hexadecimal digits: random for each worker, then counted."""
