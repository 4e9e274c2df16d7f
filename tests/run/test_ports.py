"""Ports: free or a clear line, held by control, shared by its workers only."""

from __future__ import annotations

import contextlib
import socket
import threading

import pytest

from proxy.errors import StartError
from proxy.run.ports import AGAIN_S, begin_nothing, bind_one, leave, reserve, show
from proxy.settings import Listen


def test_a_port_is_held_and_shared_by_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Port 0 is chosen once; every worker has its own socket there, and nobody else can have one."""
    monkeypatch.setattr("proxy.run.ports.PREDECESSOR_S", 0.0)
    reserved = reserve((Listen("127.0.0.1", 0),), 3)
    ((_, host, port, _),) = reserved.addresses
    assert (host, port != 0) == ("127.0.0.1", True)
    assert [sock.getsockname() for (sock,) in reserved.sockets] == [(host, port)] * 3
    for (worker,) in reserved.sockets:
        worker.listen()
    with pytest.raises(StartError, match=f"^cannot listen on 127.0.0.1:{port}: Address already in use$"):
        bind_one(("127.0.0.1", port))
    with pytest.raises(StartError):
        reserve((Listen("127.0.0.1", port),), 3)
    reserved.close()


def test_a_port_that_is_let_go_of_is_waited_for() -> None:
    """Workers whose control was killed hold theirs until they notice; who starts the proxy again may be quicker."""
    earlier = reserve((Listen("127.0.0.1", 0),), 1)
    ((_, host, port, _),) = earlier.addresses
    earlier.sockets[0][0].listen()
    gone = threading.Timer(3 * AGAIN_S, earlier.close)
    gone.start()
    reserved = reserve((Listen(host, port),), 1)
    gone.join()
    reserved.close()


def test_a_held_port_takes_no_connection() -> None:
    """Until a worker listens, clients are refused and do not wait in a queue that nobody reads."""
    reserved = reserve((Listen("127.0.0.1", 0),), 2)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(reserved.addresses[0][1:3])
    reserved.close()


def accepted(sock: socket.socket) -> int:
    """How many connections waited there."""
    count = 0
    sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            sock.accept()[0].close()
            count += 1
    return count


def test_who_leaves_gets_no_connection_until_it_listens_again() -> None:
    """The kernel spreads connections over the others meanwhile."""
    reserved = reserve((Listen("127.0.0.1", 0),), 2)
    (one,), (other,) = reserved.sockets
    one.listen()
    other.listen()
    with contextlib.ExitStack() as clients:

        def connect() -> None:
            for _ in range(40):
                clients.enter_context(socket.create_connection(reserved.addresses[0][1:3]))

        leave(reserved.sockets[0])
        connect()
        assert accepted(other) == 40
        one.listen()
        connect()
        back = accepted(one)
        assert back > 0
        assert back + accepted(other) == 40
    leave(reserved.sockets[0])
    leave(reserved.sockets[0])  # twice is once
    reserved.close()


def test_nothing_begins_any_more_and_the_queue_is_there() -> None:
    """Who is queued is accepted and heard; who comes then gets no answer, and is refused once the port is free."""
    reserved = reserve((Listen("127.0.0.1", 0),), 1)
    ((sock,),) = reserved.sockets
    address = reserved.addresses[0][1:3]
    sock.listen()
    with socket.create_connection(address) as early:
        begin_nothing(reserved.sockets[0])
        with pytest.raises(TimeoutError):
            socket.create_connection(address, timeout=0.1)
        connection, _ = sock.accept()
        early.sendall(b"said later")
        assert connection.recv(100) == b"said later"
        connection.close()
    reserved.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)


def test_connections_of_the_last_run_do_not_hold_the_port() -> None:
    """A restart finds its port free although connections to it linger in TIME_WAIT."""
    ((worker,),) = reserve((Listen("127.0.0.1", 0),), 1).sockets
    address = worker.getsockname()
    worker.listen()
    client = socket.create_connection(address)
    connection, _ = worker.accept()
    connection.close()  # the first to close keeps the TIME_WAIT
    assert client.recv(1) == b""
    for sock in (client, worker):
        sock.close()
    reserve((Listen(*address),), 1).close()


def test_what_cannot_be_bound_is_one_line() -> None:
    """A name nobody knows, an address of another machine, the same address twice."""
    free = reserve((Listen("127.0.0.1", 0),), 1)
    port = free.addresses[0][2]
    free.close()
    for listen, text in (
        ((Listen("no.such.host.invalid", 80),), "cannot listen on no.such.host.invalid:80: "),
        ((Listen("192.0.2.1", 8080),), "cannot listen on 192.0.2.1:8080: Cannot assign requested address"),
        ((Listen("127.0.0.1", port), Listen("127.0.0.1", port, True)), f"--listen 127.0.0.1:{port} stands there twice"),
    ):
        with pytest.raises(StartError, match=f"^{text}") as caught:
            reserve(listen, 2)
        assert "\n" not in str(caught.value)


def test_ipv6_leaves_ipv4_alone() -> None:
    """[::] and 0.0.0.0 can be listened on side by side."""
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    first = reserve((Listen("0.0.0.0", 0),), 1)
    port = first.addresses[0][2]
    second = reserve((Listen("::", port),), 1)
    assert show(second.addresses[0][1:3]) == f"[::]:{port}"
    first.close()
    second.close()
