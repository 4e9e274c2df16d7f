"""proxy.rules.networks."""

from __future__ import annotations

import pytest

from proxy.rules.networks import Networks, plain_address


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("10.0.0.1", True),
        ("10.255.255.255", True),
        ("11.0.0.0", False),
        ("192.0.2.7", True),
        ("192.0.2.8", False),
        ("2001:db8::1", True),
        ("2001:db9::1", False),
        ("::ffff:10.1.2.3", True),
        ("::ffff:a01:203", True),
        ("::ffff:11.1.2.3", False),
        ("::10.1.2.3", False),
        ("172.16.3.4", True),
        ("fe80::1%eth0", False),
        ("", False),
        ("localhost", False),
        ("10.0.0.1:80", False),
    ],
)
def test_an_address_lies_in_a_network(address: str, inside: bool) -> None:
    """IPv4 and IPv6 are apart, but an IPv4 address in IPv6 clothes is an IPv4 address; no address lies nowhere."""
    networks = Networks(["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32", "::ffff:172.16.0.0/108"])
    assert (address in networks) is inside


def test_the_widest_networks() -> None:
    """Every IPv4 address, and no IPv6 one; and the other way."""
    assert "1.2.3.4" in Networks(["0.0.0.0/0"])
    assert "::1" not in Networks(["0.0.0.0/0"])
    assert "::1" in Networks(["::/0"])
    assert "1.2.3.4" not in Networks(["::/0"])
    assert "1.2.3.4" not in Networks([])


def test_one_client_has_one_address() -> None:
    """The key of a person does not depend on the family of the listener."""
    assert plain_address("::ffff:10.0.0.1") == "10.0.0.1"
    assert plain_address("10.0.0.1") == "10.0.0.1"
    assert plain_address("::ffff:a00:1") == "::ffff:a00:1"
    assert plain_address("2001:db8::1") == "2001:db8::1"
