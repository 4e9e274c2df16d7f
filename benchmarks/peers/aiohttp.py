"""The plain proxy of benchmarks/plain_proxy.py: what an afternoon with aiohttp gives."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys

from benchmarks.peers.base import Peer, Site


def command(program: str, site: Site) -> list[str]:
    services = [f"http://127.0.0.1:{port}" for port in site.services]
    return [program, "-m", "benchmarks.plain_proxy", str(site.port), *services, str(site.access_log or "")]


def find() -> str | None:
    return sys.executable if importlib.util.find_spec("aiohttp") and importlib.util.find_spec("uvloop") else None


PEER = Peer(
    "aiohttp",
    "pip install aiohttp uvloop",
    find,
    lambda program: f"aiohttp {importlib.metadata.version('aiohttp')}, uvloop {importlib.metadata.version('uvloop')}",
    command,
    every=3,
)
