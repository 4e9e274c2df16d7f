"""Ports: free or a clear line, held by control, shared by its workers only."""

from __future__ import annotations

import socket

import pytest

from proxy.errors import StartError
from proxy.run.ports import bind_one, bind_shared, reserve, show


def test_a_port_is_held_and_shared_by_workers() -> None:
    """Port 0 is chosen once; every worker can bind and listen there, nobody else can."""
    reserved = reserve((("127.0.0.1", 0),))
    ((_, host, port),) = reserved.addresses
    assert (host, port != 0) == ("127.0.0.1", True)
    workers = [bind_shared(reserved.addresses[0]) for _ in range(3)]
    for worker in workers:
        worker.listen()
    with pytest.raises(StartError, match=f"^cannot listen on 127.0.0.1:{port}: Address already in use$"):
        bind_one(("127.0.0.1", port))
    with pytest.raises(StartError):
        reserve((("127.0.0.1", port),))
    for sock in (*workers, *reserved.sockets):
        sock.close()


def test_a_held_port_takes_no_connection() -> None:
    """Until a worker listens, clients are refused and do not wait in a queue that nobody reads."""
    reserved = reserve((("127.0.0.1", 0),))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(reserved.addresses[0][1:])
    for sock in reserved.sockets:
        sock.close()


def test_connections_of_the_last_run_do_not_hold_the_port() -> None:
    """A restart finds its port free although connections to it linger in TIME_WAIT."""
    (held,) = reserve((("127.0.0.1", 0),)).sockets
    address = held.getsockname()
    worker = bind_shared((socket.AF_INET, *address))
    worker.listen()
    client = socket.create_connection(address)
    connection, _ = worker.accept()
    connection.close()  # the first to close keeps the TIME_WAIT
    assert client.recv(1) == b""
    for sock in (client, worker, held):
        sock.close()
    again = reserve((address,))
    again.sockets[0].close()


def test_what_cannot_be_bound_is_one_line() -> None:
    """A name nobody knows, an address of another machine, the same address twice."""
    free = reserve((("127.0.0.1", 0),))
    port = free.addresses[0][2]
    free.sockets[0].close()
    for listen, text in (
        ((("no.such.host.invalid", 80),), "cannot listen on no.such.host.invalid:80: "),
        ((("192.0.2.1", 8080),), "cannot listen on 192.0.2.1:8080: Cannot assign requested address"),
        ((("127.0.0.1", port), ("127.0.0.1", port)), f"--listen 127.0.0.1:{port} stands there twice"),
    ):
        with pytest.raises(StartError, match=f"^{text}") as caught:
            reserve(listen)
        assert "\n" not in str(caught.value)


def test_ipv6_leaves_ipv4_alone() -> None:
    """[::] and 0.0.0.0 can be listened on side by side."""
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    first = reserve((("0.0.0.0", 0),))
    port = first.addresses[0][2]
    second = reserve((("::", port),))
    assert show(second.addresses[0][1:]) == f"[::]:{port}"
    for sock in (*first.sockets, *second.sockets):
        sock.close()
