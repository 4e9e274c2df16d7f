"""What a client may ask of a connection: sizes, times, counts, each with its reason.

What is open to the operator's taste is an option (proxy/settings.py); these are not.
"""

from __future__ import annotations

import sys
from typing import Final

from proxy.errors import BadRequest

BACKLOG: Final = 4096
"""Connections the kernel may complete before a worker takes them; Linux cuts it at net.core.somaxconn (4096)."""

HEAD_BYTES_MAX: Final = 64 * 1024
"""A request's head. nginx takes 32 KiB of field lines, Envoy 60 KiB; cookies and tokens make heads of 20 KiB."""
TARGET_BYTES_MAX: Final = 16 * 1024
"""A request target; RFC 9110 section 4.1 asks for 8,000 at least."""
FIELDS_MAX: Final = 200
"""Field lines of one head; Envoy and Apache stop at 100, browsers send some 20."""
HEAD_BYTES_UNCOUNTED: Final = FIELDS_MAX * len("a:\r\n")
"""A head that has too many of the shortest lines is longer than this, so nobody counts those of a shorter one."""
PIPELINED_BYTES_MAX: Final = 64 * 1024
"""Bytes of further requests read while one is answered; then the client has to wait."""
REQUESTS_MAX: Final = 10_000
"""Requests of one connection: the kernel chooses a worker for each new connection, so this spreads the load again
after a worker was replaced. nginx has 1,000; clients that send a thousand a second should not feel it."""
NO_LIMIT: Final = sys.maxsize

WRITE_HIGH_BYTES: Final = 64 * 1024
"""Response bytes waiting for a client until the upstream is stopped. One read of the event loop (256 KiB) may come on
top, which is the most that a client that does not read costs; more is not faster, the kernel has buffers of its own."""
UNSENT_BYTES_MAX: Final = 128 * 1024
"""Bytes that the kernel takes of a response before it has sent them (TCP_NOTSENT_LOWAT). Without this it takes up to
4 MiB for each client that does not read (tcp_wmem), and a thousand of them use up what it has for all of TCP."""

IDLE_S: Final = 75.0
"""How long a connection may stay open between requests; as nginx, and longer than browsers keep theirs."""
HEAD_S: Final = 30.0
"""How long a head may take from its first byte to its last; a slow sender holds a connection no longer."""
FLUSH_S: Final = 60.0
"""How long a client may take for the last bytes of an answer after which its connection ends."""
LINGER_S: Final = 2.0
"""How long the rest of a request is thrown away after the response, so that the client reads it (RFC 9112 9.6)."""
BYTES_PER_S_MIN: Final = 240
"""A body's pace, either way: who is slower has used up the idle time-out in the end, though a byte came now and then.
As Kestrel; the slowest modem link was ten times as fast."""

FILES_KEPT: Final = 512
"""File descriptors that clients cannot take: listeners, channel, libraries, and clients being turned away."""
TURNED_AWAY_MAX: Final = 256
"""Connections that are being told that there are too many; more are cut without a word."""
FILES_PER_CLIENT: Final = 2
"""A client's connection and the one to the endpoint that serves it."""
RETRY_AFTER: Final = b"Retry-After: 1\r\n"
"""With every 503: what is full now is seldom full a second later."""


def too_large(head: bytes) -> BadRequest:
    """Of a head that is beyond these sizes, or what has come of it."""
    in_target = head.find(b"\r\n", 0, TARGET_BYTES_MAX) < 0
    return BadRequest("the request's target or head is too large", 414 if in_target else 431)
