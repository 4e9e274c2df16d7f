"""The conformance cases of Gateway API, end to end: HTTPRoutes served as they are, asked by a real client.

The tables are those of tests/imports/gateway_api. One process serves them one after the other: each is saved over the
last, and live within a moment.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web
from yarl import URL

from tests.serve import Proxy, serving

CASES = Path(__file__).parent.parent / "imports" / "gateway_api" / "conformance"
DRAWS = 500
TOLERANCE = 0.1
"""Of a share, for so many draws: more than four standard deviations."""


class Backend:
    """A Service of the cluster: tells what it was asked, and answers as it is told to."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.port = 0
        self.asked: list[str] = []
        self.fields: dict[str, str] = {}
        self.failures = (0, 0)

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path_qs)
        status, left = self.failures
        if left:
            self.failures = (status, left - 1)
            return web.Response(status=status)
        await asyncio.sleep(float(request.query.get("delay", 0)))
        headers = {name: ",".join(request.headers.getall(name)) for name in request.headers}
        body = {"backend": self.name, "path": request.path, "headers": headers}
        return web.json_response(body, headers=self.fields)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Backend]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.answer)
        runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.port = runner.addresses[0][1]
        try:
            yield self
        finally:
            await runner.cleanup()


def served(manifests: str, backends: dict[str, Backend]) -> str:
    """The manifests, with Services that are here: their names lead to this host, their ports to the backends."""

    def placed(node: Any) -> Any:
        if isinstance(node, list):
            return [placed(each) for each in node]
        if not isinstance(node, dict):
            return node
        backend = backends.get(node.get("name", "")) if node.get("port") == 8080 else None
        return {key: placed(value) for key, value in node.items()} | ({"port": backend.port} if backend else {})

    objects = [placed(each) for each in yaml.safe_load_all(manifests)]
    for namespace in ("infra", "app", "web-backend"):
        for name in backends:
            meta = {"name": name, "namespace": namespace}
            spec = {"type": "ExternalName", "externalName": "127.0.0.1"}
            objects.append({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec})
    return yaml.safe_dump_all(objects, sort_keys=False)


async def save(path: Path, text: str, proxy: Proxy) -> None:
    """Save the file, and wait until every worker serves by it."""
    before = (await proxy.api("/api/config"))["generation"]
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.rename(path)
    await proxy.until(lambda: proxy.api("/api/config"), lambda config: config["generation"] > before)


def joined(headers: Any, name: str) -> str | None:
    return ",".join(headers.getall(name)) if name in headers else None


class Client:
    """Asks the proxy what a row of a table says, and holds the answer against it."""

    def __init__(self, proxy: Proxy, session: aiohttp.ClientSession, backends: dict[str, Backend]) -> None:
        self._proxy = proxy
        self._session = session
        self._backends = backends

    async def ask(self, row: dict[str, Any]) -> tuple[int, Any, Any]:
        """Status, header, and what the backend says of the request, if one answered."""
        headers = {"X-Forwarded-Proto": row.get("scheme", "http")} | row.get("headers", {})
        if "host" in row:
            headers["Host"] = row["host"]
        url = URL(self._proxy.url + row.get("path", "/"), encoded=True)
        asked = self._session.request(row.get("method", "GET"), url, headers=headers, allow_redirects=False)
        async with asked as response:
            told = response.status == 200 and row.get("method") != "HEAD"
            return response.status, response.headers, await response.json() if told else {}

    async def hold(self, row: dict[str, Any]) -> None:
        for backend in self._backends.values():
            backend.asked.clear()
            backend.fields, backend.failures = row.get("answers", {}), tuple(row.get("fails", (0, 0)))
        status, headers, told = await self.ask(row)
        assert status == row.get("status", 200)
        assert headers.get("Location", "") == row.get("location", "")
        assert told.get("backend") == row.get("backend")
        sees = row.get("sees", {})
        assert sees.get("path", told.get("path")) == told.get("path")
        seen = {name.lower(): value for name, value in told.get("headers", {}).items()}
        for name, value in sees.get("headers", {}).items():
            assert seen.get(name.lower()) == value, name
        for name, value in row.get("gets", {}).items():
            assert joined(headers, name) == value, name
        for name in [name for name, percent in row.get("mirrored", {}).items() if percent == 100]:
            await self._proxy.until(lambda name=name: self._asked(name), lambda asked: row["path"] in asked)

    async def _asked(self, name: str) -> list[str]:
        return self._backends[name].asked

    async def draw(self, table: dict[str, Any]) -> None:
        """Weights divide the requests, and each backend sees what is its own."""
        drawn = [await self.ask({}) for _ in range(DRAWS)]
        counted = Counter(told["backend"] for _, _, told in drawn)
        for name, share in table["shares"].items():
            assert abs(counted[name] / DRAWS - share) <= (TOLERANCE if share else 0)
        for _, _, told in drawn:
            for name, value in table.get("sees", {}).get(told["backend"], {}).items():
                assert told["headers"][name] == value


async def test_the_conformance_cases(tmp_path: Path) -> None:
    """Every row of every table: what the client gets, and what the services see."""
    backends = {name: Backend(name) for name in ("v1", "v2", "v3", "web")}
    files = sorted(CASES.glob("*.yaml"))
    assert files
    path = tmp_path / "httproute.yaml"
    async with AsyncExitStack() as stack:
        for backend in backends.values():
            await stack.enter_async_context(backend.running())
        path.write_text(served(files[0].read_text().partition("\n---\n")[2], backends))
        proxy = await stack.enter_async_context(serving(path, "--trusted-proxies", "127.0.0.1"))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        client = Client(proxy, session, backends)
        for number, file in enumerate(files):
            head, _, manifests = file.read_text().partition("\n---\n")
            table = yaml.safe_load(head)
            if number:
                await save(path, served(manifests, backends), proxy)
            for row in table.get("requests", ()):
                try:
                    await client.hold(row)
                except AssertionError as error:
                    raise AssertionError(f"{file.stem}: {row}") from error
            if "shares" in table:
                await client.draw(table)
