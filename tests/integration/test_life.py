"""The life of the processes: start, death of a worker, the end by signal."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.tasks import spawn
from tests.serve import Service, children, run, services, serving, start, workers_of

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
    assert await fails(tmp_path / "none.yaml") == f"cannot read {tmp_path}/none.yaml: No such file or directory"


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


async def fails(rules: Path, *options: str) -> str:
    """The one line of a start that fails, by exit code 1."""
    code, out, err = await run("serve", str(rules), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", *options)
    assert (code, out) == (1, ""), err
    assert err.startswith("grayhound: ")
    assert err.count("\n") == 1, err
    return err.removeprefix("grayhound: ").strip()


async def test_files_that_cannot_be_read_are_one_line(tmp_path: Path) -> None:
    """A directory, and a file that is not ours to read."""
    assert await fails(tmp_path) == f"{tmp_path} is not a file"
    if os.geteuid():
        secret = tmp_path / "secret.yaml"
        secret.touch(mode=0o000)
        assert await fails(secret) == f"cannot read {secret}: Permission denied"


@pytest.mark.parametrize("which", ["--listen", "--admin"])
async def test_a_privileged_port_is_one_line(rules: Path, which: str) -> None:
    """Without the right to bind it."""
    if not os.geteuid() or int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 1:
        pytest.skip("every port is free to us")
    others = ("--admin", "127.0.0.1:0") if which == "--listen" else ("--listen", "127.0.0.1:0")
    code, _, err = await run("serve", str(rules), which, "127.0.0.1:1", *others)
    assert (code, err) == (1, "grayhound: cannot listen on 127.0.0.1:1: Permission denied\n")


@pytest.mark.parametrize(
    ("option", "value"), [("--listen", "nonsense"), ("--workers", "0"), ("--drain-timeout", "soon"), ("--no-such", "x")]
)
async def test_a_bad_option_is_told(rules: Path, option: str, value: str) -> None:
    """Exit code 2, the option named, no traceback."""
    code, _, err = await run("serve", str(rules), option, value)
    assert code == 2
    assert option in err
    assert "Traceback" not in err


async def test_too_few_files_are_one_line(rules: Path) -> None:
    """A proxy that could take no connections does not begin."""
    code, err = await _limited(rules, 100, 100)
    assert (code, err) == (1, "grayhound: only 100 files may be opened (ulimit -n); at least 256 are needed\n")


async def test_a_soft_limit_of_files_is_raised(rules: Path, shop: Service) -> None:
    """It is there for programs that use select(); we go to the hard one, and so do the workers."""
    async with serving(rules, files=(512, 2048)) as proxy:
        assert await proxy.get() == (200, "v1")
        for pid in (proxy.pid, *proxy.workers()):
            (line,) = (x for x in Path(f"/proc/{pid}/limits").read_text().splitlines() if "open files" in x)
            assert line.split()[3:5] == ["2048", "2048"]


async def _limited(rules: Path, soft: int, hard: int) -> tuple[int, str]:
    process = await start("serve", str(rules), files=(soft, hard))
    _, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, err.decode()


async def test_workers_that_can_never_start_are_one_line(rules: Path, tmp_path: Path) -> None:
    """No endless loop: three tries, then the reason and exit code 1."""
    sitecustomize = tmp_path / "path" / "sitecustomize.py"
    sitecustomize.parent.mkdir()
    sitecustomize.write_text(
        "import socket\n"
        "listen = socket.socket.listen\n"
        "def no_space(*arguments):\n"
        "    if open('/proc/self/comm').read() == 'gray-worker\\n': raise OSError(28, 'No space left on device')\n"
        "    listen(*arguments)\n"
        "socket.socket.listen = no_space\n"
    )
    code, _, err = await run(
        *("serve", str(rules), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--workers", "1"),
        PYTHONPATH=str(sitecustomize.parent),
    )
    assert code == 1
    assert "Traceback" not in err
    last = err.splitlines()[-1]
    assert last == "grayhound: no worker can start: worker 1 cannot start: No space left on device"


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
    """No worker outlives the container's first process, nor does the nursery."""
    async with serving(rules) as proxy:
        processes = children(proxy.pid)
        assert len(processes) == 3
        proxy.signal(signal.SIGKILL)
        await proxy.ended()
        await proxy.until(_living(processes), [])


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


