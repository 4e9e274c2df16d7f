"""A service as a process of its own, that dies, hangs, resets, answers 5xx and comes back, as it is told.

`GET /become/MOOD` changes how it answers from then on; moods may be followed by methods they are for (`500,POST`).
It answers its name. Run as `python -m tests.mortal NAME PORT`; prints its port once it listens.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import sys
from types import TracebackType

from benchmarks.processes import free_port

IDLE_S = 0.1
"""After so long without a request the mood `hasty` closes a connection."""


class Mortal:
    """The process, from outside. The port stays the same over its lives."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.port = free_port()
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Mortal:
        await self.rise()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.die()

    async def rise(self) -> None:
        """Start, or start again; returns when it listens."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.mortal", self.name, str(self.port), stdout=asyncio.subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.getcwd()},
        )  # fmt: skip
        assert self._process.stdout is not None
        assert await self._process.stdout.readline()

    async def die(self) -> None:
        """By SIGKILL, with whatever is under way."""
        if self._process is not None:
            self._process.kill()
            await self._process.wait()
            self._process = None

    async def become(self, mood: str) -> None:
        """ok, 500, 503, hang, reset, hasty (closes idle connections soon), sick (bad health only), garbage (what is no
        HTTP), endless (a body without end)."""
        assert (await self.ask(f"/become/{mood}")).startswith(b"HTTP/1.1 200 ")

    async def count(self, method: str = "") -> int:
        """Requests it has heard in this life, of that method; or `connections`."""
        return int((await self.ask(f"/count/{method}")).rpartition(b"\r\n")[2])

    async def ask(self, path: str) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: it\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer


class _Life(asyncio.Protocol):
    """One connection to it. Requests have no bodies but those with Content-Length, which come with their heads."""

    name = ""
    mood = "ok"
    only = ""
    counts: dict[str, int] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.timer: asyncio.TimerHandle | None = None
        self.counts["connections"] = self.counts.get("connections", 0) + 1

    def data_received(self, data: bytes) -> None:
        if self.timer is not None:
            self.timer.cancel()
        method, path = data.split(b" ", 2)[:2]
        word, _, rest = path.decode().strip("/").partition("/")
        if word == "become":
            _Life.mood, _, _Life.only = rest.partition(",")
            self.answer(200, "", True)
        elif word == "count":
            self.answer(200, str(self.counts.get(rest, 0)), True)
        elif word == "healthz":
            self.answer(503 if self.mood in ("sick", "500") else 200, "", True)
        else:
            for key in ("", method.decode()):
                self.counts[key] = self.counts.get(key, 0) + 1
            self.react("ok" if self.only and self.only != method.decode() else self.mood)

    def react(self, mood: str) -> None:
        if mood in ("500", "503"):
            self.answer(int(mood), self.name)
        elif mood == "reset":
            self.transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
            self.transport.abort()
        elif mood == "garbage":
            self.transport.write(b"\x16\x03\x01 what?\r\n\r\n")
        elif mood == "endless":
            self.transport.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            self.go_on()
        elif mood != "hang":
            self.answer(200, self.name)
            if mood == "hasty":
                self.timer = asyncio.get_running_loop().call_later(IDLE_S, self.transport.close)

    def go_on(self) -> None:
        """One more piece of the body, and the next as soon as this one has left."""
        if not self.transport.is_closing():
            self.transport.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
            self.timer = asyncio.get_running_loop().call_later(0.001, self.go_on)

    def answer(self, status: int, text: str, last: bool = False) -> None:
        close = "Connection: close\r\n" if last else ""
        self.transport.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(text)}\r\n{close}\r\n{text}".encode())
        if last:
            self.transport.close()


async def _live(name: str, port: int) -> None:
    _Life.name = name
    server = await asyncio.get_running_loop().create_server(_Life, "127.0.0.1", port, backlog=1024)
    print(port, flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_live(sys.argv[1], int(sys.argv[2])))
