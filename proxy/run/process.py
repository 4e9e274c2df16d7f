"""A worker process as control sees it, and how long to wait before the next when it has died."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import field
from typing import Final

from proxy.data import dataclass
from proxy.run.channel import Channel

STEADY_S: Final = 10.0
"""A worker that lived so long was well: its death is not counted with the one before."""
DEATHS_AT_ONCE: Final = 3
"""So many deaths in a row are made good at once; from then on there is a crash loop, and a pause before each start."""
PAUSE_FIRST_S: Final = 1.0
PAUSE_MAX_S: Final = 30.0
"""Doubling from the first to the last: a crash loop may neither burn a core nor keep a recovered proxy waiting long."""


@dataclass(slots=True)
class Process:
    """A live worker process as control sees it. Times are the loop's.

    generation: the last it applied; told: the last it was sent, at told_at. successor: who relieves it; leaving: it has
    been told to go. deaths: of those before it, in a row. counted: the last number under which it handed in counts.
    """

    number: int
    pid: int
    started_at: float
    heard_at: float
    generation: int = 0
    told: int = 0
    told_at: float = 0.0
    deaths: int = 0
    counted: int = 0
    accepting: bool = False
    leaving: bool = False
    successor: Process | None = None
    fault: str = ""
    channel: Channel | None = None
    silent: asyncio.Event = field(default_factory=asyncio.Event)
    """The channel is closed: nothing more will be heard."""
    reaped: asyncio.Event = field(default_factory=asyncio.Event)
    status: int = 0
    """What waitpid gave."""

    def send(self, message: bytes) -> None:
        if self.channel is not None:
            self.channel.send(message)

    def taking(self, generation: int) -> bool:
        """It has been sent these rules and has yet to say what became of them."""
        return self.accepting and self.told == generation and self.generation < generation and not self.fault

    @property
    def counting(self) -> bool:
        """It has begun and can be heard, so that it has something to hand in."""
        return (self.accepting or self.leaving) and not self.silent.is_set()

    def kill(self) -> None:
        if not self.reaped.is_set():  # until then the pid cannot have gone to another process
            os.kill(self.pid, signal.SIGKILL)

    @property
    def how_it_ended(self) -> str:
        if self.fault and not self.generation:
            return f"cannot start: {self.fault}"
        code = os.waitstatus_to_exitcode(self.status)
        return f"ended with code {code}" if code >= 0 else f"was ended by signal {-code} ({signal.strsignal(-code)})"


def pause_before_start(deaths: int) -> float:
    """Seconds to wait before the next start, after so many deaths in a row, each soon after the start."""
    if deaths <= DEATHS_AT_ONCE:
        return 0.0
    return float(min(PAUSE_MAX_S, PAUSE_FIRST_S * 2 ** min(deaths - DEATHS_AT_ONCE - 1, 10)))
