"""What operators and mishaps do to a proxy under load, and what clients notice of it: python -m benchmarks.endure

    reloads       200 new rule files in a minute
    replace       USR2, twice: all workers replaced one by one
    endpoint      one endpoint of two killed, and started again
    fallback      the only endpoint of the version that is asked for killed, and started again; the stable one steps in
    kill          kill -9 of a worker, three times
    replace-tls   the same, with a TLS handshake for each request
    certificate   another certificate ten times, with a TLS handshake for each request

Each on its own, with wrk asking as fast as it is answered (apt-get install wrk). No request may fail, but for those
that were under way on a worker that was killed. Exit code 1 if one did, or if what should have happened did not.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import ssl
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import load
from benchmarks.certificate import certify
from benchmarks.load import Load, Message
from benchmarks.memory import service
from benchmarks.peers.grayhound import Served, generation, serving, workers
from benchmarks.processes import BenchmarkError, free_port

CONNECTIONS = 32
WORKERS = 2
RELOADS, RELOADS_S = 200, 60.0
PATIENCE_S = 20.0
SETTLE_S = 1.0  # of load before and after what happens
RULES = """\
services:
  shop:
    fallback: stable
    versions:
      v1: {{endpoints: ["http://127.0.0.1:{0}", "http://127.0.0.1:{1}"]}}
      v2: {{endpoints: ["http://127.0.0.1:{2}"]}}
routes:
  - name: shop
    service: shop
    rules:
      - {{name: testers, match: {{header: {{x-want: v2}}}}, version: v2}}
      - {{name: everyone, split: {{v1: {old}, v2: {new}}}}}
"""


class Endpoint:
    """A service as a process of its own, on a port of its own."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        self._life = ExitStack()

    def rise(self) -> None:
        self._process = self._life.enter_context(service(self._folder, self.port, last_core()))

    def die(self) -> None:
        self._process.kill()
        self._life.close()


@dataclass
class Site:
    """A proxy with its endpoints; the first two are of v1, the third is of v2."""

    folder: Path
    endpoints: list[Endpoint]
    tls_port: int
    served: Served

    def save(self, new: int) -> None:
        """A new rule file, with this share for v2."""
        fresh = self.folder / "rules.new"
        fresh.write_text(rules(self.endpoints, new))
        fresh.rename(self.served.file)

    def workers(self) -> list[int]:
        return workers(self.served.pid)

    def metric(self, name: str) -> float:
        """The sum over its series."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.served.admin}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        return sum(map(float, re.findall(rf"^grayhound_{name}(?:{{.*}})? (\S+)$", text, re.M)))

    def generation(self) -> int:
        return generation(self.served.admin)


def rules(endpoints: list[Endpoint], new: int) -> str:
    return RULES.format(*(endpoint.port for endpoint in endpoints), old=100 - new, new=new)


def last_core() -> int:
    return max(os.sched_getaffinity(0))


def until(happened: Callable[[], bool], what: str) -> float:
    """Wait; how many seconds it took."""
    began = time.monotonic()
    while not happened():
        if time.monotonic() - began > PATIENCE_S:
            raise BenchmarkError(f"not within {PATIENCE_S:.0f} s: {what}")
        time.sleep(0.02)
    return time.monotonic() - began


# --- what happens: each returns what there is to say of it --------------------------------------------------------


def reloads(site: Site) -> str:
    began, first = time.monotonic(), site.generation()
    for number in range(1, RELOADS + 1):
        site.save(number % 100)
        os.kill(site.served.pid, signal.SIGHUP)
        time.sleep(max(0.0, began + number * RELOADS_S / RELOADS - time.monotonic()))
    # A machine that has no time left reads two saves as one, which is as it should be; most must be seen.
    until(lambda: site.generation() - first >= RELOADS * 0.9, f"a generation for nine in ten of {RELOADS} saves")
    return f"{RELOADS} saves, {site.generation() - first} generations in {time.monotonic() - began:.0f} s"


def replace(site: Site) -> str:
    took = []
    for _ in range(2):
        before = set(site.workers())
        os.kill(site.served.pid, signal.SIGUSR2)
        took.append(until(lambda b=before: len(now := set(site.workers())) == WORKERS and not now & b, "other workers"))  # type: ignore[misc]
    return "other workers after " + " s and ".join(f"{seconds:.1f}" for seconds in took) + " s"


def endpoint(site: Site) -> str:
    return _lose(site, 0, "an endpoint of two")


def fallback(site: Site) -> str:
    return _lose(site, 2, "the only endpoint")


def _lose(site: Site, number: int, what: str) -> str:
    before = site.metric("upstream_errors_total")
    site.endpoints[number].die()
    time.sleep(3)
    errors = site.metric("upstream_errors_total") - before
    site.endpoints[number].rise()
    time.sleep(2)
    return f"{what} away for 3 s: {errors:.0f} tries failed"


def kill(site: Site) -> str:
    back, counted = [], [site.metric("requests_total")]

    def again() -> bool:
        counted.append(site.metric("requests_total"))
        return victim not in site.workers() and site.metric("workers") == WORKERS

    for _ in range(3):
        victim = site.workers()[0]
        os.kill(victim, signal.SIGKILL)
        back.append(until(again, "another worker"))
        time.sleep(1)
    if counted != sorted(counted):
        raise BenchmarkError("a counter went back")
    return "another worker accepted after " + ", ".join(f"{seconds:.1f}" for seconds in back) + " s"


def certificate(site: Site) -> str:
    shown = []
    for number in range(10):
        before = ssl.get_server_certificate(("127.0.0.1", site.tls_port))
        certify(site.folder, f"number {number}")
        shown.append(
            until(lambda b=before: ssl.get_server_certificate(("127.0.0.1", site.tls_port)) != b, "the new certificate")
        )  # type: ignore[misc]
    return f"10 certificates were shown, each within {max(shown):.1f} s"


@dataclass(frozen=True)
class Trial:
    """happens: beside the load, which goes on for `seconds`. failures_max: requests under way on what is killed."""

    happens: Callable[[Site], str]
    seconds: float
    message: Message = field(default_factory=Message)
    scheme: str = "http"
    failures_max: int = 0


TRIALS = {
    "reloads": Trial(reloads, RELOADS_S + 5),
    "replace": Trial(replace, 25),
    "endpoint": Trial(endpoint, 10),
    "fallback": Trial(fallback, 10, Message(fields={"X-Want": "v2"})),
    "kill": Trial(kill, 20, failures_max=3 * CONNECTIONS),
    "replace-tls": Trial(replace, 25, Message(fields={"Connection": "close"}), "https"),
    "certificate": Trial(certificate, 45, Message(fields={"Connection": "close"}), "https"),
}


@contextmanager
def standing() -> Iterator[Site]:
    """A proxy that is ready, with its endpoints."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder, tls_port = Path(name), free_port()
        endpoints = [Endpoint(folder) for _ in range(3)]
        for one in endpoints:
            one.rise()
            stack.callback(one.die)
        certify(folder, "first")
        options = ["--tls-listen", f"127.0.0.1:{tls_port}", "--tls-cert", f"{folder}/shop.pem:{folder}/shop.key"]
        core = min(os.sched_getaffinity(0))
        served = stack.enter_context(serving(folder, rules(endpoints, 20), core, *options, workers=WORKERS))
        yield Site(folder, endpoints, tls_port, served)


