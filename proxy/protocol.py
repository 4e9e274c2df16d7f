"""What the event loop calls on whoever has a connection, with the answers of who does not care.

The same as asyncio.Protocol; but a class that inherits from that one, which is Python's own, cannot be compiled to a
native class. The event loop asks for the methods, not for the class.
"""

from __future__ import annotations

import asyncio


class StreamProtocol:
    """See asyncio.Protocol, whose place it takes."""

    __slots__ = ()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        pass

    def data_received(self, data: bytes) -> None:
        pass

    def eof_received(self) -> bool | None:
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        pass

    def pause_writing(self) -> None:
        pass

    def resume_writing(self) -> None:
        pass
