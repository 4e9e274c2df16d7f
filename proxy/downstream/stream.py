"""What passes between a client's half of an exchange, the exchange and the listener, whatever protocol it speaks."""

from __future__ import annotations

from asyncio import Transport
from typing import Protocol

from proxy.clock import Clock
from proxy.errors import ProxyError
from proxy.http.h1 import RequestReader
from proxy.http.headers import Peer
from proxy.http.message import RequestHead, ResponseHead


class ClientStream(Protocol):
    """One request's sender, who waits for the response."""

    peer: Peer

    def send_interim(self, head: ResponseHead) -> None:
        """Pass on a 1xx response."""

    def send_head(self, head: ResponseHead, added: bytes, length: int, data: bytes, done: bool) -> None:
        """Send the response's head with the lines `added`, and the body so far, which stands in `data` after head.size
        bytes: the head as it came; done: that is all of it."""

    def send_body(self, data: bytes, done: bool) -> None:
        """Send more of the body, framed as the upstream framed it."""

    def answer(self, status: int, lines: bytes, body: bytes, *, head_only: bool = False) -> None:
        """Send a whole response of the proxy's own with these field lines. head_only: to a HEAD."""

    def abort(self) -> None:
        """Cut the connection, so that the client sees the response as cut short."""

    def exchange_ended(self) -> None:
        """The exchange is over: the next request may be read."""

    def pause(self) -> None:
        """Stop the request's body for a while; the upstream does not keep up."""

    def resume(self) -> None:
        """Go on with the request's body."""

    def has_read(self, size: int) -> bool:
        """Whether the client took so many bytes of the response since it was last asked, or since it was blocked."""

    def detach(self) -> tuple[Transport, bytes]:
        """After an upgrade: the bare connection for a tunnel, and what has already come through it."""


class Exchange(Protocol):
    """The exchange, as its client's half sees it."""

    deadline: float

    def start(self, body: bytes, done: bool) -> None:
        """Begin, with the body so far; done: that is all of it."""

    def request_body(self, data: bytes, done: bool) -> None:
        """More of the body, framed as the client framed it."""

    def request_failed(self, error: ProxyError) -> None:
        """The body is malformed or does not come."""

    def client_gone(self) -> None:
        """The client's connection has ended: nobody waits for the response."""

    def response_blocked(self) -> None:
        """The client does not keep up with the response."""

    def response_unblocked(self) -> None:
        """It does again."""

    def overdue(self, now: float) -> None:
        """The deadline has passed."""


class Gateway(Protocol):
    """What a client's connection needs of the gateway."""

    reader: RequestReader
    draining: bool

    def exchange(self, client: ClientStream, head: RequestHead) -> Exchange:
        """A new exchange for this request, not yet started."""

    def refused(self, error: ProxyError, peer: Peer, data: bytes) -> None:
        """A request was refused before it became an exchange; `data` is what came of it."""


class Guest(Protocol):
    """A client's connection, as its listener sees it."""

    peer: Peer
    exchange: Exchange | None
    deadline: float
    resting: bool

    def overdue(self) -> None:
        """The deadline has passed, and no exchange is under way."""

    def rest(self) -> None:
        """It has been idle for a while, and is looked at less often."""

    def turn_away(self, error: ProxyError, extra: bytes) -> None:
        """Answer before anything was asked, and end it. `extra` holds further field lines."""

    def drain(self) -> None:
        """Take no further request."""

    def cut(self) -> None:
        """End now, whatever is under way."""


class Home(Protocol):
    """The listener, as its connections see it. body_bytes_max: of one request's body. idle_s: between two requests."""

    gateway: Gateway
    clock: Clock
    body_bytes_max: int
    idle_s: float

    def came(self, connection: Guest) -> None:
        """A connection was made."""

    def woke(self, connection: Guest) -> None:
        """It was resting, and has a request to answer."""

    def left(self, connection: Guest) -> None:
        """It has ended, or has become a tunnel."""
