"""A connection to an endpoint that speaks HTTP/1.1: one request at a time, the next when the last has ended."""

from __future__ import annotations

import asyncio
from asyncio import Transport
from typing import Final, Protocol, cast

from proxy.errors import BadResponse, ProxyError
from proxy.http.framing import CHUNKED, UNTIL_CLOSE, ChunkedBody, response_length
from proxy.http.h1 import read_response_head
from proxy.http.headers import Peer, forward_request, nominated, wants_close
from proxy.http.message import RequestHead, ResponseHead
from proxy.protocol import StreamProtocol
from proxy.upstream.stream import ResponseSink

RESPONSE_HEAD_BYTES_MAX: Final = 256 * 1024
"""A response's head, with every Set-Cookie; Envoy stops at 60 KiB, Go at 1 MiB. Memory of one exchange is bounded."""
INTERIM_HEADS_MAX: Final = 16
"""1xx responses before the final one; nobody sends more than a few, an endless row would never time out."""
WRITE_HIGH_BYTES: Final = 256 * 1024
"""Request bytes waiting for an endpoint until the client is stopped: one read of the event loop."""

_NO_HEAD: Final = ResponseHead(0, 1, {}, b"no head begins so")

_IDLE, _HEAD, _LENGTH, _CHUNKS, _CLOSE = range(5)


class Owner(Protocol):
    """The pool, as its connections see it."""

    authority: bytes

    def release(self, connection: Connection) -> None:
        """The connection can serve the next request."""

    def dropped(self, connection: Connection) -> None:
        """The connection is no more."""


def upstream_error(flag: str, text: str, status: int = 502) -> ProxyError:
    """Trouble on the upstream's side; flag is the `kind` of grayhound_upstream_errors_total."""
    return ProxyError("upstream", flag, status, text)


