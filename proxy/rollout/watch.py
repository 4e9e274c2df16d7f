"""Watches the gates of one step: each is judged once a window, by that window and by the step so far."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from proxy.data import dataclass
from proxy.rollout.gates import ALPHA, BURNING_REQUESTS, Counts, Pair, Verdict, burning, judge
from proxy.rules.rollouts import Gate, Rollout

BURNING_S: Final = 5.0
"""A version that answers nothing but errors for so long is taken back; longer where it has few requests."""
BURNING_MIN_S: Final = 2.0
"""When its weight has just gone live; first connections may fail for a moment."""


@dataclass(slots=True)
class _Watched:
    """One gate. since, first: when its window began, and the counts then. held: the counts when the last window that
    failed was over, or the step began. looks: at the time since then, in this step. row: failed verdicts, in a row.
    verdict: the last one."""

    gate: Gate
    since: float
    first: Pair
    held: Pair
    looks: int = 0
    row: int = 0
    verdict: Verdict | None = None


class Watch:
    """The gates of one step of a rollout, from the moment its weight is live.

    bounds: of the buckets in the counts. before: counts of the old version in an earlier step, to compare with where
    it now gets too little.
    """

    def __init__(
        self, rollout: Rollout, bounds: Sequence[float], now: float, pair: Pair, before: Counts | None = None
    ) -> None:
        self._rollout = rollout
        self._bounds = bounds
        self._first = pair
        self._last = pair
        self._before = before
        self._gates = [_Watched(gate, now, pair, pair) for gate in rollout.gates]
        self._recent: deque[tuple[float, Pair]] = deque([(now, pair)])
        self._now = now

    @property
    def verdicts(self) -> list[Verdict | None]:
        """The last one of each gate."""
        return [watched.verdict for watched in self._gates]

    @property
    def passed(self) -> bool:
        """Whether every gate held when it was last judged."""
        return all(verdict is not None and verdict.outcome == "holds" for verdict in self.verdicts)

    @property
    def failed(self) -> str:
        """Which gate failed so often in a row that the rollout ends, and why; empty if none."""
        for watched in self._gates:
            if watched.row >= self._rollout.failures and watched.verdict is not None:
                return f"{watched.gate.name}: {watched.verdict.text}"
        return ""

    @property
    def burning(self) -> str:
        """Whether the new version answers nothing but errors, in words; empty if not."""
        since, first = self._recent[0]
        return burning(self._rollout, self._last - first) if self._now - since >= BURNING_MIN_S else ""

    @property
    def compared(self) -> Counts | None:
        """What the next step may compare with: the old version in this one, or in the one before."""
        old = (self._last - self._first).old
        return old if old.requests >= self._rollout.min_requests else self._before

    def look(self, now: float, pair: Pair) -> list[int]:
        """Judge what is due. Gives the numbers of the queries to ask now; `answer` takes what they gave."""
        self._remember(now, pair)
        queries = []
        for number, watched in enumerate(self._gates):
            if now - watched.since < watched.gate.window:
                continue
            if watched.gate.prometheus:
                queries.append(number)
            else:
                self._take(watched, self._judge(watched, pair))
            watched.since, watched.first = now, pair
        return queries

    def answer(self, number: int, verdict: Verdict) -> None:
        """What a query gave."""
        self._take(self._gates[number], verdict)

    def _remember(self, now: float, pair: Pair) -> None:
        """The last BURNING_S, and as many requests as it takes to tell; no more, so it stays short at any pace."""
        if pair.new.requests != self._last.new.requests:
            self._recent.append((now, pair))
        self._now, self._last = now, pair
        while len(self._recent) > 1:
            since, first = self._recent[1]
            if now - since < BURNING_S or (pair - first).new.requests < BURNING_REQUESTS:
                break
            self._recent.popleft()

    def _judge(self, watched: _Watched, pair: Pair) -> Verdict:
        """By the window; where that is no failure, by all windows since one was: they have more requests, so they tell
        smaller differences. Looks at growing counts would find one by chance sooner or later, so each further one has
        to be surer: the chances of all of them together stay below ALPHA."""
        verdict = judge(watched.gate, self._rollout, self._compared(pair - watched.first), self._bounds)
        if verdict.outcome == "fails":
            watched.held = pair
        if verdict.outcome != "holds":
            return verdict
        alpha = ALPHA / ((watched.looks + 1) * (watched.looks + 2))
        watched.looks += 1
        so_far = judge(watched.gate, self._rollout, self._compared(pair - watched.held), self._bounds, alpha)
        return so_far if so_far.outcome == "fails" else verdict

    def _compared(self, pair: Pair) -> Pair:
        if self._before is None or pair.old.requests >= self._rollout.min_requests:
            return pair
        return Pair(pair.new, self._before)

    def _take(self, watched: _Watched, verdict: Verdict) -> None:
        watched.verdict = verdict
        watched.row = watched.row + 1 if verdict.outcome == "fails" else 0
