"""Bytes both ways after an upgrade (WebSocket), until one side ends."""

from __future__ import annotations

import asyncio
from asyncio import Transport
from typing import cast

from proxy.clock import NEVER
from proxy.downstream.limits import BYTES_PER_S_MIN, FLUSH_S
from proxy.downstream.pace import unread
from proxy.gateway.state import State
from proxy.http.headers import Peer, forward_response
from proxy.http.message import ResponseHead
from proxy.observe.counters import VersionCounts
from proxy.protocol import StreamProtocol
from proxy.upstream.endpoint import Endpoint


class Tunnel:
    """Joins a connection of client `peer` and an endpoint's. Counted, and one of the state's tunnels, till both end."""

    __slots__ = ("_counts", "_endpoint", "_half_closed", "_open", "_peer", "_state", "client", "deadline", "upstream")

    def __init__(
        self, state: State, peer: Peer, counts: VersionCounts, endpoint: Endpoint, client: Transport,
        upstream: Transport,
    ) -> None:  # fmt: skip
        self._state = state
        self._peer = peer
        self._counts = counts
        self._endpoint = endpoint
        self._open = 2
        self._half_closed = False
        self.deadline = NEVER
        self.client = _End(self, client, upstream)
        self.upstream = _End(self, upstream, client)
        counts.tunnels += 1
        endpoint.in_flight += 1
        state.tunnels.add(self)
        state.door.enter(peer)  # it left as a request's connection just now

    def begin(self, head: ResponseHead, from_client: bytes, from_upstream: bytes) -> None:
        """Answer the upgrade and pass on what has already come from either side."""
        client, upstream = self.client.transport, self.upstream.transport
        added = b"" if head.dated else self._state.clock.date
        client.write(forward_response(head, added, upgrade=True) + from_upstream)
        if from_client:
            upstream.write(from_client)
        client.set_protocol(cast(asyncio.Protocol, self.client))
        upstream.set_protocol(cast(asyncio.Protocol, self.upstream))
        client.resume_reading()
        upstream.resume_reading()

    def count(self, end: _End, size: int) -> None:
        counts = self._counts
        counts.dirty = True
        if end is self.client:
            counts.request_bytes += size
        else:
            counts.response_bytes += size

    def half_close(self, other: Transport) -> bool:
        """One side has said all it will: tell the other. True if that one may still have something to say."""
        if self._half_closed or not other.can_write_eof():
            return False
        self._half_closed = True
        other.write_eof()
        return True

    def ended(self, end: _End) -> None:
        """One of the two connections is no more."""
        self._open -= 1
        if end is self.upstream:
            self._endpoint.in_flight -= 1
            self._endpoint.pool.tunnel_ended()
        if not self._open:
            self._counts.tunnels -= 1
            self._state.tunnels.discard(self)
            self._state.door.leave(self._peer)

    def blocked(self, end: _End) -> None:
        """This side does not keep up with what it is sent."""
        end.behind = unread(end.transport)
        self.deadline = min(self.deadline, self._state.clock.now + FLUSH_S)

    def unblocked(self) -> None:
        """One side does again."""
        if not (self.client.behind or self.upstream.behind):
            self.deadline = NEVER

    def overdue(self, now: float) -> None:
        self.deadline = now + FLUSH_S
        for end in (self.client, self.upstream):
            if end.behind:
                before, end.behind = end.behind, unread(end.transport)
                if before - end.behind < BYTES_PER_S_MIN * FLUSH_S:
                    self.give_up(end)

    def give_up(self, end: _End) -> None:
        """Cut both ways, as this side takes nothing."""
        self.client.transport.abort()
        self.upstream.transport.abort()

    def hang_up(self) -> None:
        """End both ways once all that has come is delivered."""
        self.client.transport.close()
        self.upstream.transport.close()

    def close(self) -> None:
        """Cut both ways."""
        self.client.transport.abort()
        self.upstream.transport.abort()


class _End(StreamProtocol):
    """One side of a tunnel: what it hears, the other side is told.

    behind: bytes it had not taken when it was last looked at, since it does not keep up; 0 if it does.
    """

    __slots__ = ("_other", "_tunnel", "behind", "transport")

    def __init__(self, tunnel: Tunnel, transport: Transport, other: Transport) -> None:
        self.behind = 0
        self._tunnel = tunnel
        self._other = other
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._other.write(data)
        self._tunnel.count(self, len(data))

    def eof_received(self) -> bool:
        if not self.transport.can_write_eof():
            return False  # TLS as event loops do it: this side is closing already, whatever is said here
        return not self._other.is_closing() and self._tunnel.half_close(self._other)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._other.is_closing():
            self._other.close()
            if self._other.get_write_buffer_size():  # who does not read what is left would stay for ever
                asyncio.get_running_loop().call_later(FLUSH_S, self._other.abort)
        self._tunnel.ended(self)

    # Each side's writer is stopped by the other side's full buffer: the transport calls the protocol that writes to it.
    def pause_writing(self) -> None:
        self._tunnel.blocked(self)
        if not self._other.is_closing():
            self._other.pause_reading()

    def resume_writing(self) -> None:
        self.behind = 0
        self._tunnel.unblocked()
        if not self._other.is_closing():
            self._other.resume_reading()
