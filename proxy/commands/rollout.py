"""`grayhound rollout`: how rollouts are doing, and a person's word to them, by the admin port of a running proxy."""

from __future__ import annotations

import argparse
import os
import sys
import time
from typing import Any, Final
from urllib.parse import quote

from proxy.commands.admin_port import ask
from proxy.commands.base import EXIT_FAILED, Parser, UsageError, admin_argument, admin_url
from proxy.settings import variable

VERBS: Final = ("list", "status", "promote", "pause", "resume", "abort", "retry", "set-weight")
READING: Final = ("list", "status")
WATCH_S: Final = 1.0
BAR: Final = 30
"""Characters, for 100 %."""
DONE: Final = ("promoted", "rolled_back")


def add_arguments(parser: Parser) -> None:
    parser.add_argument("verb", metavar="ACT", nargs="?", choices=VERBS, default="list", help=", ".join(VERBS))
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
        for status in ask(url)["rollouts"]:
            print(line(status))
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
    if given.verb != "list" and not given.name:
        raise UsageError(f"{given.verb} needs the NAME of a rollout; `grayhound rollout list` prints them")
    if given.verb == "list" and (given.name or given.watch):
        raise UsageError("list takes no NAME, and cannot be watched: status NAME --watch")
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
    live = status["live_weight"]
    parts = [
        (status["obstacle"] and "waiting") or status["phase"].replace("_", " "),
        f"step {status['step']} of {len(status['steps'])}",
        f"{status['to']} has {live:g} %" if live is not None else "not in the rules",
    ]
    if status["phase"] == "progressing" and not status["obstacle"]:
        parts.append(f"held for {status['held_s']:.0f} of {status['hold_s']:g} s")
        held_up = [gate for gate in status["gates"] if gate["outcome"] != "holds"]
        parts += [f"{gate['gate']}: {gate['text']}" for gate in held_up[:1]]
    elif why := status["obstacle"] or status["reason"]:
        parts.append(why)
    return f"{status['rollout']}: {', '.join(parts)}"


def block(status: dict[str, Any]) -> list[str]:
    """The same with a bar, and every gate below."""
    filled = round(BAR * (status["live_weight"] or 0) / 100)
    gates = [f"  {gate['gate']}: {gate['outcome']}: {gate['text']}" for gate in status["gates"]]
    return [f"[{'█' * filled}{'░' * (BAR - filled)}] {line(status)}", *gates]


def _watch(url: str, status: dict[str, Any]) -> dict[str, Any]:
    """Print how it is doing until it is done: over and over in the same place of a terminal, else what is new."""
    terminal, drawn, told = sys.stdout.isatty(), 0, len(status["journal"])
    if not terminal:
        print(line(status), flush=True)
    while True:
        if terminal:
            lines = block(status)
            width = os.get_terminal_size().columns
            print(
                f"\x1b[{drawn}F" * bool(drawn) + "\x1b[J" + "\n".join(text[: width - 1] for text in lines), flush=True
            )
            drawn = len(lines)
        else:
            for entry in status["journal"][told:]:
                print(f"{status['rollout']}: {entry['event'].replace('_', ' ')}: {entry['text']}", flush=True)
            told = len(status["journal"])
        if status["phase"] in DONE and status["settled"]:
            return status
        time.sleep(WATCH_S)
        status = ask(url)
