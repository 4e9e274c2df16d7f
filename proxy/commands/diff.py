"""`grayhound diff`: what another rule file would do differently, in words, or of the requests of a log."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from proxy.commands.base import EXIT_FAILED, EXIT_USAGE, content_of, counted
from proxy.errors import StartError

if TYPE_CHECKING:
    from proxy.rules.analysis.replay import Change, Group, Replay
    from proxy.rules.model import RuleFile

GROUPS_MAX: Final = 20
"""Groups of requests that are shown; a log of a thousand routes may have many."""
UNREAD_SHOWN_MAX: Final = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("old", metavar="OLD", help="the rule file as it is")
    parser.add_argument("new", metavar="NEW", help="the rule file as it would be")
    parser.add_argument(
        "--requests",
        metavar="FILE",
        help="an access log, or a line `METHOD URL` for each request; - for standard input",
    )


def run(given: argparse.Namespace) -> int:
    """0: no difference, 1: some, 2: trouble."""
    from proxy.errors import RuleError
    from proxy.run.load import load

    try:
        old, new = (load(content_of(path)).rule_file for path in (given.old, given.new))
        if given.requests is None:
            return _compare(old, new)
        return _replay(old, new, given.requests)
    except (RuleError, StartError) as error:
        print(error, file=sys.stderr)
    except KeyboardInterrupt:
        pass  # whoever stops a long replay has not been told that there is no difference
    return EXIT_USAGE


def _compare(old: RuleFile, new: RuleFile) -> int:
    from proxy.rules.analysis.diff import differences

    found = differences(old, new)
    where = ""
    for difference in found:
        if difference.where != where:
            where = difference.where
            print(where)
        print(f"  {difference.text}")
    if not found:
        print("no difference: every request goes where it went")
    return EXIT_FAILED if found else 0


def _replay(old: RuleFile, new: RuleFile, path: str) -> int:
    from proxy.admin.recorded import read_recorded
    from proxy.rules.analysis.replay import Replay

    replay, unread = Replay(old, new), []
    for number, line in enumerate(_lines(path), 1):
        try:
            recorded = read_recorded(line)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            unread.append(f"line {number}: {error}")
            continue
        if recorded is not None:
            replay.add(recorded)
    print("\n".join(_report(replay, unread)))
    if not replay.requests:
        raise StartError(f"{path} holds no request that can be read")
    return EXIT_FAILED if replay.moved or replay.retaken else 0


def _lines(path: str) -> Iterator[str]:
    """One after the other: a log may be larger than the memory."""
    try:
        with open(0 if path == "-" else path, encoding="utf-8", errors="surrogateescape", closefd=path != "-") as file:
            yield from (line for line in map(str.strip, file) if line)
    except OSError as error:
        raise StartError(f"cannot read {path}: {error.strerror}") from None


def _report(replay: Replay, unread: list[str]) -> Iterator[str]:
    yield f"{counted(replay.requests, 'request')} replayed"
    yield from _groups("would go elsewhere", replay.moved, replay.requests)
    yield from _groups("would be taken by another route or rule, to the same end", replay.retaken, replay.requests)
    if not replay.moved and not replay.retaken:
        yield "none would go elsewhere"
    if replay.undecided:
        yield f"cannot be known: {_part(replay.undecided, replay.requests)}"
        yield "  the log names another rule than OLD gives without what the log does not hold"
    if replay.missing:
        yield "not in the log, and counted as absent, though rules read it:"
        yield from (f"  {name}, in {_part(number, replay.requests)}" for name, number in sorted(replay.missing.items()))
    if unread:
        yield f"not read: {counted(len(unread), 'line')}"
        yield from (f"  {text}" for text in unread[:UNREAD_SHOWN_MAX])


def _groups(title: str, groups: dict[Change, Group], requests: int) -> Iterator[str]:
    if not groups:
        return
    yield f"{title}: {_part(sum(group.requests for group in groups.values()), requests)}"
    ordered = sorted(groups.items(), key=lambda item: (-item[1].requests, item[0]))
    for change, group in ordered[:GROUPS_MAX]:
        end = change.old if change.old == change.new else f"{change.old} -> {change.new}"
        by = change.old_by if change.old_by == change.new_by else f"{change.old_by} -> {change.new_by}"
        yield f"  {_part(group.requests, requests)}  {end}  ({by})"
        yield from (f"      {text}" for text in _shown(group.examples))
    if len(ordered) > GROUPS_MAX:
        yield f"  and {len(ordered) - GROUPS_MAX:,} more groups"


def _shown(texts: Iterable[str]) -> Iterator[str]:
    from proxy.rules.analysis.describe import shown

    return (shown(text.encode("utf-8", "surrogateescape")) for text in texts)


def _part(number: float, whole: int) -> str:
    return f"{number:,.1f}".removesuffix(".0") + f" ({number / whole * 100:.3g} %)"
