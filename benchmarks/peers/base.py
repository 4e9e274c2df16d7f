"""What the benchmark knows of a proxy."""

from __future__ import annotations

import http.client
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import accepts


@dataclass(frozen=True, slots=True)
class Site:
    """Where one proxy is to stand. All ports are of 127.0.0.1."""

    folder: Path  # its own: configuration, logs
    port: int
    admin_port: int
    services: tuple[int, int]  # v1, v2
    access_log: Path | None  # None: no access log


@dataclass(frozen=True, slots=True)
class Peer:
    name: str
    install: str  # the exact line that brings it
    find: Callable[[], str | None]  # its program, None if it is not installed
    version: Callable[[str], str]
    command: Callable[[str, Site], list[str]]  # writes the configuration, returns how to start it in the foreground
    ready: Callable[[Site], bool] = lambda site: accepts(site.port)
    features: frozenset[str] = frozenset({"access_log"})  # what it can do beyond the common rules


def on_path(program: str) -> Callable[[], str | None]:
    """Finds a program where a shell would, in the folders of daemons, and beside the Python that runs us."""

    def find() -> str | None:
        return shutil.which(program) or shutil.which(program, path=f"/usr/sbin:/sbin:{Path(sys.executable).parent}")

    return find


def first_line(*arguments: str) -> Callable[[str], str]:
    """The first line that the program prints, on either stream, when started with these arguments."""

    def version(program: str) -> str:
        done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=15)
        return ((done.stdout + done.stderr).strip().splitlines() or ["?"])[0]

    return version


def answers_200(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
