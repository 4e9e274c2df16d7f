from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.rollout.plan import PHASES, VERBS, Look, Phase, State, Verb, act, advance, relocated
from proxy.rules.rollouts import Event, Rollout, RolloutStep
from tests.rollout.simulated import CASES

STEPS = (RolloutStep(5.0, 10.0), RolloutStep(20.0, 10.0, True), RolloutStep(100.0, 10.0))
ROLLOUT = Rollout("shop-v2", "shop", "everyone", "v1", "v2", STEPS, ())
PAUSING = Rollout("shop-v2", "shop", "everyone", "v1", "v2", STEPS, (), on_failure="pause")


class Run:
    """A rollout, and what becomes of it look by look."""

    def __init__(self, rollout: Rollout = ROLLOUT, live: float = 0.0) -> None:
        self.rollout = rollout
        self.live = live
        self.state = State()
        self.events: list[Event] = []
        self.look()

    def look(self, seconds: float = 0.0, passed: bool = True, failed: str = "", burning: str = "") -> State:
        state, events = advance(self.rollout, self.state, Look(self.live, seconds, passed, failed, burning))
        self.state = state
        self.events += [event for event, _ in events]
        return state

    def write(self) -> State:
        """The wanted weight goes live."""
        self.live = self.state.weight
        return self.look()

    def say(self, verb: Verb, full: bool = False, weight: float = 0.0) -> State:
        self.state, events = act(self.rollout, self.state, verb, full, weight)
        self.events += [event for event, _ in events]
        return self.state


def where(state: State) -> tuple[str, int, float]:
    return state.phase, state.step, state.weight


def test_from_step_to_step_to_the_end() -> None:
    """Each for its time, with its gates holding; where a person is waited for, until they promote it."""
    run = Run()
    assert where(run.state) == ("progressing", 0, 5.0)
    assert run.look(100.0).held_s == 0.0  # the clock stands until the weight is live
    run.write()
    assert where(run.look(9.0)) == ("progressing", 0, 5.0)
    assert where(run.look(1.0, passed=False)) == ("progressing", 0, 5.0)
    assert where(run.look(0.5)) == ("progressing", 1, 20.0)
    run.write()
    assert where(run.look(10.0)) == ("waiting", 1, 20.0)
    assert where(run.look(1000.0)) == ("waiting", 1, 20.0)
    assert where(run.say("promote")) == ("progressing", 2, 100.0)
    run.write()
    assert where(run.look(10.0)) == ("promoted", 2, 100.0)
    assert run.look().settled
    assert run.events == ["started", "step", "step", "waiting", "step", "promoted"]


@pytest.mark.parametrize("trouble", ["failed", "burning"])
@pytest.mark.parametrize("phase", ["progressing", "waiting", "paused"])
def test_it_is_rolled_back_from_every_phase(phase: str, trouble: str) -> None:
    """Also while a person is waited for; and that is the end of it, whatever is seen afterwards."""
    run = Run(live=20.0)
    run.write()
    if phase != "progressing":
        run.look(10.0)
    if phase == "paused":
        run.say("pause")
    assert run.state.phase == phase
    state = run.look(passed=False, **{trouble: "5xx"})
    assert (where(state), state.reason, state.settled) == (("rolled_back", 1, 0.0), "5xx", False)
    assert run.write().settled
    assert run.look(100.0, failed="again") == run.state
    assert run.events[-2:] == ["failed", "rolled_back"]


def test_on_failure_pause_leaves_the_weights() -> None:
    """Until a person decides; what fails meanwhile is told once."""
    run = Run(PAUSING)
    run.write()
    assert where(run.look(failed="slow")) == ("paused", 0, 5.0)
    assert where(run.look(failed="slow")) == ("paused", 0, 5.0)
    assert run.events == ["started", "step", "failed", "paused"]
    assert where(run.say("resume")) == ("progressing", 0, 5.0)


def test_an_edit_by_hand_is_not_fought() -> None:
    """Neither by a step nor by a rollback; after `resume` the next step goes on from there."""
    run = Run()
    run.write()
    run.live = 37.0
    state = run.look(10.0)
    assert (where(state), state.by_hand) == (("paused", 0, 37.0), True)
    assert state.reason == "the weights were edited by hand: v2 has 37 %"
    assert where(run.look(failed="slow", burning="hot")) == ("paused", 0, 37.0)
    assert where(run.say("resume")) == ("progressing", 2, 100.0)


def test_an_edit_in_the_middle_of_a_step_to_come_is_seen() -> None:
    """A file that has neither the old weight nor the new one; after the end it is nobody's concern."""
    run = Run()
    run.live = 50.0
    assert run.look().by_hand
    run = Run()
    run.write()
    run.say("abort")
    run.live = 3.0  # before the rollback was written
    state = run.look()
    assert (state.phase, state.weight, state.settled) == ("rolled_back", 3.0, True)
    run.live = 70.0
    assert run.look() == state


@pytest.mark.parametrize(
    ("live", "phase", "step", "weight"),
    [(0.0, "progressing", 0, 5.0), (5.0, "progressing", 0, 5.0), (7.0, "progressing", 1, 20.0),
     (99.0, "progressing", 2, 100.0), (100.0, "promoted", 2, 100.0)],
)  # fmt: skip
def test_it_begins_where_the_file_is(live: float, phase: str, step: int, weight: float) -> None:
    """No weight goes down because a rollout begins; what is there already stays."""
    assert where(Run(live=live).state) == (phase, step, weight)


