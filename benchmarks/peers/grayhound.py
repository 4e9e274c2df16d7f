"""Grayhound, as `grayhound serve` runs it: one worker and the control process, both counted."""

from __future__ import annotations

import importlib.util
import platform
import sys

from benchmarks.peers.base import Peer, Site, answers_200

RULES = """\
services:
  shop:
    stable: v1
    versions:
      v1: {endpoints: ["http://127.0.0.1:%(v1)d"]}
      v2: {endpoints: ["http://127.0.0.1:%(v2)d"]}

routes:
  - name: shop
    service: shop
    rules:
      - name: testers
        match:
          any:
            - header: {foo: bar}
            - cookie: {foo: bar}
            - query: {foo: bar}
        version: v2
      - name: everyone
        split: {v1: 80, v2: 20}
"""


def command(program: str, site: Site) -> list[str]:
    rules = site.folder / "rules.yaml"
    v1, v2 = site.services
    rules.write_text(RULES % {"v1": v1, "v2": v2})
    log = ["--access-log", str(site.access_log)] if site.access_log else []
    return [
        *[program, "-m", "proxy", "serve", str(rules), "--workers", "1"],
        *["--listen", f"127.0.0.1:{site.port}", "--admin", f"127.0.0.1:{site.admin_port}"],
        *log,
    ]


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
)
