"""proxy/observe/access_log.py: batches, what is dropped, what `--access-log` says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from proxy.errors import BadRequest, StartError
from proxy.observe import sink
from proxy.observe.access_lines import LINE_BYTES_MAX, Lines
from proxy.observe.access_log import BATCH, HANDED_BYTES, AccessLog, check_access_log, open_access_log
from proxy.observe.sink import Sink
from tests.observe.test_access_lines import entry

NONE = {"access_log_dropped_total": 0}


def test_off_is_nothing() -> None:
    """The data plane then has no log to look after."""
    assert open_access_log("off") is None


def test_lines_go_in_batches(tmp_path: Path) -> None:
    """Made as soon as a batch is whole, handed on as soon as they are enough, or flushed, or at the end."""
    log = open_access_log(str(tmp_path / "a.log"))
    assert log is not None
    recorded = 0
    while not log._sink._put_lines:
        log.record(entry())
        recorded += 1
    assert log._sink._put_lines == recorded
    assert recorded % BATCH == 0
    assert HANDED_BYTES <= log._sink._put_bytes < HANDED_BYTES + BATCH * LINE_BYTES_MAX
    log.record(entry())
    log.flush()
    log.flush()
    assert log._sink._put_lines == recorded + 1
    log.record(entry())
    log.close()
    assert len((tmp_path / "a.log").read_text().splitlines()) == recorded + 2
    assert log.take_dropped() == NONE


def test_what_a_full_sink_does_not_take_is_dropped_and_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory does not grow: neither entries nor lines pile up."""
    monkeypatch.setattr(sink, "WAITING_BYTES_MAX", 100_000)
    reading, writing = os.pipe()
    log = AccessLog(Lines("json"), Sink(fd=writing))
    for _ in range(200 * BATCH):
        log.record(entry())
    assert len(log._entries) < BATCH
    assert log._sink._put_bytes - log._sink._done_bytes < 100_000 + HANDED_BYTES + BATCH * LINE_BYTES_MAX
    dropped = log.take_dropped()["access_log_dropped_total"]
    assert 100 * BATCH < dropped < 200 * BATCH
    assert log.take_dropped() == NONE
    os.set_blocking(reading, False)
    lines = 0
    while lines + dropped < 200 * BATCH:
        try:
            lines += os.read(reading, 65536).count(b"\n")
        except BlockingIOError:
            continue
    log.close()
    assert lines + dropped == 200 * BATCH and log.take_dropped() == NONE
    os.close(reading)
    os.close(writing)


def test_refused_requests_of_any_bytes_leave_a_line(tmp_path: Path) -> None:
    log = open_access_log(str(tmp_path / "a.log"))
    assert log is not None
    for data in (b"", b"\r\n", b"GET", b"GET ", b"GET / ", b"\xff" * 70_000, b"A" * 70_000, b"GET /\x00 HTTP/1.1\r\n"):
        log.refused(BadRequest("no"), "::1", data, 3)
    log.close()
    lines = (tmp_path / "a.log").read_text().splitlines()
    assert len(lines) == 8 and all('"flag":"client_bad_request"' in line for line in lines)


def test_a_log_that_cannot_be_written_is_said_at_the_start(tmp_path: Path) -> None:
    """In one line, with the file."""
    for setting in ("off", "json", "text", str(tmp_path / "a.log")):
        check_access_log(setting)
    with pytest.raises(StartError, match=r"^--access-log: .*/nowhere/a\.log cannot be written: No such file"):
        check_access_log(str(tmp_path / "nowhere" / "a.log"))
