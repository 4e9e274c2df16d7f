"""What the admin port is handed to show: it asks, and never reaches into the processes itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import field
from typing import Any, Protocol

from proxy.admin.drain import Drains
from proxy.data import dataclass
from proxy.errors import Fault
from proxy.observe.metrics import Registry, ReloadResult
from proxy.rollout.plan import Verb
from proxy.rules.model import RuleFile


@dataclass(frozen=True, slots=True)
class ConfigState:
    """What became of the rule file.

    generation, hash: of the rules in use; 0 and empty before there are any. result, at (Unix time), faults, warnings:
    of the last time the file was read, whether it was taken or not; after a refusal the warnings are those of the rules
    in use. applied: by worker, the generation it serves. lines: by number, what stands where the faults are, or without
    a fault where the warnings are.
    """

    generation: int = 0
    hash: str = ""
    result: ReloadResult | None = None
    at: float = 0.0
    faults: tuple[Fault, ...] = ()
    warnings: tuple[Fault, ...] = ()
    applied: dict[int, int] = field(default_factory=dict)
    lines: dict[int, str] = field(default_factory=dict)


async def at_once() -> None:
    """There are no workers to be asked."""


class Rollouts(Protocol):
    """Who carries out the rollouts of the rules in use."""

    def names(self) -> list[str]: ...

    def status(self, name: str) -> dict[str, Any]: ...

    def act(self, name: str, verb: Verb, by: str, full: bool = False, weight: float = 0.0) -> None: ...


@dataclass(frozen=True, slots=True)
class View:
    """registry: every metric. rule_file: the rules in use, if there are any. config: as above.

    unready: why the container should get no traffic, a sentence each; empty: it is ready. drains: what is left of
    each version. rollouts: who carries them out, if anybody does. counted: returns when the registry has all that the
    workers have counted by now.
    """

    registry: Registry
    rule_file: Callable[[], RuleFile | None]
    config: Callable[[], ConfigState]
    unready: Callable[[], list[str]]
    drains: Drains
    rollouts: Rollouts | None = None
    counted: Callable[[], Awaitable[None]] = at_once
