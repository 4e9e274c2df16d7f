"""Grayhound, as `grayhound serve` runs it: one worker and the control process, both counted."""

from __future__ import annotations

import compileall
import contextlib
import importlib.util
import json
import platform
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import compiled
from benchmarks.peers.base import Peer, Site, answers_200
from benchmarks.processes import children, free_port, name_of, running, wait, wait_until

ROOT = Path(__file__).resolve().parent.parent.parent
SERVICES = """\
services:
  shop:
    stable: v1
    versions:
      v1: {endpoints: ["http://127.0.0.1:%(v1)d"]}
      v2: {endpoints: ["http://127.0.0.1:%(v2)d"]}

routes:
"""
ROUTE = """\
  - name: %(name)s
    service: shop%(hosts)s
    rules:
      - name: testers
        match:
          any:
            - header: {foo: bar}
            - cookie: {foo: bar}
            - query: {foo: bar}
        version: v2
      - name: everyone
        split: {v1: %(old)d, v2: %(new)d}
"""


def _routes(site: Site) -> str:
    """One for all hosts, or one for each host."""
    hosts = [f"\n    hosts: [{host}]" for host in site.setup.hosts] if site.setup.routes else [""]
    route = ROUTE + "        sticky: {by: [{cookie: uid}]}\n" * site.setup.sticky
    return "".join(
        route % {"name": f"shop-{number}", "hosts": host, "old": 100 - site.share, "new": site.share}
        for number, host in enumerate(hosts)
    )


def serve(python: list[str], site: Site) -> list[str]:
    rules = site.folder / "rules.yaml"
    v1, v2 = site.services
    rules.write_text(SERVICES % {"v1": v1, "v2": v2} + _routes(site))
    address = f"127.0.0.1:{site.port}"
    listen = ["--listen", address]
    if site.setup.tls:
        certificate = f"{site.folder}/shop.pem:{site.folder}/shop.key"
        listen = ["--listen", "", "--tls-listen", address, "--tls-cert", certificate]
    log = ["--access-log", str(site.access_log)] if site.access_log else []
    return [
        *[*python, "-m", "proxy", "serve", str(rules), "--workers", str(site.setup.workers or 1)],
        *[*listen, "--admin", f"127.0.0.1:{site.admin_port}", *log],
    ]


def reload(site: Site, pid: int) -> None:
    """The file is looked at four times a second; live is what the workers have applied."""
    before = generation(site.admin_port)
    wait(lambda: generation(site.admin_port) > before, "the worker has the new rules")


def generation(admin: int) -> int:
    """Of the rules that all workers have applied."""
    with urllib.request.urlopen(f"http://127.0.0.1:{admin}/api/config", timeout=60) as answer:
        return min((int(worker["generation"]) for worker in json.load(answer)["workers"]), default=0)


def workers(control: int) -> list[int]:
    """Their pids, oldest first."""
    return [pid for pid in children(control) if name_of(pid) == "gray-worker"]


@dataclass(frozen=True, slots=True)
class Served:
    """A proxy that runs with rules of one's own."""

    port: int
    admin: int
    pid: int  # of control
    file: Path


@contextlib.contextmanager
def serving(folder: Path, rules: str, core: int | None, *options: str, workers: int = 1) -> Iterator[Served]:
    """It is ready, and listens for HTTP if no option says where. Compiled, where that can be done."""
    port, admin = free_port(), free_port()
    file, log = folder / f"rules-{port}.yaml", folder / f"proxy-{port}.log"
    file.write_text(rules)
    python = compiled.command() or [sys.executable]
    command = [*python, "-m", "proxy", "serve", str(file), "--workers", str(workers)]
    listen = [] if "--listen" in options else ["--listen", f"127.0.0.1:{port}"]
    with running([*command, *listen, "--admin", f"127.0.0.1:{admin}", *options], core, log, ROOT) as process:
        wait_until(lambda: answers_200(admin, "/readyz"), process, log)
        yield Served(port, admin, process.pid, file)


def _python() -> str | None:
    missing = [name for name in ("proxy", "uvloop", "httptools") if not importlib.util.find_spec(name)]
    # As pip does it when it installs; where Python may not write bytecode, each start of a checkout would compile all.
    compileall.compile_dir(str(ROOT / "proxy"), quiet=2)
    return None if missing else sys.executable


def _version(program: str) -> str:
    from proxy import __version__

    return f"grayhound {__version__}, Python {platform.python_version()}"


PEER = Peer(
    "grayhound",
    compiled.INSTALL,
    lambda: _python() if compiled.command() else None,
    lambda program: f"{_version(program)}, compiled as in the container image",
    lambda program, site: serve(compiled.command() or [program], site),
    ready=lambda site: answers_200(site.admin_port, "/readyz"),
    features=frozenset({"access_log", "sticky", "tls", "websocket", "workers", "own_buffers", "routes"}),
    reload=reload,
)
SOURCE = replace(
    PEER,
    name="source",
    install="pip install -e .",
    find=_python,
    version=lambda program: f"{_version(program)}, not compiled",
    command=lambda program, site: serve([program], site),
)
"""The same without a C compiler."""
