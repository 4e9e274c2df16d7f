"""Carries rollouts out: looks at the counters twice a second, and has the weights that follow written into the file."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import aiohttp

from proxy.data import dataclass
from proxy.observe.counts import BUCKETS
from proxy.observe.metrics import Registry
from proxy.rollout import store
from proxy.rollout.editor import Editor, NotLive, NotWritten, live_weight
from proxy.rollout.gates import Pair
from proxy.rollout.notify import Notifier
from proxy.rollout.plan import DONE, Look, Verb, act, advance, relocated, same
from proxy.rollout.prometheus import ask
from proxy.rollout.store import Entry, Record
from proxy.rollout.tally import tally
from proxy.rollout.watch import Watch
from proxy.rules.model import RuleFile
from proxy.rules.rollouts import Event, Rollout
from proxy.tasks import spawn

TICK_S: Final = 0.5
"""Workers tell what they count four times a second; what burns is to be back within seconds."""
ELAPSED_MAX_S: Final = 5.0
"""Of a step's time that one look may count: a machine that slept has seen no requests meanwhile."""
LIVE_S: Final = 10.0
"""For what was written to be in use: half a second, some more for the largest files."""
AGAIN_S: Final = 2.0
"""Between two tries to write a file that cannot be written."""
SAVED_S: Final = 3.0
"""For what somebody else has saved to be in use; what takes longer is refused, or very large, and worth a word."""
SAVE_S: Final = 5.0
"""How much of a step's time a crash may cost."""

log = logging.getLogger("grayhound.rollout")


@dataclass(frozen=True, slots=True)
class Live:
    """The rules in use, and the digest of the file they were."""

    rule_file: RuleFile
    digest: str


@dataclass(slots=True)
class Run:
    """A rollout of the rules in use. watch: its gates, while its weight is live; watched: for which step and weight.
    obstacle: why the weights cannot be moved. again_at: when that is tried again. seen_at: the last look.
    wrote: what was written and is not in use yet, until `wrote_at` is too long ago. saved_at: when the file was first
    seen to hold what somebody else has saved and is not in use."""

    rollout: Rollout
    record: Record
    watch: Watch | None = None
    watched: tuple[int, float] = (-1, 0.0)
    obstacle: str = ""
    again_at: float = 0.0
    seen_at: float = 0.0
    wrote: float | None = None
    wrote_at: float = 0.0
    saved_at: float = 0.0


