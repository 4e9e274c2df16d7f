"""The nursery as a real process, and the workers it bears."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from benchmarks.processes import name_of
from proxy.run.birth import Birth, Nursery, exec_nursery
from tests.serve import children, wait_for_child


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    nursery = Nursery(exec_nursery())
    yield nursery
    _close(nursery)


def _close(nursery: Nursery) -> None:
    pids = [pid for pid in children(os.getpid()) if name_of(pid) == "gray-nursery"]
    nursery.close()
    for pid in pids:
        os.waitpid(pid, 0)


def _bear(nursery: Nursery, listening: socket.socket) -> Birth:
    """A worker that has become a child of this process, as happens when the one that forked it has ended."""
    birth = nursery.bear([listening])
    wait_for_child(birth.pid)
    return birth


def _end(birth: Birth) -> int:
    """The exit code of a worker whose channel is closed."""
    birth.end.close()
    return os.waitstatus_to_exitcode(os.waitpid(birth.pid, 0)[1])


def test_workers_are_children_of_who_asked(nursery: Nursery, listening: socket.socket) -> None:
    """So their ends are told, and their pids are not given to others before."""
    births = [_bear(nursery, listening) for _ in range(2)]
    assert [name_of(birth.pid) for birth in births] == ["gray-worker"] * 2
    assert [_end(birth) for birth in births] == [0, 0]


def test_workers_outlive_the_nursery_and_another_takes_its_place(nursery: Nursery, listening: socket.socket) -> None:
    """It is no single point of failure."""
    first = _bear(nursery, listening)
    (pid,) = (pid for pid in children(os.getpid()) if name_of(pid) == "gray-nursery")
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    second = _bear(nursery, listening)
    assert name_of(first.pid) == name_of(second.pid) == "gray-worker"
    assert [_end(first), _end(second)] == [0, 0]


def test_a_nursery_that_does_not_answer_is_given_up(listening: socket.socket) -> None:
    """A stopped process is as good as none."""
    ours, silent = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(0.05)
    nursery = Nursery(ours)
    assert _end(_bear(nursery, listening)) == 0
    silent.close()
    _close(nursery)


def test_the_nursery_keeps_no_socket(nursery: Nursery, listening: socket.socket) -> None:
    """Of what it passed on: a worker that ends is the last to listen, and its channel closes with it."""
    first, second = (_bear(nursery, listening) for _ in range(2))
    os.kill(first.pid, signal.SIGKILL)
    with first.end:
        assert first.end.recv(1) == b""
    address = listening.getsockname()
    listening.close()
    assert _end(second) == 0
    os.waitpid(first.pid, 0)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)


def test_signals_to_the_group_do_not_end_the_nursery(nursery: Nursery, listening: socket.socket) -> None:
    """Control alone decides."""
    assert _end(_bear(nursery, listening)) == 0
    (pid,) = (pid for pid in children(os.getpid()) if name_of(pid) == "gray-nursery")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2):
        os.kill(pid, number)
    assert _end(_bear(nursery, listening)) == 0
    assert name_of(pid) == "gray-nursery"


def test_forked_workers_draw_differently() -> None:
    """Splits and sampling are drawn by `random`: two processes of one nursery must not draw the same."""
    code = "from random import random; import os; import proxy.run.worker; os.fork(); os.write(1, b'%r ' % random())"
    drawn = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert len(set(drawn)) == 2
