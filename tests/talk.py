"""Wire dialogues: a real gateway between a raw client and raw upstreams, all over TCP on loopback.

A dialogue reads: what the client says, what the upstream hears, what it answers, what the client hears. Each stage ends
with the books in order: nothing in flight, no connection unaccounted for, no crash logged.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import random
import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from functools import partial
from typing import Any, Final

from proxy.downstream.tls import Material
from proxy.gateway.gateway import Gateway
from proxy.observe.observer import Observer
from proxy.rules.model import EndpointSpec, FieldTest, Otherwise, Route, Rule, RuleFile, Service, TextTest, Version
from proxy.settings import Settings

PATIENCE_S: Final = 10.0
"""How long a test waits for what must come; only a failing test ever waits so long."""
CUTS_MAX: Final = 24
"""Places where one message is cut in two, besides the run that goes byte by byte."""


DATE: Final = "Date: Sat, 01 Jan 2028 00:00:00 GMT"
"""Of services' answers."""
NOW: Final = "Date: Now, 00 Now 0000 00:00:00 GMT"
"""What a client hears in place of the time at which it hears it, and of nothing else: a date the proxy has made."""


def wire(*lines: str, body: bytes = b"", date: str = DATE) -> bytes:
    """A message from its lines. A response has a Date as well, that of services; with NOW it is the proxy's own answer
    (`own`), with "" it has none (`dateless`)."""
    if date and lines[0].startswith("HTTP/"):
        lines = (lines[0], date, *lines[1:])
    return "".join(line + "\r\n" for line in (*lines, "")).encode("latin-1") + body


own: Final = partial(wire, date=NOW)
dateless: Final = partial(wire, date="")


def timed(heard: bytes) -> bytes:
    """With NOW for each Date that is the present time, in the one form that may be sent (RFC 9110 section 5.6.7)."""
    return re.sub(
        rb"(?m)^Date: ((?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT)\r$", _timed, heard
    )


def _timed(line: re.Match[bytes]) -> bytes:
    at = parsedate_to_datetime(line[1].decode())
    well_formed = format_datetime(at, usegmt=True).encode() == line[1]
    now = abs((datetime.now(UTC) - at).total_seconds()) < PATIENCE_S
    return b"%b\r" % NOW.encode() if well_formed and now else line[0]


TAIL: Final = wire("GET /tail HTTP/1.1", "Host: tail", "Connection: close")
TAIL_ANSWER: Final = wire("HTTP/1.1 200 OK", "Content-Length: 4", body=b"tail")
TAIL_HEARD: Final = wire("HTTP/1.1 200 OK", "Content-Length: 4", "Connection: close", body=b"tail")
OK: Final = wire("HTTP/1.1 200 OK", "Content-Length: 2", body=b"ok")
NOBODY: Final = "http://127.0.0.1:1"
"""Where nobody listens, nor begins to by asking for any port."""


def forwarded(*lines: str, host: str = "a", body: bytes = b"", via: str = "1.1", version: str = "v1") -> bytes:
    """A request as the upstream hears it: these lines of the client's own, then the proxy's."""
    own = ["X-Forwarded-For: 127.0.0.1", "X-Forwarded-Proto: http", *([f"X-Forwarded-Host: {host}"] if host else [])]
    if not any(line.lower().startswith("host:") for line in lines):
        own.append(f"Host: {host or 'upstream'}")
    last = ["X-Request-Id: *", f"Via: {via} grayhound", f"X-Gray-Version: {version}"]
    return wire(*lines, *own, *last, body=body)


def masked(heard: bytes) -> bytes:
    """What changes from run to run made equal: the request's id, the upstream's port."""
    heard = re.sub(rb"\r\nX-Request-Id: [0-9a-f]{24}\r\n", b"\r\nX-Request-Id: *\r\n", heard)
    return re.sub(rb"\r\nHost: 127\.0\.0\.1:\d+\r\n", b"\r\nHost: upstream\r\n", heard)


