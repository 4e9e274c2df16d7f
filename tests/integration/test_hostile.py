"""Hostile and slow clients against the real process: each is told no, or cut, and others are served meanwhile."""

from __future__ import annotations

import asyncio
import os
import re
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiohttp import web

from tests.serve import Proxy, serving

IDLE_S = 1.0
PATIENCE_S = 10.0
PIECE = bytes(1 << 16)
FILES = 60
"""Files a worker may have in the test of a full file table: it needs some twenty itself."""
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Site:
    """heard: the bodies that came whole. broken: how many did not."""

    def __init__(self) -> None:
        self.heard: list[int] = []
        self.broken = 0

    async def answer(self, request: web.Request) -> web.Response:
        try:
            self.heard.append(len(await request.read()))
        except (ConnectionError, asyncio.CancelledError):
            self.broken += 1
            raise
        return web.Response(text="ok")

    async def down(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with suppress(ConnectionError):
            while True:
                await response.write(PIECE)
        return response


@asynccontextmanager
async def site(folder: Path, *options: str) -> AsyncIterator[tuple[Site, Proxy]]:
    """A service whose idle time-out is short, and a proxy with one worker."""
    service, app = Site(), web.Application(client_max_size=1 << 30)
    app.router.add_get("/down", service.down)
    app.router.add_route("*", "/{path:.*}", service.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    (folder / "rules.yaml").write_text(f"""\
services:
  site:
    versions: {{v1: {{endpoints: ["http://127.0.0.1:{runner.addresses[0][1]}"]}}}}
    timeouts: {{idle: {IDLE_S}s}}
routes: [{{name: site, service: site}}]
""")
    try:
        async with serving(folder / "rules.yaml", "--workers", "1", *options) as proxy:
            yield service, proxy
    finally:
        await runner.cleanup()


class Raw:
    """A client that does as it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def all(self) -> bytes:
        """What is heard until the proxy ends the connection."""
        heard = b""
        async with asyncio.timeout(PATIENCE_S):
            with suppress(ConnectionError):
                while data := await self.reader.read(1 << 16):
                    heard += data
        return heard

    async def head(self) -> bytes:
        async with asyncio.timeout(PATIENCE_S):
            return await self.reader.readuntil(b"\r\n\r\n")


@asynccontextmanager
async def client(proxy: Proxy, says: bytes = b"") -> AsyncIterator[Raw]:
    host, port = proxy.url.removeprefix("http://").split(":")
    raw = Raw(*await asyncio.open_connection(host, int(port), limit=4096))
    raw.writer.write(says)
    try:
        yield raw
    finally:
        raw.writer.transport.abort()


async def idle(proxy: Proxy) -> None:
    """No request holds a connection to the endpoint any more."""
    await proxy.until(lambda: proxy.metric("requests_in_flight"), 0.0)


@pytest.mark.parametrize("framing", [b"Content-Length: 1000", b"Transfer-Encoding: chunked"])
async def test_a_body_that_trickles_is_not_waited_for(framing: bytes, tmp_path: Path) -> None:
    """408 soon after the idle time-out, though bytes came all the while; the endpoint is free again."""
    async with site(tmp_path) as (service, proxy), client(proxy) as slow:
        slow.writer.write(b"POST / HTTP/1.1\r\nHost: a\r\n" + framing + b"\r\n\r\n")
        if b"chunked" in framing:
            slow.writer.write(b"3e8\r\n")
        hearing = asyncio.ensure_future(slow.all())  # noqa: TID251
        began = asyncio.get_running_loop().time()
        while not hearing.done():
            slow.writer.write(b"x")
            await asyncio.wait([hearing], timeout=IDLE_S / 5)
        assert hearing.result().startswith(b"HTTP/1.1 408 ")
        assert asyncio.get_running_loop().time() - began < 4 * IDLE_S
        await idle(proxy)
        assert not service.heard


async def test_a_body_at_a_modest_pace_is_waited_for(tmp_path: Path) -> None:
    """Longer than the idle time-out, as long as it comes at the minimum pace."""
    async with site(tmp_path) as (service, proxy), client(proxy) as modest:
        modest.writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000\r\n\r\n")
        for _ in range(10):
            modest.writer.write(bytes(300))
            await asyncio.sleep(IDLE_S / 4)  # the pace is what is tested
        assert (await modest.head()).startswith(b"HTTP/1.1 200 ")
        assert service.heard == [3000]


async def test_a_reader_that_stops_is_cut(tmp_path: Path) -> None:
    """After the idle time-out; the endpoint is free again, others are served meanwhile."""
    async with site(tmp_path) as (_, proxy), client(proxy, b"GET /down HTTP/1.1\r\nHost: a\r\n\r\n") as stalled:
        await stalled.head()
        for _ in range(10):
            assert (await proxy.get())[0] == 200
        await idle(proxy)


async def test_a_slow_reader_is_served(tmp_path: Path) -> None:
    """Longer than the idle time-out, as long as it takes something."""
    async with site(tmp_path) as (_, proxy), client(proxy, b"GET /down HTTP/1.1\r\nHost: a\r\n\r\n") as slow:
        await slow.head()
        for _ in range(30):
            assert len(await slow.reader.readexactly(len(PIECE))) == len(PIECE)
            await asyncio.sleep(IDLE_S / 10)  # the pace is what is tested
        assert await proxy.metric("requests_in_flight") == 1.0


async def test_a_body_may_have_a_limit(tmp_path: Path) -> None:
    """At the limit it passes; one past it: 413. By its length at once, in chunks when it is known."""
    chunks = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    sized = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
    async with site(tmp_path, "--max-body", "2KiB") as (service, proxy):
        for fits in (sized % 2048 + bytes(2048), chunks + b"800\r\n" + bytes(2048) + b"\r\n0\r\n\r\n"):
            async with client(proxy, fits) as fitting:
                assert (await fitting.all()).startswith(b"HTTP/1.1 200 ")
        await proxy.until(lambda: proxy.metric("requests_total", 'service="site"'), 2.0)
        async with client(proxy, sized % 2049) as long:
            assert (await long.all()).startswith(b"HTTP/1.1 413 ")
        await proxy.until(lambda: proxy.metric("requests_total", 'code="413"'), 1.0)
        assert await proxy.metric("requests_total", 'service="site"') == 2.0
        async with client(proxy, chunks + b"400\r\n" + bytes(1024) + b"\r\n") as long:
            await proxy.until(lambda: proxy.metric("requests_in_flight"), 1.0)
            long.writer.write(b"401\r\n")
            assert (await long.all()).startswith(b"HTTP/1.1 413 ")
        await idle(proxy)
        assert service.heard == [2048, 2048]


async def test_connections_have_a_limit(tmp_path: Path) -> None:
    """At it, who comes is told so and has to go; who is there is served, and who leaves makes room."""
    async with site(tmp_path, "--max-connections", "3") as (_, proxy):
        async with client(proxy, GET) as first, client(proxy, GET) as second, client(proxy, GET) as third:
            for one in (first, second, third):
                assert (await one.head()).startswith(b"HTTP/1.1 200 ")
            async with client(proxy, GET) as fourth:
                heard = await fourth.all()
                assert heard.startswith(b"HTTP/1.1 503 ")
                assert b"\r\nRetry-After: 1\r\n" in heard and b"\r\nConnection: close\r\n" in heard
            first.writer.write(GET)
            assert b"HTTP/1.1 200 " in await first.head()
        await proxy.until(lambda: proxy.metric("connections_open"), 0.0)
        assert (await proxy.get())[0] == 200


@pytest.mark.parametrize(("trusted", "status"), [((), b"429"), (("--trusted-proxies", "127.0.0.1"), b"200")])
async def test_one_address_may_have_a_limit(trusted: tuple[str, ...], status: bytes, tmp_path: Path) -> None:
    """429, as the client is at fault; trusted proxies bring many people and are free of it."""
    async with (
        site(tmp_path, "--max-connections-per-client", "2", *trusted) as (_, proxy),
        client(proxy, GET) as first, client(proxy, GET) as second, client(proxy) as third,
    ):  # fmt: skip
        for one in (first, second):
            assert (await one.head()).startswith(b"HTTP/1.1 200 ")
        if trusted:
            third.writer.write(GET)
        assert (await third.head()).startswith(b"HTTP/1.1 " + status)


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def test_a_full_file_table_is_survived(tmp_path: Path) -> None:
    """Connections that find no file neither spin the loop nor flood the log, and when files are free all is well."""
    async with site(tmp_path, "--max-connections", "1000") as (_, proxy):
        (worker,) = proxy.workers()
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (FILES, FILES))
        lines = len(proxy.lines)
        host, port = proxy.url.removeprefix("http://").split(":")
        opened = [await asyncio.open_connection(host, int(port)) for _ in range(2 * FILES)]
        used = cpu_s(worker)
        await asyncio.sleep(1.0)  # a spinning loop would use all of it
        assert cpu_s(worker) - used < 0.4
        assert len(proxy.lines) - lines < 20
        for _, writer in opened:
            writer.transport.abort()
        await proxy.until(lambda: proxy.metric("connections_open"), 0.0)
        assert (await proxy.get())[0] == 200


async def test_a_worker_may_have_as_many_files_as_it_can(tmp_path: Path) -> None:
    """The soft limit is often 1,024, which a proxy with more than 500 clients would feel."""
    async with site(tmp_path) as (_, proxy):
        (worker,) = proxy.workers()
        limits = Path(f"/proc/{worker}/limits").read_text()
        found = re.search(r"Max open files +(\d+) +(\d+)", limits)
        assert found is not None and found[1] == found[2]
