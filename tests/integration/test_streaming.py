"""Real input through the real process: large bodies both ways, WebSocket, server-sent events, curl, a browser."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import WSMsgType, web
from pytest_aiohttp import AiohttpServer

from tests.serve import Proxy, serving

MIB = 1 << 20
BODY_BYTES = int(os.environ.get("GRAYHOUND_BODY_MIB", "1024")) * MIB
GROWTH_BYTES_MAX = 24 * MIB
"""Memory a worker may gain while a body of any size passes: buffers on both sides and what the allocator keeps."""


class Site:
    """A service with a bit of everything."""

    def __init__(self) -> None:
        self.next_event = asyncio.Event()

    def app(self) -> web.Application:
        app = web.Application(client_max_size=2 * BODY_BYTES)
        app.add_routes([
            web.get("/", self.page), web.get("/echo", self.echo), web.get("/down", self.down),
            web.put("/up", self.up), web.get("/events", self.events),
        ])  # fmt: skip
        return app

    async def page(self, request: web.Request) -> web.Response:
        return web.Response(text="<p id=who>" + request.headers["X-Gray-Version"] + "</p>", content_type="text/html")

    async def echo(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=0)
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await socket.send_str(message.data)
            else:
                await socket.send_bytes(message.data)
        return socket

    async def down(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = BODY_BYTES
        await response.prepare(request)
        piece = bytes(MIB)
        for _ in range(BODY_BYTES // MIB):
            await response.write(piece)
        return response

    async def up(self, request: web.Request) -> web.Response:
        count = 0
        async for piece in request.content.iter_any():
            count += len(piece)
        return web.Response(text=str(count))

    async def events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for number in range(3):
            await self.next_event.wait()
            self.next_event.clear()
            await response.write(b"data: %d\n\n" % number)
        return response


@pytest.fixture
async def site(aiohttp_server: AiohttpServer, tmp_path: Path) -> AsyncIterator[tuple[Site, Proxy]]:
    service = Site()
    server = await aiohttp_server(service.app())
    rules = tmp_path / "rules.yaml"
    rules.write_text(f"""\
services: {{site: {{versions: {{v1: {{endpoints: ["http://127.0.0.1:{server.port}"]}}}}}}}}
routes: [{{name: site, service: site}}]
""")
    async with serving(rules, "--workers", "1") as proxy:
        yield service, proxy


def resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def test_a_large_download_passes_without_growing_the_worker(site: tuple[Site, Proxy]) -> None:
    """A body is streamed, never held: the worker's memory stays flat while 1 GiB passes."""
    _, proxy = site
    (worker,) = proxy.workers()
    before = peak = resident_bytes(worker)
    count = 0
    async with aiohttp.ClientSession() as session, session.get(proxy.url + "/down") as response:
        async for piece in response.content.iter_any():
            count += len(piece)
            peak = max(peak, resident_bytes(worker)) if count % 64 < 8 else peak
    peak = max(peak, resident_bytes(worker))
    assert count == BODY_BYTES
    assert peak - before < GROWTH_BYTES_MAX


async def test_a_large_upload_passes_without_growing_the_worker(site: tuple[Site, Proxy]) -> None:
    """The same the other way, with a chunked body."""
    _, proxy = site
    (worker,) = proxy.workers()
    before = peak = resident_bytes(worker)

    async def body() -> AsyncIterator[bytes]:
        nonlocal peak
        for number in range(BODY_BYTES // MIB):
            yield bytes(MIB)
            if number % 16 == 0:
                peak = max(peak, resident_bytes(worker))

    async with aiohttp.ClientSession() as session, session.put(proxy.url + "/up", data=body()) as response:
        assert (response.status, await response.text()) == (200, str(BODY_BYTES))
    assert max(peak, resident_bytes(worker)) - before < GROWTH_BYTES_MAX


async def test_a_client_that_stops_reading_stops_the_upstream(site: tuple[Site, Proxy]) -> None:
    """Backpressure: a stalled reader of 1 GiB costs some buffers, and other clients are served meanwhile."""
    _, proxy = site
    (worker,) = proxy.workers()
    before = resident_bytes(worker)
    host, port = proxy.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
    writer.write(b"GET /down HTTP/1.1\r\nHost: site\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    for _ in range(20):
        assert (await proxy.get("/"))[0] == 200
    assert resident_bytes(worker) - before < GROWTH_BYTES_MAX
    writer.transport.abort()
    await proxy.until(lambda: proxy.metric("requests_in_flight"), 0.0)


async def test_a_websocket_echoes_through_the_proxy(site: tuple[Site, Proxy]) -> None:
    """An upgrade opens a tunnel: messages come back, large ones too, and the tunnel is counted while it is open."""
    _, proxy = site
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(proxy.url + "/echo", max_msg_size=0) as socket:
            await socket.send_str("hello")
            assert (await socket.receive()).data == "hello"
            await socket.send_bytes(bytes(4 * MIB))
            assert (await socket.receive()).data == bytes(4 * MIB)
            await proxy.until(lambda: proxy.metric("tunnels_open"), 1.0)
        await proxy.until(lambda: proxy.metric("tunnels_open"), 0.0)


async def test_server_sent_events_arrive_one_by_one(site: tuple[Site, Proxy]) -> None:
    """Nothing is held back: each event is there before the service sends the next."""
    service, proxy = site
    async with aiohttp.ClientSession() as session, session.get(proxy.url + "/events") as response:
        for number in range(3):
            service.next_event.set()
            async with asyncio.timeout(5):
                assert await response.content.readuntil(b"\n\n") == b"data: %d\n\n" % number
        assert await response.content.read() == b""


async def test_curl_is_served(site: tuple[Site, Proxy]) -> None:
    """curl, which asks before it sends a large body (Expect: 100-continue)."""
    _, proxy = site
    curl = shutil.which("curl") or pytest.skip("needs curl: apt-get install curl")
    process = await asyncio.create_subprocess_exec(
        curl, "-sS", "-T", "-", "-H", "Expect: 100-continue", proxy.url + "/up",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate(bytes(2 * MIB))
    assert (process.returncode, out) == (0, str(2 * MIB).encode())


async def test_a_browser_is_served(site: tuple[Site, Proxy], tmp_path: Path) -> None:
    """Chromium loads a page through the proxy."""
    _, proxy = site
    chromium = shutil.which("chromium") or pytest.skip("needs Chromium: apt-get install chromium")
    process = await asyncio.create_subprocess_exec(
        chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={tmp_path}", "--dump-dom", proxy.url + "/",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    async with asyncio.timeout(60):
        out, _ = await process.communicate()
    assert b'<p id="who">v1</p>' in out
