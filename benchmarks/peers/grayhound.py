"""Grayhound, as `grayhound serve` runs it: one worker and the control process, both counted."""

from __future__ import annotations

import importlib.util
import json
import platform
import sys
import urllib.request
from typing import Any

from benchmarks.peers.base import Peer, Site, answers_200
from benchmarks.processes import wait

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


def command(program: str, site: Site) -> list[str]:
    rules = site.folder / "rules.yaml"
    v1, v2 = site.services
    rules.write_text(SERVICES % {"v1": v1, "v2": v2} + _routes(site))
    address = f"127.0.0.1:{site.port}"
    listen = ["--listen", address]
    if site.setup.tls:
        listen = [
            "--listen",
            "",
            "--tls-listen",
            address,
            "--tls-cert",
            f"{site.folder}/shop.pem:{site.folder}/shop.key",
        ]
    log = ["--access-log", str(site.access_log)] if site.access_log else []
    return [
        *[program, "-m", "proxy", "serve", str(rules), "--workers", str(site.setup.workers or 1)],
        *[*listen, "--admin", f"127.0.0.1:{site.admin_port}", *log],
    ]


def _config(site: Site) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{site.admin_port}/api/config", timeout=60) as answer:
        config: dict[str, Any] = json.load(answer)
    return config


def reload(site: Site, pid: int) -> None:
    """The file is looked at four times a second; live is what the workers have applied."""
    before = _config(site)["generation"]
    wait(lambda: all(one["generation"] > before for one in _config(site)["workers"]), "the worker has the new rules")


def find() -> str | None:
    missing = [name for name in ("proxy", "uvloop", "httptools") if not importlib.util.find_spec(name)]
    return None if missing else sys.executable


def version(program: str) -> str:
    from proxy import __version__

    return f"grayhound {__version__}, Python {platform.python_version()}"


PEER = Peer(
    "grayhound",
    "pip install -e .",
    find,
    version,
    command,
    ready=lambda site: answers_200(site.admin_port, "/readyz"),
    features=frozenset({"access_log", "sticky", "tls", "websocket", "workers", "routes"}),
    reload=reload,
)
