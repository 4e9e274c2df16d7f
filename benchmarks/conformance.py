"""What do Grayhound and its peers do with the wire cases of RFC 9110 and 9112 that Grayhound is tested with?

Run from the project's root: python -m benchmarks.conformance [--only nginx,haproxy] [--all] [--case TEXT]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.peers import PEERS
from benchmarks.peers.base import Peer, Site
from benchmarks.processes import free_port, running, wait_until
from benchmarks.verdicts import (
    CHANGED,
    MENDED,
    PASSED_ON,
    Case,
    Message,
    Seen,
    Unsound,
    Verdict,
    counts,
    judge,
    read_request,
    read_responses,
)
from tests.downstream.conformance import BAD, REFUSED, REQUESTS, RESPONSES, Passed
from tests.talk import OK, Answer

QUIET_S: Final = 1.0
"""A proxy that says nothing for so long says nothing at all; each of them answers within milliseconds."""
SETTLE_S: Final = 0.02
"""For the upstream to hear the last of what a proxy let through."""
KINDS: Final[dict[str, tuple[Case, ...]]] = {
    "bad requests": REFUSED,
    "good requests": tuple(case for case in REQUESTS if not case.trusted),  # the others need an option of Grayhound
    "responses": RESPONSES,
}
CASES: Final = tuple(case for cases in KINDS.values() for case in cases)


class Upstream:
    """Answers every whole, sound request as the case at hand says, and notes what it hears."""

    def __init__(self) -> None:
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self.begin(Answer())

    def begin(self, answer: Answer, hangs_up: bool = False) -> None:
        """hangs_up: it ends the connection after the answer, as services do that talk nonsense."""
        self._answer = answer
        self._hangs_up = hangs_up
        self.requests: list[Message] = []
        self.malformed = ""

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            for task in tuple(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._converse(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        except Unsound as error:
            self.malformed = str(error)
            writer.write(OK)  # or a proxy would try it again
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data, told = b"", False
        while piece := await reader.read(1 << 16):
            data += piece
            if self._answer.at_head and not told and b"\r\n\r\n" in data:
                writer.write(self._answer.at_head)
                told = True
            while whole := read_request(data):
                message, data = whole
                self.requests.append(message)
                assert isinstance(self._answer.data, bytes)
                writer.write(self._answer.data)
                if self._answer.close or self._hangs_up:
                    await asyncio.sleep(SETTLE_S)
                    return


@dataclass(frozen=True, slots=True)
class Row:
    case: Case
    verdicts: dict[str, Verdict]  # by the proxy's name


async def ask(case: Case, port: int, upstream: Upstream) -> Verdict:
    """Say it to the proxy at this port, and see what comes of it."""
    answer = case.answer if isinstance(case, Passed) else Answer()
    nonsense = isinstance(case, Passed) and case.heard.endswith(BAD)
    upstream.begin(answer if isinstance(answer, Answer) else Answer(answer), hangs_up=nonsense)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    heard, ended = b"", False
    with contextlib.suppress(ConnectionError, TimeoutError):
        try:
            writer.write(case.says)
            while not ended and not _heard_enough(case, heard):
                piece = await asyncio.wait_for(reader.read(1 << 16), QUIET_S)
                heard, ended = heard + piece, not piece
        except ConnectionError:
            ended = True
    await asyncio.sleep(SETTLE_S)
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return judge(case, Seen(heard, ended, tuple(upstream.requests), upstream.malformed))


def _heard_enough(case: Case, heard: bytes) -> bool:
    """A whole response has come, and no end has to follow it."""
    if isinstance(case, Passed) and case.ends:
        return False
    try:
        return read_responses(heard, case.says.split(b" ")[0], False) is not None
    except Unsound:
        return True


async def run_peer(peer: Peer, cases: Iterable[Case], folder: Path) -> list[Verdict]:
    """All the cases, one after the other: the upstream must know which one it answers. Raises BenchmarkError."""
    program = peer.find()
    assert program is not None
    folder.mkdir()
    upstream = Upstream()
    async with upstream.listening():
        site = Site(folder, free_port(), free_port(), (upstream.port, upstream.port))
        log = folder / "log"
        with running(peer.command(program, site), min(os.sched_getaffinity(0)), log) as process:
            await asyncio.to_thread(wait_until, lambda: peer.ready(site), process, log)
            return [await ask(case, site.port, upstream) for case in cases]


def compare(peers: Iterable[Peer], cases: tuple[Case, ...]) -> list[Row]:
    """Every case before every proxy."""
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
        columns = {peer.name: asyncio.run(run_peer(peer, cases, Path(folder) / peer.name)) for peer in peers}
    return [Row(case, {name: column[at] for name, column in columns.items()}) for at, case in enumerate(cases)]


# --- what is printed -----------------------------------------------------------------------------------------------


def table(lines: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def cases_table(rows: list[Row], every: bool) -> str:
    """A line for each case; unless `every`, for each of which not all proxies make the same. `!`: against the RFC."""
    names = list(rows[0].verdicts)
    lines = [["RFC", "case", "demand", *names]]
    for row in rows:
        cells = [
            f"{verdict}{'' if verdict.good or not counts(row.case) else ' !'}" for verdict in row.verdicts.values()
        ]
        if every or len({verdict.kind for verdict in row.verdicts.values()}) > 1 or any("!" in cell for cell in cells):
            lines.append([row.case.section, row.case.name, row.case.demand, *cells])
    return table(lines)


def summary(rows: list[Row]) -> str:
    """For each proxy: the demands it meets, by kind of case, and how it differs from the first proxy."""
    names = list(rows[0].verdicts)
    lines = [["proxy", *(f"{kind}: MUST" for kind in KINDS), "all MUST", "mended", "passed on", "laxer", "stricter"]]
    for name in names:
        shares = [_share([row for row in rows if row.case in cases], name) for cases in KINDS.values()]
        kinds = [row.verdicts[name].kind for row in rows]
        first = [(row.verdicts[names[0]].lets_through, row.verdicts[name].lets_through) for row in rows]
        numbers = (kinds.count(MENDED), kinds.count(PASSED_ON) + kinds.count(CHANGED))
        differs = (first.count((False, True)), first.count((True, False)))
        lines.append([name, *shares, _share(rows, name), *map(str, numbers + differs)])
    return table(lines)


def _share(rows: list[Row], name: str) -> str:
    demanded = [row for row in rows if counts(row.case)]
    return f"{sum(row.verdicts[name].good for row in demanded)} of {len(demanded)}"


def main() -> int:
    """Exit code 0: Grayhound, where it was among them, meets every demand."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.conformance",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", metavar="NAMES", help=f"proxies, joined by commas: {','.join(PEERS)}")
    parser.add_argument("--all", action="store_true", help="every case, not only those where the proxies differ")
    parser.add_argument("--case", default="", metavar="TEXT", help="only cases with this in their name")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # leaves through every `with`: the children are stopped
    names = options.only.split(",") if options.only else ["grayhound", *(name for name in PEERS if name != "grayhound")]
    if unknown := [name for name in names if name not in PEERS]:
        sys.exit(f"unknown: {', '.join(unknown)}; there are: {', '.join(PEERS)}")
    peers = [PEERS[name] for name in names if PEERS[name].find()]
    for name in names:
        found = PEERS[name].find()
        print(f"{name:10} {PEERS[name].version(found) if found else 'is missing: ' + PEERS[name].install}", flush=True)
    cases = tuple(case for case in CASES if options.case in case.name)
    if not peers or not cases:
        sys.exit("nothing to compare")
    rows = compare(peers, cases)
    print(f"\n{cases_table(rows, options.all)}\n\n{summary(rows)}")
    ours = [row.verdicts["grayhound"].good for row in rows if "grayhound" in row.verdicts and counts(row.case)]
    return 0 if all(ours) else 1


if __name__ == "__main__":
    sys.exit(main())
