"""Rollouts as they are: real services, a real proxy and real load, minutes shortened to seconds.

    python -m benchmarks.live_rollouts [SCENARIO ...]

    promoted   an equal version goes from 0 to 100 %, untouched
    failing    it begins to fail 3 in 10 requests when it has 20 %, and a gate takes it back
    burning    it begins to fail all of them, and is taken back without any gate
    killed     kill -9 of the proxy's control process in the middle of a step, and a new start

Each prints what became of the rule file, what happened, and what the clients saw. Exit code 1 if it was not as it
should be: a rollout that ended otherwise, a file with other changes than two weights, more failures than the gate
allows, a step that was repeated, skipped or begun anew.
"""

from __future__ import annotations

import asyncio
import difflib
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from subprocess import Popen
from typing import Any, Final

import aiohttp

from benchmarks.processes import START_S, accepts, free_port, running
from proxy.tasks import spawn

PER_S: Final = 400
CONNECTIONS: Final = 20
PATIENCE_S: Final = 240.0
LOOK_S: Final = 0.1
ALLOWED: Final = 0.02
"""The share of failures that the gate allows."""
RULES: Final = """\
# The shop's release. A person wrote this file, the proxy edits two numbers in it.
services:
  shop:
    stable: v1
    versions:
      v1: {{endpoints: [http://127.0.0.1:{old}]}}
      v2: {{endpoints: ["http://127.0.0.1:{new}"]}}   # built today

routes:
  - name: shop
    service: shop
    rules:
      - name: everyone
        split:
          v1: 100      # old
          v2:   0      # new

rollouts:
  shop-v2:
    route: shop
    from: v1
    to: v2
    steps:               # seconds stand for minutes
      - {{weight: 5, hold: 10s}}
      - {{weight: 20, hold: 30s}}
      - {{weight: 50, hold: 10s}}
      - {{weight: 100, hold: 10s}}
    gates: {gates}
    min_requests: 10
"""
GATES: Final = "[{metric: success_rate, min: 98%, window: 1s}, {metric: latency_p95, max_ratio: 2, window: 1s}]"
STEPS: Final = ["started", "step", "step", "step", "step"]

Status = dict[str, Any]


class Wrong(Exception):
    """Something was not as it should be."""


class Version(asyncio.Protocol):
    """A service's connection: answers its name; `/fail/0.3` makes that share of all further answers errors."""

    share = 0.0  # of the whole process

    def __init__(self, name: bytes) -> None:
        self._name = name
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._head += data
        if not self._head.endswith(b"\r\n\r\n"):
            return
        path, self._head = self._head.split(b" ", 2)[1], b""
        if path.startswith(b"/fail/"):
            Version.share = float(path.removeprefix(b"/fail/"))
        status = b"500 Broken" if random.random() < Version.share else b"200 OK"
        self._transport.write(b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(self._name), self._name))


async def serve(port: int, name: str) -> None:
    await asyncio.get_running_loop().create_server(lambda: Version(name.encode()), "127.0.0.1", port)
    await asyncio.get_running_loop().create_future()


