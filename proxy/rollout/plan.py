"""The plan of a rollout: its state, and what a look at the world or a person's word makes of it. Pure.

    pending ──▶ progressing ──▶ (next step) ... ──▶ promoted
                   │  ▲  ▲
        pause: true▼  │  └── resume ── paused ◀── pause, set-weight, an edit by hand, on_failure: pause
                waiting (promote)
    from any of them: rolled_back, by a gate or by abort; from the ends and from paused: retry

The state says what weight the new version is to have. Who carries it out makes it so in the rule file; until the rules
in use say the same, the clock of the step stands.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Literal, get_args

from proxy.data import dataclass
from proxy.rules.rollouts import Event, Rollout

Phase = Literal["pending", "progressing", "waiting", "paused", "promoted", "rolled_back"]
Verb = Literal["promote", "pause", "resume", "abort", "retry", "set-weight"]
PHASES: Final[tuple[Phase, ...]] = get_args(Phase)
EVENTS: Final[tuple[Event, ...]] = get_args(Event)
VERBS: Final[tuple[Verb, ...]] = get_args(Verb)
DONE: Final = ("promoted", "rolled_back")
SAME: Final = 1e-4
"""Percent: weights that differ by less are the same one, written as a decimal."""


@dataclass(frozen=True, slots=True)
class State:
    """weight: percent that the new version is to have. arrived: it was seen to have it; until then the rules are to be
    changed, and may still give it one of `ours`, the weights that it was to have before. held_s: seconds for which
    the step's weight has been live. by_hand: the weights were edited in the file, so nobody but a person moves them.
    reason: of the phase, in words."""

    phase: Phase = "pending"
    step: int = 0
    weight: float = 0.0
    arrived: bool = False
    ours: tuple[float, ...] = ()
    held_s: float = 0.0
    by_hand: bool = False
    reason: str = ""

    @property
    def settled(self) -> bool:
        """Nothing is left to do: what becomes of the weights now is somebody else's."""
        return self.phase in DONE and self.arrived


@dataclass(frozen=True, slots=True)
class Look:
    """What there is to see. live: percent that the new version has by the rules in use. elapsed_s: since the last look.
    passed: every gate holds. failed, burning: why the new version must not stay, if so."""

    live: float
    elapsed_s: float = 0.0
    passed: bool = False
    failed: str = ""
    burning: str = ""


OURS_MAX: Final = 10
"""Weights that were asked for one after another before any of them was live; the file can only hold the last few."""

Told = tuple[State, list[tuple[Event, str]]]
"""The state that follows, and what happened, in words."""


def same(one: float, other: float) -> bool:
    return abs(one - other) < SAME


def advance(rollout: Rollout, state: State, look: Look) -> Told:
    """The next state by what is seen."""
    if state.phase == "pending":
        return _start(rollout, look.live)
    if state.settled:
        return state, []
    if not same(look.live, state.weight):
        ours = not state.arrived and any(same(look.live, weight) for weight in state.ours)
        return (state, []) if ours else _edited(rollout, state, look.live)
    state = replace(state, arrived=True, ours=())
    if state.phase in DONE or state.by_hand:
        return state, []
    trouble = look.burning or look.failed
    if trouble and not (state.phase == "paused" and rollout.on_failure == "pause"):
        return _fail(rollout, state, trouble)
    if state.phase != "progressing":
        return state, []
    state = replace(state, held_s=state.held_s + look.elapsed_s)
    step = rollout.steps[state.step]
    if state.held_s < step.hold or not look.passed:
        return state, []
    if step.pause:
        text = f"at {step.weight:g} %, until somebody promotes it"
        return replace(state, phase="waiting", reason=text), [("waiting", text)]
    return _next(rollout, state, "the gates held")


def relocated(rollout: Rollout, state: State) -> State:
    """The same state among steps that may have changed: at the last one that gives no more than is given now. So none
    is skipped, and time that was held counts on."""
    if state.phase in ("pending", *DONE):
        return replace(state, step=min(state.step, len(rollout.steps) - 1))
    below = [place for place, step in enumerate(rollout.steps) if step.weight <= state.weight + SAME]
    return replace(state, step=max(below, default=0))


