"""proxy/upstream/endpoint.py: live state outlives reloads, and says whether requests may be sent."""

from __future__ import annotations

import itertools
import random

import pytest

from proxy.clock import Clock
from proxy.rules.health import PassiveHealth
from proxy.rules.model import EndpointSpec, Limits
from proxy.upstream.endpoint import Endpoint, EndpointRegistry
from proxy.upstream.version import Version

ONE = EndpointSpec("http://10.0.0.1:8080", 1)
TWO = EndpointSpec("http://10.0.0.2:8080", 1)
POLICY = PassiveHealth(1, ejection=30.0)


def test_available_needs_both_opinions() -> None:
    """Checks say up, and traffic has not ejected it."""
    endpoint = Endpoint(ONE, Limits(), Clock())
    assert endpoint.available
    endpoint.health.eject(POLICY, 0.0)
    endpoint.judge()
    assert not endpoint.available
    endpoint.up = False
    endpoint.health.returned(30.0)
    endpoint.judge()
    assert not endpoint.available
    endpoint.up = True
    endpoint.judge()
    assert endpoint.available


@pytest.mark.parametrize(
    ("url", "authority", "tls"),
    [
        ("http://a.example:80", b"a.example", False),
        ("https://a.example:443", b"a.example", True),
        ("http://a.example:443", b"a.example:443", False),
        ("http://[2001:db8::1]:8080", b"[2001:db8::1]:8080", False),
    ],
)
def test_address(url: str, authority: bytes, tls: bool) -> None:
    """Where it is, as Host would name it, and whether TLS is spoken there."""
    pool = Endpoint(EndpointSpec(url), Limits(), Clock()).pool
    assert pool.authority == authority
    assert (pool._tls is not None) == tls


def test_tls_is_checked() -> None:
    """Certificates and names, TLS 1.2 at least."""
    tls = Endpoint(EndpointSpec("https://a.example:443"), Limits(), Clock()).pool._tls
    assert tls is not None and tls.check_hostname and tls.minimum_version.name == "TLSv1_2"


def test_reload_finds_what_it_still_names() -> None:
    """The same object, with the new weight and limits; another version's is another one."""
    registry = EndpointRegistry(Clock())
    endpoint = registry.get("s", "v1", ONE, Limits())
    again = registry.get("s", "v1", EndpointSpec(ONE.url, 7), Limits(connections=3))
    assert again is endpoint and (endpoint.weight, endpoint.pool.limits.connections) == (7, 3)
    assert registry.get("s", "v2", ONE, Limits()) is not endpoint


def test_what_is_no_longer_named_goes() -> None:
    """And comes back as new."""
    registry = EndpointRegistry(Clock())
    endpoint, other = registry.get("s", "v1", ONE, Limits()), registry.get("s", "v1", TWO, Limits())
    registry.retire_all_but({("s", "v1", TWO.url)})
    assert list(registry.states()) == [("s", "v1", TWO.url)]
    assert registry.get("s", "v1", TWO, Limits()) is other
    assert registry.get("s", "v1", ONE, Limits()) is not endpoint


def test_checks_speak_of_addresses() -> None:
    """Every endpoint of that url, those that come later too; what they do not name counts as well."""
    registry = EndpointRegistry(Clock())
    first, second = registry.get("s", "v1", ONE, Limits()), registry.get("t", "v1", ONE, Limits())
    registry.set_up({ONE.url: False})
    assert not first.available and not second.available
    assert not registry.get("u", "v1", ONE, Limits()).available
    assert registry.get("u", "v1", TWO, Limits()).available
    registry.set_up({})
    assert first.available and second.available


def test_sweep_lets_ejected_ones_return() -> None:
    """When their time is over."""
    registry = EndpointRegistry(Clock())
    endpoint = registry.get("s", "v1", ONE, Limits())
    endpoint.health.eject(POLICY, 0.0)
    endpoint.judge()
    registry.sweep(29.0)
    assert not endpoint.available
    assert registry.states()["s", "v1", ONE.url]["ejected"]
    registry.sweep(30.0)
    assert endpoint.available


def test_states_say_what_holds_now() -> None:
    """As the admin port shows it."""
    registry = EndpointRegistry(Clock())
    registry.get("s", "v1", ONE, Limits()).in_flight = 4
    assert registry.states() == {
        ("s", "v1", ONE.url): {"in_flight": 4, "connections": 0, "available": True, "ejected": False}
    }


# --- Slow start ----------------------------------------------------------------------------------------------------


