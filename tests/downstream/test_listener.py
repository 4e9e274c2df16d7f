"""proxy/downstream/listener.py: an address where clients connect, and who is connected there."""

from __future__ import annotations

import ipaddress
import socket
from types import SimpleNamespace
from typing import cast

from proxy.clock import Clock
from proxy.downstream.listener import Listener
from proxy.downstream.stream import Gateway
from proxy.downstream.tls import Certificates
from tests.talk import OK, stage, until, wire

GET = wire("GET / HTTP/1.1", "Host: a")


def test_peers_are_named_by_their_address() -> None:
    """IPv4, IPv6 and a socket without an address; trusted if the settings say so."""
    networks = (ipaddress.ip_network("10.0.0.0/8"),)
    listener = Listener(
        cast(Gateway, None), Clock(), "here", networks, cast(Certificates, SimpleNamespace(context=None))
    )
    assert (listener.peer(("10.1.2.3", 5)).address, listener.peer(("10.1.2.3", 5)).trusted) == ("10.1.2.3", True)
    assert (listener.peer(("::1", 5, 0, 0)).address, listener.peer(("::1", 5, 0, 0)).trusted) == ("::1", False)
    assert (listener.peer("").address, listener.peer(None).trusted) == ("", False)
    assert listener.peer(("10.1.2.3", 5)).scheme == b"https"


async def test_connections_are_known_while_they_live() -> None:
    """came and left."""
    async with stage() as the:
        async with the.client(), the.client():
            await until(lambda: len(the.listener.connections) == 2, "two connections")
        await until(lambda: not the.listener.connections, "none")


async def test_closed_listener_takes_no_one_and_keeps_whom_it_has() -> None:
    """Those that are open go on."""
    async with stage() as the, the.client() as client:
        await client.say(GET)
        assert await client.hear(len(OK)) == OK
        the.listener.close()
        with socket.socket() as late:
            late.settimeout(1)
            assert late.connect_ex(("127.0.0.1", the.port))
        await client.say(GET)
        assert await client.hear(len(OK)) == OK


async def test_cut_ends_all_at_once() -> None:
    """Whatever they are doing."""
    async with stage() as the, the.client() as client:
        await client.say(GET[:4])
        await until(lambda: the.listener.connections, "the connection is there")
        the.listener.cut()
        assert await client.hear_all() == b""


def test_listener_that_was_never_opened_closes() -> None:
    """A start that fails half-way is cleaned up alike."""
    Listener(cast(Gateway, None), Clock(), "here", ()).close()
