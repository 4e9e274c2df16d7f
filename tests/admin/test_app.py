"""proxy/admin/app.py: who may ask, in what way, and what the container says of itself."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest

from proxy.admin.app import REQUEST_LINE_BYTES_MAX, serve
from proxy.admin.drain import Drains
from proxy.admin.view import ConfigState, View
from proxy.errors import StartError
from proxy.observe.metrics import Registry

Answer = tuple[int, Any, Any]
Get = Callable[..., Any]


class Proxy:
    """What a control process would show."""

    def __init__(self) -> None:
        self.registry = Registry()
        self.config = ConfigState()
        self.unready: list[str] = []
        self.broken = False

    def view(self) -> View:
        return View(self.registry, lambda: None, self.tell, lambda: self.unready, Drains(self.registry, dict))

    def tell(self) -> ConfigState:
        if self.broken:
            raise RuntimeError("secret")
        return self.config


@pytest.fixture
def shown() -> Proxy:
    return Proxy()


@pytest.fixture
async def get(shown: Proxy) -> AsyncIterator[Get]:
    """Ask the admin port of a proxy that listens on loopback; the body comes as JSON where it is."""
    runner = await serve(shown.view(), "127.0.0.1", 0)
    session = aiohttp.ClientSession(f"http://127.0.0.1:{runner.addresses[0][1]}")

    async def ask(path: str, method: str = "GET", **headers: str) -> Answer:
        async with session.request(method, path, headers=headers) as response:
            text = await response.text()
            body = json.loads(text) if response.content_type == "application/json" and text else text
            return response.status, body, response.headers

    yield ask
    await session.close()
    await runner.cleanup()


async def test_healthz_says_that_the_process_lives_even_if_it_is_not_ready(get: Get, shown: Proxy) -> None:
    """A liveness probe must not kill what only waits for a good rule file."""
    shown.unready = ["no rules"]
    assert (await get("/healthz"))[:2] == (200, {"alive": True})


async def test_readyz_gives_every_reason_against(get: Get, shown: Proxy) -> None:
    assert (await get("/readyz"))[:2] == (200, {"ready": True, "reasons": []})
    shown.unready = ["worker 2 dies again and again; 1 of 2 workers accept"]
    assert (await get("/readyz"))[:2] == (503, {"ready": False, "reasons": shown.unready})


async def test_metrics_come_in_the_format_asked_for(get: Get) -> None:
    status, text, headers = await get("/metrics")
    assert status == 200 and "# TYPE grayhound_workers gauge" in text
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    _, text, headers = await get("/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert text.endswith("# EOF\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_nothing_can_be_changed(get: Get, method: str) -> None:
    status, body, headers = await get("/api/config", method)
    assert (status, body) == (405, {"error": "Method Not Allowed"})
    assert headers["Allow"] == "GET,HEAD"


async def test_head_is_answered_like_get(get: Get) -> None:
    assert (await get("/api/config", "HEAD"))[0] == 200


async def test_errors_are_json_and_keep_secrets(get: Get, shown: Proxy) -> None:
    """What is not there, and a mistake of ours: it is in the log, not in the answer."""
    assert (await get("/api/nothing"))[:2] == (404, {"error": "Not Found"})
    shown.broken = True
    status, body, _ = await get("/api/config")
    assert status == 500 and list(body) == ["error"] and "secret" not in body["error"]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9:80", "localhost:9900", "LOCALHOST", "[::1]:9900", "[::1]"])
async def test_loopback_names_are_answered(get: Get, host: str) -> None:
    assert (await get("/healthz", Host=host))[0] == 200


@pytest.mark.parametrize("host", ["evil.example.com", "127.0.0.1.evil.com:9900", "10.0.0.1", "localhost.evil.com", ""])
@pytest.mark.parametrize("path", ["/", "/metrics", "/api/config", "/nothing"])
async def test_on_loopback_a_foreign_name_is_refused(get: Get, host: str, path: str) -> None:
    """A web page may have pointed its own name at 127.0.0.1, and would read the answer as its own."""
    status, body, _ = await get(path, Host=host)
    assert status == 403 and "does not answer to the name" in body["error"]


async def test_an_address_open_to_others_answers_to_every_name(shown: Proxy) -> None:
    """Probes and scrapers come by names that this process cannot know."""
    runner = await serve(shown.view(), "0.0.0.0", 0)
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/healthz"
    async with aiohttp.ClientSession() as session, session.get(url, headers={"Host": "grayhound.prod.svc"}) as response:
        assert response.status == 200
    await runner.cleanup()


async def test_answers_say_nothing_of_what_they_are_made_with_and_are_not_kept(get: Get) -> None:
    for path in ("/api/config", "/healthz", "/nothing"):
        _, _, headers = await get(path)
        assert headers["Server"] == "grayhound"
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"


async def test_a_request_line_has_a_limit(get: Get) -> None:
    """At the limit it is read, one past it refused."""
    line = "GET /healthz? HTTP/1.1"
    assert (await get("/healthz?" + "x" * (REQUEST_LINE_BYTES_MAX - len(line) - 100)))[0] == 200
    assert (await get("/healthz?" + "x" * REQUEST_LINE_BYTES_MAX))[0] == 400


async def test_a_taken_port_is_said_in_one_line(shown: Proxy) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=rf"cannot listen on 127.0.0.1:{port} \(admin\)") as caught:
            await serve(shown.view(), "127.0.0.1", port)
    assert "\n" not in str(caught.value)
