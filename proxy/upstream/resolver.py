"""Which addresses an endpoint's host name has: all of them, asked for again every few seconds, the last good ones kept.

The system's resolver is asked (getaddrinfo, in the event loop's threads): it alone knows /etc/hosts, search domains and
whatever else makes a name work in a container or cluster. It tells no TTL, so the interval is ours.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from random import random
from typing import Final

from proxy.clock import Clock
from proxy.tasks import spawn

REFRESH_S: Final = 10.0
"""Between two look-ups of a name, spread by a quarter either way so that workers do not ask in step. Kubernetes and
Docker give their names TTLs of 5 to 30 s."""
REFRESH_SOON_S: Final = 1.0
"""The same after every address has failed: the service may just have moved."""
FAILED_S: Final = 10.0
"""For so long an address that took no connection is tried only after the others."""
ADDRESSES_MAX: Final = 64
"""Addresses of one name that are used; more make no DNS answer by UDP."""
TROUBLE_S: Final = 60.0
"""Between two lines in the log about a name that cannot be resolved."""

Resolve = Callable[[str], Awaitable[list[str]]]
"""From a host name to its addresses. Raises OSError, or ValueError for what cannot be a name."""

log = logging.getLogger("grayhound.upstream")


async def system_resolve(host: str) -> list[str]:
    """As the system resolves it, without blocking the loop."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(info[4][0]) for info in found]


def numeric(host: str) -> bool:
    """Whether it is an address itself."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


class Addresses:
    """Of one name. changed: told when some are no longer its own. Methods but `known` need a running loop."""

    __slots__ = ("_asking", "_changed", "_clock", "_due", "_failed", "_fault", "_host", "_quiet_until", "_resolve",
                 "_turn", "known")  # fmt: skip

    def __init__(self, host: str, clock: Clock, resolve: Resolve, changed: Callable[[], None]) -> None:
        self._host = host
        self._clock = clock
        self._resolve = resolve
        self._changed = changed
        self._asking: asyncio.Task[None] | None = None
        self._due = 0.0
        self._failed: dict[str, float] = {}
        self._fault: Exception = OSError("not asked yet")
        self._quiet_until = 0.0
        self._turn = int(random() * ADDRESSES_MAX)  # so that workers do not all begin with the first address
        self.known: tuple[str, ...] = ()

    async def in_turn(self) -> list[str]:
        """Every address: first the one whose turn it is, last those that failed lately. Raises what resolve raised."""
        if not self.known:
            await asyncio.shield(self._ask())
            if not self.known:
                raise self._fault
        self._turn += 1
        now = self._clock.now
        well = [address for address in self.known if self._failed.get(address, 0.0) <= now]
        ill = [address for address in self.known if address not in well]
        return _rotated(well, self._turn) + _rotated(ill, self._turn)

    def failed(self, address: str) -> None:
        """It took no connection."""
        now = self._clock.now
        self._failed[address] = now + FAILED_S
        if all(self._failed.get(one, 0.0) > now for one in self.known):
            self._due = min(self._due, now + REFRESH_SOON_S)

    def sweep(self, now: float) -> None:
        """Ask again, if it is time. A name that nobody wanted yet is not asked for."""
        if now >= self._due and self.known:
            self._ask()

    def _ask(self) -> asyncio.Task[None]:
        if self._asking is None or self._asking.done():
            self._due = self._clock.now + REFRESH_S * (0.75 + random() / 2)
            self._asking = spawn(self._look_up(), name=f"resolve {self._host}")
        return self._asking

    async def _look_up(self) -> None:
        try:
            found = tuple(sorted(dict.fromkeys(await self._resolve(self._host))))[:ADDRESSES_MAX]
            if not found:
                raise OSError("it has no address")
        except (OSError, ValueError) as error:  # ValueError: a host name that no DNS query can carry
            self._fault = error
            if self._clock.now >= self._quiet_until:
                self._quiet_until = self._clock.now + TROUBLE_S
                kept = "; the last addresses stay in use" if self.known else ""
                log.warning("cannot resolve %s: %s%s", self._host, error, kept)
            return
        if found == self.known:
            return
        before, self.known = self.known, found
        self._failed = {address: until for address, until in self._failed.items() if address in found}
        if before:
            log.info("%s is now at %s", self._host, ", ".join(found))
            self._changed()


def _rotated(addresses: list[str], turn: int) -> list[str]:
    start = turn % len(addresses) if addresses else 0
    return addresses[start:] + addresses[:start]
