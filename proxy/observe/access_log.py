"""The access log: one line per request that has ended. Exchanges hand in raw values; lines are made in batches."""

from __future__ import annotations

import os
import re
from time import time
from typing import Final, Protocol

from proxy.errors import ProxyError, StartError
from proxy.http.trace import TRACE_FIELDS
from proxy.observe.access_lines import Entry, Lines
from proxy.observe.counts import Labels
from proxy.observe.sink import Sink

BATCH: Final = 64
"""Entries that wait until lines are made of them: 0.2 ms of work at once."""
HANDED_BYTES: Final = 128 * 1024
"""Lines that wait until the sink gets them: waking its thread for each batch costs a microsecond per request. A crash
loses no more than these, and no more than the last quarter of a second."""
KEPT_FIELDS: Final = TRACE_FIELDS | {b"user-agent"}
"""What the log and tracing read of a request beyond what the house does."""
NOWHERE: Final[Labels] = ("", "", "", "", "")
STDOUT: Final = 1
FORMS: Final = ("json", "text")

_request_line = re.compile(rb"\r?\n?([!-~]{1,32}) ([^ \r\n]+)(?: HTTP/1\.([01])\r)?").match
_fields = re.compile(rb"(?i)\n(host|user-agent|traceparent):[ \t]*([^\r\n]*)").findall


class Recorder(Protocol):
    """Takes what a request came to when it has ended."""

    @property
    def ending(self) -> bool:
        """Connections are being cut, so that a client that is gone did not leave by itself."""

    def record(self, entry: Entry) -> None: ...


class AccessLog:
    """Takes entries and makes lines of them for the sink; what a full sink does not take is counted.

    ending: connections are being cut, so that a client that is gone did not leave by itself.
    """

    def __init__(self, lines: Lines, sink: Sink) -> None:
        self._lines = lines
        self._sink = sink
        self._entries: list[Entry] = []
        self._made: list[bytes] = []
        self._made_bytes = self._made_lines = 0
        self._told = 0
        self.ending = False

    def record(self, entry: Entry) -> None:
        """A request has ended."""
        entries = self._entries
        entries.append(entry)
        if len(entries) >= BATCH:
            self._make_lines()
            if self._made_bytes >= HANDED_BYTES:
                self.flush()

    def refused(self, error: ProxyError, client: str, data: bytes, generation: int) -> None:
        """A request was refused before it could be routed; `data` is what came of it."""
        self.record(refused_entry(error, client, data, generation))

    def _make_lines(self) -> None:
        entries = self._entries
        if self._sink.full:
            self._sink.refuse(len(entries))
        else:
            made = self._lines.render(entries)
            self._made.append(made)
            self._made_bytes += len(made)
            self._made_lines += len(entries)
        entries.clear()

    def flush(self) -> None:
        """Hand what waits to the sink."""
        if self._entries:
            self._make_lines()
        if self._made:
            self._sink.put(b"".join(self._made), self._made_lines)
            self._made.clear()
            self._made_bytes = self._made_lines = 0

    def take_dropped(self) -> dict[str, int]:
        """Lines lost since the last call, by the metric that counts them."""
        lost = self._sink.lost_lines
        dropped, self._told = lost - self._told, lost
        return {"access_log_dropped_total": dropped}

    def reopen(self) -> None:
        """Go on in a new file of the same name."""
        self.flush()
        self._sink.reopen()

    def close(self) -> None:
        """Write the last lines; returns within a second or so."""
        self.flush()
        self._sink.close()


def refused_entry(error: ProxyError, client: str, data: bytes, generation: int) -> Entry:
    """What is known of a request that was refused before it could be routed."""
    line, fields = _request_line(data), {name.lower(): value for name, value in _fields(data)}
    method, target, minor = line.groups() if line else (b"", b"", None)
    return (
        time(), 0.0, 0, 0, f"{error.side}_{error.flag}", client, method, target, int(minor) if minor else -1,
        fields.get(b"host", b""), error.status, NOWHERE, "", 0, -1.0, b"", fields.get(b"traceparent", b""),
        fields.get(b"user-agent", b""), generation,
    )  # fmt: skip


def open_access_log(setting: str) -> AccessLog | None:
    """What `--access-log` says: None for `off`; `json` and `text` go to standard output, else it is a file of JSON.
    Raises OSError."""
    if setting == "off":
        return None
    if setting in FORMS:
        return AccessLog(Lines(setting), Sink(fd=STDOUT))
    return AccessLog(Lines("json"), Sink(path=setting))


def check_access_log(setting: str) -> None:
    """See whether it can be written, without writing. Raises StartError."""
    try:
        if setting in FORMS:
            os.fstat(STDOUT)
        elif setting != "off":
            os.close(os.open(setting, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640))
    except OSError as error:
        raise StartError(f"--access-log: {setting} cannot be written: {error.strerror}") from None
