"""What the benchmarks conclude from their measurements, and that the steady client hides no wait."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import svg
from benchmarks.bench import Bench, Plan
from benchmarks.client import Client, Order, asking, heard
from benchmarks.goals import Goal
from benchmarks.load import Load
from benchmarks.peers import PEERS
from benchmarks.peers.base import Setup
from benchmarks.processes import CpuTime
from benchmarks.report import goal_table
from benchmarks.results import Reading, Results, Sample
from benchmarks.soak import Interval, faults

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\nhello world\n"
RATE = 100.0


@pytest.mark.parametrize(
    "setup",
    [Setup(), Setup(access_log=True), Setup(sticky=True), Setup(tls=True), Setup(websocket=True), Setup(routes=10)],
    ids=lambda setup: "-".join(setup.features) or "common",
)
def test_grayhound_does_the_work_that_is_measured(setup: Setup, tmp_path: Path) -> None:
    """Of every setup; a comparison leaves out who does not."""
    if setup.tls and shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    cores = sorted(os.sched_getaffinity(0))
    bench = Bench(Plan([], [], [], 1, 1.0, "wrk", cores[0], cores[-1]), tmp_path)
    with bench.services() as services, ExitStack() as stack:
        assert bench.start(PEERS["source"], services, setup, stack) is not None, bench.results.complaints


def results(**costs: float) -> Results:
    """A run of `small` in two rounds, the second twice as slow for all; so many CPU µs a request, by proxy."""
    found = Results(dict.fromkeys(costs, "1.0"))
    for peer, cost in costs.items():
        for number in (1, 2):
            load = Load(1000, 1.0, 0, 1.0, 2.0, 3.0, {})
            cpu = CpuTime(cost * number / 1000, 0.0, 0.0)
            found.samples.append(Sample("small", peer, number, load, cpu))
    return found


@pytest.mark.parametrize(
    ("ours", "envoy", "verdict"),
    [(40.0, 200.0, "goal"), (50.0, 200.0, "bar"), (60.0, 200.0, "NOT MET"), (50.0, 90.0, "NOT MET: envoy")],
)
def test_a_goal_is_reached_if_each_ratio_is_within_its_limit(ours: float, envoy: float, verdict: str) -> None:
    goal = Goal("small", "small", 1.0, 1.4, bars={"envoy": 0.5})
    assert goal.verdict(results(nginx=40.0, envoy=envoy, grayhound=ours)) == verdict


def test_what_was_not_measured_is_neither_reached_nor_missed() -> None:
    assert Goal("small", "small", 1.0, 1.4).verdict(results(grayhound=40.0)) == "-"
    assert goal_table(Results()) == ""


def test_the_table_has_a_column_for_each_proxy_and_says_what_is_met() -> None:
    found = results(nginx=40.0, grayhound=50.0)
    found.readings.append(Reading("idle", "grayhound", 1, 3.5))
    heading, small, idle = goal_table(found).splitlines()
    assert heading.split() == ["work", "goal", "bar", "nginx", "grayhound", "met"]
    assert small.endswith("1.00       1.25   bar")
    assert idle.split()[-3:] == ["-", "3.5", "goal"]


def test_the_steady_client_counts_from_the_moment_a_question_was_due() -> None:
    """A service that is deaf for a while delays all that was due meanwhile, though one question alone was asked."""
    deaf_s = 0.4
    with service(deaf_s) as (port, _):
        client = Client(steady_order(port, 0.5))
        client.run()
        client.close()
    assert client.errors == {}
    assert sum(took > deaf_s / 4 for took in client.took_s) > 10


def test_the_steady_client_takes_off_what_it_came_too_late_for_itself() -> None:
    """While it is stopped, questions become due and an answer waits: that is no time of the one who is asked."""
    stopped_s = 1.0
    with (
        service() as (port, asked),
        asking(steady_order(port, 2 * stopped_s), min(os.sched_getaffinity(0))) as process,
    ):
        assert asked.wait(10)
        process.send_signal(signal.SIGSTOP)
        time.sleep(stopped_s)
        process.send_signal(signal.SIGCONT)
        seen = heard(process)
    assert seen.errors == {}
    assert seen.requests > stopped_s * RATE  # those of that time, too
    assert seen.max_ms < stopped_s * 1000


@contextlib.contextmanager
def service(deaf_s: float = 0.0) -> Iterator[tuple[int, threading.Event]]:
    """Answers what comes on one connection, the second question only after so long. Gives its port, and whether that
    question has come."""
    asked = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            one, _ = server.accept()
            with one:
                for number in range(10**6):
                    if not one.recv(4096):
                        return
                    if number == 1:
                        asked.set()
                        time.sleep(deaf_s)
                    one.sendall(ANSWER)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1], asked
        thread.join()


def steady_order(port: int, seconds: float) -> Order:
    question, ends = "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "hello world\n"
    return Order(port, [question], "HTTP/1.1 200 ", ends, 1, seconds, RATE, question, ends)


def intervals(**growing: float) -> list[Interval]:
    """Twenty, and the last look; what is named grows by so much from one to the next."""
    first = Interval(20.0, 1000, 50.0, 2.0, 5.0, 9.0, 0, [50.0, 30.0], [10, 80], 1000)
    found = []
    for number in range(20):
        worker = 30.0 + number * growing.get("worker", 0.0)
        p99 = 5.0 + number * growing.get("p99", 0.0)
        at = 20.0 * (number + 1)
        found.append(replace(first, end_s=at, resident_mib=[50.0, worker], p99_ms=p99, counted=1000 * (number + 1)))
    return [*found, replace(found[-1], end_s=401.0)]


def test_a_soak_passes_if_nothing_grows() -> None:
    assert faults(intervals()) == []
    assert [text.split()[:2] for text in faults(intervals(worker=0.1))] == [["worker", "1"]]
    assert [text.split()[0] for text in faults(intervals(p99=0.2))] == ["p99_ms"]


def test_a_soak_fails_if_requests_did_or_are_not_counted() -> None:
    *measured, last = intervals()
    failed = [replace(measured[0], errors=2), *measured[1:], last]
    assert faults(failed) == ["2 requests failed"]
    assert "counted" in faults([*measured, replace(last, counted=19_000)])[0]


@pytest.mark.parametrize(("most", "marks"), [(0.9, 6), (1.0, 6), (7.0, 5), (62.0, 5), (810.0, 6)])
def test_the_marks_of_an_axis_are_few_and_reach_beyond_the_highest_value(most: float, marks: int) -> None:
    assert len(svg.ticks(most)) == marks
    assert svg.ticks(most)[-1] >= most


def test_a_picture_is_well_formed_whatever_its_words() -> None:
    line = svg.Line("a < b & c", [(1, 2.0), (10, 3.0)], [(1.0, 3.0), (2.0, 4.0)])
    panels = [svg.lines("t", "x", "µs", [line], log=True), svg.bars("t", [svg.Bar("n", 9.0, "9 µs", True)], 5.0)]
    ElementTree.fromstring(svg.page(panels, 2, 300, 200, "title"))
