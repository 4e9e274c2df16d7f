"""How fast a client is: whether it sends, or takes, what a body needs to end some day."""

from __future__ import annotations

import fcntl
import sys
import termios
from asyncio import Transport
from contextlib import suppress

from proxy.downstream.limits import BYTES_PER_S_MIN


def prolonged(deadline: float, size: int, now: float, idle_s: float) -> float:
    """The deadline of a body that was due at `deadline`, now that `size` more bytes have come. idle_s: 0 for no limit.

    Each byte buys a little time, but never more than the idle time-out lies ahead: so a byte a minute does not hold a
    connection, and no credit is saved up for later.
    """
    due = deadline + size / BYTES_PER_S_MIN
    return due if not idle_s or due < now + idle_s else now + idle_s


def unread(transport: Transport) -> int:
    """Bytes written that have not reached the client's machine: ours and the kernel's. The loop's own buffer alone says
    too little, as the kernel takes no more until a third of its own, which may have megabytes, is free."""
    return transport.get_write_buffer_size() + in_kernel(transport)


def in_kernel(transport: Transport) -> int:
    """Bytes the kernel holds that the client's has not taken yet; 0 if the socket is closed meanwhile."""
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.fileno() >= 0:
        with suppress(OSError, ValueError):
            return int.from_bytes(fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    return 0
