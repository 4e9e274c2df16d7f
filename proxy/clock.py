"""A clock that is read for nothing and moved a few times a second, for time-outs and dates that need no better."""

from __future__ import annotations

from time import gmtime
from typing import Final

TICK_S = 0.1
"""How often a worker moves its clock and looks for what is overdue: a time-out of traffic may come two ticks late, none
comes early."""
NEVER = float("inf")
DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


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
            self.date = f"Date: {imf_fixdate(second)}\r\n".encode()


def imf_fixdate(since_epoch: int) -> str:
    """As in a Date field (RFC 9110 section 5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`.

    PERF: email.utils has it, and takes 0.02 of a start to import.
    """
    year, month, day, hour, minute, second, weekday, *_ = gmtime(since_epoch)
    return f"{DAYS[weekday]}, {day:02} {MONTHS[month - 1]} {year:04} {hour:02}:{minute:02}:{second:02} GMT"
