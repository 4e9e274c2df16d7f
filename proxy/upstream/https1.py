"""HTTP/1.1 within TLS: the same connection, which may end in more ways."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Final

from proxy.upstream.http1 import _CLOSE, Connection, Owner

CLOSE_NOTIFY_S: Final = 5.0
"""How long an endpoint may take to answer our close_notify; until then its connection counts as open."""


class TlsConnection(Connection):
    """A connection to an endpoint, its handshake done. failed: told of trouble with TLS that comes later, as when the
    endpoint refuses our certificate (TLS 1.3)."""

    __slots__ = ("_ended", "_failed")

    def __init__(self, pool: Owner, failed: Callable[[ssl.SSLError], None]) -> None:
        super().__init__(pool)
        self._failed = failed
        self._ended = False

    def eof_received(self) -> bool | None:
        self._ended = True
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        if isinstance(exc, ssl.SSLError):
            self._failed(exc)
        elif exc is None and not self._ended and self._reading == _CLOSE:
            # Without a close_notify anybody may have cut the connection: the body is not whole (RFC 9112 section 9.8).
            exc = ConnectionResetError("no close_notify")
        super().connection_lost(exc)
