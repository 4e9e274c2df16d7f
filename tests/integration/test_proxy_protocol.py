"""The real proxy behind real load balancers that speak the PROXY protocol: HAProxy, both versions, and nginx."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from benchmarks.processes import free_port
from tests.authority import Authority
from tests.serve import Proxy, run, serving

RULES = """\
services: {{s: {{versions: {{v1: {{endpoints: [{url}]}}, v2: {{endpoints: [{url}]}}}}}}}}
routes: [{{service: s, rules: [{{match: {{client_ip: 127.0.0.9}}, version: v2}}]}}]
"""
HAPROXY = """\
defaults
    mode tcp
    timeout connect 5s
    timeout client 10s
    timeout server 10s
listen plain
    bind 127.0.0.1:{front}
    server grayhound 127.0.0.1:{port} {send} check inter 100ms
"""
NGINX = """\
load_module {module};
daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr;
events {{}}
stream {{ server {{ listen 127.0.0.1:{front}; proxy_pass 127.0.0.1:{port}; proxy_protocol on; }} }}
"""
NGINX_MODULES = [Path("/usr/lib/nginx/modules/ngx_stream_module.so"), Path(os.environ.get("NGINX_STREAM_MODULE", "/-"))]
SENDERS = ("haproxy send-proxy", "haproxy send-proxy-v2", "haproxy send-proxy-v2-ssl-cn", "nginx")
ME = "127.0.0.9"
"""The client's own address, which no one else here has."""


@pytest.fixture
async def rules(tmp_path: Path) -> AsyncIterator[Path]:
    """Before a service that says what it hears of the client."""

    async def answer(request: web.Request) -> web.Response:
        names = ("X-Forwarded-For", "X-Forwarded-Proto", "X-Gray-Version")
        return web.Response(text=" ".join(request.headers[name] for name in names))

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    path = tmp_path / "rules.yaml"
    path.write_text(RULES.format(url=f"http://127.0.0.1:{runner.addresses[0][1]}"))
    yield path
    await runner.cleanup()


@asynccontextmanager
async def balancer(sender: str, folder: Path, port: int) -> AsyncIterator[int]:
    """A load balancer before `port`, ready. Gives its own."""
    front = free_port()
    name, _, send = sender.partition(" ")
    if shutil.which(name) is None:
        pytest.skip(f"needs {name}")
    config = folder / f"{name}.conf"
    if name == "haproxy":
        config.write_text(HAPROXY.format(front=front, port=port, send=send))
        command = ["haproxy", "-db", "-f", str(config)]
    else:
        module = next((path for path in NGINX_MODULES if path.exists()), None)
        if module is None:
            pytest.skip("needs nginx's stream module")
        config.write_text(NGINX.format(module=module, folder=folder, front=front, port=port))
        command = ["nginx", "-p", str(folder), "-c", str(config)]
    log = (folder / "balancer.log").open("wb")
    process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
    try:
        async with asyncio.timeout(10):
            while not await _listens(front):
                assert process.returncode is None, (folder / "balancer.log").read_text()
                await asyncio.sleep(0.02)
        yield front
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        log.close()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def port_of(proxy: Proxy, purpose: str) -> int:
    return int((await proxy.said(f"listening{purpose} after PROXY headers on ")).rpartition(":")[2])


async def ask(port: int, context: ssl.SSLContext | None = None) -> str:
    """One request from ME: the body of the answer."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, local_addr=(ME, 0), ssl=context, server_hostname="localhost" if context else None
    )
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    heard = await reader.read()
    writer.close()
    assert heard.startswith(b"HTTP/1.1 200 OK\r\n"), heard
    return heard.rpartition(b"\r\n")[2].decode()


@pytest.mark.parametrize("sender", SENDERS)
async def test_who_the_client_is(sender: str, rules: Path, tmp_path: Path) -> None:
    """Rules, services and the access log see the client's address, not the load balancer's."""
    log = tmp_path / "access.log"
    async with serving(rules, "--listen", "127.0.0.1:0+proxy", "--access-log", str(log)) as proxy:
        port = await port_of(proxy, "")
        async with balancer(sender, tmp_path, port) as front:
            for _ in range(5):
                assert await ask(front) == f"{ME} http v2"

        async def lines() -> list[str]:
            return log.read_text().splitlines() if log.exists() else []

        await proxy.until(lines, lambda found: len(found) >= 5)
        assert {json.loads(line)["client"] for line in await lines()} == {ME}
        where = f'listener="127.0.0.1:{port}"'
        assert await proxy.metric("proxy_headers_total", where, 'result="malformed"') == 0
        await proxy.until(lambda: proxy.metric("proxy_headers_total", where, 'result="ok"'), lambda count: count >= 5)


@pytest.mark.parametrize("sender", SENDERS)
async def test_tls_behind_a_load_balancer(
    sender: str, rules: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The handshake is ours, whichever segment its first byte comes in."""
    authority = Authority(tmp_path_factory.mktemp("ca"))
    tls = ("--tls-listen", "127.0.0.1:0+proxy", "--tls-cert", authority.issue("localhost").option)
    async with (
        serving(rules, *tls, "--trusted-proxies", "127.0.0.1") as proxy,
        balancer(sender, tmp_path, await port_of(proxy, " for TLS")) as front,
    ):
        said = await asyncio.gather(*(ask(front, authority.client()) for _ in range(20)))
        assert set(said) == {f"{ME} https v2"}


async def test_listeners_are_asked_one_by_one(rules: Path) -> None:
    """Of two, one speaks it; the other takes whom it gets, and each refuses what is for the other."""
    both = "127.0.0.1:0,127.0.0.1:0+proxy"
    async with serving(rules, "--listen", both, "--trusted-proxies", "192.0.2.0/24") as proxy:
        port = await port_of(proxy, "")
        assert await ask(int(proxy.url.rpartition(":")[2])) == f"{ME} http v2"
        with pytest.raises((ConnectionError, AssertionError)):
            await ask(port)
        await proxy.said(
            "a connection without a good PROXY header was closed: 127.0.0.9 is none of the trusted proxies"
        )


async def test_a_word_misspelt_is_said(rules: Path) -> None:
    """One line, exit code 2."""
    code, _, said = await run("serve", str(rules), "--listen", "127.0.0.1:0+proxies")
    assert (code, "--listen: '127.0.0.1:0+proxies' is not HOST:PORT" in said) == (2, True)
