from __future__ import annotations

from proxy.rollout.gates import Counts, Pair, Verdict
from proxy.rollout.watch import BURNING_MIN_S, Watch
from proxy.rules.rollouts import Gate, Rollout, RolloutStep

BOUNDS = (0.1,)
RATE = Gate("success_rate", max_ratio=1.0, window=60.0)
QUERY = Gate(prometheus="up", min=1.0, url="http://p", window=30.0)


def plan(*gates: Gate) -> Rollout:
    return Rollout("shop-v2", "shop", "everyone", "v1", "v2", (RolloutStep(100.0),), gates)


class Traffic:
    """Counts that only grow."""

    def __init__(self) -> None:
        self.pair = Pair(Counts(buckets=(0, 0)), Counts(buckets=(0, 0)))

    def add(self, new: tuple[int, int], old: tuple[int, int] = (1000, 10)) -> Pair:
        self.pair = Pair(*(
            Counts(known.requests + requests, known.failed + failed, (known.buckets[0] + requests, 0))
            for known, (requests, failed) in ((self.pair.new, new), (self.pair.old, old))
        ))  # fmt: skip
        return self.pair


def test_a_gate_is_judged_once_a_window() -> None:
    """Before the first window is over nothing has passed; then it has, until a window with too few requests."""
    traffic = Traffic()
    watch = Watch(plan(RATE), BOUNDS, 0.0, traffic.pair)
    watch.look(59.9, traffic.add((500, 5)))
    assert (watch.verdicts, watch.passed) == ([None], False)
    watch.look(60.0, traffic.pair)
    assert watch.passed and not watch.failed
    watch.look(121.0, traffic.add((99, 1)))
    assert not watch.passed and not watch.failed


def test_failures_in_a_row_end_it() -> None:
    """A good window between two bad ones begins the count anew, though the step as a whole is bad."""
    traffic = Traffic()
    watch = Watch(plan(RATE), BOUNDS, 0.0, traffic.pair)
    for number, (failed, ends) in enumerate([(100, False), (0, False), (100, False), (100, True)], 1):
        watch.look(60.0 * number, traffic.add((1000, failed)))
        assert bool(watch.failed) is ends
    assert watch.failed.startswith("success_rate: v2 fails 10.00% of 1000 requests, v1 1.00% of 1000: worse")


def test_what_no_window_shows_the_whole_step_does() -> None:
    """2 % of 200 a minute against 1 % is chance, and of 4000 it is not."""
    traffic = Traffic()
    watch = Watch(plan(RATE), BOUNDS, 0.0, traffic.pair)
    for number in range(1, 31):
        watch.look(60.0 * number, traffic.add((200, 5), (3800, 38)))
        if watch.failed:
            break
    assert 5 < number < 30
    assert f"of {200 * number} requests" in watch.failed


def test_queries_are_asked_once_a_window_and_answered_later() -> None:
    """They count like the others."""
    traffic = Traffic()
    watch = Watch(plan(QUERY), BOUNDS, 0.0, traffic.pair)
    assert [watch.look(now, traffic.pair) for now in (10.0, 30.0, 40.0, 60.0)] == [[], [0], [], [0]]
    watch.answer(0, Verdict("holds", "1"))
    assert watch.passed
    watch.answer(0, Verdict("fails", "0"))
    watch.answer(0, Verdict("fails", "0"))
    assert watch.failed == "prometheus: 0"


def test_without_gates_everything_passes() -> None:
    """`gates: []` goes by time alone; what burns is still seen."""
    traffic = Traffic()
    watch = Watch(plan(), BOUNDS, 0.0, traffic.pair)
    assert watch.passed
    watch.look(BURNING_MIN_S - 0.1, traffic.add((100, 100)))
    assert not watch.burning  # its first connections, perhaps
    watch.look(BURNING_MIN_S, traffic.add((100, 100)))
    assert watch.burning == "v2 is burning: 200 of its last 200 requests failed"


def test_what_was_before_it_burned_is_forgotten() -> None:
    """And what burned, once it has worked for a while."""
    traffic = Traffic()
    watch = Watch(plan(), BOUNDS, 0.0, traffic.pair)
    burned = []
    for second in range(1, 60):
        watch.look(float(second), traffic.add((100, 100 if 20 < second <= 40 else 0)))
        burned.append(bool(watch.burning))
    assert [second for second, burns in enumerate(burned, 1) if burns] == list(range(25, 41))


def test_a_version_with_few_requests_burns_too() -> None:
    """One in ten seconds: ten of them are enough, however long they take."""
    traffic = Traffic()
    watch = Watch(plan(), BOUNDS, 0.0, traffic.pair)
    for second in range(1, 1000):
        watch.look(float(second), traffic.add((second % 10 == 0, second % 10 == 0 and second > 500)))
        if watch.burning:
            break
    assert second == 590


def test_at_the_end_it_is_compared_with_the_old_version_before() -> None:
    """Where the old one gets nothing any more."""
    traffic = Traffic()
    first = Watch(plan(RATE), BOUNDS, 0.0, traffic.pair)
    first.look(60.0, traffic.add((1000, 10)))
    assert first.compared == Counts(1000, 10, (1000, 0))
    last = Watch(plan(RATE), BOUNDS, 60.0, traffic.pair, first.compared)
    last.look(120.0, traffic.add((2000, 60), (0, 0)))
    assert last.verdicts[0] is not None and last.verdicts[0].outcome == "fails"
    assert last.compared == first.compared