def test_weights_of_its_own_are_known_whenever_they_go_live() -> None:
    """A person may want another one before the last one is in use: neither is an edit by hand."""
    run = Run()
    assert where(run.say("abort")) == ("rolled_back", 0, 0.0)
    run.live = 5.0  # what the first step had written
    assert not run.look().by_hand and not run.state.settled
    assert run.write().settled


def test_a_pause_stops_the_clock() -> None:
    """What had passed of the step still counts afterwards."""
    run = Run()
    run.write()
    run.look(6.0)
    run.say("pause")
    assert run.look(100.0).held_s == 6.0
    run.say("resume")
    assert run.look(4.0).step == 1


def test_persons_have_the_last_word() -> None:
    """promote skips what is left of a step, promote --full of all; set-weight pauses; retry begins anew."""
    run = Run()
    run.write()
    assert where(run.say("promote")) == ("progressing", 1, 20.0)
    assert where(run.say("set-weight", weight=33.0)) == ("paused", 1, 33.0)
    run.write()
    assert where(run.say("promote")) == ("progressing", 2, 100.0)
    assert where(run.say("abort")) == ("rolled_back", 2, 0.0)
    assert where(run.say("retry")) == ("progressing", 0, 5.0)
    assert where(run.say("promote", full=True)) == ("promoted", 2, 100.0)
    assert where(run.say("abort")) == ("rolled_back", 2, 0.0)
    with pytest.raises(ValueError, match="from 0 to 100, not 101"):
        run.say("set-weight", weight=101.0)


ALLOWED = {
    "promote": "progressing waiting paused",
    "pause": "progressing waiting",
    "resume": "paused",
    "abort": "pending progressing waiting paused promoted",
    "retry": "paused promoted rolled_back",
    "set-weight": "pending progressing waiting paused promoted rolled_back",
}


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("verb", VERBS)
def test_what_makes_no_sense_is_refused(verb: Verb, phase: Phase) -> None:
    """Every act in every phase: done and told, or refused with the phases it is for."""
    state = State(phase, 1, 20.0, True)
    if phase in ALLOWED[verb].split():
        after, events = act(ROLLOUT, state, verb, weight=33.0)
        assert after != state and events
    else:
        with pytest.raises(ValueError, match=f"rollout 'shop-v2' is {phase}: {verb} is for one that is ") as error:
            act(ROLLOUT, state, verb)
        assert all(word in str(error.value) for word in ALLOWED[verb].split())


@pytest.mark.parametrize(
    ("weights", "phase", "weight", "step"),
    [
        ((5, 20, 100), "progressing", 20.0, 1),
        ((20, 100), "progressing", 20.0, 0),
        ((5, 10, 20, 100), "waiting", 20.0, 2),
        ((5, 15, 100), "progressing", 20.0, 1),
        ((30, 100), "paused", 20.0, 0),
        ((5, 10), "progressing", 20.0, 1),
        ((5,), "promoted", 100.0, 0),
        ((5,), "rolled_back", 0.0, 0),
    ],
)
def test_a_state_finds_its_place_among_other_steps(
    weights: tuple[float, ...], phase: Phase, weight: float, step: int
) -> None:
    """The last one that gives no more; all else stays."""
    changed = replace(ROLLOUT, steps=tuple(RolloutStep(float(one)) for one in weights))
    state = State(phase, 2, weight, True, held_s=12.0)
    assert relocated(changed, state) == replace(state, step=min(step, len(weights) - 1))


ACTS = st.sampled_from(VERBS)
SEEN = st.sampled_from(["write", "hold", "fail", "burn", "edit"])


@given(st.lists(st.one_of(ACTS, SEEN), max_size=40))
def test_whatever_happens_the_weight_is_somebodys(happens: list[str]) -> None:
    """One that a step, a person or an end says; and nothing raises it while the new version is known to be bad."""
    run = Run()
    for what in happens:
        before = run.state
        if what == "write":
            run.write()
        elif what == "hold":
            run.look(100.0)
        elif what in ("fail", "burn"):
            run.look(100.0, passed=False, failed="bad" * (what == "fail"), burning="hot" * (what == "burn"))
            assert run.state.weight <= max(before.weight, run.live)
            assert run.state.phase != "promoted" or before.phase == "promoted"
        elif what == "edit":
            run.live = 42.0
        else:
            with contextlib.suppress(ValueError):
                run.say(what, weight=33.0)  # type: ignore[arg-type]
        assert run.state.weight in (0.0, 5.0, 20.0, 33.0, 42.0, 100.0)
        assert run.state.phase != "progressing" or run.state.weight == STEPS[run.state.step].weight
        if before.settled and what not in VERBS:
            assert run.state == before


@pytest.mark.parametrize(("case", "phase"), [("equal", "promoted"), ("errors", "rolled_back"), ("slow", "rolled_back")])
def test_noise_moves_nothing_and_faults_do_not_pass(case: str, phase: str) -> None:
    """Thirty simulated rollouts of equal versions all go through; of worse ones, none."""
    assert {CASES[case](seed).phase for seed in range(30)} == {phase}
