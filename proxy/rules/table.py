"""The compiled rules: from a request head to a decision, without looking at more of either than it takes.

    host -> path -> candidates -> rules -> decision

Each step is a function that gives a decision, or None: it passes the request on to the next best. Candidates are tried
from the most to the least specific; the first whose method fits and whose rules decide wins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from proxy.http.message import RequestHead
from proxy.rules.decision import Decide, Decision
from proxy.rules.model import RuleFile
from proxy.steps import Steps

if TYPE_CHECKING:
    from proxy.rules.analysis.explain import Trace

PARTS_AT_ONCE: Final = 64
"""Of a large table, given up in one step: some 0.1 ms."""
NOTHING: Final = RuleFile({}, ())

__all__ = ["Decide", "Decision", "RouteTable", "by_method", "by_path"]


class RouteTable:
    """One rule file, compiled.

    decisions: every decision that match can give, by number. needs: the header fields that must be kept for it, in
    lower case.
    """

    __slots__ = ("_any_host", "_hosts", "_labels", "_rule_file", "_wildcards", "decisions", "needs")

    def __init__(
        self,
        rule_file: RuleFile,
        hosts: dict[bytes, Decide],
        wildcards: dict[bytes, Decide],
        decisions: list[Decision],
        needs: frozenset[bytes],
    ) -> None:
        """hosts: by name, empty for every host. wildcards: by what follows the `*`, a dot and a name. Both are kept."""
        self._rule_file = rule_file
        self._any_host = hosts.pop(b"", None)
        self._wildcards = wildcards
        self._hosts = hosts
        self._labels = tuple(sorted({suffix.count(b".") for suffix in self._wildcards}, reverse=True))
        self.decisions = decisions
        self.needs = needs

    def match(self, head: RequestHead) -> Decision | None:
        """What the best route says that fits; None: no route, 404."""
        decide = self._hosts.get(head.host)
        if decide is not None:
            decision = decide(head)
            if decision is not None:
                return decision
        if self._labels:
            decision = self._match_wildcard(head)
            if decision is not None:
                return decision
        return None if self._any_host is None else self._any_host(head)

    def _match_wildcard(self, head: RequestHead) -> Decision | None:
        """The longest wildcard first. One stands for at least one label, and never for an empty one."""
        labels = head.host.rsplit(b".", self._labels[0])
        for count in self._labels:
            if count < len(labels) and head.host[:1] != b".":
                decide = self._wildcards.get(b"." + b".".join(labels[-count:]))
                if decide is not None:
                    decision = decide(head)
                    if decision is not None:
                        return decision
        return None

    def taking_apart(self) -> Steps[None]:
        """Let go of everything a little at a step; match may not be asked any more."""
        parts = [*self._rule_file.routes, *self._rule_file.services.values()]
        self._rule_file = NOTHING
        self._any_host = None
        for things in (self.decisions, parts):
            while things:
                del things[-PARTS_AT_ONCE:]
                yield
        for hosts in (self._hosts, self._wildcards):
            while hosts:
                hosts.popitem()
                yield

    def explain(self, head: RequestHead) -> Trace:
        """How match comes to its decision."""
        from proxy.rules.analysis.explain import explain  # not by workers, whose start it would hold up

        return explain(self._rule_file, head)


def by_method(candidates: Iterable[tuple[frozenset[bytes], Decide]]) -> Decide:
    """Routes of one host and path in order, each with its methods, empty for every one."""
    fixed = tuple(candidates)
    if len(fixed) == 1 and not fixed[0][0]:
        return fixed[0][1]  # PERF: 0.7 of the time for a table of one route.

    def decide(head: RequestHead) -> Decision | None:
        for methods, candidate in fixed:
            if not methods or head.method in methods:
                decision = candidate(head)
                if decision is not None:
                    return decision
        return None

    return decide


def by_path(
    exact: dict[bytes, Decide],
    prefixes: dict[bytes, Decide],
    regexes: Iterable[tuple[Callable[[bytes], Any], Decide]] = (),
) -> Decide:
    """The routes of one host: exact, then the longest prefix, then regexes in order.

    Prefixes come without slashes at the end; the empty one is the root, which takes every path, `*` too.
    """
    below = {prefix: decide for prefix, decide in prefixes.items() if prefix}
    depths = tuple(sorted({prefix.count(b"/") for prefix in below}, reverse=True))
    # Whoever takes every path stands last among the prefixes, and before the regexes.
    last = (*((None, decide) for prefix, decide in prefixes.items() if not prefix), *regexes)
    if not exact and not below and len(last) == 1 and last[0][0] is None:
        return last[0][1]  # PERF: 0.7 of the time for a route that takes every path.

    def decide_by_path(head: RequestHead) -> Decision | None:
        path = head.path
        decide = exact.get(path)
        if decide is not None and (decision := decide(head)) is not None:
            return decision
        if depths:
            # As many elements as the longest prefix has, so that a path of a thousand slashes costs no more.
            elements = path.split(b"/", depths[0] + 1)
            for depth in depths:
                if depth < len(elements):
                    decide = below.get(b"/".join(elements[: depth + 1]))
                    if decide is not None and (decision := decide(head)) is not None:
                        return decision
        for fits, decide in last:
            if (fits is None or fits(path)) and (decision := decide(head)) is not None:
                return decision
        return None

    return decide_by_path
