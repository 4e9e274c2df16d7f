"""What is sent and what a client saw. The first of the clients is wrk, told by a generated Lua script what to send."""

from __future__ import annotations

import re
import resource
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.processes import BenchmarkError, pinned

INSTALL = "apt-get install wrk"
# What a browser sends with a page's second request; ten fields and Host.
BROWSER_FIELDS = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0 Safari/537.36",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Accept-Language": "en-US,en;q=0.9,de;q=0.8",
    "Cookie": "session=0123456789abcdef0123456789abcdef; uid=42; theme=dark",
    "Referer": "http://shop.example.com/cart",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "same-origin",
    "Upgrade-Insecure-Requests": "1",
}
_REQUEST = """
function request()
  turn = turn % #ready + 1
  return ready[turn]
end
"""
_DONE = """
local threads = {}
function setup(thread)
  threads[1] = thread
end
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %.1f %.1f %.1f %d %d %d %d %d %.3f\\n",
    summary.requests, summary.duration, summary.bytes, latency:percentile(50), latency:percentile(99), latency.max,
    e.status, e.connect, e.read, e.write, e.timeout, threads[1]:get("made")))
end
"""


@dataclass(frozen=True, slots=True)
class Message:
    """One request of a mix."""

    path: str = "/"
    method: str = "GET"
    fields: dict[str, str] = field(default_factory=dict)  # beside, or in place of, the browser's
    body_bytes: int = 0
    plain: bool = False  # without the browser's

    @property
    def head(self) -> dict[str, str]:
        return {"Host": "shop.example.com"} | ({} if self.plain else BROWSER_FIELDS) | self.fields

    def text(self) -> str:
        """As it goes over the wire, if it has no body."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in self.head.items())
        return f"{self.method} {self.path} HTTP/1.1\r\n{lines}\r\n"


@dataclass(frozen=True, slots=True)
class Load:
    """What the client saw in one run."""

    requests: int  # answered
    seconds: float
    bytes: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    errors: dict[str, int]  # status (not 2xx or 3xx), connect, read, write, timeout; only those that happened
    client_s: float = 0.0  # CPU time of the client, without what it took to make the requests

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


def script(messages: list[Message]) -> str:
    """Lua that sends the messages in turn, over and over, each head written once before the start."""
    lines = ["local ready, turn = {}, 0", "function init(args)"]
    for message in messages:
        table = ", ".join(f'["{name}"] = "{value}"' for name, value in message.head.items())
        body = f'string.rep("u", {message.body_bytes})' if message.body_bytes else "nil"
        lines.append(f'  ready[#ready + 1] = wrk.format("{message.method}", "{message.path}", {{{table}}}, {body})')
    lines += ["  made = os.clock()", "end", _REQUEST, _DONE]
    return "\n".join(lines)


def run(wrk: str, lua: Path, port: int, connections: int, seconds: float, core: int, scheme: str = "http") -> Load:
    """One run of wrk on `core`; BenchmarkError if it does not end in time or says something unknown."""
    command = [wrk, "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "5s", "-s", str(lua)]
    before = _children_s()
    with pinned(core):
        try:
            output = subprocess.run(
                [*command, f"{scheme}://127.0.0.1:{port}/"], capture_output=True, text=True, timeout=seconds + 20
            )
        except subprocess.TimeoutExpired as error:
            raise BenchmarkError(f"wrk did not end {error.timeout:.0f} s after its start") from error
    numbers = re.search(r"^RESULT (.+)$", output.stdout, re.M)
    if not numbers:
        raise BenchmarkError(f"wrk failed: {output.stdout[-500:]}{output.stderr[-500:]}")
    requests, duration, received, p50, p99, longest, *errors, made_s = map(float, numbers[1].split())
    names = ("status", "connect", "read", "write", "timeout")
    happened = {name: int(count) for name, count in zip(names, errors, strict=True) if count}
    return Load(
        int(requests),
        duration / 1e6,
        int(received),
        p50 / 1e3,
        p99 / 1e3,
        longest / 1e3,
        happened,
        _children_s() - before - made_s,
    )


def _children_s() -> float:
    """CPU time of the children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