def act(rollout: Rollout, state: State, verb: Verb, full: bool = False, weight: float = 0.0) -> Told:
    """The next state by a person's word. Raises ValueError that says why it cannot be. full: of promote, at once to
    the end. weight: of set-weight."""
    allowed = _ALLOWED[verb]
    if state.phase not in allowed:
        raise ValueError(f"rollout '{rollout.name}' is {state.phase}: {verb} is for one that is {_either(allowed)}")
    if verb == "promote":
        return _promoted(rollout, state, "by hand") if full else _next(rollout, state, "by hand")
    if verb == "pause":
        return replace(state, phase="paused", reason="by hand"), [("paused", "by hand")]
    if verb == "resume":
        place = _place(rollout, state.weight)
        fresh = place != state.step or not same(rollout.steps[place].weight, state.weight)
        resumed = _at(rollout, state, place, "resumed by hand") if fresh else replace(state, by_hand=False)
        return replace(resumed, phase="progressing", reason="resumed by hand"), [("resumed", "by hand")]
    if verb == "abort":
        return _rolled_back(state, "aborted by hand")
    if verb == "retry":
        return _at(rollout, state, 0, "started again by hand"), [("started", "again, by hand"), _step(rollout, 0)]
    if not 0 <= weight <= 100:
        raise ValueError(f"a weight is in percent: from 0 to 100, not {weight:g}")
    text = f"{rollout.new} is given {weight:g} % by hand"
    state = replace(_to(state, weight), phase="paused", held_s=0.0, by_hand=False, reason=text)
    return state, [("weight_set", text)]


_ALLOWED: Final[dict[Verb, tuple[Phase, ...]]] = {
    "promote": ("progressing", "waiting", "paused"),
    "pause": ("progressing", "waiting"),
    "resume": ("paused",),
    "abort": ("pending", "progressing", "waiting", "paused", "promoted"),
    "retry": ("paused", "promoted", "rolled_back"),
    "set-weight": PHASES,
}


def _start(rollout: Rollout, live: float) -> Told:
    state = State(weight=live, arrived=True)
    if live >= rollout.steps[-1].weight - SAME:
        text = f"{rollout.new} has {live:g} % already"
        return replace(state, phase="promoted", step=len(rollout.steps) - 1, reason=text), [("promoted", text)]
    place = _place(rollout, live)
    return _at(rollout, state, place, ""), [("started", f"{rollout.new} has {live:g} %"), _step(rollout, place)]


def _edited(rollout: Rollout, state: State, live: float) -> Told:
    """Somebody else wrote weights into the file: they are theirs."""
    text = f"the weights were edited by hand: {rollout.new} has {live:g} %"
    state = replace(state, weight=live, arrived=True, ours=(), by_hand=True)
    if state.phase in DONE:
        return state, []
    return replace(state, phase="paused", held_s=0.0, reason=text), [("paused", text)]


def _fail(rollout: Rollout, state: State, why: str) -> Told:
    if rollout.on_failure == "pause":
        return replace(state, phase="paused", reason=why), [("failed", why), ("paused", why)]
    state, events = _rolled_back(state, why)
    return state, [("failed", why), *events]


def _rolled_back(state: State, why: str) -> Told:
    return replace(_to(state, 0.0), phase="rolled_back", by_hand=False, reason=why), [("rolled_back", why)]


def _next(rollout: Rollout, state: State, why: str) -> Told:
    on_step = same(rollout.steps[state.step].weight, state.weight)
    place = state.step + 1 if on_step else _place(rollout, state.weight)  # a person had set another weight
    if place >= len(rollout.steps):
        return _promoted(rollout, state, why)
    return _at(rollout, state, place, why), [_step(rollout, place, why)]


def _promoted(rollout: Rollout, state: State, why: str) -> Told:
    last = len(rollout.steps) - 1
    state = _to(state, rollout.steps[last].weight)
    state = replace(state, phase="promoted", step=last, by_hand=False, reason=why)
    return state, [("promoted", f"{rollout.new} has {state.weight:g} %: {why}")]


def _at(rollout: Rollout, state: State, place: int, why: str) -> State:
    state = _to(state, rollout.steps[place].weight)
    return replace(state, phase="progressing", step=place, held_s=0.0, by_hand=False, reason=why)


def _to(state: State, weight: float) -> State:
    """The new version is to have another weight; the rules give it the one before for a while."""
    if same(weight, state.weight):
        return state
    return replace(state, weight=weight, arrived=False, ours=(*state.ours[-OURS_MAX:], state.weight))


def _step(rollout: Rollout, place: int, why: str = "") -> tuple[Event, str]:
    text = f"{place + 1} of {len(rollout.steps)}: {rollout.new} gets {rollout.steps[place].weight:g} %"
    return "step", f"{text} ({why})" if why else text


def _place(rollout: Rollout, weight: float) -> int:
    """The first step that gives no less than this weight."""
    for place, step in enumerate(rollout.steps):
        if step.weight >= weight - SAME:
            return place
    return len(rollout.steps) - 1


def _either(words: tuple[str, ...]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last
