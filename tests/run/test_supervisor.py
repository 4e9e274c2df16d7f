"""The supervisor with real worker processes, and the test in control's place."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace

import pytest

from proxy.observe.metrics import Registry
from proxy.rules.model import RuleFile
from proxy.run import process
from proxy.run import supervisor as supervisor_module
from proxy.run.birth import Birth, Nursery, exec_nursery
from proxy.run.channel import Rules, Start
from proxy.run.ports import reserve
from proxy.run.supervisor import Supervisor
from proxy.settings import Listen, Settings

WAIT_S = 30.0


class Reluctant(Nursery):
    """A nursery that can be told to refuse."""

    refusals = 0

    def bear(self, listening: Sequence[socket.socket]) -> Birth:
        if self.refusals:
            Reluctant.refusals -= 1
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return super().bear(listening)


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    """Two workers, accepting."""
    loop = asyncio.get_running_loop()
    reserved = reserve((Listen("127.0.0.1", 0),), 2)
    settings = replace(Settings("rules.yaml"), workers=2)
    start = Start(settings, reserved.addresses, Rules.pack(1, RuleFile({}, ())), {})
    nursery = Reluctant(exec_nursery())
    started = Supervisor(start, reserved.sockets, nursery, Registry())
    loop.add_signal_handler(signal.SIGCHLD, started.reap)
    for sockets in reserved.sockets:
        nursery.ask(sockets)
    await started.start()
    async with asyncio.timeout(WAIT_S):
        await started.accepted()
    yield started
    await started.drain(1.0)
    loop.remove_signal_handler(signal.SIGCHLD)
    nursery.close()
    reserved.close()


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not true():
            await asyncio.sleep(0.01)


def pid_of(supervisor: Supervisor, number: int) -> int:
    return next((worker.pid for worker in supervisor.workers if worker.number == number), 0)


async def test_one_dead_worker_is_no_reason_to_get_no_traffic(supervisor: Supervisor) -> None:
    """While others accept, the container stays in service; the number of the dead one lives on."""
    first = pid_of(supervisor, 1)
    os.kill(first, signal.SIGKILL)
    await until(lambda: supervisor.accepting == 1)
    assert supervisor.trouble == ""
    async with asyncio.timeout(WAIT_S):
        await supervisor.accepted()
    assert pid_of(supervisor, 1) not in (0, first)


async def test_a_crash_loop_is_said(supervisor: Supervisor) -> None:
    """A worker that dies at each start is given a pause, and takes the container out of service until it lives."""
    seen: set[int] = set()
    while not supervisor.trouble:
        pid = pid_of(supervisor, 2)
        if pid and pid not in seen:
            seen.add(pid)
            os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(0.01)
    assert supervisor.trouble == "worker 2 dies again and again; 1 of 2 workers accept"
    assert len(seen) == process.DEATHS_AT_ONCE + 1
    await until(lambda: not supervisor.trouble)
    assert supervisor.accepting == 2


async def test_a_stuck_worker_is_replaced(supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that lives and says nothing is as good as dead."""
    monkeypatch.setattr(supervisor_module, "SILENT_MAX_S", 1.0)
    stuck = pid_of(supervisor, 1)
    os.kill(stuck, signal.SIGSTOP)
    await until(lambda: pid_of(supervisor, 1) not in (0, stuck))


async def test_a_worker_that_cannot_be_born_is_tried_again(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the system has no process to spare, others accept, and the number is not given up."""
    monkeypatch.setattr(supervisor_module, "UNBORN_PAUSE_S", 0.05)
    Reluctant.refusals = 2
    first = pid_of(supervisor, 1)
    os.kill(first, signal.SIGKILL)
    await until(lambda: pid_of(supervisor, 1) not in (0, first) and supervisor.accepting == 2)
    assert caplog.text.count("worker 1 cannot be started: Resource temporarily unavailable; tried again in") == 2


async def test_every_worker_gets_each_generation_also_those_born_later(supervisor: Supervisor) -> None:
    """`applied` waits for all; a replacement begins with the current rules."""
    rules = Rules.pack(2, RuleFile({}, ()))
    supervisor.set_rules(rules, rules.messages())
    assert await supervisor.applied(2, WAIT_S) == []
    assert [worker.generation for worker in supervisor.workers] == [2, 2]
    first = pid_of(supervisor, 1)
    os.kill(first, signal.SIGKILL)
    await until(lambda: pid_of(supervisor, 1) not in (0, first) and supervisor.accepting == 2)
    assert [worker.generation for worker in supervisor.workers] == [2, 2]


async def test_rules_that_do_not_arrive_are_said(supervisor: Supervisor) -> None:
    """A worker that does not take new rules in time is named."""
    pid = pid_of(supervisor, 2)
    os.kill(pid, signal.SIGSTOP)
    rules = Rules.pack(3, RuleFile({}, ()))
    supervisor.set_rules(rules, rules.messages())
    assert await supervisor.applied(3, 0.2) == ["worker 2 has not taken it after 0.2 s"]
    os.kill(pid, signal.SIGCONT)
    assert await supervisor.applied(3, WAIT_S) == []


async def test_counts_are_handed_in_when_asked_for(supervisor: Supervisor) -> None:
    """Every worker answers, or is not waited for: also one that is stuck, and one that has died meanwhile."""
    await supervisor.count()
    assert [worker.counted for worker in supervisor.workers] == [1, 1]
    stuck = pid_of(supervisor, 2)
    os.kill(stuck, signal.SIGSTOP)
    await supervisor.count()
    assert [worker.counted for worker in supervisor.workers] == [2, 1]
    os.kill(stuck, signal.SIGKILL)
    while not supervisor.workers[-1].counted > 2:
        await supervisor.count()
    assert supervisor.accepting == 2
    assert stuck not in [worker.pid for worker in supervisor.workers]


async def test_drained_workers_are_not_replaced(supervisor: Supervisor) -> None:
    """After a drain no worker lives, and the container is out of service from its beginning."""
    draining = asyncio.get_running_loop().create_task(supervisor.drain(5.0))
    await asyncio.sleep(0)
    assert supervisor.trouble == "draining"
    await draining
    assert supervisor.workers == []
