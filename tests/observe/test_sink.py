"""proxy/observe/sink.py: lines reach where they are to go, and a sink that is stuck holds up nobody."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from proxy.observe import sink
from proxy.observe.sink import Sink

LINE = b"x" * 99 + b"\n"


def test_a_file_gets_whole_lines_at_its_end(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_bytes(b"before\n")
    it = Sink(path=str(path))
    it.put(b"a\nb\n", 2)
    it.put(b"c\n", 1)
    it.close()
    assert path.read_bytes() == b"before\na\nb\nc\n"
    assert it.lost_lines == 0


def test_a_new_file_is_not_for_everybody(tmp_path: Path) -> None:
    Sink(path=str(tmp_path / "access.log")).close()
    assert (tmp_path / "access.log").stat().st_mode & 0o007 == 0


def test_reopen_goes_on_in_a_new_file(tmp_path: Path) -> None:
    """What was put before is in the old one, moved away meanwhile; what is put after is in the new one."""
    path = tmp_path / "access.log"
    it = Sink(path=str(path))
    it.put(b"old\n", 1)
    path.rename(tmp_path / "access.log.1")
    it.reopen()
    it.put(b"new\n", 1)
    it.close()
    assert (tmp_path / "access.log.1").read_bytes() == b"old\n"
    assert path.read_bytes() == b"new\n"


def test_reopen_that_fails_keeps_the_old_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "logs").mkdir()
    it = Sink(path=str(tmp_path / "logs" / "access.log"))
    (tmp_path / "logs").rename(tmp_path / "moved")
    it.reopen()
    it.put(b"still\n", 1)
    it.close()
    assert (tmp_path / "moved" / "access.log").read_bytes() == b"still\n"
    assert "cannot be opened again" in caplog.text


def test_a_file_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        Sink(path=str(tmp_path / "nowhere" / "access.log"))


def test_a_stuck_pipe_holds_up_nobody(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """`put` returns at once; at the limit it is full; closing waits no longer than it was told, and counts the rest."""
    monkeypatch.setattr(sink, "WAITING_BYTES_MAX", 1_000_000)
    reading, writing = os.pipe()
    it = Sink(fd=writing)
    began = time.monotonic()
    put = 0
    while not it.full:
        it.put(LINE * 100, 100)
        put += 100
    assert put * len(LINE) >= 1_000_000
    it.refuse(7)
    it.close(0.05)
    assert time.monotonic() - began < 5
    assert it.lost_lines == 7 + put - it._done_lines and it._done_lines < put / 5  # a pipe holds 64 KiB
    assert "could not be written" in caplog.text
    threading.Thread(target=_read_all, args=(reading,), daemon=True).start()
    it._thread.join(10)
    os.close(writing)


def _read_all(fd: int) -> bytes:
    data = b""
    while piece := os.read(fd, 65536):
        data += piece
    return data


def test_a_pipe_that_nobody_reads_any_more_loses_lines_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    it = Sink(fd=writing)
    for _ in range(3):
        it.put(LINE * 2, 2)
    it.close()
    os.close(writing)
    assert it.lost_lines == 6
    assert len([one for one in caplog.records if one.levelno == logging.ERROR]) == 1


def test_a_non_blocking_descriptor_loses_nothing() -> None:
    """Whoever shares our standard output may have made it so."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    it = Sink(fd=writing)
    for _ in range(50):
        it.put(LINE * 100, 100)
    heard = b""
    while len(heard) < 50 * 100 * len(LINE):
        heard += os.read(reading, 65536)
    it.close()
    assert heard == LINE * 5000 and it.lost_lines == 0
    os.close(reading)
    os.close(writing)


def test_a_full_disk_tears_at_most_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What fits is written, the rest is dropped and counted; later lines begin at the beginning of a line."""
    path = tmp_path / "access.log"
    room = [250]
    write = os.write

    def limited(fd: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(28, "No space left on device")
        size = min(len(data), room[0])
        room[0] -= size
        return write(fd, data[:size])

    monkeypatch.setattr(sink.os, "write", limited)
    it = Sink(path=str(path))
    it.put(LINE * 4, 4)
    while it._done_lines < 4:
        time.sleep(0)
    room[0] = 10_000
    it.put(LINE, 1)
    it.close()
    lines = path.read_bytes().split(b"\n")
    assert [len(line) for line in lines] == [99, 99, 50, 99, 0]
    assert it.lost_lines == 2


MANY = """
import sys
from proxy.observe.sink import Sink
name, path = sys.argv[1:]
sink = Sink(path=path) if path else Sink(fd=1)
for number in range(400):
    lines = [b"%s %05d %s\\n" % (name.encode(), number * 10 + n, name.encode() * (n * 97)) for n in range(10)]
    sink.put(b"".join(lines), 10)
sink.close(60)
sys.exit(sink.lost_lines)
"""


@pytest.mark.parametrize("to", ["pipe", "file", "stdout file"])
def test_lines_of_several_workers_do_not_mix(to: str, tmp_path: Path) -> None:
    """Four processes, one pipe or one file, lines of every length in batches larger than a pipe takes in one piece."""
    path = tmp_path / "access.log"
    reading, writing = os.pipe()
    if to == "stdout file":
        writing = os.open(path, os.O_WRONLY | os.O_CREAT)
    given = str(path) if to == "file" else ""
    workers = [subprocess.Popen([sys.executable, "-c", MANY, name, given], stdout=writing) for name in "abcd"]
    os.close(writing)
    data = _read_all(reading) if to == "pipe" else b""
    assert [worker.wait(60) for worker in workers] == [0, 0, 0, 0]
    lines = (data or path.read_bytes()).splitlines()
    assert len(lines) == 4 * 4000
    for name in (b"a", b"b", b"c", b"d"):
        numbers = []
        for line in (one.split(b" ") for one in lines if one[:1] == name):
            assert line[2] == name * (int(line[1]) % 10 * 97)
            numbers.append(int(line[1]))
        assert numbers == list(range(4000)), "in order, and each once"
