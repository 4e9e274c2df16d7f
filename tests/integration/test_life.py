"""The life of the processes: start, death of a worker, the end by signal."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.tasks import spawn
from tests.serve import Service, run, services, serving

RULES = """\
services:
  shop:
    versions:
      v1:
        endpoints: [{url}]
routes:
  - name: shop
    service: shop
"""


@pytest.fixture
async def shop() -> AsyncIterator[Service]:
    async with services("v1") as (started,):
        yield started


@pytest.fixture
def rules(tmp_path: Path, shop: Service) -> Path:
    path = tmp_path / "rules.yaml"
    path.write_text(RULES.format(url=shop.url))
    return path


# --- Start ---------------------------------------------------------------------------------------------------------


async def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    """The reason on stderr in one line, exit code 1."""
    code, out, err = await run("serve", str(tmp_path / "none.yaml"))
    assert (code, out) == (1, "")
    assert err == f"grayhound: cannot read {tmp_path}/none.yaml: No such file or directory\n"


@pytest.mark.parametrize("which", ["--listen", "--admin"])
@pytest.mark.parametrize("reuse_port", [False, True])
async def test_a_port_in_use_is_one_line(rules: Path, which: str, reuse_port: bool) -> None:
    """A port of another process is never shared, even if that process would share it."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(reuse_port))
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        others = {"--listen": "127.0.0.1:0", "--admin": "127.0.0.1:0"} | {which: address}
        code, out, err = await run("serve", str(rules), *(part for pair in others.items() for part in pair))
    assert (code, out) == (1, "")
    assert err == f"grayhound: cannot listen on {address}: Address already in use\n"


async def test_faults_are_listed(tmp_path: Path) -> None:
    """Every fault at once, a line each, exit code 1 and no traceback."""
    path = tmp_path / "rules.yaml"
    path.write_text("services: {}\nroots: []\nroutes: [{service: none}]\n")
    code, _, err = await run("serve", str(path), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
    assert code == 1
    assert f"{path}:2:1: " in err
    assert f"{path}:1:11: services: " in err
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith("grayhound: ")


# --- Death of a worker ---------------------------------------------------------------------------------------------


async def test_a_dead_worker_is_replaced_and_counters_stay(rules: Path) -> None:
    """What a worker counted outlives it; another takes its place with the current rules."""
    async with serving(rules) as proxy:
        for _ in range(40):
            assert await proxy.get() == (200, "v1")
        await proxy.until(lambda: proxy.metric("requests_total", 'version="v1"'), 40.0)
        for worker in proxy.workers():
            os.kill(worker, signal.SIGKILL)
        await proxy.until(lambda: proxy.metric("worker_restarts_total"), 2.0)
        await proxy.until(lambda: proxy.metric("workers"), 2.0)
        assert await proxy.metric("requests_total", 'version="v1"') == 40
        assert await proxy.get() == (200, "v1")
        await proxy.until(lambda: proxy.metric("requests_total", 'version="v1"'), 41.0)
        config = await proxy.api("/api/config")
        assert {worker["generation"] for worker in config["workers"]} == {1}
        assert await proxy.said("was ended by signal 9 (Killed); replaced")


async def test_workers_end_when_control_dies(rules: Path) -> None:
    """No worker outlives the container's first process."""
    async with serving(rules) as proxy:
        workers = proxy.workers()
        proxy.signal(signal.SIGKILL)
        await proxy.ended()
        await proxy.until(_living(workers), [])


def _state(pid: int) -> str:
    """One letter, as ps has it; empty if there is no such process. Z: ended, and nobody has asked how."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except FileNotFoundError:
        return ""


def _living(pids: list[int]):  # type: ignore[no-untyped-def]
    async def living() -> list[int]:
        return [pid for pid in pids if _state(pid) not in "Z"]

    return living


# --- The end -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_what_is_under_way_first(rules: Path, shop: Service, number: signal.Signals) -> None:
    """No new connection is taken, a slow request still gets its answer, the exit code is 0."""
    async with serving(rules) as proxy:
        slow = spawn(proxy.get("/slow"), name="slow request")
        await shop.arrived.wait()
        proxy.signal(number)
        await proxy.said("draining")
        await proxy.until(lambda: _refused(proxy.url), True)
        assert (await proxy.api("/readyz"))["reasons"] == ["draining"]
        assert not slow.done()
        shop.release.set()
        assert await slow == (200, "v1")
        assert await proxy.ended() == 0


async def _refused(url: str) -> bool:
    host, _, port = url.removeprefix("http://").partition(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except OSError as error:  # or reset, if the listener closes at that very moment
        return isinstance(error, ConnectionRefusedError)
    writer.close()
    return False


async def test_the_drain_has_an_end(rules: Path, shop: Service) -> None:
    """After the drain time-out what is still under way is cut, and the exit code is 0 all the same."""
    async with serving(rules, "--drain-timeout", "200ms") as proxy:
        slow = spawn(_cut(proxy.get("/slow")), name="slow request")
        await shop.arrived.wait()
        proxy.signal(signal.SIGTERM)
        assert await proxy.ended() == 0
        assert await slow
        assert await proxy.said("cut off")


async def test_a_second_signal_ends_at_once(rules: Path, shop: Service) -> None:
    """Whoever asks twice does not want to wait."""
    async with serving(rules, "--drain-timeout", "1h") as proxy:
        slow = spawn(_cut(proxy.get("/slow")), name="slow request")
        await shop.arrived.wait()
        proxy.signal(signal.SIGTERM)
        await proxy.said("draining")
        proxy.signal(signal.SIGTERM)
        assert await proxy.ended() == 0
        assert await slow


async def _cut(request):  # type: ignore[no-untyped-def]
    """Whether a request ended without its answer."""
    try:
        await request
    except OSError:  # aiohttp's ClientOSError and ServerDisconnectedError
        return True
    return False
