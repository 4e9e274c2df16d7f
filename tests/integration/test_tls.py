"""The real proxy with TLS on both sides: start, faults, new certificates under load."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from proxy.tasks import spawn
from tests.authority import Authority, openssl
from tests.serve import Proxy, Service, run, services, serving

RULES = "services: {{shop: {{{extra}versions: {{v1: {{endpoints: ['{url}']}}}}}}}}\nroutes: [{{service: shop}}]\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
async def shop() -> AsyncIterator[Service]:
    async with services("v1") as (started,):
        yield started


@pytest.fixture
def rules(tmp_path: Path, shop: Service) -> Path:
    path = tmp_path / "rules.yaml"
    path.write_text(RULES.format(url=shop.url, extra=""))
    return path


async def tls_port(proxy: Proxy) -> int:
    return int((await proxy.said("listening for TLS on ")).rpartition(":")[2])


async def handshake(port: int, context: ssl.SSLContext, name: str) -> str:
    """One connection, one request; the common name of the certificate shown."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)
    shown = dict(part[0] for part in writer.get_extra_info("peercert")["subject"])["commonName"]
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    heard = await reader.read()
    writer.close()
    assert heard.startswith(b"HTTP/1.1 200 OK\r\n") and heard.endswith(b"v1"), heard
    return str(shown)


def tls(*options: str) -> tuple[str, ...]:
    return ("--tls-listen", "127.0.0.1:0", *options)


async def test_new_certificates_under_load(authority: Authority, rules: Path) -> None:
    """The files change one after the other while connections come and go: no handshake fails, no request is lost, and
    every worker shows the new one within seconds. A bad pair then changes nothing and is said."""
    first, second = authority.issue("localhost", subject="first"), authority.issue("localhost", subject="second")
    stray = authority.issue("localhost", subject="stray")
    context = authority.client()
    seen: list[str] = []
    async with serving(rules, *tls("--tls-cert", first.option)) as proxy:
        port = await tls_port(proxy)

        async def connect() -> None:
            while True:
                seen.append(await handshake(port, context, "localhost"))

        load = [spawn(connect(), name="load") for _ in range(4)]

        async def latest() -> list[str]:
            return seen[-40:]

        await proxy.until(latest, ["first"] * 40)
        first.replace(second)
        await proxy.until(latest, ["second"] * 40)
        first.certificate.write_bytes(stray.certificate.read_bytes())
        await proxy.said(f"--tls-cert {first.option}: the key does not belong to the certificate; the last good one")
        del seen[:]
        await proxy.until(latest, ["second"] * 40)
        assert not any(task.done() for task in load)
        for task in load:
            task.cancel()
        assert await proxy.metric("tls_certificate_not_after_seconds", 'certificate="localhost"') > 1.7e9
        assert await proxy.metric("worker_restarts_total") == 0


async def test_a_new_worker_shows_the_newest(authority: Authority, rules: Path) -> None:
    """A worker that is started later gets what is in use, not what is in the files by then."""
    issued, new = authority.issue("localhost", subject="first"), authority.issue("localhost", subject="second")
    async with serving(rules, *tls("--tls-cert", issued.option), "--workers", "1") as proxy:
        port = await tls_port(proxy)
        issued.replace(new)
        await proxy.said(f"--tls-cert {issued.option} is in use")
        issued.key.unlink()
        (pid,) = proxy.workers()
        os.kill(pid, signal.SIGKILL)
        await proxy.said("replaced")
        await proxy.until(lambda: proxy.api("/readyz"), lambda answer: answer["ready"])
        assert await handshake(port, authority.client(), "localhost") == "second"


