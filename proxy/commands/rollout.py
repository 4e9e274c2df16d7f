"""`grayhound rollout`: how rollouts are doing, and a person's word to them, by the admin port of a running proxy."""

from __future__ import annotations

import argparse
import os
import sys
import time
from shutil import get_terminal_size
from textwrap import wrap
from typing import Any, Final
from urllib.parse import quote

from proxy.commands.admin_port import ask
from proxy.commands.base import EXIT_FAILED, UsageError, admin_argument, admin_url
from proxy.errors import StartError
from proxy.settings import variable

VERBS: Final = ("list", "status", "promote", "pause", "resume", "abort", "retry", "set-weight")
READING: Final = ("list", "status")
WATCH_S: Final = 1.0
NONE: Final = (
    "there are no rollouts; `rollouts` in a rule file names them (Kubernetes manifests: see `grayhound import`)"
)
GONE_S: Final = 30.0
"""For a proxy to be started again while it is watched."""
BAR: Final = 30
"""Characters, for 100 %."""
WIDTH_MIN: Final = 12
"""Of a terminal, so that words still fit."""
DONE: Final = ("promoted", "rolled_back")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "verb", metavar="ACT", nargs="?", default="list", help=f"{', '.join(VERBS)}; a NAME alone: status"
    )
    parser.add_argument("name", metavar="NAME", nargs="?", default="", help="the rollout, as in the rule file")
    parser.add_argument("weight", metavar="PERCENT", nargs="?", default="", help="of set-weight: for the new version")
    parser.add_argument("--full", action="store_true", help="of promote: at once to the last step")
    parser.add_argument("--watch", action="store_true", help="go on telling until it is done; exit 1: rolled back")
    parser.add_argument(
        "--token-file",
        metavar="FILE",
        default=os.environ.get(variable("admin-token-file"), ""),
        help=f"with the token of the admin port, if it has one [{variable('admin-token-file')}]",
    )
    admin_argument(parser)


def run(given: argparse.Namespace) -> int:
    """0: done as told, or promoted; 1: refused, or rolled back while it was watched."""
    _check(given)
    url = f"{admin_url(given)}/api/rollouts"
    if given.verb == "list":
        found = ask(url)["rollouts"]
        for status in found:
            print(line(status))
        if not found:
            print(NONE)
        return 0
    url += f"/{quote(given.name, safe='')}"
    if given.verb in READING:
        status = ask(url)
    else:
        status = ask(f"{url}/{given.verb}{_query(given)}", method="POST", token=_token(given.token_file))
    if not given.watch:
        print(line(status))
        return 0
    try:
        return EXIT_FAILED if _watch(url, status)["phase"] == "rolled_back" else 0
    except KeyboardInterrupt:
        return EXIT_FAILED  # whoever stops watching has not been told that it went well


def _check(given: argparse.Namespace) -> None:
    if given.verb not in VERBS and given.name:
        raise UsageError(f"unknown act '{given.verb}'; there are {', '.join(VERBS)}")
    if given.verb not in VERBS:
        given.verb, given.name = "status", given.verb
    if given.verb == "list" and given.name:
        given.verb = "status"
    if given.verb != "list" and not given.name:
        raise UsageError(f"{given.verb} needs the NAME of a rollout; `grayhound rollout list` prints them")
    if given.verb == "list" and given.watch:
        raise UsageError("list cannot be watched: status NAME --watch")
    if bool(given.weight) != (given.verb == "set-weight"):
        raise UsageError("set-weight NAME PERCENT, and no other act, takes a weight")
    if given.full and given.verb != "promote":
        raise UsageError("--full is for promote")


def _query(given: argparse.Namespace) -> str:
    if given.full:
        return "?full=true"
    return f"?weight={quote(given.weight.removesuffix('%'))}" if given.weight else ""


def _token(file: str) -> str:
    from proxy.run.token import read_token

    return read_token(file) if file else ""


def line(status: dict[str, Any]) -> str:
    """How a rollout is doing, on one line."""
    return f"{status['rollout']}: {', '.join([_phase(status), _share(status), *_why(status)])}"


