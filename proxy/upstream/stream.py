"""What passes between an exchange and the upstream half of its way, whatever protocol that half speaks."""

from __future__ import annotations

from asyncio import Transport
from typing import Protocol

from proxy.errors import ProxyError
from proxy.http.headers import Peer
from proxy.http.message import RequestHead, ResponseHead


class UpstreamStream(Protocol):
    """One request's way to an endpoint and its response's way back."""

    reused: bool
    """The connection has served before, so the endpoint may just have closed it."""

    def send_request(
        self, sink: ResponseSink, head: RequestHead, peer: Peer, request_id: bytes, tail: bytes, upgrade: bytes,
        body: bytes, done: bool,
    ) -> None:  # fmt: skip
        """Send a head and the body so far; done: that is all of it. The answer goes to `sink`."""

    def send_body(self, data: bytes, done: bool) -> None:
        """Send more of the body, framed as the client framed it."""

    def reset(self) -> None:
        """Give up this request: the sink hears no more of it."""

    def pause(self) -> None:
        """Stop the response for a while; the client does not keep up."""

    def resume(self) -> None:
        """Go on with the response."""

    def detach(self) -> Transport:
        """After an upgrade: the bare connection, for a tunnel."""


class ResponseSink(Protocol):
    """The exchange, as its upstream half sees it."""

    def connected(self, stream: UpstreamStream) -> None:
        """A connection was waited for, and here it is."""

    def connect_failed(self, error: ProxyError) -> None:
        """No connection came about; nothing of the request was sent."""

    def interim_head(self, head: ResponseHead) -> None:
        """A 1xx response other than 101."""

    def response_head(self, head: ResponseHead, length: int, data: bytes, done: bool) -> None:
        """The head; length of the body as in framing.response_length. data: the head's bytes as they came, and the body
        so far, in one piece, which mostly goes on as it is; done: that is all of it."""

    def response_body(self, data: bytes, done: bool) -> None:
        """More of the body, framed as the upstream framed it, or decoded if that was asked for."""

    def response_upgraded(self, head: ResponseHead, rest: bytes) -> None:
        """101: the connection is a tunnel from here on; `rest` has already come through it."""

    def response_failed(self, error: ProxyError, started: bool) -> None:
        """The response will not come, or not to its end. started: bytes of it have come."""

    def request_blocked(self) -> None:
        """The upstream does not keep up with the request's body."""

    def request_unblocked(self) -> None:
        """It does again."""