async def test_noise_does_not_fill_the_log(authority: Authority, rules: Path) -> None:
    """Plain HTTP, old protocols, names that are none and clients that leave in between: one line of each
    worker in a minute, no traceback, and each is counted by its end."""
    issued = authority.issue("localhost")
    async with serving(rules, *tls("--tls-cert", issued.option, "--tls-client-ca", str(authority.file))) as proxy:
        port = await tls_port(proxy)
        before = len(proxy.lines)
        hello, incoming = ssl.MemoryBIO(), ssl.MemoryBIO()
        with pytest.raises(ssl.SSLWantReadError):
            authority.client().wrap_bio(incoming, hello, server_hostname="xxxx.example").do_handshake()
        greeting = hello.read()
        for says in (
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            greeting.replace(b"xxxx.example", b"\xff\xfexx.example"),
            greeting,
            greeting[:50],
            b"",
        ):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(says)
            await writer.drain()
            writer.close()
        where = f"127.0.0.1:{port}"
        assert "(NONE)" in await asyncio.to_thread(openssl, "s_client", "-connect", where, "-tls1_1", given="Q\n")
        await asyncio.to_thread(openssl, "s_client", "-connect", where, given="Q\n")
        with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
            await handshake(port, authority.client(), "localhost")
        assert await handshake(port, authority.client(authority.issue("me")), "localhost")
        said = proxy.lines[before:]
        assert 1 <= len(said) <= 2 and all("TLS handshakes fail, the last with 127.0.0.1: " in line for line in said)
        where = f'listener="127.0.0.1:{port}"'
        for result, count in (("ok", 1), ("failed", 5), ("closed", 3), ("timeout", 0)):
            wanted = (where, f'result="{result}"')
            await proxy.until(lambda w=wanted: proxy.metric("tls_handshakes_total", *w), float(count))  # type: ignore[misc]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--tls-cert", "{good}", "--tls-cert", "/none.pem:/none.key"), "cannot read /none.pem: No such file"),
        (("--tls-cert", "{mixed}"), "the key does not belong to the certificate"),
        (("--tls-cert", "{good}", "--tls-client-ca", "{key}"), "there is no certificate in PEM form in it"),
    ],
)
async def test_a_bad_certificate_is_one_line(
    authority: Authority, rules: Path, options: tuple[str, ...], says: str
) -> None:
    """The reason on stderr in one line, exit code 1."""
    good, other = authority.issue("a.example"), authority.issue("a.example")
    words = {"good": good.option, "mixed": f"{good.certificate}:{other.key}", "key": str(good.key)}
    given = [option.format(**words) for option in options]
    code, out, err = await run("serve", str(rules), *tls(*given), "--listen", "", "--admin", "127.0.0.1:0")
    assert (code, out) == (1, "")
    assert err.startswith(f"grayhound: {given[-2]} {given[-1]}: {says}") and err.count("\n") == 1


# --- https endpoints -----------------------------------------------------------------------------------------------


@asynccontextmanager
async def secure_service(context: ssl.SSLContext) -> AsyncIterator[str]:
    app = web.Application()

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="v1")

    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield f"https://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_endpoints_by_tls_and_their_checks(authority: Authority, tmp_path: Path) -> None:
    """The endpoint asks for a certificate, of requests and of health checks alike. When the CA's file changes, the
    rules are taken anew; a file that is no CA is refused, and the last one stays."""
    path, ca = tmp_path / "rules.yaml", tmp_path / "ca.pem"
    other = Authority(tmp_path, "other")
    shown = authority.issue("grayhound")
    ca.write_bytes(authority.pem)
    extra = (
        f"tls: {{ca: {ca}, cert: {shown.certificate}, key: {shown.key}}}, "
        "health: {active: {path: /, interval: 1s, timeout: 1s, unhealthy_after: 1, healthy_after: 1}}, "
    )
    async with secure_service(authority.server("IP:127.0.0.1", asks=True)) as url:
        path.write_text(RULES.format(url=url, extra=extra))
        async with serving(path) as proxy:
            assert await proxy.get() == (200, "v1")
            ca.write_bytes(b"nothing")
            await proxy.said("services.shop.tls.ca: ")
            assert await proxy.get() == (200, "v1")
            ca.write_bytes(other.pem)
            await proxy.said("generation 2")
            await proxy.said("is down: ")
            assert (await proxy.get())[0] in (502, 503)
            ca.write_bytes(authority.pem)
            await proxy.said("generation 3")
            await proxy.until(proxy.get, (200, "v1"))


async def test_files_that_cannot_be_used_are_faults(tmp_path: Path) -> None:
    """Every one, at its place in the rule file."""
    path = tmp_path / "rules.yaml"
    (tmp_path / "bad.pem").write_text("nothing")
    extra = f"tls: {{ca: {tmp_path}/bad.pem, cert: {tmp_path}/none.pem, key: {tmp_path}/bad.pem}}, "
    path.write_text(RULES.format(url="https://127.0.0.1:1", extra=extra))
    code, out, _ = await run("check", str(path))
    assert code == 1
    assert f"services.shop.tls.cert: cannot read {tmp_path}/none.pem: No such file" in out
    path.write_text(path.read_text().replace("none.pem", "bad.pem"))
    code, out, _ = await run("check", str(path))
    assert code == 1
    assert f"services.shop.tls.ca: {tmp_path}/bad.pem: there is no certificate in PEM form in it" in out