class Site:
    """Two services, the proxy before them, and its clients. answers: by version and status, with `none` for both where
    no answer came."""

    def __init__(self, folder: Path, session: aiohttp.ClientSession, gates: str) -> None:
        self.old, self.new, self._port, self._admin = (free_port() for _ in range(4))
        self.path = folder / "rules.yaml"
        self.before = RULES.format(old=self.old, new=self.new, gates=gates)
        self.path.write_text(self.before)
        self.answers: Counter[tuple[str, str]] = Counter()
        self._folder = folder
        self._session = session

    @asynccontextmanager
    async def process(self, name: str, port: int, *arguments: str) -> AsyncIterator[Popen[bytes]]:
        with running([sys.executable, "-m", *arguments], 0, self._folder / f"{name}.log") as process:
            async with asyncio.timeout(START_S):
                while not accepts(port):
                    await asyncio.sleep(LOOK_S)
            yield process

    @asynccontextmanager
    async def services(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as life:
            for name, port in (("v1", self.old), ("v2", self.new)):
                await life.enter_async_context(
                    self.process(name, port, "benchmarks.live_rollouts", "--service", str(port), name)
                )
            yield

    @asynccontextmanager
    async def proxy(self) -> AsyncIterator[Popen[bytes]]:
        listen, admin = f"127.0.0.1:{self._port}", f"127.0.0.1:{self._admin}"
        options = ("--listen", listen, "--admin", admin, "--workers", "2")
        async with self.process("proxy", self._admin, "proxy", "serve", str(self.path), *options) as process:
            yield process

    @asynccontextmanager
    async def load(self) -> AsyncIterator[None]:
        """PER_S requests a second, on a schedule: who is late makes up for it."""
        tasks = [spawn(self._client(number), name="client") for number in range(CONNECTIONS)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _client(self, number: int) -> None:
        due = time.monotonic() + number / PER_S
        while True:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            due = max(due, time.monotonic() - 1) + CONNECTIONS / PER_S
            try:
                async with self._session.get(f"http://127.0.0.1:{self._port}/") as response:
                    self.answers[await response.text(), str(response.status)] += 1
            except aiohttp.ClientError:
                self.answers["none", "none"] += 1

    async def status(self) -> Status:
        async with self._session.get(f"http://127.0.0.1:{self._admin}/api/rollouts/shop-v2") as response:
            if response.status != 200:
                return {"phase": "unknown", "live_weight": None}
            found: Status = await response.json()
            return found

    async def until(self, wanted: Callable[[Status], bool]) -> Status:
        async with asyncio.timeout(PATIENCE_S):
            while not wanted(status := await self.status()):
                await asyncio.sleep(LOOK_S)
            return status

    async def make_fail(self, share: float) -> None:
        async with self._session.get(f"http://127.0.0.1:{self.new}/fail/{share}"):
            pass


# --- scenarios -----------------------------------------------------------------------------------------------------


async def promoted(site: Site) -> None:
    async with site.services(), site.proxy():
        async with site.load():
            status = await site.until(lambda status: status["phase"] == "promoted" and status["live_weight"] == 100)
        tell(site, status)
    check(events(status) == [*STEPS, "promoted"], "it is not promoted step by step")
    check(site.path.read_text() == moved(site.before, 0, 100), "more than the weights has changed")
    check(not failed(site), "requests failed")


async def failing(site: Site) -> None:
    status = await taken_back(site, 0.3)
    check(status["reason"].startswith("success_rate: v2 succeeds"), "it was no gate that failed")
    check(failed(site) <= ALLOWED * site.answers.total(), "more failed than the gate allows")


async def burning(site: Site) -> None:
    check((await taken_back(site, 1.0))["reason"].startswith("v2 is burning"), "it did not burn")


async def taken_back(site: Site, share: float) -> Status:
    """Let v2 fail this share of its requests when it has 20 % of them."""
    async with site.services(), site.proxy():
        async with site.load():
            await site.until(lambda status: status["live_weight"] == 20 and status["held_s"] > 15)
            began = time.monotonic()
            await site.make_fail(share)
            status = await site.until(lambda status: status["live_weight"] == 0)
            took_s = time.monotonic() - began
        print(f"v2 fails {share:.0%} of its requests; it got none any more after {took_s:.1f} s")
        tell(site, status)
    check(events(status)[-2:] == ["failed", "rolled_back"], "it is not rolled back")
    check(site.path.read_text() == site.before, "the file is not as it was")
    return status


async def killed(site: Site) -> None:
    async with site.services(), site.load():
        async with site.proxy() as process:
            known = await site.until(lambda status: status["live_weight"] == 20 and status["held_s"] > 15)
            process.kill()
            process.wait()
            down = time.monotonic()
        text = site.path.read_text()
        print(f"kill -9 at step {known['step']}, held for {known['held_s']:.0f} of {known['hold_s']:.0f} s")
        async with site.proxy():
            status = await site.until(lambda status: status["phase"] == "progressing")
            print(
                f"{time.monotonic() - down:.1f} s later: step {status['step']}, held for {status['held_s']:.0f} of "
                f"{status['hold_s']:.0f} s, v2 has {status['live_weight']:g} %; the file is the same: "
                f"{site.path.read_text() == text}"
            )
            check(events(status) == STEPS[:3], "it has begun anew")
            check(status["held_s"] > known["held_s"] - 6, "the step has begun anew")
            began, held_s = time.monotonic(), status["held_s"]
            await site.until(lambda status: status["step"] == 3)
            print(f"the next step came {time.monotonic() - began:.0f} s later, {held_s:.0f} s counted before")
            status = await site.until(lambda status: status["phase"] == "promoted" and status["live_weight"] == 100)
            tell(site, status)
    check(events(status) == [*STEPS, "promoted"], "a step was repeated or skipped")
    check(site.path.read_text() == moved(site.before, 0, 100), "more than the weights has changed")


SCENARIOS: Final[dict[str, Callable[[Site], Awaitable[None]]]] = {
    "promoted": promoted,
    "failing": failing,
    "burning": burning,
    "killed": killed,
}

# --- what is told --------------------------------------------------------------------------------------------------


def tell(site: Site, status: Status) -> None:
    after = site.path.read_text()
    print("the rule file, before and after:")
    changed = difflib.unified_diff(site.before.splitlines(), after.splitlines(), "before", "after", n=1, lineterm="")
    print("".join(f"    {line}\n" for line in changed) or "    as it was, to the byte\n", end="")
    print("what happened:")
    began = status["journal"][0]["at"]
    for entry in status["journal"]:
        print(f"    {entry['at'] - began:5.1f} s  {entry['event']}: {entry['text']}")
    print("what the clients saw:")
    for version in ("v1", "v2"):
        asked = sum(count for (name, _), count in site.answers.items() if name == version)
        wrong = sum(count for (name, code), count in site.answers.items() if name == version and code != "200")
        print(f"    {version}: {asked} answers, {wrong} failed")
    if unanswered := site.answers["none", "none"]:
        print(f"    {unanswered} requests were not answered: nobody listened")
    total, lost = site.answers.total(), failed(site)
    print(f"    all: {total} requests, {lost} failed ({lost / total:.2%})")


def failed(site: Site) -> int:
    return sum(count for (_, status), count in site.answers.items() if status != "200")


def events(status: Status) -> list[str]:
    return [entry["event"] for entry in status["journal"]]


def moved(text: str, old: int, new: int) -> str:
    return text.replace("v1: 100 ", f"v1: {old} ").replace("v2:   0 ", f"v2:   {new} ")


def check(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Wrong(otherwise)


async def main() -> int:
    wrong = 0
    for name in sys.argv[1:] or SCENARIOS:
        print(f"== {name}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            connector = aiohttp.TCPConnector(limit=0)
            async with aiohttp.ClientSession(connector=connector) as session:
                try:
                    await SCENARIOS[name](Site(Path(folder), session, "[]" if name == "burning" else GATES))
                except (Wrong, TimeoutError) as error:
                    wrong += 1
                    print(f"WRONG: {error or 'it took too long'}")
        print(flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--service"]:
        asyncio.run(serve(int(sys.argv[2]), sys.argv[3]))
    else:
        sys.exit(asyncio.run(main()))
