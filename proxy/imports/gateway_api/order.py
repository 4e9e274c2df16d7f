"""Which routes the matches become, and in which order their rules stand: the API's order of precedence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from proxy.data import dataclass
from proxy.imports.gateway_api.gateways import Schemes
from proxy.imports.gateway_api.matches import Match
from proxy.imports.gateway_api.outcome import Outcome
from proxy.rules.model import PathMatch

ROOT: Final = PathMatch("prefix", "/")


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """A match at a host. schemes: those over which it counts there."""

    match: Match
    outcome: Outcome
    schemes: Schemes


Placed = dict[str, list[Step]]
"""Steps by host; the empty host is every one."""


@dataclass(slots=True)
class Scope:
    """A route in the making: hosts, a path, and its steps, best first. ends: schemes that go no further than here."""

    hosts: list[str]
    path: PathMatch
    steps: list[Step]
    ends: Schemes


def scopes(placed: Placed, ends: Mapping[str, Schemes]) -> Iterable[Scope]:
    """Hosts that say the same of a path share a route; within a host the best path comes first."""
    found: dict[Any, Scope] = {}
    for host in dict.fromkeys((*placed, *ends)):
        for path, steps in _ordered(placed.get(host, []), host in ends):
            end = ends.get(host, frozenset()) if path == ROOT else frozenset()
            said = (bool(host), path, end, *((id(step.match), step.schemes) for step in steps))
            found.setdefault(said, Scope([], path, steps, end)).hosts.append(host)
    return found.values()


def _ordered(steps: list[Step], ended: bool) -> Iterator[tuple[PathMatch, list[Step]]]:
    """The paths of one host, each with its steps, in the order in which they are tried."""
    regexes = [step for step in steps if step.match.path.kind == "regex"]
    regexes.sort(key=lambda step: (-len(step.match.path.value), step.match.rank))
    by_path: dict[PathMatch, list[Step]] = {ROOT: []} if regexes or ended else {}
    for step in sorted(steps, key=lambda step: step.match.rank):
        if step.match.path.kind != "regex":
            by_path.setdefault(step.match.path, []).append(step)
    for path in sorted(by_path, key=lambda path: (path.kind != "exact", -len(path.value), path.value)):
        yield path, by_path[path] if path.kind == "exact" else regexes + by_path[path]
