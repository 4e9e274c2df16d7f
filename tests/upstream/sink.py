"""An exchange's ear: notes what it hears from the upstream half of its way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from proxy.clock import Clock
from proxy.errors import ProxyError
from proxy.http.h1 import read_request_head
from proxy.http.headers import Peer
from proxy.rules.model import Limits
from proxy.upstream.http1 import Connection
from proxy.upstream.pool import Pool
from tests.talk import Upstream, until, wire

PEER = Peer("192.0.2.1", b"http", ())
TAIL_LINES = b"Via: 1.1 grayhound\r\n\r\n"


class Ear:
    """heard: what it was told, each as (name of the call, what counts of its arguments)."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []
        self.connection: Connection | None = None

    def connected(self, stream: Any) -> None:
        self.connection = stream
        self.heard.append(("connected",))

    def connect_failed(self, error: ProxyError) -> None:
        self.heard.append(("connect_failed", error.flag, error.status))

    def interim_head(self, head: Any) -> None:
        self.heard.append(("interim", head.status))

    def response_head(self, head: Any, length: int, data: bytes, done: bool) -> None:
        assert data.startswith(head.raw)
        self.heard.append(("head", head.status, length, data[head.size :], done))

    def response_body(self, data: bytes, done: bool) -> None:
        self.heard.append(("body", data, done))

    def response_upgraded(self, head: Any, rest: bytes) -> None:
        self.heard.append(("upgraded", head.status, rest))

    def response_failed(self, error: ProxyError, started: bool) -> None:
        self.heard.append(("failed", error.flag, started))

    def request_blocked(self) -> None:
        self.heard.append(("blocked",))

    def request_unblocked(self) -> None:
        self.heard.append(("unblocked",))

    async def hears(self, name: str) -> tuple[Any, ...]:
        """The next thing of that name, once it has come."""
        await until(lambda: any(told[0] == name for told in self.heard), f"{name} in {self.heard}")
        return next(told for told in self.heard if told[0] == name)

    def body(self) -> bytes:
        """All of the body so far."""
        return b"".join(told[-2] for told in self.heard if told[0] in ("head", "body"))

    def says(self, *lines: str, body: bytes = b"", done: bool = True) -> None:
        """Send a request on the connection it was given."""
        assert self.connection is not None
        head = read_request_head(wire(*lines, "Host: a"))
        PEER.admit(head)
        self.connection.send_request(self, head, PEER, b"ID", TAIL_LINES, b"", body, done)


def port(upstream: Upstream) -> int:
    return int(upstream.url.rpartition(":")[2])


@asynccontextmanager
async def pool_of(upstream: Upstream, limits: Limits = Limits()) -> AsyncIterator[Pool]:
    """A pool before this upstream; in the end none of its connections is left."""
    await upstream.start()
    pool = Pool("127.0.0.1", port(upstream), None, limits, Clock())
    yield pool
    pool.retire()
    await upstream.stop()
    await until(lambda: pool.open == 0, "the pool is empty")
