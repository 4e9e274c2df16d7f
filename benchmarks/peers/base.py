"""What the benchmark knows of a proxy."""

from __future__ import annotations

import http.client
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path

from benchmarks.processes import accepts

HOST = "shop.example.com"


@dataclass(frozen=True, slots=True)
class Setup:
    """What a proxy is to have beyond the common rules; a peer names the fields that it can do in its `features`."""

    access_log: bool = False  # as JSON
    sticky: bool = False  # the rest is split by the cookie uid, not drawn anew for each request
    tls: bool = False  # clients come by TLS, and not otherwise
    websocket: bool = False
    workers: int = 0  # on any core; 0: one, on a core of its own
    own_buffers: bool = False  # nginx with those it is delivered with; of the others only Grayhound stands beside it
    routes: int = 0  # hosts, each with rules of its own; 0: one route for all hosts

    @property
    def features(self) -> frozenset[str]:
        return frozenset(one.name for one in fields(self) if getattr(self, one.name))

    @property
    def hosts(self) -> list[str]:
        return [f"host-{number}.example.com" for number in range(self.routes)] or [HOST]


@dataclass(frozen=True, slots=True)
class Site:
    """Where one proxy is to stand. All ports are of 127.0.0.1."""

    folder: Path  # its own: configuration, logs; with TLS also shop.pem and shop.key
    port: int
    admin_port: int
    services: tuple[int, int]  # v1, v2
    setup: Setup = field(default_factory=Setup)
    share: int = 20  # percent of the rest that goes to v2

    @property
    def access_log(self) -> Path | None:
        return self.folder / "access.log" if self.setup.access_log else None

    @property
    def scheme(self) -> str:
        return "https" if self.setup.tls else "http"


@dataclass(frozen=True, slots=True)
class Peer:
    name: str
    install: str  # the exact line that brings it
    find: Callable[[], str | None]  # its program, None if it is not installed
    version: Callable[[str], str]
    command: Callable[[str, Site], list[str]]  # writes the configuration, returns how to start it in the foreground
    ready: Callable[[Site], bool] = lambda site: accepts(site.port)
    features: frozenset[str] = frozenset({"access_log"})  # what it can do beyond the common rules: fields of Setup
    every: int = 1  # has a turn in one of so many rounds: 1 for those with little room to a bar, or to nginx
    # Makes the process of this id take what `command` has written anew; returns once that is live.
    reload: Callable[[Site, int], None] | None = None


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
