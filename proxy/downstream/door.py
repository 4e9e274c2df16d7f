"""Who may come in: counts the open connections of one worker, tunnels too, and knows when there are too many."""

from __future__ import annotations

import resource
from typing import Final

from proxy.downstream.limits import FILES_KEPT, FILES_PER_CLIENT, NO_LIMIT, TURNED_AWAY_MAX
from proxy.errors import ProxyError
from proxy.http.headers import Peer

FULL: Final = ProxyError("proxy", "overload", 503, "too many connections")
TOO_MANY_OF_ONE: Final = ProxyError("client", "overload", 429, "too many connections from this address")
"""Not 503: the client is at fault, and no service's success rate should suffer (RFC 6585 section 4)."""


class Door:
    """connections_max: open at a time, 0 for as many as the files a process may open allow. per_client_max: of one
    address, 0 for no limit; trusted proxies are free of it, as they bring many people, and who has no address (yet).

    open: connections that have come and not left, those being turned away or in a handshake included.
    """

    __slots__ = ("_by_address", "_connections_max", "_per_client_max", "open")

    def __init__(self, connections_max: int = 0, per_client_max: int = 0) -> None:
        self._connections_max = connections_max or connections_by_files(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        self._per_client_max = per_client_max
        self._by_address: dict[str, int] = {}
        self.open = 0

    @property
    def crowded(self) -> bool:
        """There are so many that not even a refusal can be spared."""
        return self.open > self._connections_max + TURNED_AWAY_MAX

    def enter(self, peer: Peer) -> ProxyError | None:
        """One more connection: the reason why it may not stay, if there is one. It counts until it leaves."""
        self.open += 1
        if self._per_client_max and peer.address and not peer.trusted:
            count = self._by_address[peer.address] = self._by_address.get(peer.address, 0) + 1
            if count > self._per_client_max:
                return TOO_MANY_OF_ONE
        return FULL if self.open > self._connections_max else None

    def leave(self, peer: Peer) -> None:
        """A connection that entered has ended."""
        self.open -= 1
        if self._per_client_max and peer.address and not peer.trusted:
            count = self._by_address[peer.address] - 1
            if count:
                self._by_address[peer.address] = count
            else:
                del self._by_address[peer.address]


def connections_by_files(files: int) -> int:
    """How many clients a process may serve that may open so many files, so that none is missing for an endpoint."""
    if files == resource.RLIM_INFINITY:
        return NO_LIMIT
    return max((files - FILES_KEPT) // FILES_PER_CLIENT, files // 4, 1)
