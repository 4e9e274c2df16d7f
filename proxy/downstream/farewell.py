"""How a client's connection ends in bad order."""

from __future__ import annotations

import socket
import struct
from asyncio import Transport
from typing import Final

RESET_AT_CLOSE: Final = struct.pack("ii", 1, 0)
"""SO_LINGER on, with no time: closing sends RST."""


def reset(transport: Transport) -> None:
    """End the connection so that the client cannot take what it got for all there is."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
    transport.abort()
