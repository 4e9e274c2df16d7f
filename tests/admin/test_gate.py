"""proxy/admin/gate.py: who may change something, proved with a route that does, behind the real gate."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from proxy.admin.app import make_app
from proxy.admin.drain import Drains
from proxy.admin.gate import loopback
from proxy.admin.view import ConfigState, View
from proxy.errors import StartError
from proxy.observe.metrics import Registry

Ask = Callable[..., Any]


@asynccontextmanager
async def admin(token: Callable[[], str] | None, host: str = "127.0.0.1") -> AsyncIterator[Ask]:
    """An admin port where `POST /change` does something: asked with these fields, its status, body and headers."""
    app = make_app(View(Registry(), lambda: None, ConfigState, list, Drains(Registry(), dict)), host, token)

    async def change(_: web.Request) -> web.Response:
        return web.Response(text="changed")

    app.router.add_route("*", "/change", change)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with aiohttp.ClientSession(f"http://127.0.0.1:{runner.addresses[0][1]}") as session:

        async def ask(method: str = "POST", **fields: str) -> tuple[int, str, Any]:
            headers = {name.replace("_", "-"): value for name, value in fields.items()}
            async with session.request(method, "/change", headers=headers) as response:
                return response.status, await response.text(), response.headers

        yield ask
    await runner.cleanup()


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_who_brings_the_token_may_change_things(method: str) -> None:
    """By every method but those that read; the scheme's case does not matter (RFC 9110 section 11.1)."""
    async with admin(lambda: "s3cret") as ask:
        assert (await ask(method))[0] == 401
        assert (await ask(method, Authorization="Bearer s3cret"))[:2] == (200, "changed")
        assert (await ask(method, Authorization="bearer s3cret"))[0] == 200


@pytest.mark.parametrize("field", ["", "Bearer", "Bearer ", "Bearer wrong", "Bearer s3cretx", "Basic s3cret", "s3cret"])
async def test_another_token_is_refused_and_told_what_is_wanted(field: str) -> None:
    async with admin(lambda: "s3cret") as ask:
        status, body, headers = await ask(Authorization=field)
        assert status == 401 and "--admin-token-file" in body and "s3cret" not in body
        assert headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_reading_needs_no_token(method: str) -> None:
    async with admin(lambda: "s3cret") as ask:
        assert (await ask(method))[0] == 200


async def test_the_token_is_read_anew_and_without_one_nothing_can_be_changed() -> None:
    """Rotated by writing the file; while it cannot be read nobody passes, and the answer says why."""
    token: list[str] = ["old"]

    def read() -> str:
        if not token:
            raise StartError("--admin-token-file: cannot read t: Permission denied")
        return token[0]

    async with admin(read) as ask:
        assert (await ask(Authorization="Bearer old"))[0] == 200
        token[0] = "new"
        assert (await ask(Authorization="Bearer old"))[0] == 401
        assert (await ask(Authorization="Bearer new"))[0] == 200
        token.clear()
        status, body, _ = await ask(Authorization="Bearer new")
        assert status == 503 and "Permission denied" in body


async def test_without_a_token_this_host_may_change_things() -> None:
    """From a shell (no Origin), and from a page that this port itself has served."""
    async with admin(None) as ask:
        assert (await ask())[0] == 200
        own = {"Host": "localhost:9900", "Origin": "http://localhost:9900", "Sec_Fetch_Site": "same-origin"}
        assert (await ask(**own))[0] == 200


@pytest.mark.parametrize(
    "fields",
    [
        {"Origin": "http://evil.example.com"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Host": "evil.example.com"},
        {"Host": "evil.example.com", "Origin": "http://evil.example.com"},
        {"X_Forwarded_For": "192.0.2.1"},
        {"Forwarded": "for=192.0.2.1"},
        {"Via": "1.1 edge"},
    ],
)
async def test_without_a_token_web_pages_and_proxies_may_not(fields: dict[str, str]) -> None:
    """A form of another site, a name that was pointed here, and whoever a proxy on this host speaks for; also where
    the port is open to other hosts."""
    for host in ("127.0.0.1", "0.0.0.0"):
        async with admin(None, host) as ask:
            assert (await ask(**fields))[0] == 403
            if "Host" not in fields:
                assert (await ask("GET", **fields))[0] == 200


@pytest.mark.parametrize(
    ("address", "own"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("localhost", True),
        ("10.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("0.0.0.0", False),
        ("localhost.example.com", False),
        ("", False),
    ],
)
def test_what_is_this_host(address: str, own: bool) -> None:
    """Addresses of peers, an IPv4 one on an IPv6 socket too; and names in Host."""
    assert loopback(address) is own