async def rounds(count: int = 3) -> None:
    """Let the event loop turn, so that what was written before arrives on its own."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait for something that is about to happen."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                await asyncio.sleep(0)
    except TimeoutError:
        raise AssertionError(f"it did not happen: {what}") from None


def cuts(data: bytes) -> Iterator[list[bytes]]:
    """The ways a message may arrive: whole, byte by byte, and in two at its boundaries and at random."""
    yield [data]
    if len(data) <= 2000:
        yield [data[at : at + 1] for at in range(len(data))]
    ends = {place for match in re.finditer(rb"\r\n", data) for place in (match.start(), match.start() + 1, match.end())}
    dice = random.Random(data)
    places = sorted(ends & set(range(1, len(data))))
    if len(places) > CUTS_MAX:
        places = dice.sample(places, CUTS_MAX)
    for place in [*places, *(dice.randrange(1, max(len(data), 2)) for _ in range(4))]:
        yield [data[:place], data[place:]]


@dataclass(frozen=True)
class Answer:
    """What an upstream does with one request.

    data: what it sends, piece by piece where it is a list. close: it ends the connection after that; reset: it tears
    it down. early: it answers at the head, without hearing the body. at_head: sent before it hears the body.
    gate: it waits for this event before it answers. count: it does so for that many requests.
    """

    data: bytes | Sequence[bytes] = OK
    close: bool = False
    reset: bool = False
    early: bool = False
    at_head: bytes = b""
    gate: asyncio.Event | None = field(default=None, compare=False)


class Upstream:
    """A service that notes what it hears and does as it is told; what it is not told, it answers with OK.

    heard: whole requests. unfinished: what came of requests that did not come to their end.
    """

    def __init__(self, *answers: Answer | bytes) -> None:
        self.script(*answers)
        self.heard: list[bytes] = []
        self.heads: list[bytes] = []
        self.unfinished: list[bytes] = []
        self.accepted = 0
        self.open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.url = ""
        self._server: asyncio.Server | None = None

    def script(self, *answers: Answer | bytes) -> None:
        self._answers = [answer if isinstance(answer, Answer) else Answer(answer) for answer in answers]

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 20, ssl=tls)
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        """Take no more connections and end those that are open."""
        if self._server is not None:
            self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await until(lambda: not self.open, "the upstream's connections end")

    async def hang_up(self) -> None:
        """End the connections that are open, as a service does with idle ones."""
        for writer in tuple(self.open):
            writer.close()
        await until(lambda: not self.open, "the upstream's connections end")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self.open.add(writer)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._converse(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError) as error:
            if partial := getattr(error, "partial", b""):
                self.unfinished.append(partial)
        finally:
            writer.close()
            self.open.discard(writer)
            self._tasks.discard(task)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        tail = head.startswith(b"GET /tail ")
        answer = Answer(TAIL_ANSWER) if tail else self._answers.pop(0) if self._answers else Answer()
        writer.write(answer.at_head)
        if not answer.early:
            try:
                self.heard.append(head + await read_body(reader, head))
            except (asyncio.IncompleteReadError, ConnectionError):
                self.unfinished.append(head)
                raise
        if answer.gate is not None:
            await answer.gate.wait()
        for piece in [answer.data] if isinstance(answer.data, bytes) else answer.data:
            if writer.transport.is_closing():
                raise ConnectionResetError
            writer.write(piece)
            await rounds()
        if answer.reset:
            reset(writer)
        elif answer.early and not answer.close:
            while await reader.read(1 << 16):
                pass
            return False
        return not (answer.close or answer.reset)


def reset(writer: asyncio.StreamWriter) -> None:
    """Tear the connection down so that the other side sees a reset, not an end."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def read_body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    """The body as it came, by a naive reading of the head that shares nothing with the proxy's."""
    if re.search(rb"(?i)\r\ntransfer-encoding:[ \t]*chunked", head):
        body = b""
        while True:
            line = await reader.readuntil(b"\r\n")
            size = int(line.split(b";")[0], 16)
            body += line
            if not size:
                break
            body += await reader.readexactly(size + 2)
        while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
            body += line
        return body + line
    length = re.search(rb"(?i)\r\ncontent-length:[ \t]*(\d+)", head)
    return await reader.readexactly(int(length[1])) if length else b""