def endure(trial: Trial) -> tuple[Load, str]:
    """One trial: what wrk saw, and what there is to say. Raises BenchmarkError if it did not happen as it should."""
    with standing() as site, ThreadPoolExecutor() as pool:
        lua = site.folder / "wrk.lua"
        lua.write_text(load.script([trial.message]))
        port = site.tls_port if trial.scheme == "https" else site.served.port
        asked: tuple[Any, ...] = ("wrk", lua, port, CONNECTIONS, trial.seconds, last_core(), trial.scheme)
        running_load = pool.submit(load.run, *asked)
        time.sleep(SETTLE_S)
        said = trial.happens(site)
        if running_load.done():
            said += " (!!! the load had ended before)"
        return running_load.result(), said


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.endure", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", metavar="NAME,...", default=",".join(TRIALS), help=f"of {', '.join(TRIALS)}")
    names = parser.parse_args().only.split(",")
    if unknown := set(names) - TRIALS.keys():
        parser.error(f"no such trial: {', '.join(sorted(unknown))}")
    for tool in ("wrk", "openssl"):
        if shutil.which(tool) is None:
            sys.exit(f"needs {tool}: apt-get install {tool}")
    bad = 0
    print("| trial | requests | failed | p99 ms | max ms | what happened |\n|---|---|---|---|---|---|")
    for name in names:
        trial = TRIALS[name]
        try:
            seen, said = endure(trial)
        except BenchmarkError as error:
            bad += 1
            print(f"| {name} | !!! {error} |", flush=True)
            continue
        failed = sum(seen.errors.values())
        bad += failed > trial.failures_max
        kinds = f" ({', '.join(f'{count} {kind}' for kind, count in seen.errors.items())})" if failed else ""
        mark = " !!!" if failed > trial.failures_max else ""
        print(
            f"| {name} | {seen.requests:,} | {failed}{kinds}{mark} | {seen.p99_ms:.0f} | {seen.max_ms:.0f} | {said} |",
            flush=True,
        )
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
