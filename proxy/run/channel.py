"""The one duplex channel between control and a worker: length-prefixed pickles of (kind, payload) over a socketpair.

    control -> worker   start   Start             first of all: settings, addresses, rules and health to begin with
                        pieces  tuple[bytes, ...] of the rules that follow
                        rules   Rules             a new generation, already checked, without its pieces
                        health  dict[str, bool]   endpoint url -> active check's verdict
                        certificates Material     what TLS listeners show from now on, already examined
                        reopen  None              the access log goes on in a new file of its name
                        count   int               hand in counts now, and say `counted` with this number
                        drain   float             take nothing new; end within so many seconds
    worker -> control   ready   None              listening
                        applied int               this generation is live
                        failed  (int, str)        could not apply it (a bug of ours); the last one serves on
                        counts  Counts            counter deltas; sent even when empty, as a sign of life
                        counted int               the counts asked for under this number have been sent
                        gone    None              drained; the process ends

Pickle is safe here and only here: both ends are our own processes, and the socketpair has no name.
"""

from __future__ import annotations

import asyncio
import pickle
import socket
import struct
from array import array
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import islice
from typing import Any, Final, Literal, cast

from proxy.data import dataclass
from proxy.downstream.tls import Material
from proxy.rules.model import RuleFile
from proxy.run.ports import Bound
from proxy.settings import Settings
from proxy.steps import Steps

Kind = Literal[
    "start", "pieces", "rules", "health", "certificates", "reopen", "count", "drain",
    "ready", "applied", "failed", "counts", "counted", "gone",
]  # fmt: skip
LENGTH: Final = struct.Struct("!I")
MESSAGE_BYTES_MAX: Final = 256 * 1024 * 1024
"""A rule file of the largest size allowed, pickled, is some tens of MiB; more is a fault of ours."""
UNSENT_BYTES_MAX: Final = 64 * 1024 * 1024
"""A peer that lets this much pile up before a further message is stuck; the channel is cut and the worker replaced."""

PIECE: Final = 16
"""Services, routes or rules unpacked in one step, some 0.5 ms."""
PIECES_AT_ONCE: Final = 16
"""In one message, some 50 KiB. PERF: to decode all of 10,000 routes in one was a pause of 7 ms."""


@dataclass(frozen=True, slots=True)
class Rules:
    """One generation of the rules, in pieces that take little time to unpack.

    frame: the rule file without what stands in the pieces. pieces: pickles, of some services each, then of some routes
    each without their rules, then of some rules each, of one route after the other. services, routes: how many pieces
    are theirs. lengths: how many rules each route has.
    """

    generation: int
    frame: RuleFile
    pieces: tuple[bytes, ...]
    services: int
    routes: int
    lengths: array[int]

    @classmethod
    def pack(cls, generation: int, rule_file: RuleFile) -> Rules:
        """For workers, who need neither tests nor rollouts."""
        services = _pieces(rule_file.services.values())
        routes = _pieces(replace(route, rules=()) for route in rule_file.routes)
        rules = _pieces(rule for route in rule_file.routes for rule in route.rules)
        return cls(
            generation,
            replace(rule_file, services={}, routes=(), tests=(), rollouts={}),
            (*services, *routes, *rules),
            len(services),
            len(routes),
            array("I", (len(route.rules) for route in rule_file.routes)),
        )

    def messages(self) -> bytes:
        """As they travel to a worker that carries traffic: what it decodes at once is little."""
        starts = range(0, len(self.pieces), PIECES_AT_ONCE)
        told = [encode("pieces", self.pieces[start : start + PIECES_AT_ONCE]) for start in starts]
        return b"".join((*told, encode("rules", replace(self, pieces=()))))

    def unpacking(self) -> Steps[RuleFile]:
        """The rule file, a piece at each step."""
        pieces = iter(self.pieces)
        services = yield from _unpacked(islice(pieces, self.services))
        bare = yield from _unpacked(islice(pieces, self.routes))
        bare.reverse()  # emptied as it is read: to let go of all of it at once would be a long step
        rest = iter((yield from _unpacked(pieces)))
        routes = []
        for length in self.lengths:
            routes.append(replace(bare.pop(), rules=tuple(islice(rest, length))))
            yield
        return replace(self.frame, services={service.name: service for service in services}, routes=tuple(routes))


def _pieces(things: Iterable[object]) -> list[bytes]:
    rest = iter(things)
    return [pickle.dumps(piece, pickle.HIGHEST_PROTOCOL) for piece in iter(lambda: [*islice(rest, PIECE)], [])]


def _unpacked(pieces: Iterable[bytes]) -> Steps[list[Any]]:
    things: list[Any] = []
    for piece in pieces:
        things += pickle.loads(piece)
        yield
    return things


@dataclass(frozen=True, slots=True)
class Start:
    """All a worker needs to begin. addresses: where its sockets listen; tls_addresses: those that do so for TLS, with
    these certificates."""

    settings: Settings
    addresses: tuple[Bound, ...]
    rules: Rules
    health: dict[str, bool]
    tls_addresses: tuple[Bound, ...] = ()
    certificates: Material | None = None


def encode(kind: Kind, payload: object) -> bytes:
    """One message as it travels; encoded once, it can be sent to every worker."""
    data = pickle.dumps((kind, payload), pickle.HIGHEST_PROTOCOL)
    assert len(data) <= MESSAGE_BYTES_MAX
    return LENGTH.pack(len(data)) + data


class Channel(asyncio.Protocol):
    """One end. `receive(kind, payload)` is called per message, `closed()` once when the peer is gone or stuck."""

    def __init__(self, receive: Callable[[Kind, Any], None], closed: Callable[[], None]) -> None:
        self._receive = receive
        self._closed = closed
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._lost = asyncio.Event()

    @classmethod
    async def open(
        cls, end: socket.socket, receive: Callable[[Kind, Any], None], closed: Callable[[], None]
    ) -> Channel:
        """Take over one end of a socketpair on the running loop."""
        end.setblocking(False)
        _, channel = await asyncio.get_running_loop().create_connection(lambda: cls(receive, closed), sock=end)
        return channel

    @property
    def idle(self) -> bool:
        """Whether all that was sent has left: a sender of deltas waits for this, so nothing piles up."""
        return self._transport is not None and self._transport.get_write_buffer_size() == 0

    def send(self, message: bytes) -> None:
        """Send what `encode` gave. After the channel closed, nothing happens: `closed` has been told."""
        if self._transport is None:
            return
        if self._transport.get_write_buffer_size() > UNSENT_BYTES_MAX:
            self._transport.abort()
        else:
            self._transport.write(message)

    async def close(self) -> None:
        """Close; returns once all that was sent has left, or the peer is gone."""
        if self._transport is not None:
            self._transport.close()
        await self._lost.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by descent

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        start = 0
        while len(buffer) - start >= LENGTH.size:
            (length,) = LENGTH.unpack_from(buffer, start)
            end = start + LENGTH.size + length
            if len(buffer) < end:
                break
            kind, payload = pickle.loads(memoryview(buffer)[start + LENGTH.size : end])
            start = end
            self._receive(kind, payload)
        del buffer[:start]

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._lost.set()
        self._closed()