class Connection(StreamProtocol):
    """One connection of a pool. Implements UpstreamStream for the request it is serving."""

    __slots__ = (
        "_buffer",
        "_chunks",
        "_interim_heads",
        "_keep",
        "_last",
        "_left",
        "_method",
        "_paused",
        "_pool",
        "_reading",
        "_request_done",
        "_sink",
        "_transport",
        "address",
        "idle_since",
        "reused",
        "usable",
    )

    def __init__(self, pool: Owner) -> None:
        self._pool = pool
        self._transport: Transport | None = None
        self._sink: ResponseSink | None = None
        self._reading = _IDLE
        self._buffer = b""
        self._last = _NO_HEAD  # the last plain one
        self._left = 0
        self._chunks: ChunkedBody | None = None
        self._method = b""
        self._keep = True
        self._paused = False
        self._request_done = False
        self._interim_heads = 0
        self.reused = False
        self.idle_since = 0.0
        self.address = ""  # where it leads, if the endpoint's host is a name
        self.usable = True  # its end has not come, nor is it about to

    # --- the request -------------------------------------------------------------------------------------------

    def send_request(
        self, sink: ResponseSink, head: RequestHead, peer: Peer, request_id: bytes, tail: bytes, upgrade: bytes,
        body: bytes, done: bool,
    ) -> None:  # fmt: skip
        self._sink = sink
        self._reading = _HEAD
        self._method = head.method
        self._request_done = done
        self._interim_heads = 0
        self._chunks = ChunkedBody(decode=True) if head.minor == 0 else None
        assert self._transport is not None
        data = forward_request(head, peer, request_id, tail, upgrade, self._pool.authority)
        self._transport.write(data + body if body else data)

    def send_body(self, data: bytes, done: bool) -> None:
        self._request_done = done
        if self._transport is not None:
            self._transport.write(data)

    def reset(self) -> None:
        self._sink = None
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """End a connection that serves nobody."""
        self._reading = _IDLE
        self.usable = False
        if self._transport is not None:
            self._transport.close()

    def pause(self) -> None:
        if self._transport is not None and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None and self._paused:
            self._paused = False
            self._transport.resume_reading()

    def detach(self) -> Transport:
        assert self._transport is not None
        transport, self._transport, self._sink = self._transport, None, None
        return transport

    # --- the response ------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        sink = self._sink
        if sink is None:
            self.close()  # nobody asked: what an idle connection says belongs to no request
            return
        try:
            reading = self._reading
            if reading == _LENGTH:
                self._read_length(sink, data)
            elif reading == _HEAD:
                self._read_head(sink, self._buffer + data if self._buffer else data)
            elif reading == _CHUNKS:
                self._read_chunks(sink, data)
            else:
                sink.response_body(data, False)
        except BadResponse as error:
            self._fail(error)

    def _read_head(self, sink: ResponseSink, data: bytes) -> None:
        head = self._last
        # PERF: what is the last plain one to the byte means the same, and is not read again.
        if not data.startswith(head.raw):
            end = data.find(b"\r\n\r\n") + 4
            if end < 4:
                if len(data) > RESPONSE_HEAD_BYTES_MAX:
                    raise BadResponse("the response's head is too large")
                self._buffer = data
                return
            head = read_response_head(data[:end])
            if head.plain:
                self._last = head
        self._buffer = b""
        length = head.length
        if not head.plain or self._method == b"HEAD":
            if head.status < 200:
                self._read_interim(sink, head, data[head.size :])
                return
            length = response_length(self._method, head.status, head.fields, head.minor)
            self._keep = length != UNTIL_CLOSE and not wants_close(head.fields, head.minor)
        else:
            self._keep = True
        left = head.size + length - len(data)
        if length == CHUNKED:
            self._begin_chunks(sink, head, data)
        elif length == UNTIL_CLOSE:
            self._reading = _CLOSE
            sink.response_head(head, length, data, False)
        elif left > 0:
            self._reading = _LENGTH
            self._left = left
            sink.response_head(head, length, data, False)
        elif left == 0:
            self._end(b"")
            sink.response_head(head, length, data, True)
        else:
            self._end(data[left:])
            sink.response_head(head, length, data[:left], True)

    def _read_interim(self, sink: ResponseSink, head: ResponseHead, rest: bytes) -> None:
        self._interim_heads += 1
        if self._interim_heads > INTERIM_HEADS_MAX:
            raise BadResponse("too many interim responses")
        if head.status == 101:
            self._reading = _IDLE
            sink.response_upgraded(head, rest)
            return
        sink.interim_head(head)
        if rest and self._sink is sink:
            self._read_head(sink, rest)

    def _read_length(self, sink: ResponseSink, data: bytes) -> None:
        self._left -= len(data)
        if self._left > 0:
            sink.response_body(data, False)
        elif self._left == 0:
            self._end(b"")
            sink.response_body(data, True)
        else:
            self._end(data[self._left :])
            sink.response_body(data[: self._left], True)

    def _begin_chunks(self, sink: ResponseSink, head: ResponseHead, data: bytes) -> None:
        self._reading = _CHUNKS
        chunks = self._chunks = self._chunks or ChunkedBody()  # at its end, the next request has its own
        if b"connection" in head.fields:
            chunks.private = nominated(head.fields)
        body, done = self._next_chunks(chunks, data, head.size)
        sink.response_head(head, CHUNKED, data[: head.size] + body if chunks.decode else body, done)

    def _read_chunks(self, sink: ResponseSink, data: bytes) -> None:
        assert self._chunks is not None
        body, done = self._next_chunks(self._chunks, data)
        if body or done:
            sink.response_body(body, done)

    def _next_chunks(self, chunks: ChunkedBody, data: bytes, start: int = 0) -> tuple[bytes, bool]:
        """What of `data` goes on to the client, and whether the body has ended in it. The body begins at `start`; what
        stands before it goes on as well, unless chunks are taken off."""
        try:
            end = chunks.end(data, start)
        except ValueError as error:
            raise BadResponse("malformed chunks") from error
        if end >= 0:
            self._end(data[end:])
        if chunks.decode:
            return b"".join(chunks.data), end >= 0
        return (data if end < 0 or end == len(data) else data[:end]), end >= 0

    def _end(self, extra: bytes) -> None:
        """The response has come to its end; `extra` came after it, and nobody asked for it."""
        self._sink = None
        self._reading = _IDLE
        if self._paused:
            self.resume()
        if self._keep and self._request_done and not extra:
            self.reused = True
            self._pool.release(self)
        else:
            self.close()

    def _fail(self, error: ProxyError) -> None:
        sink, started = self._sink, self._reading != _HEAD or bool(self._buffer)
        self.reset()
        if sink is not None:
            sink.response_failed(error, started)

    # --- the transport -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(Transport, transport)
        self._transport.set_write_buffer_limits(high=WRITE_HIGH_BYTES)

    def eof_received(self) -> bool | None:
        self.usable = False
        return None  # the transport closes itself now

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is None:
            return  # detached
        self._transport = None
        self.usable = False
        sink, self._sink = self._sink, None
        self._pool.dropped(self)
        if sink is None:
            return
        if self._reading == _CLOSE and exc is None:
            sink.response_body(b"", True)
        else:
            started = self._reading != _HEAD or bool(self._buffer)
            sink.response_failed(upstream_error("reset", "the upstream closed the connection"), started)

    def pause_writing(self) -> None:
        if self._sink is not None:
            self._sink.request_blocked()

    def resume_writing(self) -> None:
        if self._sink is not None:
            self._sink.request_unblocked()
