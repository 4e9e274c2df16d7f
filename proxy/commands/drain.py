"""`grayhound drain`: waits, with the admin port of a running proxy, until a version may be switched off."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Final
from urllib.parse import quote

from proxy.commands.admin_port import ask
from proxy.commands.base import EXIT_FAILED, UsageError, admin_argument, admin_url
from proxy.settings import read_duration

ASK_S: Final = 2.0
"""How long one question waits at the admin port: as often it is said what is left, if that has changed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("service", metavar="SERVICE")
    parser.add_argument("version", metavar="VERSION", help="the one to switch off")
    parser.add_argument("--timeout", metavar="DURATION", default="5m", help="how long to wait (default 5m)")
    admin_argument(parser)


def run(given: argparse.Namespace) -> int:
    """0: it is safe to switch off; 1: not within the time, or nobody can say."""
    try:
        timeout_s = read_duration(given.timeout)
    except ValueError as error:
        raise UsageError(f"--timeout: {error}") from None
    name = f"{given.service} {given.version}"
    try:
        left = _wait(_url(given), name, time.monotonic() + timeout_s)
    except KeyboardInterrupt:
        return EXIT_FAILED  # whoever stops waiting has not been told that it is safe
    if left:
        print(f"grayhound drain: {name} cannot be switched off after {given.timeout}: {left}", file=sys.stderr)
        return EXIT_FAILED
    print(f"{name} is idle: it is safe to switch off")
    return 0


def _url(given: argparse.Namespace) -> str:
    return f"{admin_url(given)}/api/drain/{quote(given.service, safe='')}/{quote(given.version, safe='')}"


def _wait(url: str, name: str, until: float) -> str:
    """What is left when the time is over, in words; empty: nothing."""
    said = ""
    while True:
        wait_s = max(0.0, min(ASK_S, until - time.monotonic()))
        drain = ask(f"{url}?wait={wait_s * 1000:.0f}ms", wait_s)
        if drain["safe_to_switch_off"]:
            return ""
        left = "; ".join(drain["left"])
        if time.monotonic() >= until:
            return left
        if left != said:
            print(f"{name} is {drain['state']}: {left}", flush=True)
            said = left
