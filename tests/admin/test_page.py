"""proxy/admin/page.py: the dashboard's files, from this port alone."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from importlib.resources import files

import aiohttp
import pytest

from proxy.admin.app import serve
from proxy.admin.drain import Drains
from proxy.admin.view import ConfigState, View
from proxy.observe.metrics import Registry

STATIC = {file.name: file.read_text() for file in files("proxy.admin").joinpath("static").iterdir()}


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    registry = Registry()
    runner = await serve(View(registry, lambda: None, ConfigState, list, Drains(registry, dict)), "127.0.0.1", 0)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{runner.addresses[0][1]}") as session:
        yield session
    await runner.cleanup()


async def test_each_file_is_served_as_what_it_is(session: aiohttp.ClientSession) -> None:
    types = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
    for name, text in STATIC.items():
        async with session.get("/" if name == "index.html" else f"/static/{name}") as response:
            assert (response.status, await response.text()) == (200, text)
            assert response.content_type == types[name.rpartition(".")[2]]


async def test_a_browser_asks_whether_a_file_is_still_the_same(session: aiohttp.ClientSession) -> None:
    async with session.get("/static/app.js") as response:
        tag = response.headers["ETag"]
        assert response.headers["Cache-Control"] == "no-cache"
    for given, status in ((tag, 304), ("*", 304), (f'"x", {tag}', 304), ('"x"', 200)):
        async with session.get("/static/app.js", headers={"If-None-Match": given}) as response:
            assert response.status == status


@pytest.mark.parametrize("name", ["nothing.js", "..%2Fapi.py", "__init__.py", ""])
async def test_nothing_but_these_files_is_served(session: aiohttp.ClientSession, name: str) -> None:
    async with session.get(f"/static/{name}") as response:
        assert response.status == 404


async def test_the_policy_allows_no_markup_of_rules_and_nothing_from_elsewhere(session: aiohttp.ClientSession) -> None:
    async with session.get("/") as response:
        policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    assert "require-trusted-types-for 'script'" in policy and "frame-ancestors 'none'" in policy


def test_the_files_name_nothing_outside_and_write_no_markup() -> None:
    """But for names of namespaces and examples of URLs, which nobody fetches."""
    for name, text in STATIC.items():
        known = text.replace("http://www.w3.org/2000/svg", "").replace('placeholder="http://shop.example.com/cart"', "")
        assert not re.findall(r"https?://", known), name
        assert not re.findall(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|style=|\son\w+=\"", text
        ), name


def test_the_files_fit() -> None:
    """The whole page is small enough for a slow line: no framework, no fonts, no pictures but the icon."""
    assert sum(map(len, STATIC.values())) < 96 * 1024
