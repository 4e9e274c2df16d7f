"""May a version be switched off? Asked of the rules, which say whether a new request can reach it, and of every worker,
which says by which rules its requests begin and what it still has under way.

A version is `active` while the rules lead to it, `draining` while something of it is left (in flight, tunnelled, or
people pinned to it), and `idle` then. Where rules lead to a version they count as soon as they are about to go live;
where they do not, once every worker has them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, Literal

from proxy.data import dataclass
from proxy.observe.metrics import Registry
from proxy.rules.analysis.reach import VersionName, Way, Ways

GONE_MAX: Final = 10_000
"""Versions that are remembered after they left the rules, so that one may ask of them: years of releases."""

LATELY_S: Final = 3600.0
"""A version that left the rules is still told of among its service's for so long: time enough to switch it off."""

State = Literal["active", "draining", "idle"]


@dataclass(frozen=True, slots=True)
class Drain:
    """What is left of a version. in_rules: the rules in use name it. lately: they did until a while ago (LATELY_S), so
    somebody may want to know whether it may be switched off. ways: how new requests can reach it.

    in_flight, tunnels: under way to it, over all workers. standing_in: a request that began by earlier rules is at it,
    or may yet turn to it from another version. behind: workers that have yet to say that they took the rules by which
    it gets nothing.
    """

    service: str
    version: str
    in_rules: bool
    lately: bool
    ways: tuple[Way, ...]
    in_flight: int
    tunnels: int
    standing_in: bool
    behind: tuple[str, ...]

    @property
    def state(self) -> State:
        if any(way.kind != "pin" for way in self.ways):
            return "active"
        left = self.ways or self.in_flight or self.tunnels or self.standing_in or self.behind
        return "draining" if left else "idle"

    @property
    def left(self) -> list[str]:
        """What keeps it from being switched off, in words; empty if nothing does."""
        found = [way.text for way in self.ways]
        if self.in_flight:
            found.append(f"{self.in_flight} in flight")
        elif self.standing_in:
            found.append("a request on another version may yet come to it, or a copy is under way")
        if self.tunnels:
            found.append(f"{self.tunnels} tunnel{'s' * (self.tunnels > 1)} open")
        return [*found, *(f"{worker} may still serve by earlier rules" for worker in self.behind)]


class Drains:
    """Every version that the rules name, or have named since the start. workers: those that live, by their id in the
    registry, each in words."""

    def __init__(
        self, registry: Registry, workers: Callable[[], Mapping[int, str]], now: Callable[[], float] = time.monotonic
    ) -> None:
        self._registry = registry
        self._workers = workers
        self._now = now
        self._ways: Ways = {}
        self._closed_by: dict[VersionName, int] = {}  # the generation since which nothing leads to it
        self._left_at: dict[VersionName, float] = {}  # when the rules ceased to name it

    def going_live(self, ways: Ways, generation: int) -> None:
        """Rules by which these are the ways to versions are about to be given to the workers."""
        known, before = self._known(), self._ways
        self._ways = ways
        self._left_at |= dict.fromkeys(before.keys() - self._ways.keys(), self._now())
        for name in (*known, *self._ways):
            if self._ways.get(name):
                self._closed_by.pop(name, None)
            else:
                self._closed_by.setdefault(name, generation)
        self._forget()

    def drain(self, service: str, version: str) -> Drain:
        """What is left of it now. Raises LookupError with the names there are, if it is none of them."""
        name = (service, version)
        if name not in self._ways and name not in self._closed_by:
            raise LookupError(self._unknown(service, version))
        return next(self._look([name]))

    def all(self) -> dict[str, list[Drain]]:
        """What is left of each version, by service: those that the rules name first."""
        found: dict[str, list[Drain]] = {}
        for drain in self._look(self._known()):
            found.setdefault(drain.service, []).append(drain)
        return found

    def _known(self) -> list[VersionName]:
        return [*self._ways, *(name for name in self._closed_by if name not in self._ways)]

    def _look(self, names: Iterable[VersionName]) -> Iterator[Drain]:
        in_flight, tunnels = self._registry.gauge("requests_in_flight"), self._registry.gauge("tunnels_open")
        recent = self._now() - LATELY_S
        said = {words: self._registry.reported(worker) for worker, words in self._workers().items()}
        for name in names:
            closed_by = self._closed_by.get(name, 0)
            yield Drain(
                *name,
                in_rules=name in self._ways,
                lately=name not in self._ways and self._left_at[name] > recent,
                ways=self._ways.get(name, ()),
                in_flight=int(in_flight.get(name, 0)),
                tunnels=int(tunnels.get(name, 0)),
                standing_in=any(counts is not None and name in counts.lingering for counts in said.values()),
                behind=tuple(
                    worker
                    for worker, counts in said.items()
                    if closed_by and (counts is None or counts.generation < closed_by)
                ),
            )

    def _forget(self) -> None:
        """Those that left the rules first, if they are too many and nothing is left of them."""
        gone = [name for name in self._closed_by if name not in self._ways]
        for drain in list(self._look(gone[: max(0, len(gone) - GONE_MAX)])):
            if drain.state == "idle":
                del self._closed_by[drain.service, drain.version], self._left_at[drain.service, drain.version]

    def _unknown(self, service: str, version: str) -> str:
        services: dict[str, list[str]] = {}
        for name, of in self._known():
            services.setdefault(name, []).append(of)
        if service not in services:
            return f"unknown service '{service}'; there are {', '.join(services) or 'none'}"
        return f"unknown version '{version}' of service '{service}'; it has {', '.join(services[service])}"
