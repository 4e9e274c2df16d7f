"""proxy/upstream/endpoint.py: live state outlives reloads, and says whether requests may be sent."""

from __future__ import annotations

import pytest

from proxy.clock import Clock
from proxy.rules.model import EndpointSpec, Limits, PassiveHealth
from proxy.upstream.endpoint import Endpoint, EndpointRegistry

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
