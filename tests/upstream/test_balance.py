"""proxy/upstream/balance.py: each way of choosing keeps its promise, by count."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

import pytest

from proxy.upstream.balance import SCHEDULE_MAX, Choose, LeastRequests, RandomTwo, RoundRobin, balancer


@dataclass
class One:
    url: str
    weight: int = 1
    in_flight: int = 0


def some(*weights: int) -> list[One]:
    return [One(f"http://10.0.0.{number}:80", weight) for number, weight in enumerate(weights)]


def counts(choose: Choose, endpoints: list[One], times: int) -> Counter[int]:
    return Counter(choose(endpoints, b"%d" % number) for number in range(times))


def test_round_robin_takes_turns() -> None:
    """Equal weights: each once a round, in order."""
    choose = RoundRobin([1, 1, 1], start=2)
    assert [choose(some(1, 1, 1), b"") for _ in range(6)] == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize("weights", [(1, 2, 5), (3, 0, 1), (10, 20), (7,)])
def test_round_robin_heeds_weights_exactly(weights: tuple[int, ...]) -> None:
    """Over whole rounds each has its share; weight 0 gets nothing."""
    choose, rounds = RoundRobin(weights), 10
    total = sum(weights)
    counted = counts(choose, some(*weights), total * rounds)
    assert [counted[index] for index in range(len(weights))] == [weight * rounds for weight in weights]


def test_round_robin_is_smooth() -> None:
    """The heavy one's turns are spread: a a b a c a a, never five in a row."""
    choose = RoundRobin([5, 1, 1])
    turns = [choose(some(5, 1, 1), b"") for _ in range(70)]
    assert not any(turns[at : at + 5] == [0] * 5 for at in range(66))


def test_long_rounds_are_scaled_down() -> None:
    """Weights of any size make a bounded schedule, and nobody who has weight is left out."""
    weights = [999_983, 1, 500_000]
    counted = counts(RoundRobin(weights), some(*weights), 3 * SCHEDULE_MAX)
    assert counted[1] >= 1
    assert counted[0] / counted[2] == pytest.approx(2, rel=0.02)


def test_all_weights_zero_are_all_equal() -> None:
    """There is nothing to go by; who has no weight is kept out by the version."""
    assert counts(RoundRobin([0, 0]), some(0, 0), 10) == {0: 5, 1: 5}


def test_least_requests_takes_the_idlest_for_its_weight() -> None:
    """(in flight + 1) / weight; weight 0 last."""
    endpoints = some(1, 4, 0)
    endpoints[0].in_flight, endpoints[1].in_flight = 1, 5
    assert LeastRequests([1, 4, 0])(endpoints, b"") == 1
    endpoints[1].in_flight = 9
    assert LeastRequests([1, 4, 0])(endpoints, b"") == 0


def test_least_requests_takes_turns_among_equals() -> None:
    """Idle endpoints get what their weights say: one request at a time is not all for the heaviest."""
    assert counts(LeastRequests([1, 1, 1], 5), some(1, 1, 1), 300) == {0: 100, 1: 100, 2: 100}
    assert counts(LeastRequests([2, 1, 0]), some(2, 1, 0), 300) == {0: 200, 1: 100}


def test_least_requests_shares_by_weight_under_load() -> None:
    """Requests that stay pile up as the weights say."""
    endpoints, choose = some(1, 3), LeastRequests([1, 3])
    for _ in range(400):
        endpoints[choose(endpoints, b"")].in_flight += 1
    assert endpoints[1].in_flight == pytest.approx(300, abs=2)


def test_random_two_avoids_the_busy_one() -> None:
    """It is taken only when both draws hit it: 1 in 9 of three."""
    endpoints = some(1, 1, 1)
    endpoints[0].in_flight = 50
    counted = counts(RandomTwo([1, 1, 1], random.Random(1).random), endpoints, 9000)
    assert counted[0] == pytest.approx(1000, rel=0.15)


def test_random_two_draws_by_weight() -> None:
    """Idle endpoints of weights 1 and 3: as often as their weights say, 3 in 4."""
    counted = counts(RandomTwo([1, 3], random.Random(2).random), some(1, 3), 16_000)
    assert counted[1] == pytest.approx(12_000, rel=0.02)
    assert counts(RandomTwo([0, 1], lambda: 0.999999), some(0, 1), 10) == {1: 10}


def test_hash_spreads_keys_by_weight() -> None:
    """Chi-square over 20,000 keys stays below what chance gives once in a thousand."""
    weights = (1, 2, 5)
    counted = counts(balancer("hash", weights, random.random), some(*weights), 20_000)
    expected = [20_000 * weight / sum(weights) for weight in weights]
    statistic = sum((counted[index] - want) ** 2 / want for index, want in enumerate(expected))
    assert statistic < 13.8  # 2 degrees of freedom, p = 0.001


def test_hash_moves_only_the_keys_of_what_goes() -> None:
    """Rendezvous hashing: the others stay where they are; weight 0 gets none."""
    choose = balancer("hash", [1] * 5, random.random)
    five = some(1, 1, 1, 1, 1)
    four = [one for one in five if one is not five[2]]
    keys = [b"%d" % number for number in range(2000)]
    before = {key: five[choose(five, key)].url for key in keys}
    after = {key: four[choose(four, key)].url for key in keys}
    assert all(after[key] == url for key, url in before.items() if url != five[2].url)
    five[2].weight = 0
    assert {key: five[choose(five, key)].url for key in keys} == after


def test_start_differs_between_workers() -> None:
    """So that a reload does not send every worker's first request to the first endpoint."""
    firsts = {balancer("round_robin", [1] * 4, lambda draw=draw: draw)(some(1, 1, 1, 1), b"") for draw in
              (0.0, 0.001, 0.002, 0.0031)}  # fmt: skip
    assert len(firsts) > 1


@pytest.mark.parametrize("kind", ["round_robin", "least_requests", "random_two", "hash"])
def test_every_kind_has_a_maker(kind: str) -> None:
    """The words of the rule file."""
    assert balancer(kind, [1], random.random)(some(1), b"key") == 0
