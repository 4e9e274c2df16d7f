"""A version that is mirrored to, well or in trouble. Run: mirrored.py MOOD PORT

well     answers at once, the same as benchmarks/services.py does
slow     answers after a second
silent   hears everything and never answers
garbage  answers what is no HTTP
endless  begins an answer that has no end
"""

from __future__ import annotations

import asyncio
import sys
from typing import Final

import uvloop

from benchmarks.services import answers

WELL: Final = answers("v1")[b"/"]
SLOW_S: Final = 1.0
PIECE: Final = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"


class Mirrored(asyncio.Protocol):
    """One connection. Requests come whole and without bodies."""

    def __init__(self, mood: str) -> None:
        self.mood = mood
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # uvloop's, not a subclass of asyncio's

    def data_received(self, data: bytes) -> None:
        if self.mood == "well":
            self.transport.write(WELL)
        elif self.mood == "slow":
            asyncio.get_running_loop().call_later(SLOW_S, self.transport.write, WELL)
        elif self.mood == "garbage":
            self.transport.write(b"\x16\x03\x01 what?\r\n\r\n")
        elif self.mood == "endless":
            self.transport.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            self.resume_writing()

    def resume_writing(self) -> None:
        """More than the transport takes at once, and more again when there is room for it."""
        if not self.transport.is_closing():
            self.transport.write(PIECE * 64)


async def serve(mood: str, port: int) -> None:
    loop = asyncio.get_running_loop()
    await loop.create_server(lambda: Mirrored(mood), "127.0.0.1", port, backlog=1024)
    await loop.create_future()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], int(sys.argv[2])))
