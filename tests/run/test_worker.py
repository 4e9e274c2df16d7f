"""A worker as a real process, with the test in control's place."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from proxy.rules.model import RuleFile
from proxy.run.birth import Birth, Nursery, exec_nursery
from proxy.run.channel import Channel, Rules, Start, encode
from proxy.run.ports import reserve
from proxy.settings import Listen, Settings
from tests.serve import wait_for_child

WAIT_S = 20.0


class Control:
    """Control's end of a worker's channel."""

    birth: Birth

    def __init__(self) -> None:
        self.heard: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self.closed = asyncio.Event()
        self.channel: Channel
        self.reserved = reserved = reserve((Listen("127.0.0.1", 0),), 1)
        self.address = reserved.addresses[0][1:3]
        self.start = Start(Settings("rules.yaml"), reserved.addresses, Rules.pack(7, RuleFile({}, ())), {})

    async def open(self) -> None:
        nursery = Nursery(exec_nursery())
        self.birth = nursery.bear(self.reserved.sockets[0])
        nursery.close()
        wait_for_child(self.birth.pid)
        self.channel = await Channel.open(
            self.birth.end, lambda *message: self.heard.put_nowait(message), self.closed.set
        )

    async def hear(self, kind: str) -> Any:
        """The payload of the next message of this kind; those between are passed over."""
        async with asyncio.timeout(WAIT_S):
            while True:
                heard, payload = await self.heard.get()
                if heard == kind:
                    return payload

    async def exit_code(self) -> int:
        async with asyncio.timeout(WAIT_S):
            _, status = await asyncio.to_thread(os.waitpid, self.birth.pid, 0)
        return os.waitstatus_to_exitcode(status)

    async def close(self) -> None:
        await self.channel.close()
        self.reserved.close()


@pytest.fixture
async def control() -> AsyncIterator[Control]:
    control = Control()
    await control.open()
    yield control
    await control.close()


async def test_a_worker_serves_drains_and_ends(control: Control) -> None:
    """It has the rules before it is ready, listens when it says so, sends signs of life, hands in its last counts."""
    control.channel.send(encode("start", control.start))
    assert await control.hear("applied") == 7
    await control.hear("ready")
    reader, writer = await asyncio.open_connection(*control.address)
    writer.write(b"GET / HTTP/1.1\r\nHost: nobody\r\nConnection: close\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 404 ")
    writer.close()
    await control.hear("counts")
    control.channel.send(Rules.pack(8, RuleFile({}, ())).messages())
    assert await control.hear("applied") == 8
    control.channel.send(encode("drain", 5.0))
    control.reserved.close()
    await control.hear("counts")
    await control.hear("gone")
    assert await control.exit_code() == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(control.address)


async def test_a_worker_ends_when_control_is_gone(control: Control) -> None:
    """A closed channel is the order to drain, whether the worker has begun or not."""
    control.channel.send(encode("start", control.start))
    await control.hear("ready")
    await control.channel.close()
    assert await control.exit_code() == 0


async def test_a_worker_told_to_drain_before_it_began_just_ends(control: Control) -> None:
    """Nothing to end: it goes."""
    control.channel.send(encode("drain", 60.0))
    await control.hear("gone")
    assert await control.exit_code() == 0


async def test_signals_to_the_group_do_not_end_a_worker(control: Control) -> None:
    """Control alone decides: a supervisor that signals every process of the service cuts nothing."""
    control.channel.send(encode("start", control.start))
    await control.hear("ready")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(control.birth.pid, number)
    await control.hear("counts")
    await control.hear("counts")
    await control.channel.close()
    assert await control.exit_code() == 0


def test_a_worker_imports_nothing_that_only_control_needs() -> None:
    """The start of a worker is the start of the proxy: no YAML, no pydantic, no aiohttp, no Prometheus client."""
    code = "import sys, proxy.run.worker; print(*sys.modules)"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    assert not loaded & {"yaml", "pydantic", "aiohttp", "prometheus_client", "argparse"}
