"""A clock that is read for nothing and moved a few times a second, for time-outs and dates that need no better."""

from __future__ import annotations

from email.utils import formatdate

TICK_S = 0.1
"""How often a worker moves its clock and looks for what is overdue: a time-out of traffic may come two ticks late, none
comes early."""
NEVER = float("inf")


class Clock:
    """now: seconds, monotonic, at most one tick old. date: the time of day then, as the line of a Date field (RFC 9110
    sections 5.6.7 and 6.6.1)."""

    __slots__ = ("_second", "date", "now")

    date: bytes

    def __init__(self, now: float = 0.0, since_epoch: float = 0.0) -> None:
        self._second = -1
        self.move(now, since_epoch)

    def move(self, now: float, since_epoch: float) -> None:
        """Both in seconds."""
        self.now = now
        second = int(since_epoch)
        if second != self._second:
            self._second = second
            self.date = f"Date: {formatdate(second, usegmt=True)}\r\n".encode()