class Client:
    """A client that says bytes and hears bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def say(self, *pieces: bytes) -> None:
        """Send the pieces, each arriving on its own."""
        for piece in pieces:
            if self.writer.transport.is_closing():
                return
            self.writer.write(piece)
            if len(pieces) > 1:
                await rounds()

    async def hear(self, size: int) -> bytes:
        """The next bytes, so many unless the connection ends before."""
        async with asyncio.timeout(PATIENCE_S):
            try:
                return timed(await self.reader.readexactly(size))
            except asyncio.IncompleteReadError as error:
                return timed(error.partial)

    async def hear_head(self) -> bytes:
        async with asyncio.timeout(PATIENCE_S):
            return timed(await self.reader.readuntil(b"\r\n\r\n"))

    async def hear_all(self) -> bytes:
        """Everything until the proxy ends the connection."""
        heard = b""
        async with asyncio.timeout(PATIENCE_S):
            with suppress(ConnectionError):
                while piece := await self.reader.read(1 << 16):
                    heard += piece
        return timed(heard)

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()

    def leave(self) -> None:
        """Be gone at once."""
        self.writer.transport.abort()


class Stage:
    """A gateway with its upstreams, and whatever was logged as wrong. tls: how clients connect, if not plainly."""

    def __init__(self, upstreams: tuple[Upstream, ...], gateway: Gateway) -> None:
        self.upstreams = upstreams
        self.gateway = gateway
        self.port = 0
        self.tls: ssl.SSLContext | None = None
        self.faults: list[str] = []

    @property
    def upstream(self) -> Upstream:
        return self.upstreams[0]

    @property
    def listener(self) -> Any:
        return self.gateway._listeners[0]

    @property
    def endpoints(self) -> list[Any]:
        return list(self.gateway._registry._endpoints.values())

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        name = "localhost" if self.tls else None
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port, ssl=self.tls, server_hostname=name))
        try:
            yield client
        finally:
            await client.close()

    async def ask(self, *pieces: bytes) -> bytes:
        """What a client hears in all that says this and waits for the end."""
        async with self.client() as client:
            await client.say(*pieces)
            return await client.hear_all()

    def later(self, seconds: float) -> None:
        """See to what is overdue as if so many seconds had passed."""
        now = self.gateway._state.clock.now + seconds
        self.listener.sweep(now)
        self.gateway._registry.sweep(now)

    def version(self, name: str = "v1") -> Any:
        return self.gateway._state.counters.version("s", name)

    async def settled(self) -> None:
        """Every exchange has ended, and every number that should be zero is."""
        numbers = self.gateway._state.counters._versions.values()
        await until(
            lambda: not self.listener.connections and not self.gateway._state.tunnels, "clients' connections end"
        )
        await until(lambda: all(e.pool.open == len(e.pool._idle) for e in self.endpoints), "pool.open == idle")
        assert all(endpoint.in_flight == 0 and not endpoint.pool._waiting for endpoint in self.endpoints)
        assert all(one.in_flight == 0 and one.tunnels == 0 for one in numbers)
        assert not self.faults, self.faults


def rules(versions: dict[str, Iterable[str]], **service: Any) -> RuleFile:
    """A service `s` with these versions; the field X-Want names one, the first one is the default."""
    made = {
        name: Version(name, tuple(url if isinstance(url, EndpointSpec) else EndpointSpec(url) for url in urls))
        for name, urls in versions.items()
    }
    stable = next(iter(made))
    wanted = tuple(
        Rule(name, FieldTest("header", "x-want", TextTest("in", (name,))), version=name)
        for name in made
        if name != stable
    )
    route = Route("r", "s", Otherwise("version", stable), rules=wanted)
    return RuleFile({"s": Service("s", stable, made, **service)}, (route,))


class _Ear(logging.Handler):
    def __init__(self, faults: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._faults = faults

    def emit(self, record: logging.LogRecord) -> None:
        self._faults.append(self.format(record))


@asynccontextmanager
async def stage(
    *upstreams: Upstream | Answer | bytes,
    rule_file: Callable[[list[str]], RuleFile] | None = None,
    trusted: Sequence[str] = (),
    certificates: Material | None = None,
    access_log: Observer | None = None,
    proxy_headers: bool = False,
    connections_per_client: int = 0,
    **service: Any,
) -> AsyncIterator[Stage]:
    """A gateway before these upstreams; all are endpoints of version v1, unless rule_file says otherwise.

    certificates: it listens for TLS, with these. proxy_headers: connections begin with one.
    """
    real = tuple(one if isinstance(one, Upstream) else Upstream(one) for one in upstreams) or (Upstream(),)
    for upstream in real:
        if not upstream.url:
            await upstream.start()
    urls = [upstream.url for upstream in real]
    settings = Settings(
        "rules.yaml", trusted_proxies=tuple(map(ipaddress.ip_network, trusted)),
        max_connections_per_client=connections_per_client,
    )  # fmt: skip
    gateway = Gateway(settings, access_log)
    gateway.apply(1, rule_file(urls) if rule_file else rules({"v1": urls}, **service))
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    made = Stage(real, gateway)
    made.port = bound.getsockname()[1]
    ear = _Ear(made.faults)
    logging.getLogger().addHandler(ear)
    try:
        headed = [bound] if proxy_headers else []
        if certificates is None:
            await gateway.listen([bound], headed=headed)
        else:
            gateway.set_certificates(certificates)
            await gateway.listen([], [bound], headed)
        yield made
        await made.settled()
    finally:
        pools = [endpoint.pool for endpoint in made.endpoints]
        gateway.drain()
        gateway.close()
        gateway._registry.retire_all_but(set())
        for upstream in real:
            await upstream.stop()
        await until(lambda: not any(pool.open for pool in pools), "the pools are empty")
        await until(lambda: not made.listener.busy, "clients' connections end")
        assert not gateway._state.door.open
        logging.getLogger().removeHandler(ear)
