"""The real Prometheus and promtool, as processes."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

WAIT_S = 30.0
"""Prometheus opens its store and scrapes once within a second; a busy machine may take longer."""


def tool(name: str) -> str:
    """Where it is; without it the test is skipped."""
    return shutil.which(name) or pytest.skip(f"needs {name}: apt-get install prometheus")


async def finished(*command: str, given: bytes = b"") -> tuple[int | None, str]:
    """Exit code, and all that was said."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(WAIT_S):
        said, _ = await process.communicate(given)
    return process.returncode, said.decode()


@asynccontextmanager
async def prometheus(folder: Path, text: str) -> AsyncIterator[str]:
    """A running Prometheus with this configuration, kept in `folder`: its address."""
    configuration = folder / "prometheus.yml"
    configuration.write_text(text)
    process = await asyncio.create_subprocess_exec(
        tool("prometheus"), f"--config.file={configuration}", f"--storage.tsdb.path={folder / 'data'}",
        "--web.listen-address=127.0.0.1:0", "--log.level=info",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        async with asyncio.timeout(WAIT_S):
            # Read on to the end by the kernel's buffer: it says no more than some kilobytes in its short life.
            while not (listening := re.search(rb'"Listening on".* address=(\S+)', await process.stderr.readline())):
                assert not process.stderr.at_eof(), "Prometheus did not start"
        yield f"http://{listening[1].decode()}"
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def answered(session: aiohttp.ClientSession, path: str, **parameters: str) -> Any:
    """The data of an answer; nothing while it is not ready. A query that it does not understand is a failure."""
    async with session.get(path, params=parameters) as response:
        assert response.status in (200, 503), await response.text()
        return (await response.json())["data"] if response.status == 200 else {}