class Ramp:
    """A version of two endpoints that start slowly, as a worker sees it."""

    def __init__(self, balance: str = "round_robin", slow_start: float = 10.0) -> None:
        self.clock = Clock(1000.0)
        self.registry = EndpointRegistry(self.clock)
        self.balance = balance
        self.slow_start = slow_start
        self.reload(ONE, TWO)

    def reload(self, *specs: EndpointSpec) -> None:
        endpoints = [self.registry.get("s", "v1", spec, Limits(), None, self.slow_start) for spec in specs]
        self.registry.retire_all_but({("s", "v1", spec.url) for spec in specs})
        self.version = Version("s", "v1", endpoints, self.balance, POLICY, random.Random(1).random)
        self.first, self.second = endpoints[:2]

    def later(self, seconds: float) -> None:
        self.clock.now += seconds
        self.registry.sweep(self.clock.now)

    def bounce(self) -> None:
        """Ejected for 30 s, and back."""
        self.version.failed(self.first, self.clock.now)
        assert self.first.health.ejected and not self.first.steady
        self.later(30.0)
        assert self.first.available

    def part(self, number: int = 2000) -> float:
        """The first one's part of so many requests."""
        return sum(self.version.pick(b"%d" % n) is self.first for n in range(number)) / number


@pytest.mark.parametrize("balance", ["round_robin", "random_two", "hash"])
def test_endpoint_that_is_back_starts_slowly(balance: str) -> None:
    """Its weight goes from a tenth to all of it in slow_start, and then nothing is left of it."""
    ramp = Ramp(balance)
    ramp.bounce()
    parts = [ramp.part()]
    for _ in range(10):
        ramp.later(1.0)
        parts.append(ramp.part())
    assert parts[0] < 0.15 and parts[-1] == pytest.approx(0.5, abs=0.05)
    assert all(after >= before - 0.03 for before, after in itertools.pairwise(parts))
    if balance == "round_robin":
        assert parts[0] == pytest.approx(0.1 / 1.1, abs=0.01) and parts[5] == pytest.approx(0.5 / 1.5, abs=0.01)
    ramp.later(0.1)
    assert ramp.first.steady and ramp.second.steady and ramp.first.weight == 1


def test_least_requests_heeds_the_weight_of_now() -> None:
    """With 22 requests that stay, the young one bears a tenth of the other's."""
    ramp = Ramp("least_requests")
    ramp.bounce()
    for _ in range(22):
        picked = ramp.version.pick()
        assert picked is not None
        picked.in_flight += 1
    assert (ramp.first.in_flight, ramp.second.in_flight) == (2, 20)


def test_endpoint_that_joins_starts_slowly() -> None:
    """A reload adds one: it begins with little; those that were there and those of other versions do not."""
    ramp = Ramp()
    ramp.later(5.0)
    three = EndpointSpec("http://10.0.0.3:8080", 2)
    ramp.reload(three, ONE, TWO)
    other = ramp.registry.get("s", "v2", ONE, Limits(), None, 10.0)
    assert ramp.part() == pytest.approx(0.2 / 2.2, abs=0.01)
    assert other.steady and not ramp.second.steady
    ramp.later(5.0)
    ramp.reload(three, ONE, TWO)  # a save in between does not begin it anew
    assert ramp.part() == pytest.approx(1 / 3, abs=0.01)
    ramp.later(5.0)
    assert ramp.first.steady and ramp.part() == 0.5


def test_nobody_is_spared_at_the_start() -> None:
    """Where all endpoints are new there is no one to take more."""
    ramp = Ramp()
    assert ramp.first.steady and ramp.second.steady


def test_without_slow_start_all_of_it_comes_at_once() -> None:
    """The default."""
    ramp = Ramp(slow_start=0.0)
    ramp.bounce()
    assert ramp.first.steady and ramp.part() == 0.5


def test_endpoint_that_checks_take_back_starts_slowly() -> None:
    """As after an ejection; the only endpoint left gets everything, young or not."""
    ramp = Ramp()
    ramp.registry.set_up({ONE.url: False})
    assert ramp.part() == 0.0
    ramp.registry.set_up({TWO.url: False})
    assert ramp.first.young and ramp.part() == 1.0
    ramp.registry.set_up({})
    assert ramp.first.young and ramp.second.young and ramp.part() == pytest.approx(0.5, abs=0.01)


# --- Reloads and limits --------------------------------------------------------------------------------------------


def test_live_state_outlives_a_reload() -> None:
    """New weights and limits: the ejected one stays ejected, what is in flight stays counted, the pool is the same."""
    ramp = Ramp()
    ramp.second.in_flight = 7
    ramp.version.failed(ramp.first, ramp.clock.now)
    first, second, pool = ramp.first, ramp.second, ramp.second.pool
    ramp.later(29.0)
    ramp.reload(EndpointSpec(ONE.url, 5), EndpointSpec(TWO.url, 3))
    assert (ramp.first, ramp.second, second.pool, second.in_flight) == (first, second, pool, 7)
    assert not first.available and ramp.part() == 0.0
    ramp.later(1.0)
    assert first.available and (first.share, second.weight) == (5, 3)


@pytest.mark.parametrize(("workers", "connections", "pending"), [(1, 5, 4), (2, 3, 2), (4, 2, 1), (9, 1, 1)])
def test_each_worker_holds_its_part_of_the_limits(workers: int, connections: int, pending: int) -> None:
    """Rounded up, so never none."""
    limits = EndpointRegistry(Clock(), workers).get("s", "v1", ONE, Limits(5, 4)).pool.limits
    assert (limits.connections, limits.pending) == (connections, pending)
