"""proxy/demo.py: one command shows a gray release, and every line it prints works as printed."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

READY_S = 30
COMMAND_S = 60


class Demo:
    """A running demo, with what it printed."""

    def __init__(self, process: asyncio.subprocess.Process, text: str) -> None:
        self.process = process
        self.text = text

    def line(self, part: str) -> str:
        """The one printed command with `part`."""
        (found,) = (line.strip() for line in self.text.splitlines() if line.startswith("  ") and part in line)
        return found

    async def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), READY_S)


async def typed(command: str) -> str:
    """What a shell prints for this command."""
    shell = await asyncio.create_subprocess_exec("bash", "-c", command, stdout=asyncio.subprocess.PIPE)
    output, _ = await asyncio.wait_for(shell.communicate(), COMMAND_S)
    assert shell.returncode == 0, command
    return output.decode()


@pytest.fixture
async def demo() -> AsyncIterator[Demo]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "proxy", "demo"), cwd=Path(__file__).parent.parent, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        text = await asyncio.wait_for(process.stdout.readuntil(b"Ctrl-C ends all."), READY_S)
        yield Demo(process, text.decode())
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def versions(counted: str) -> dict[str, int]:
    """{"v1": 161, "v2": 39} from what `uniq -c` prints."""
    return {version: int(number) for number, version in re.findall(r"(\d+) hello from (v\d)", counted)}


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed: the demo's lines need it")
async def test_every_line_works_as_printed(demo: Demo) -> None:
    """Both scenarios of a gray release, an edit while it runs, what was counted, and why."""
    assert "hello from v1 (old): GET /" in await typed(demo.line("curl http"))
    by_header = await typed(demo.line("-H 'foo: bar'"))
    assert "hello from v2 (new): GET /\n" in by_header
    assert "foo: bar" in by_header and "x-gray-version: v2" in by_header
    assert "hello from v2 (new)" in await typed(demo.line("--cookie foo=bar"))

    loop = demo.line("for i in")
    before = versions(await typed(loop))
    assert sum(before.values()) == 200
    assert 10 <= before["v2"] <= 75  # 20 %; further off once in a million runs

    # All of it to the new version, so that no chance is left in the answer.
    await typed(demo.line("sed -i").replace("v1: 50, v2: 50", "v1: 0, v2: 1"))
    async with asyncio.timeout(READY_S):
        while versions(await typed(loop)) != {"v2": 200}:
            pass

    assert re.search(r'grayhound_requests_total\{.*version="v2"\} [1-9]', await typed(demo.line("/metrics")))
    assert '"rule": "testers"' in await typed(demo.line("/api/explain"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_ctrl_c_and_term_end_all(demo: Demo, number: signal.Signals) -> None:
    """Exit code 0; nothing listens any more, and the rule file is gone."""
    rules = Path(re.findall(r"rules +(\S+)", demo.text)[0])
    port = int(re.findall(r"proxy +http://127.0.0.1:(\d+)", demo.text)[0])
    assert rules.exists()
    assert await demo.end(number) == 0
    assert not rules.exists()
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", port)
