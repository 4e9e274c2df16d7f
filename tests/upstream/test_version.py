"""proxy/upstream/version.py: an endpoint is picked among those that may serve, and judged by its answers."""

from __future__ import annotations

from collections import Counter

from proxy.clock import Clock
from proxy.rules.health import PassiveHealth
from proxy.rules.model import EndpointSpec, Limits
from proxy.upstream.endpoint import Endpoint
from proxy.upstream.version import PARTIAL_CHOICES_MAX, Version


def version(*weights: int, balance: str = "round_robin", passive: PassiveHealth | None = None) -> Version:
    specs = [EndpointSpec(f"http://10.0.0.{number}:80", weight) for number, weight in enumerate(weights)]
    endpoints = [Endpoint(spec, Limits(), Clock()) for spec in specs]
    return Version("s", "v1", endpoints, balance, passive, lambda: 0.0)


def down(endpoint: Endpoint) -> None:
    endpoint.up = False
    endpoint.judge()


def test_all_take_part() -> None:
    """By weight; weight 0 never."""
    one = version(1, 2, 0)
    counted = Counter(one.pick() for _ in range(30))
    assert [counted[endpoint] for endpoint in one.endpoints] == [10, 20, 0]


def test_what_is_down_or_tried_is_passed_over() -> None:
    """The rest share what it would have got."""
    one = version(1, 1, 1)
    down(one.endpoints[0])
    counted = Counter(one.pick() for _ in range(20))
    assert counted[one.endpoints[0]] == 0 and min(counted[one.endpoints[1]], counted[one.endpoints[2]]) >= 6
    assert one.pick(b"", [one.endpoints[1]]) is one.endpoints[2]
    assert one.pick(b"", list(one.endpoints)) is None


def test_no_one_left() -> None:
    """None, whether there is one endpoint or more."""
    for one in (version(1), version(1, 1), version(0), version(0, 0)):
        for endpoint in one.endpoints:
            down(endpoint)
        assert one.pick() is None
    assert version(0).pick() is None
    only = version(1)
    assert only.pick(b"", only.endpoints) is None
    assert only.pick() is only.endpoints[0]


def test_hash_keeps_to_its_key_while_others_come_and_go() -> None:
    """Only the keys of the endpoint that is down move."""
    one = version(1, 1, 1, balance="hash")
    assert one.balanced_by_key and not version(1).balanced_by_key
    keys = [b"%d" % number for number in range(300)]
    before = {key: one.pick(key) for key in keys}
    down(one.endpoints[0])
    assert all(one.pick(key) is before[key] for key in keys if before[key] is not one.endpoints[0])


def test_ways_among_some_are_remembered_within_limits() -> None:
    """However endpoints fail, memory stays bounded."""
    one = version(*[1] * 8)
    for mask in range(1, 256):
        tried = [endpoint for bit, endpoint in enumerate(one.endpoints) if mask >> bit & 1]
        picked = one.pick(b"", tried)
        assert picked is None or picked not in tried
    assert len(one._partial) <= PARTIAL_CHOICES_MAX


def test_failures_eject_as_many_as_may_be_out() -> None:
    """Half of two: the first goes, the second stays however badly it does."""
    one = version(1, 1, passive=PassiveHealth(2, max_ejected=0.5))
    first, second = one.endpoints
    one.failed(first, 0.0)
    one.succeeded(first)
    one.failed(first, 0.0)
    assert first.available
    one.failed(first, 0.0)
    assert first.health.ejected and not first.available
    for _ in range(5):
        one.failed(second, 0.0)
    assert second.available
    assert {one.pick() for _ in range(5)} == {second}


def test_without_a_policy_nobody_is_ejected() -> None:
    """passive is absent in the rules."""
    one = version(1, 1)
    for _ in range(99):
        one.failed(one.endpoints[0], 0.0)
    assert one.endpoints[0].available