class Rollouts:
    """Every rollout of one rule file. rules: those in use. state_file: remembers them."""

    def __init__(
        self,
        registry: Registry,
        rules: Callable[[], Live | None],
        editor: Editor,
        state_file: Path,
        notifier: Notifier,
    ) -> None:
        self._registry = registry
        self._rules = rules
        self._editor = editor
        self._state_file = state_file
        self._notifier = notifier
        self._session: aiohttp.ClientSession | None = None
        self._records = _remembered(state_file)
        self._runs: dict[str, Run] = {}
        self._wake = asyncio.Event()
        self._dirty = False
        self._saved_at = 0.0
        self._complained = False

    async def follow(self) -> None:
        """Carry them out, for ever."""
        try:
            async with aiohttp.ClientSession() as session:
                self._session = session
                while True:
                    self._wake.clear()
                    try:
                        await self._tick(session)
                    except Exception:
                        log.exception("a look at the rollouts failed")
                    try:
                        async with asyncio.timeout(TICK_S):
                            await self._wake.wait()
                    except TimeoutError:
                        pass
        except asyncio.CancelledError:
            if self._records:
                self._store(self._records)
            raise

    # --- what the admin port asks for --------------------------------------------------------------------------

    def names(self) -> list[str]:
        """Those of the rules in use, in file order."""
        if (live := self._rules()) is None:
            return []
        self._take(live.rule_file)
        return list(live.rule_file.rollouts)

    def status(self, name: str) -> dict[str, Any]:
        """Everything there is to know of one. Raises LookupError with the names there are."""
        run = self._run(name)
        rollout, record, live = run.rollout, run.record, self._rules()
        state = record.state
        verdicts = run.watch.verdicts if run.watch is not None else [None] * len(rollout.gates)
        step = rollout.steps[state.step]
        return {
            "rollout": name,
            "route": rollout.route,
            "rule": rollout.rule,
            "from": rollout.old,
            "to": rollout.new,
            "phase": state.phase,
            "settled": state.settled,
            "reason": state.reason,
            "obstacle": run.obstacle,
            "step": state.step + 1,
            "steps": [{"weight": one.weight, "hold_s": one.hold, "pause": one.pause} for one in rollout.steps],
            "weight": state.weight,
            "live_weight": live_weight(live.rule_file, rollout) if live and name in live.rule_file.rollouts else None,
            "held_s": round(state.held_s, 1),
            "hold_s": step.hold,
            "gates": [
                {"gate": gate.name, "outcome": verdict.outcome if verdict else "none",
                 "text": verdict.text if verdict else "not judged yet in this step"}
                for gate, verdict in zip(rollout.gates, verdicts, strict=True)
            ],
            "journal": [
                {"at": entry.at, "event": entry.event, "text": entry.text, "by": entry.by} for entry in record.journal
            ],
        }  # fmt: skip

    def act(self, name: str, verb: Verb, by: str, full: bool = False, weight: float = 0.0) -> None:
        """Do what a person says. Raises LookupError for an unknown name, ValueError if it cannot be done."""
        run = self._run(name)
        state, events = act(run.rollout, run.record.state, verb, full, weight)
        run.record.state = state
        if verb != "pause":
            run.watched, run.again_at = (-1, 0.0), 0.0  # what was judged before that person spoke is judged anew
        self._tell(run, events, by)
        self._wake.set()

    def _run(self, name: str) -> Run:
        if name not in (known := self.names()):
            raise LookupError(f"unknown rollout '{name}'; there are {', '.join(known) or 'none'}")
        return self._runs[name]

    # --- one look ----------------------------------------------------------------------------------------------

    async def _tick(self, session: aiohttp.ClientSession) -> None:
        live = self._rules()
        if live is None:
            return
        self._take(live.rule_file)
        now = time.monotonic()
        active = [run for run in self._runs.values() if not run.record.state.settled]
        if active:
            services = {route.name: route.service for route in live.rule_file.routes}
            for run in active:
                pair = tally(self._registry, run.rollout, services[run.rollout.route])
                self._look(run, live, pair, now, session)
        states = ((name, run.record.state, bool(run.obstacle)) for name, run in self._runs.items())
        self._registry.set_rollouts({name: (state.phase, state.step + 1, no) for name, state, no in states})
        await self._save(now)
        for run in active:
            await self._write(run, live, now)

    def _take(self, rule_file: RuleFile) -> None:
        """Follow the rollouts that the rules name now."""
        for name in [name for name in self._records if name not in rule_file.rollouts]:
            self._runs.pop(name, None)
            del self._records[name]
            self._dirty = True
        for name, rollout in rule_file.rollouts.items():
            run = self._runs.get(name)
            if run is not None and run.record.of == store.subject(rollout):
                if run.rollout != rollout:
                    run.rollout, run.watched = rollout, (-1, 0.0)
                    run.record.state = relocated(rollout, run.record.state)
                continue
            known = self._records.get(name)
            if known is None or known.of != store.subject(rollout):
                known = self._records[name] = Record(store.subject(rollout))
            known.state = relocated(rollout, known.state)
            self._runs[name] = Run(rollout, known)

    def _look(self, run: Run, live: Live, pair: Pair, now: float, session: aiohttp.ClientSession) -> None:
        state, percent = run.record.state, live_weight(live.rule_file, run.rollout)
        elapsed_s = min(now - run.seen_at, ELAPSED_MAX_S) if run.seen_at else 0.0
        run.seen_at = now
        if run.wrote is not None:
            if not same(percent, run.wrote) and now - run.wrote_at < LIVE_S:
                return  # on its way: what is wanted by now is written after it
            run.wrote = None
        look = Look(percent)
        if state.phase not in ("pending", *DONE) and same(percent, state.weight):
            watch = self._watch(run, now, pair)
            for number in watch.look(now, pair):
                spawn(self._ask(session, run, watch, number), name=f"query of rollout {run.rollout.name}")
            look = Look(percent, elapsed_s, watch.passed, watch.failed, watch.burning)
        run.record.state, events = advance(run.rollout, state, look)
        self._tell(run, events)
        self._dirty = self._dirty or run.record.state.arrived != state.arrived

    def _watch(self, run: Run, now: float, pair: Pair) -> Watch:
        """That of this step, from when its weight went live."""
        place = (run.record.state.step, run.record.state.weight)
        if run.watch is None or run.watched != place:
            if run.watch is not None:
                run.record.before = run.watch.compared
            run.watch, run.watched = Watch(run.rollout, BUCKETS, now, pair, run.record.before), place
        return run.watch

    async def _ask(self, session: aiohttp.ClientSession, run: Run, watch: Watch, number: int) -> None:
        watch.answer(number, await ask(session, run.rollout.gates[number]))

    async def _write(self, run: Run, live: Live, now: float) -> None:
        state = run.record.state
        if state.arrived:
            run.obstacle, run.again_at, run.saved_at = "", 0.0, 0.0
        if state.arrived or run.wrote is not None or now < run.again_at:
            return
        try:
            await asyncio.to_thread(self._editor.set_weight, run.rollout, state.weight, live.rule_file, live.digest)
            run.wrote, run.wrote_at, run.obstacle, run.saved_at = state.weight, now, "", 0.0
        except NotLive as error:
            run.again_at, run.saved_at = now + AGAIN_S / 4, run.saved_at or now
            if now - run.saved_at >= SAVED_S:
                self._blocked(run, f"{error}; see /api/config")
        except NotWritten as error:
            run.again_at = now + AGAIN_S
            self._blocked(run, str(error))

    def _blocked(self, run: Run, why: str) -> None:
        if run.obstacle != why:
            run.obstacle = why
            self._tell(run, [("blocked", why)])

    # --- what is remembered ------------------------------------------------------------------------------------

    def _tell(self, run: Run, events: list[tuple[Event, str]], by: str = "") -> None:
        for event, text in events:
            name = run.rollout.name
            entry = Entry(time.time(), event, text, by)
            run.record.journal.append(entry)
            self._registry.rollout_event(name, event)
            log.info("rollout %s: %s: %s%s", name, event.replace("_", " "), text, f" ({by})" if by else "")
            self._dirty = True
            if self._session is not None:
                self._notifier.tell(self._session, run.rollout.notify, _told(run, entry))

    async def _save(self, now: float) -> None:
        """What has happened at once, how long a step has held now and then."""
        holding = any(run.record.state.phase == "progressing" for run in self._runs.values())
        if not self._dirty and not (holding and now - self._saved_at >= SAVE_S):
            return
        self._dirty, self._saved_at = False, now
        records = {name: replace(record, journal=record.journal.copy()) for name, record in self._records.items()}
        await asyncio.to_thread(self._store, records)

    def _store(self, records: dict[str, Record]) -> None:
        try:
            store.save(self._state_file, records)
            self._complained = False
        except OSError as error:
            if not self._complained:
                self._complained = True
                where = f"{self._state_file}: {error.strerror}"
                log.warning("rollouts will begin anew at the next start: cannot write %s (see --state-dir)", where)


def _remembered(state_file: Path) -> dict[str, Record]:
    try:
        return store.load(state_file)
    except ValueError as error:
        log.warning("%s", error)
        return {}


def _told(run: Run, entry: Entry) -> dict[str, Any]:
    """An event as others are told it. text: all of it in words, where chats look for it."""
    rollout, state = run.rollout, run.record.state
    return {
        "rollout": rollout.name,
        "event": entry.event,
        "text": f"{rollout.name}: {entry.event.replace('_', ' ')}: {entry.text}",
        "cause": entry.text,
        "by": entry.by,
        "at": entry.at,
        "route": rollout.route,
        "from": rollout.old,
        "to": rollout.new,
        "phase": state.phase,
        "step": state.step + 1,
        "weight": state.weight,
    }
