"""The real proxy as a process, and real services behind it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from benchmarks.processes import name_of

START_S = 20.0
"""A machine busy with other tests may take long to start three Pythons."""
WAIT_S = 10.0


@dataclass
class Service:
    """One version of a service: answers its name. `/slow` waits until `release` is set, `arrived` says that it does.

    asked: for what, in order.
    """

    name: str
    url: str = ""
    asked: list[str] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path_qs)
        if request.path == "/slow":
            self.arrived.set()
            await self.release.wait()
        return web.Response(text=self.name)


@asynccontextmanager
async def services(*names: str) -> AsyncIterator[list[Service]]:
    """One real HTTP server for each name."""
    started = [Service(name) for name in names]
    runners = []
    for service in started:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", service.answer)
        runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        service.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        runners.append(runner)
    try:
        yield started
    finally:
        for service, runner in zip(started, runners, strict=True):
            service.release.set()
            await runner.cleanup()


class Proxy:
    """A running `grayhound serve`. lines: what it has written to stderr so far."""

    def __init__(self, process: asyncio.subprocess.Process, session: aiohttp.ClientSession) -> None:
        self._process = process
        self._session = session
        self._said = asyncio.Condition()
        self.lines: list[str] = []
        self.url = ""
        self.admin = ""

    @property
    def pid(self) -> int:
        return self._process.pid

    async def read_log(self) -> None:
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            async with self._said:
                self.lines.append(line.decode().rstrip("\n"))
                self._said.notify_all()
        async with self._said:
            self.lines.append("<end>")
            self._said.notify_all()

    async def said(self, text: str, timeout_s: float = WAIT_S) -> str:
        """The first line of the log with `text`, waited for."""

        def found() -> str:
            return next((line for line in self.lines if text in line or line == "<end>"), "")

        try:
            async with asyncio.timeout(timeout_s), self._said:
                await self._said.wait_for(found)
        except TimeoutError:
            pass
        assert text in found(), f"no '{text}' in:\n" + "\n".join(self.lines)
        return found()

    async def get(self, path: str = "/", **options: Any) -> tuple[int, str]:
        """A request on a connection of its own, so that any worker may get it."""
        async with self._session.get(self.url + path, **options) as response:
            return response.status, await response.text()

    async def api(self, path: str) -> Any:
        async with self._session.get(self.admin + path) as response:
            return await response.json()

    async def metric(self, name: str, *labels: str) -> float:
        """The sum of a metric's series that have all of these labels, like `version="v1"`."""
        async with self._session.get(self.admin + "/metrics") as response:
            lines = (await response.text()).splitlines()
        found = [line for line in lines if line.split("{")[0].split(" ")[0] == f"grayhound_{name}"]
        return sum(float(line.rpartition(" ")[2]) for line in found if all(label in line for label in labels))

    async def until(self, ask: Any, wanted: Any, timeout_s: float = WAIT_S) -> Any:
        """Ask until the answer satisfies `wanted` (a value, or a test of it)."""
        test = wanted if callable(wanted) else wanted.__eq__
        answer = None
        try:
            async with asyncio.timeout(timeout_s):
                while not test(answer := await ask()):
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"still {answer!r} after {timeout_s} s\n" + "\n".join(self.lines)) from None
        return answer

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def ended(self, timeout_s: float = WAIT_S) -> int:
        """Its exit code, waited for."""
        async with asyncio.timeout(timeout_s):
            return await self._process.wait()

    def workers(self) -> list[int]:
        """The pids of its worker processes, oldest first."""
        return workers_of(self.pid)


def workers_of(control: int) -> list[int]:
    """Oldest first; without the nursery."""
    return [pid for pid in children(control) if name_of(pid) == "gray-worker"]


def children(pid: int) -> list[int]:
    """Of its first thread, oldest first."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_for_child(pid: int) -> None:
    """Until this process has inherited it of one that is about to end."""
    while pid not in children(os.getpid()):
        time.sleep(0.001)


async def run(*arguments: str, **environ: str) -> tuple[int, str, str]:
    """One command to its end: exit code, stdout and stderr."""
    process = await start(*arguments, environ=environ)
    async with asyncio.timeout(START_S):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@asynccontextmanager
async def serving(
    rules: Path, *options: str, before: tuple[str, ...] = (), files: tuple[int, int] | None = None
) -> AsyncIterator[Proxy]:
    """`grayhound serve` on free ports with two workers, ready; killed at the end if it still runs.

    before: a command that runs it. files: the soft and the hard limit of open files.
    """
    ports = ("--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--workers", "2")
    process = await start("serve", str(rules), *ports, *options, before=before, files=files)
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:
        proxy = Proxy(process, session)
        reading = asyncio.get_running_loop().create_task(proxy.read_log())
        try:
            proxy.url = "http://" + (await proxy.said("listening on ", START_S)).rpartition(" ")[2]
            proxy.admin = "http://" + (await proxy.said("admin port on ", START_S)).rpartition(" ")[2]
            await proxy.until(lambda: proxy.api("/readyz"), lambda answer: answer["ready"], START_S)
            yield proxy
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
            await reading


async def start(
    *arguments: str,
    environ: dict[str, str] | None = None,
    before: tuple[str, ...] = (),
    files: tuple[int, int] | None = None,
) -> asyncio.subprocess.Process:
    """One command as a process; as for `serving`. A PYTHONPATH comes before ours, which may lead to compiled code."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GRAYHOUND_")}
    environ = environ or {}
    if "PYTHONPATH" in environ:
        environ = environ | {"PYTHONPATH": f"{environ['PYTHONPATH']}{os.pathsep}{kept.get('PYTHONPATH', '')}"}
    limits = ("prlimit", f"--nofile={files[0]}:{files[1]}") if files else ()
    return await asyncio.create_subprocess_exec(
        *before,
        *limits,
        sys.executable,
        "-m",
        "proxy",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=kept | environ,
        cwd=Path(__file__).parent.parent,
    )
