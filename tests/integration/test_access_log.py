"""The access log of the real process: every request leaves its line, and a stuck reader stops nothing."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.serve import Proxy, run, services, serving

RULES = """\
services:
  shop:
    stable: v1
    versions:
      v1: {{endpoints: ["{v1}"]}}
      v2: {{endpoints: ["{v2}"]}}
routes:
  - name: shop
    hosts: [shop.example.com]
    service: shop
    rules:
      - name: testers
        match: {{header: {{foo: bar}}}}
        version: v2
"""
HOST = {"Host": "shop.example.com"}
FIELDS = [
    "time", "client", "method", "host", "target", "status", "flag", "route", "service", "version", "rule", "reason",
    "endpoint", "tries", "duration_ms", "upstream_ms", "request_bytes", "response_bytes", "request_id", "trace_id",
    "user_agent", "generation",
]  # fmt: skip
REQUESTS = 150


@asynccontextmanager
async def logging_to(setting: str, folder: Path, *options: str) -> AsyncIterator[Proxy]:
    async with services("v1", "v2") as (v1, v2):
        rules = folder / "rules.yaml"
        rules.write_text(RULES.format(v1=v1.url, v2=v2.url))
        async with serving(rules, "--access-log", setting, *options) as proxy:
            yield proxy


async def raw(proxy: Proxy, data: bytes) -> bytes:
    """What a client hears that says these bytes."""
    url = urlsplit(proxy.url)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    writer.write(data)
    heard = await reader.read()
    writer.close()
    return heard


async def output(proxy: Proxy) -> list[str]:
    """All lines on standard output, once the process has ended."""
    assert proxy._process.stdout is not None
    return (await proxy._process.stdout.read()).decode("ascii").splitlines()


async def ask_all(proxy: Proxy) -> None:
    """Requests of several kinds on many connections: to either version, without a route, malformed, forging."""
    await asyncio.gather(*(
        proxy.get(f"/{number}?q=1", headers=HOST | ({"foo": "bar"} if number % 3 == 0 else {}))
        for number in range(REQUESTS - 4)
    ))  # fmt: skip
    await proxy.get("/nowhere")
    forged = b'{"status":200}'
    for data in (
        b'GET /evil"%s HTTP/1.1\r\nHost: shop.example.com\r\nUser-Agent: "}%s\\\r\nConnection: close\r\n\r\n',
        b"GET /evil\n%s HTTP/1.1\r\nHost: shop.example.com\r\n%s\r\n\r\n",
        b"GET /evil HTTP/1.1\r\nHost: shop.example.com\n%s\r\nUser-Agent: x\r\r\n%s\r\n\r\n",
    ):
        await raw(proxy, data % (forged, forged))


def check(lines: list[dict[str, Any]]) -> None:
    """One line for each request of `ask_all`."""
    assert len(lines) == REQUESTS
    assert all(list(line) == FIELDS for line in lines)
    by_target = {line["target"]: line for line in lines}
    for number in range(REQUESTS - 4):
        line = by_target[f"/{number}?q=1"]
        version, rule, reason = ("v2", "testers", "match") if number % 3 == 0 else ("v1", "", "default")
        assert (line["version"], line["rule"], line["reason"], line["flag"]) == (version, rule, reason, "")
        assert (line["status"], line["response_bytes"], line["tries"]) == (200, 2, 1)
    assert by_target["/nowhere"]["flag"] == "proxy_no_route"
    assert by_target['/evil"{"status":200}']["user_agent"] == '"}{"status":200}\\'
    assert Counter(line["flag"] for line in lines)["client_bad_request"] == 2


@pytest.mark.parametrize("to", ["stdout", "file"])
async def test_json(to: str, tmp_path: Path) -> None:
    """Two workers, one sink: as many lines as requests, each whole; the last ones are written when TERM ends it."""
    path = tmp_path / "access.log"
    async with logging_to("json" if to == "stdout" else str(path), tmp_path) as proxy:
        await ask_all(proxy)
        proxy.signal(signal.SIGTERM)
        lines = await output(proxy)
        assert await proxy.ended() == 0
    if to == "file":
        assert lines == []
        lines = path.read_text("ascii").splitlines()
    check([json.loads(line) for line in lines])


async def test_text(tmp_path: Path) -> None:
    """One readable line for each request."""
    async with logging_to("text", tmp_path) as proxy:
        await ask_all(proxy)
        proxy.signal(signal.SIGTERM)
        lines = await output(proxy)
    assert len(lines) == REQUESTS and all(line.startswith("127.0.0.1 - - [2") for line in lines)
    (line,) = (line for line in lines if '"GET /3?q=1 HTTP/1.1" 200 2 "-" "' in line)
    assert ' host="shop.example.com" flag=- route=shop service=shop version=v2 rule=testers reason=match ' in line


async def test_lines_come_soon(tmp_path: Path) -> None:
    """Not only at the end, and however few they are."""
    async with logging_to("json", tmp_path) as proxy:
        await proxy.get("/", headers=HOST)
        assert proxy._process.stdout is not None
        async with asyncio.timeout(5):
            line = await proxy._process.stdout.readline()
        assert json.loads(line)["target"] == "/"


async def test_hup_goes_on_in_a_new_file(tmp_path: Path) -> None:
    """As logrotate does it: moved away, HUP, and nothing is lost."""
    path, old = tmp_path / "access.log", tmp_path / "access.log.1"
    async with logging_to(str(path), tmp_path) as proxy:
        for number in range(20):
            await proxy.get(f"/{number}", headers=HOST)
        path.rename(old)
        proxy.signal(signal.SIGHUP)

        async def there() -> bool:
            return path.exists()

        await proxy.until(there, True)
        for number in range(20, 40):
            await proxy.get(f"/{number}", headers=HOST)
        proxy.signal(signal.SIGTERM)
        assert await proxy.ended() == 0
    targets = [json.loads(line)["target"] for file in (old, path) for line in file.read_text().splitlines()]
    assert sorted(targets) == sorted(f"/{number}" for number in range(40))
    assert path.stat().st_size > 0


async def test_a_reader_that_is_stuck_stops_nothing(tmp_path: Path) -> None:
    """Standard output is a pipe that nobody reads: traffic goes on, lines are dropped and counted, and TERM ends it."""
    agent = "x" * 500
    many = b"".join(
        b"GET /%d HTTP/1.1\r\nHost: nobody\r\nUser-Agent: %s\r\n\r\n" % (number, agent.encode())
        for number in range(2000)
    )
    last = b"GET /last HTTP/1.1\r\nHost: nobody\r\nConnection: close\r\n\r\n"
    asked = 0
    async with logging_to("json", tmp_path, "--drain-timeout", "5s") as proxy:
        async with asyncio.timeout(60):
            while not await proxy.metric("access_log_dropped_total"):
                heard = await raw(proxy, many + last)
                asked += 2001
                assert heard.count(b"HTTP/1.1 404") == 2001
        began = asyncio.get_running_loop().time()
        assert (await proxy.get("/", headers=HOST))[0] == 200
        assert asyncio.get_running_loop().time() - began < 5
        for pid in proxy.workers():
            assert _resident_mib(pid) < 150
        assert await proxy.metric("access_log_dropped_total") < asked
        proxy.signal(signal.SIGTERM)
        await proxy.said("lines could not be written")
        await proxy.said("grayhound.control: ended")
        written = await output(proxy)
        assert await proxy.ended() == 0
    assert 0 < len(written) < asked and all(len(json.loads(line)) == len(FIELDS) for line in written)


def _resident_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 1024 / 1024


async def test_a_file_that_cannot_be_written_is_said_at_once(tmp_path: Path) -> None:
    """In one line, before anything listens."""
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES.format(v1="http://127.0.0.1:1", v2="http://127.0.0.1:1"))
    code, _, err = await run("serve", str(rules), "--access-log", "/nowhere/access.log")
    assert code == 1
    assert err.endswith("grayhound: --access-log: /nowhere/access.log cannot be written: No such file or directory\n")


async def test_what_the_drain_cuts_off_is_logged_too(tmp_path: Path) -> None:
    """A request that is not answered within the drain time-out: its line is the last one."""
    path = tmp_path / "access.log"
    async with logging_to(str(path), tmp_path, "--drain-timeout", "500ms") as proxy:
        url = urlsplit(proxy.url)
        reader, writer = await asyncio.open_connection(url.hostname, url.port)
        writer.write(b"GET /slow HTTP/1.1\r\nHost: shop.example.com\r\n\r\n")

        async def in_flight() -> float:
            return await proxy.metric("requests_in_flight")

        await proxy.until(in_flight, 1.0)
        proxy.signal(signal.SIGTERM)
        assert await reader.read() == b""
        assert await proxy.ended() == 0
        writer.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["target"], line["status"], line["flag"]) for line in lines] == [("/slow", 499, "proxy_drain")]