async def test_who_waits_to_be_accepted_at_the_end_is_answered(rules: Path) -> None:
    """At TERM the queue is served, each with `Connection: close`; nobody is reset."""
    async with serving(rules) as proxy:
        address = proxy.url.removeprefix("http://").split(":")
        for pid in proxy.workers():
            os.kill(pid, signal.SIGSTOP)  # so that connections queue up
        clients = [await asyncio.open_connection(*address) for _ in range(20)]
        for _, writer in clients:
            writer.write(b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n")
        proxy.signal(signal.SIGTERM)
        told = {"ready": False, "reasons": ["draining"]}  # the workers, too: the log says so a moment before
        await proxy.until(lambda: proxy.api("/readyz"), told)
        for pid in proxy.workers():
            os.kill(pid, signal.SIGCONT)
        for reader, writer in clients:
            answer = await reader.read()  # to the end: the proxy closes
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert b"\r\nConnection: close\r\n" in answer
            writer.close()
        assert await proxy.ended() == 0


async def test_a_kept_connection_gets_one_more_answer_at_the_end(rules: Path) -> None:
    """Its next request may be on its way when the drain begins; an idle one holds nothing up."""
    async with serving(rules) as proxy:
        address = proxy.url.removeprefix("http://").split(":")
        busy, idle = await asyncio.open_connection(*address), await asyncio.open_connection(*address)
        for reader, writer in (busy, idle):
            writer.write(b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n")
            assert (await reader.readuntil(b"v1")).startswith(b"HTTP/1.1 200 ")
        proxy.signal(signal.SIGTERM)
        answer = b""
        while b"\r\nConnection: close\r\n" not in answer:
            busy[1].write(b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n")
            answer = await busy[0].readuntil(b"v1")
            assert answer.startswith(b"HTTP/1.1 200 ")
        assert await busy[0].read() == b""
        assert await idle[0].read() == b""
        assert await proxy.ended(5.0) == 0
        for _, writer in (busy, idle):
            writer.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_tunnels_live_until_the_drain_ends(tmp_path: Path, number: signal.Signals) -> None:
    """A WebSocket works on during the drain; at its end both sides hear an end and not a reset; exit code 0."""
    ended: asyncio.Queue[bytes] = asyncio.Queue()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        while data := await reader.read(100):
            writer.write(data)
        ended.put_nowait(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    path = tmp_path / "rules.yaml"
    path.write_text(RULES.format(url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"))
    async with server, serving(path, "--drain-timeout", "1s") as proxy:
        reader, writer = await asyncio.open_connection(*proxy.url.removeprefix("http://").split(":"))
        writer.write(b"GET / HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        proxy.signal(number)
        await proxy.said("draining")
        writer.write(b"ping")
        assert await reader.readexactly(4) == b"ping"
        assert await reader.read() == b""
        assert await ended.get() == b""
        writer.close()
        assert await proxy.ended() == 0
        assert await proxy.said("cut off")


# --- As a container's first process ---------------------------------------------------------------------------------


def _first_process() -> tuple[str, ...]:
    """A command that runs another as PID 1 of a namespace of its own; empty where that is not permitted."""
    for command in (
        ("unshare", "--pid", "--fork", "--mount-proc"),
        ("unshare", "-r", "--pid", "--fork", "--mount-proc"),
    ):
        if shutil.which(command[0]) and not subprocess.run([*command, "true"], capture_output=True).returncode:
            return (*command, "--kill-child")
    return ()


FIRST_PROCESS = _first_process()


@pytest.mark.skipif(not FIRST_PROCESS, reason="no PID namespaces here")
async def test_life_as_the_first_process(rules: Path) -> None:
    """As PID 1: orphans of others are reaped, dead workers replaced, HUP and USR2 obeyed, TERM ends with 0."""
    async with serving(rules, before=FIRST_PROCESS) as proxy:
        (control,) = children(proxy.pid)
        assert Path(f"/proc/{control}/status").read_text().split("NSpid:")[1].split()[1] == "1"
        orphaned = await asyncio.create_subprocess_exec(
            *("nsenter", "-t", str(control), "-p", "sh", "-c", "(sleep 0.2 &) ; exit 0")
        )
        await orphaned.wait()
        first, other = workers_of(control)
        os.kill(first, signal.SIGKILL)

        async def replaced() -> bool:
            now = workers_of(control)
            reaped = len(children(control)) == 3  # the nursery is one; and no orphan any more
            return len(now) == 2 and first not in now and other in now and reaped

        await proxy.until(replaced, True)
        await proxy.until(lambda: proxy.metric("workers"), 2.0)
        os.kill(control, signal.SIGHUP)
        await proxy.said("is unchanged: generation 1")
        os.kill(control, signal.SIGUSR2)
        await proxy.said("all workers have been replaced")
        assert await proxy.get() == (200, "v1")
        os.kill(control, signal.SIGTERM)
        assert await proxy.ended() == 0
