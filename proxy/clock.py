"""A clock that is read for nothing and moved a few times a second, for time-outs that need no better."""

from __future__ import annotations

TICK_S = 0.1
"""How often a worker moves its clock and looks for what is overdue: the precision of every time-out of traffic."""
NEVER = float("inf")


class Clock:
    """now: seconds, monotonic, at most one tick old."""

    __slots__ = ("now",)

    def __init__(self, now: float = 0.0) -> None:
        self.now = now
