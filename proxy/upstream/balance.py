"""How one of several endpoints is chosen. Pure: state, chance and keys are handed in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from math import gcd, log
from typing import Final, Protocol

SCHEDULE_MAX: Final = 1000
"""Turns in one round of weighted round robin; weights whose common round is longer are scaled down to it."""


class Candidate(Protocol):
    """An endpoint, as far as balancing sees it."""

    url: str
    weight: float
    in_flight: int


Choose = Callable[[Sequence[Candidate], bytes], int]
"""The index of one of these endpoints (never empty), given the key of the request."""


class RoundRobin:
    """Each in turn, as often as its weight, the turns of heavy ones spread evenly (smooth weighted round robin)."""

    def __init__(self, weights: Sequence[int], start: int = 0) -> None:
        self._order = _schedule(weights)
        self._turn = start

    def __call__(self, endpoints: Sequence[Candidate], key: bytes) -> int:
        self._turn = turn = (self._turn + 1) % len(self._order)
        return self._order[turn]


def _schedule(weights: Sequence[int]) -> list[int]:
    total = sum(weights)
    if not total:
        return list(range(len(weights)))
    shrink = max(total / SCHEDULE_MAX, gcd(*weights))
    scaled = [max(1, round(weight / shrink)) if weight else 0 for weight in weights]
    credits = [0] * len(scaled)
    order = []
    for _ in range(sum(scaled)):
        credits = [credit + weight for credit, weight in zip(credits, scaled, strict=True)]
        first = credits.index(max(credits))
        credits[first] -= sum(scaled)
        order.append(first)
    return order


def _load(endpoint: Candidate) -> float:
    """Idle ones are equal, whatever their weight: else a light one would get nothing as long as traffic is low."""
    if not endpoint.weight:
        return float("inf")
    return (endpoint.in_flight + 1) / endpoint.weight if endpoint.in_flight else 0.0


class LeastRequests:
    """The one with the fewest requests in flight for its weight; among equals, each in turn, as often as its weight."""

    def __init__(self, weights: Sequence[int], start: int = 0) -> None:
        self._order = _schedule(weights)
        self._turn = start

    def __call__(self, endpoints: Sequence[Candidate], key: bytes) -> int:
        self._turn = turn = (self._turn + 1) % len(self._order)
        first, size = self._order[turn], len(endpoints)
        return min((index % size for index in range(first, first + size)), key=lambda index: _load(endpoints[index]))


class RandomTwo:
    """Of two drawn at random, by weight, the one with fewer requests in flight for its weight."""

    def __init__(self, weights: Sequence[int], draw: Callable[[], float]) -> None:
        self._order = _schedule(weights)
        self._draw = draw

    def __call__(self, endpoints: Sequence[Candidate], key: bytes) -> int:
        size = len(self._order)
        first, second = (self._order[int(self._draw() * size)] for _ in range(2))
        return first if _load(endpoints[first]) <= _load(endpoints[second]) else second


class Hash:
    """The same key goes to the same endpoint; one that goes moves only its own keys (weighted rendezvous hashing)."""

    def __call__(self, endpoints: Sequence[Candidate], key: bytes) -> int:
        return max(range(len(endpoints)), key=lambda index: _score(endpoints[index], key))


def _score(endpoint: Candidate, key: bytes) -> float:
    if not endpoint.weight:
        return float("-inf")
    digest = blake2b(key, digest_size=8, key=endpoint.url.encode()[-64:]).digest()
    return endpoint.weight / -log((int.from_bytes(digest, "big") + 1) / (2**64 + 1))


def balancer(kind: str, weights: Sequence[int], draw: Callable[[], float]) -> Choose:
    """The way of choosing that the rules name."""
    start = int(draw() * 997)  # so that workers and reloads do not all begin with the first endpoint
    makers: dict[str, Callable[[], Choose]] = {
        "round_robin": lambda: RoundRobin(weights, start),
        "least_requests": lambda: LeastRequests(weights, start),
        "random_two": lambda: RandomTwo(weights, draw),
        "hash": Hash,
    }
    return makers[kind]()
