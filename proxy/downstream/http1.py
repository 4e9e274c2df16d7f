"""A client's connection that speaks HTTP/1.1: requests one after another, answered in the order they came."""

from __future__ import annotations

import asyncio
from asyncio import Transport
from functools import partial
from typing import cast

from proxy.clock import NEVER
from proxy.downstream import limits
from proxy.downstream.body import RequestBody
from proxy.downstream.farewell import reset
from proxy.downstream.limits import FIELDS_MAX, HEAD_BYTES_MAX, HEAD_BYTES_UNCOUNTED, TARGET_BYTES_MAX, too_large
from proxy.downstream.pace import unread
from proxy.downstream.stream import Exchange, Home
from proxy.downstream.visit import Visit
from proxy.errors import BadRequest, ProxyError
from proxy.http.framing import UNTIL_CLOSE, request_length
from proxy.http.h1 import answer
from proxy.http.headers import CLOSE, Peer, forward_response, wants_close
from proxy.http.max_forwards import count_hop
from proxy.http.message import Fields, RequestHead, ResponseHead
from proxy.protocol import StreamProtocol

_READING_HEAD, _READING_BODY, _ANSWERING, _LINGERING = range(4)


class Connection(StreamProtocol):
    """One connection of a client. Implements ClientStream for the request that is being answered.

    deadline: when to call `overdue`, unless an exchange is under way, which then has its own. resting: it has been idle
    for so long that the home looks at it less often. Its transport is a Visit while `_visiting`.
    """

    __slots__ = (
        "_blocked", "_body", "_buffer", "_close", "_encode", "_gateway", "_home", "_in_loop", "_minor",
        "_paused", "_state", "_transport", "_turns", "_unread", "_visiting", "deadline", "exchange", "peer", "resting",
    )  # fmt: skip

    def __init__(self, home: Home, peer: Peer) -> None:
        self._home = home
        self._gateway = home.gateway
        self._transport: Transport | None = None
        self._state = _READING_HEAD
        self._buffer = b""
        self._body: RequestBody | None = None
        self._minor = 1
        self._close = False
        self._encode = False
        self._in_loop = False
        self._paused = False
        self._blocked = False  # the client does not keep up with what it is sent: no further request begins
        self.peer = peer
        self.exchange: Exchange | None = None
        self.deadline = NEVER
        self.resting = False
        self._turns = limits.REQUESTS_MAX
        self._unread = 0
        self._visiting = False

    # --- requests ----------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        state = self._state
        if state == _READING_HEAD:
            if not self._buffer and not self._blocked:
                head = self._gateway.reader.known.read(data, self.peer)
                if head is not None:
                    self._minor = 1
                    self._close = b"connection" in head.fields and wants_close(head.fields, 1)
                    self._state = _ANSWERING
                    if self._visiting:
                        self._visit(head, b"", True)
                    else:
                        self._begin(head, b"", True)
                    return
            self._read_heads(data)
        elif state == _ANSWERING:
            self._park(data)
        elif state != _LINGERING:
            self._read_body(data)

    def _read_heads(self, data: bytes) -> None:
        """Read requests one after another, as long as each is answered at once and the client reads the answers."""
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        self._in_loop = True
        while data and self._state == _READING_HEAD and not self._blocked:
            data = self._read_request(data)
        self._in_loop = False
        if data and self._state in (_READING_HEAD, _ANSWERING):
            self._park(data)

    def _read_request(self, data: bytes) -> bytes:
        """Begin one exchange; what comes after its request in `data` is given back."""
        end = data.find(b"\r\n\r\n") + 4
        if end < 4 or data[:2] == b"\r\n":
            return self._read_unusual(data)
        reader, peer = self._gateway.reader, self.peer
        body, rest = b"", data[end:]
        try:
            if end > HEAD_BYTES_UNCOUNTED and (end > HEAD_BYTES_MAX or data.count(b"\n", 0, end) > FIELDS_MAX + 2):
                raise too_large(data[:end])
            head = reader.read(data[:end] if rest else data)
            if len(head.target) > TARGET_BYTES_MAX:
                raise BadRequest("the request target is too long", 414)
            self._minor = head.minor
            if head.plain and not peer.trusted:
                head.client, head.scheme = peer.address, peer.scheme
                self._close = head.fields.get(b"connection") == CLOSE
                self._state = _ANSWERING
            else:
                peer.admit(head)
                if b"max-forwards" in head.fields:
                    count_hop(head)
                self._close = wants_close(head.fields, head.minor)
                body, rest = self._first_body(head.fields, rest)
            reader.known.add(data[:end], head, peer)
        except BadRequest as error:
            self._refuse(error, data)
            return b""
        if self._visiting:
            self._visit(head, body, self._state == _ANSWERING)
        else:
            self._begin(head, body, self._state == _ANSWERING)
        return rest

    def _visit(self, head: RequestHead, body: bytes, done: bool) -> None:
        """Begin the first exchange of a connection that the event loop does not have yet, and need not have if it ends
        with that."""
        if self._close and done and (head.plain or not head.minor):
            self._begin(head, body, done)
        else:
            cast(Visit, self._transport).stay(partial(self._begin, head, body, done))

    def _begin(self, head: RequestHead, body: bytes, done: bool) -> None:
        self._turns -= 1
        if not self._turns:
            self._close = True
        if self.resting:
            self._home.woke(self)
        exchange = self.exchange = self._gateway.exchange(self, head)
        exchange.start(body, done)

    def _read_unusual(self, data: bytes) -> bytes:
        """A head that has not come whole, or empty lines before one (passed over: RFC 9112 section 2.2)."""
        if data[:2] == b"\r\n":
            return data[2:]
        if len(data) > HEAD_BYTES_MAX:
            self._refuse(too_large(data), data)
        elif b"\n\n" in data or b"\n\r\n" in data:  # RFC 9112 section 2.2; waiting for its CR would be in vain
            self._refuse(BadRequest("a line of the head ends without CR"), data)
        else:
            if self.deadline > self._home.clock.now + limits.HEAD_S:
                self.deadline = self._home.clock.now + limits.HEAD_S
            self._buffer = data
        return b""

    def _first_body(self, fields: Fields, data: bytes) -> tuple[bytes, bytes]:
        """What of `data` is body and what comes after it; the state says whether more of the body is to come."""
        length = request_length(fields, self._minor)
        self._state = _ANSWERING
        if not length:
            return b"", data
        body = RequestBody(length, fields, self._home.body_bytes_max)
        end = body.end(data)
        if end < 0:
            self._state = _READING_BODY
            self._body = body
            return data, b""
        return data[:end], data[end:]

    def _read_body(self, data: bytes) -> None:
        exchange = self.exchange
        assert exchange is not None and self._body is not None
        try:
            end = self._body.end(data)
        except BadRequest as error:
            exchange.request_failed(error)
            return
        if end < 0:
            exchange.request_body(data, False)
            return
        self._state = _ANSWERING
        self._body = None
        exchange.request_body(data if end == len(data) else data[:end], True)
        if end < len(data):
            self.data_received(data[end:])

    def _park(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) > limits.PIPELINED_BYTES_MAX:
            self.pause()

    def turn_away(self, error: ProxyError, extra: bytes) -> None:
        """Answer before anything was asked, and end the connection. `extra` holds further field lines."""
        self._refuse(error, b"", extra)

    def _refuse(self, error: ProxyError, data: bytes, extra: bytes = b"") -> None:
        """Answer what cannot be an exchange, and end the connection: where the next request begins is unknown."""
        self._gateway.refused(error, self.peer, data)
        self._state = _LINGERING
        self.answer(error.status, error.lines + extra, error.body, head_only=data.startswith(b"HEAD "))
        self._end_connection(request_read=False)

    # --- the answer --------------------------------------------------------------------------------------------

    def send_interim(self, head: ResponseHead) -> None:
        if self._minor and self._transport is not None:  # HTTP/1.0 knows no 1xx (RFC 9110 section 15.2)
            self._transport.write(forward_response(head, b"" if head.dated else self._home.clock.date))

    def send_head(self, head: ResponseHead, added: bytes, length: int, data: bytes, done: bool) -> None:
        transport = self._transport
        if transport is None:
            return
        as_sent = True
        if not head.dated:
            added = self._home.clock.date + added  # RFC 9110 section 6.6.1
        if not self._minor or length == UNTIL_CLOSE:
            as_sent = False  # no Transfer-Encoding to HTTP/1.0, not even of a HEAD (RFC 9112 section 6.1)
            added += self._own_framing(length)
        if self._state != _ANSWERING or self._gateway.draining:
            self._close = True
        if self._close:
            added += b"Connection: close\r\n"
        plain = head.plain and not added  # PERF: most responses; this says the same as the call
        raw = head.raw if plain else forward_response(head, added, chunked=as_sent)
        if self._encode:
            transport.write(raw)
            self.send_body(data[head.size :], done)
        elif len(raw) == head.size and data.startswith(raw):
            transport.write(data)  # PERF: most responses; no byte of them is copied
        else:
            transport.write(raw + data[head.size :])

    def _own_framing(self, length: int) -> bytes:
        """Where the client cannot get the body framed as it came: HTTP/1.0 knows no chunks, and a body that ends with
        the upstream's connection becomes chunks, so that the client can tell a whole one from one cut short."""
        if length >= 0:
            return b"" if self._close else b"Connection: keep-alive\r\n"
        if self._minor:
            self._encode = True
            return b"Transfer-Encoding: chunked\r\n"
        self._close = True
        return b""

    def send_body(self, data: bytes, done: bool) -> None:
        if self._transport is None:
            return
        if self._encode:
            chunk = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
            data = chunk + b"0\r\n\r\n" if done else chunk
        if data:
            self._transport.write(data)

    def answer(self, status: int, lines: bytes, body: bytes, *, head_only: bool = False) -> None:
        if self._transport is None:
            return
        if self._state != _ANSWERING or self._gateway.draining:
            self._close = True
        keep = not self._close
        if keep and not self._minor:
            lines += b"Connection: keep-alive\r\n"
        date = self._home.clock.date
        self._transport.write(answer(status, lines, body, date, keep=keep, head_only=head_only))

    def abort(self) -> None:
        self._close = True
        if self._transport is None:
            return
        if self._minor:
            self._end_connection(request_read=True)  # what has come is delivered; its framing shows the rest is missing
        else:
            reset(self._transport)  # its end is the end of the body, so only a reset says that it is cut short

    def exchange_ended(self) -> None:
        self.exchange = None
        self._encode = False
        if self._close:
            # Who was not told before may have sent the next request already.
            self._end_connection(request_read=self._state == _ANSWERING and self._turns > 0)
            return
        self._state = _READING_HEAD
        self.deadline = self._home.clock.now + self._home.idle_s
        if self._paused:
            self.resume()
        if self._buffer:
            self._read_parked()

    def _read_parked(self) -> None:
        if self._buffer and not self._in_loop and not self._blocked:
            data, self._buffer = self._buffer, b""
            self._read_heads(data)

    def _end_connection(self, request_read: bool) -> None:
        """Close when all is sent. What is still to come of a request is thrown away for a moment first, as closing at
        once would make the kernel throw away our answer (RFC 9112 section 9.6)."""
        transport = self._transport
        self._state = _LINGERING
        self._buffer = b""
        if transport is None or transport.is_closing():
            return
        if request_read or not transport.can_write_eof():
            self.deadline = self._home.clock.now + limits.FLUSH_S
            transport.close()
        else:
            self.deadline = self._home.clock.now + limits.LINGER_S
            self.resume()
            transport.write_eof()

    # --- flow, time, life --------------------------------------------------------------------------------------

    def pause(self) -> None:
        if self._transport is not None and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None and self._paused:
            self._paused = False
            self._transport.resume_reading()

    def has_read(self, size: int) -> bool:
        before, self._unread = self._unread, 0 if self._transport is None else unread(self._transport)
        return before - self._unread >= size

    def rest(self) -> None:
        self.resting = True

    def detach(self) -> tuple[Transport, bytes]:
        transport, self._transport = self._transport, None
        assert transport is not None
        self._paused = False
        self._home.left(self)
        buffer, self._buffer = self._buffer, b""
        return transport, buffer

    def overdue(self) -> None:
        """The deadline has passed without an exchange: an unfinished head, an idle connection, or a slow farewell."""
        if self._state == _READING_HEAD and self._buffer:
            self._refuse(BadRequest("the request's head did not come in time", 408, "timeout"), self._buffer)
        elif self._state == _READING_HEAD:
            self._end_connection(request_read=True)
        elif self._transport is not None:
            self.deadline = NEVER
            self._transport.abort()

    def drain(self) -> None:
        """End with the answer to the current request, or to one that is on its way already."""
        if self.exchange is None and self._state == _READING_HEAD and not self._buffer:
            self.deadline = self._home.clock.now + self._home.idle_s

    def cut(self) -> None:
        """End now, whatever is under way."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.settle(cast(Transport, transport))
        self.come(cast(Transport, transport), visiting=False)

    def come(self, transport: Transport, visiting: bool) -> None:
        self._transport = transport
        self._visiting = visiting
        self.deadline = self._home.clock.now + limits.HEAD_S
        self._home.came(self)

    def settle(self, transport: Transport) -> None:
        self._transport = transport
        self._visiting = False
        transport.set_write_buffer_limits(high=limits.WRITE_HIGH_BYTES)

    def settled(self) -> None:
        if self._transport is not None and self._paused:
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is None:
            return  # detached
        self._transport = None
        self._close = True
        self._home.left(self)
        if self.exchange is not None:
            self.exchange.client_gone()

    def pause_writing(self) -> None:
        self._blocked = True
        if self.exchange is not None and self._transport is not None:
            self._unread = unread(self._transport)
            self.exchange.response_blocked()

    def resume_writing(self) -> None:
        self._blocked = False
        if self.exchange is not None:
            self.exchange.response_unblocked()
        elif self._state == _READING_HEAD:
            self.resume()
            self._read_parked()
