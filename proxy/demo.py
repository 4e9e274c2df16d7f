"""`grayhound demo`: one command to see it work. Sample services, the real proxy before them, and the lines to try."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import Final

import aiohttp
from aiohttp import web

from proxy.errors import StartError
from proxy.tasks import spawn

PORT: Final = 8080
ADMIN_PORT: Final = 9900
"""Taken if they are free; else any free one."""
START_S: Final = 30.0
"""For the proxy to be ready; it takes about one second, and more on a busy machine."""
END_S: Final = 10.0
"""For the proxy to end, with its drain time-out of 2 s, before it is killed."""
SHOWN: Final = ("foo", "cookie", "x-gray-version")
"""Header fields that the sample services repeat: those the rules look at, and the version the proxy names."""

RULES: Final = """\
# Edit this file and save it: within a second it is live. If there is a fault in it, nothing changes,
# and the fault is told below the demo's lines.
services:
  hello:
    stable: v1
    versions:
      v1: {{endpoints: ["{old}"]}}
      v2: {{endpoints: ["{new}"]}}

routes:
  - name: split
    path: /split
    service: hello
    rules:
      - name: everyone                 # 20 % of all traffic
        split: {{v1: 80, v2: 20}}

  - name: all
    service: hello
    rules:
      - name: testers                  # a header or a cookie
        match:
          any:
            - header: {{foo: bar}}
            - cookie: {{foo: bar}}
        version: v2

tests:
  - request: {{path: /, headers: {{foo: bar}}}}
    expect: {{version: v2, rule: testers}}
  - request: {{path: /}}
    expect: {{version: v1}}
"""

LINES: Final = """\
Grayhound stands before two versions of one service.

  proxy     {proxy}
  old (v1)  {old}
  new (v2)  {new}
  rules     {rules}
  dashboard {admin}

A header or a cookie leads to the new version, all else to the old one:

  curl {proxy}/
  curl -H 'foo: bar' {proxy}/
  curl --cookie foo=bar {proxy}/

20 % of the requests to /split go to the new version:

  for i in $(seq 200); do curl -s {proxy}/split; done | grep hello | sort | uniq -c

Make it 50 % while it runs (live within a second), then run the loop again:

  sed -i 's/v1: 80, v2: 20/v1: 50, v2: 50/' {rules}

What was counted, and why a request goes where it goes:

  curl -s {admin}/metrics | grep grayhound_requests_total
  curl -s '{admin}/api/explain?url={proxy}/&header=foo:bar'

Ctrl-C ends all.
"""


def run() -> int:
    """Run until Ctrl-C or TERM: 0. 1 if the proxy did not start, or ended by itself; it has then said why."""
    return asyncio.run(_run())


async def _run() -> int:
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    services = [await _start_service("v1 (old)"), await _start_service("v2 (new)")]
    old, new = (f"http://127.0.0.1:{runner.addresses[0][1]}" for runner in services)
    try:
        with tempfile.TemporaryDirectory(prefix="grayhound-demo-") as folder:
            rules = Path(folder) / "rules.yaml"
            rules.write_text(RULES.format(old=old, new=new), encoding="utf-8")
            return await _show(rules, old, new, told)
    finally:
        for runner in services:
            await runner.cleanup()


async def _show(rules: Path, old: str, new: str, told: asyncio.Event) -> int:
    """Start the proxy, print the lines to try, and wait for the end of one or the other."""
    proxy, admin = f"127.0.0.1:{_free_port(PORT)}", f"127.0.0.1:{_free_port(ADMIN_PORT)}"
    process = await _start_proxy(rules, proxy, admin)
    ended = spawn(process.wait(), name="proxy")
    stop = spawn(told.wait(), name="stop")
    ready = spawn(_ready(f"http://{admin}/readyz"), name="ready")
    try:
        await asyncio.wait((ready, ended, stop), timeout=START_S, return_when=asyncio.FIRST_COMPLETED)
        if ready.done():
            lines = LINES.format(proxy=f"http://{proxy}", admin=f"http://{admin}", old=old, new=new, rules=rules)
            print(lines, flush=True)
            await asyncio.wait((ended, stop), return_when=asyncio.FIRST_COMPLETED)
        return 0 if told.is_set() else 1
    finally:
        ready.cancel()
        stop.cancel()
        await _end(process, ended)


async def _start_proxy(rules: Path, proxy: str, admin: str) -> asyncio.subprocess.Process:
    """`grayhound serve` as anyone would start it, but for the ports. Its log goes to our stderr."""
    options = ("--listen", proxy, "--admin", admin, "--workers", "1", "--drain-timeout", "2s", "--log-level", "warning")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GRAYHOUND_")}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "proxy", "serve", str(rules), *options),
        env=environ
        | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},  # this very proxy, whatever lies in the folder
        start_new_session=True,  # a Ctrl-C is for us alone; we then end it
    )


async def _end(process: asyncio.subprocess.Process, ended: asyncio.Task[int]) -> None:
    if not ended.done():
        process.terminate()
        await asyncio.wait((ended,), timeout=END_S)
    if not ended.done():
        process.kill()
        await ended


async def _ready(url: str) -> None:
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(url) as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientError:
                pass  # it does not listen yet
            await asyncio.sleep(0.05)


async def _start_service(name: str) -> web.ServerRunner:
    """A sample service on a free port of loopback: says who it is, what was asked, and the fields of SHOWN."""

    async def answer(request: web.BaseRequest) -> web.Response:
        seen = [f"  {field}: {value}" for field in SHOWN for value in request.headers.getall(field, [])]
        return web.Response(text="\n".join([f"hello from {name}: {request.method} {request.path}", *seen, ""]))

    runner = web.ServerRunner(web.Server(answer, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner


def _free_port(wanted: int) -> int:
    """`wanted` if nobody listens there, else any free port."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise StartError("no free port on 127.0.0.1")
