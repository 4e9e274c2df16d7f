"""proxy/downstream/door.py: who may come in."""

from __future__ import annotations

import ipaddress
import resource

from proxy.downstream.door import FULL, TOO_MANY_OF_ONE, Door, connections_by_files
from proxy.downstream.limits import FILES_KEPT, NO_LIMIT, TURNED_AWAY_MAX
from proxy.http.headers import Peer

ANN, BOB = Peer("192.0.2.1", b"http", ()), Peer("192.0.2.2", b"http", ())
PROXY = Peer("10.0.0.1", b"http", (ipaddress.ip_network("10.0.0.0/8"),))


def test_as_many_as_may_come() -> None:
    """At the limit one stays, one past it does not, and who leaves makes room."""
    door = Door(2)
    assert [door.enter(ANN) for _ in range(3)] == [None, None, FULL]
    door.leave(ANN)
    door.leave(ANN)
    assert door.enter(BOB) is None


def test_a_crowd_is_not_even_refused() -> None:
    """Those being turned away have a limit too."""
    door = Door(1)
    for _ in range(1 + TURNED_AWAY_MAX):
        door.enter(ANN)
    assert not door.crowded
    assert door.enter(ANN) is FULL
    assert door.crowded


def test_each_client_has_its_own_limit() -> None:
    """Other addresses are not concerned, and what is counted is forgotten with the last connection."""
    door = Door(100, 1)
    assert [door.enter(ANN), door.enter(ANN), door.enter(BOB)] == [None, TOO_MANY_OF_ONE, None]
    for peer in (ANN, ANN, BOB):
        door.leave(peer)
    assert door.enter(ANN) is None
    door.leave(ANN)
    assert not door._by_address and not door.open


def test_trusted_proxies_are_free_of_it() -> None:
    """They bring many people."""
    door = Door(100, 1)
    assert [door.enter(PROXY) for _ in range(3)] == [None] * 3
    door.leave(PROXY)
    assert door.open == 2


def test_files_for_clients_and_for_their_endpoints() -> None:
    """Half of what is left; where little is left, a quarter of all, and one at least."""
    assert connections_by_files(FILES_KEPT + 2000) == 1000
    assert connections_by_files(400) == 100
    assert connections_by_files(1) == 1
    assert connections_by_files(resource.RLIM_INFINITY) == NO_LIMIT