def block(status: dict[str, Any], width: int, bar: str = "█░") -> list[str]:
    """The same on lines of this width, with a bar and every gate."""
    bar_width = max(0, min(BAR, width - len(_share(status)) - 3))
    filled = round(bar_width * (status["live_weight"] or 0) / 100)
    drawn = f"[{bar[0] * filled}{bar[1] * (bar_width - filled)}] " if bar_width else ""
    told = f"{status['rollout']}: {', '.join([_phase(status), *_why(status)[:1]])}"
    gates = [_gate(gate) for gate in status["gates"]]
    last = [f"{entry['event'].replace('_', ' ')}: {entry['text']}" for entry in status["journal"][-1:]]
    below = [
        part for text in (*gates, *last) for part in wrap(text, width, initial_indent="  ", subsequent_indent="    ")
    ]
    return [*wrap(told, width, subsequent_indent="    "), f"{drawn}{_share(status)}", *below]


def _phase(status: dict[str, Any]) -> str:
    phase = (status["obstacle"] and "blocked") or status["phase"].replace("_", " ")
    return f"{phase}, step {status['step']} of {len(status['steps'])}"


def _share(status: dict[str, Any]) -> str:
    live = status["live_weight"]
    return f"{status['to']} has {live:g} %" if live is not None else "not in the rules"


def _why(status: dict[str, Any]) -> list[str]:
    """Why it stands where it does: for how long it has, and what holds it up."""
    if status["phase"] != "progressing" or status["obstacle"]:
        why = status["obstacle"] or status["reason"]
        return [why] if why else []
    held_up = [_gate(gate) for gate in status["gates"] if gate["outcome"] != "holds"]
    if status["held_s"] < status["hold_s"]:
        return [f"held for {status['held_s']:.0f} of {status['hold_s']:g} s", *held_up[:1]]
    return [f"held for {status['hold_s']:g} s", *(f"waits for {gate}" for gate in held_up[:1])]


def _gate(gate: dict[str, Any]) -> str:
    outcome = "" if gate["outcome"] == "none" else f" {gate['outcome']}"
    return f"{gate['gate']}{outcome}: {gate['text']}"


class Screen:
    """Where a watched rollout is shown: over and over in the same place of a terminal, else what is new, line by line.
    told: how many of its events are known already."""

    def __init__(self, told: int) -> None:
        self._terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        self._bar = "█░" if "utf" in (sys.stdout.encoding or "").lower() else "#-"
        self._drawn = 0
        self._told = told

    def begin(self, status: dict[str, Any]) -> None:
        if self._terminal:
            self.show(status)
        else:
            print(line(status), flush=True)

    def show(self, status: dict[str, Any]) -> None:
        if self._terminal:
            self._draw(block(status, self._width(), self._bar))
            return
        events = status["journal"]
        for entry in events[min(self._told, len(events)) :]:
            print(f"{status['rollout']}: {entry['event'].replace('_', ' ')}: {entry['text']}", flush=True)
        self._told = len(events)

    def trouble(self, text: str) -> None:
        """There is no answer just now."""
        if self._terminal:
            self._draw(wrap(text, self._width()))
        else:
            print(text, file=sys.stderr, flush=True)

    def end(self, status: dict[str, Any]) -> None:
        if not self._terminal:
            print(line(status), flush=True)

    def _width(self) -> int:
        return max(WIDTH_MIN, get_terminal_size().columns - 1)

    def _draw(self, lines: list[str]) -> None:
        lines = lines[: get_terminal_size().lines - 1]  # what has scrolled away could not be drawn over
        print(f"\x1b[{self._drawn}F" * bool(self._drawn) + "\x1b[J" + "\n".join(lines), flush=True)
        self._drawn = len(lines)


def _watch(url: str, status: dict[str, Any]) -> dict[str, Any]:
    """Show how it is doing until it is done. Raises StartError if nobody has answered for GONE_S."""
    screen = Screen(len(status["journal"]))
    screen.begin(status)
    while not (status["phase"] in DONE and status["settled"]):
        time.sleep(WATCH_S)
        status = _ask_on(url, screen)
        screen.show(status)
    screen.end(status)
    return status


def _ask_on(url: str, screen: Screen) -> dict[str, Any]:
    """A proxy that is started again answers soon, though it may not know its rollouts at once."""
    until = 0.0
    while True:
        try:
            status: dict[str, Any] = ask(url)
            return status
        except (StartError, UsageError) as error:
            if not until:
                until = time.monotonic() + GONE_S
                screen.trouble(f"{error}; asking again for {GONE_S:g} s")
            elif time.monotonic() > until:
                raise
        time.sleep(WATCH_S)
