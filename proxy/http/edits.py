"""Changes to a head that rules ask for, made to its bytes: fields cut and appended, another target, another Host."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final

from proxy.http.headers import find_date
from proxy.http.message import RequestHead, ResponseHead

FINDERS_REMEMBERED_MAX: Final = 1024
"""Regexes of cut fields, by their names; the routes of a file mostly cut the same few."""
EDITED_REMEMBERED_MAX: Final = 1024
"""Edited heads that are remembered, one for a known head and the edits of a decision; then all are forgotten."""
EDITED_BYTES_MAX: Final = 4096
"""Of a head that is remembered; browsers send one or two KiB."""
_DASH: Final = re.compile(rb"\\-|_")  # as re.escape writes them
_HOST_LINE: Final = re.compile(rb"\r\n(?i:host):[^\r]*")


def lines_of(fields: Iterable[tuple[str, str]]) -> bytes:
    """(name, value) as field lines, each with its end."""
    return b"".join(f"{name}: {value}\r\n".encode() for name, value in fields)


class FieldEdits:
    """Fields to cut, in lower case, and lines to append then. None of them speaks of the connection or of the body.

    alike: `-` and `_` in names are one, as they are for services that read fields as variables (CGI, WSGI, PHP): a
    client could bring what is cut or set in the other spelling.
    """

    __slots__ = ("_cut", "_lines")

    def __init__(self, cut: frozenset[str], lines: bytes = b"", *, alike: bool = False) -> None:
        self._cut = _finder(cut, alike) if cut else None
        self._lines = lines

    def raw(self, raw: bytes) -> bytes:
        """The bytes of a head, from its first line to its empty one."""
        if self._cut is not None:
            raw = self._cut.sub(b"", raw)
        return b"%b%b\r\n" % (raw[:-2], self._lines) if self._lines else raw

    def lines(self, lines: bytes) -> bytes:
        """Field lines alone."""
        return self.raw(b"\r\n%b\r\n" % lines)[2:-2]

    def response(self, head: ResponseHead) -> ResponseHead:
        """The head that the client is to get."""
        raw = self.raw(head.raw)
        dated = find_date(raw) is not None
        return ResponseHead(
            head.status, head.minor, head.fields, raw, head.length, plain=head.plain, dated=dated, size=head.size
        )


class RequestEdits:
    """fields: those to cut. target: what to ask for instead, or None. host: another Host, or b"", beside a target."""

    __slots__ = ("_fields", "_host", "_target")

    def __init__(
        self, fields: FieldEdits, target: Callable[[RequestHead], bytes] | None = None, host: bytes = b""
    ) -> None:
        assert target is not None or not host
        self._fields = fields
        self._target = target
        self._host = host

    def __call__(self, head: RequestHead) -> RequestHead:
        """The head that the service is to get. `fields` stay those that the client sent: X-Forwarded-Host tells its.

        PERF: heads that repeat the lines of one before share its `fields`, and their lines become the
        same again: with these remembered, editing such a head and writing it out takes 0.3 of the time.
        """
        key = id(self), id(head.fields)
        known = _edited.get(key)
        if known is not None and known[1].onward is not None and _has_lines(head, known[2]):
            return self._like(head, known[1])
        changed = self._change(head)
        if len(_edited) >= EDITED_REMEMBERED_MAX:
            _edited.clear()
        if len(head.raw) <= EDITED_BYTES_MAX and changed.fields is head.fields:
            # Edits and fields are kept, so that nothing else gets their ids.
            _edited[key] = self, changed, head.raw[head.raw.find(b"\r\n") :]
        return changed

    def _like(self, head: RequestHead, known: RequestHead) -> RequestHead:
        target = head.target if self._target is None else self._target(head)
        changed = RequestHead(
            head.method, target, 1, known.host, head.path, head.query, known.fields,
            b"%b %b HTTP/1.1\r\n" % (head.method, target), head.client, head.scheme, True,
        )  # fmt: skip
        changed.cut, changed.onward = known.cut, known.onward
        return changed

    def _change(self, head: RequestHead) -> RequestHead:
        raw, target, host, fields = self._fields.raw(head.raw), head.target, head.host, head.fields
        if self._target is not None:
            target = self._target(head)
            raw = b"%b %b%b" % (head.method, target, raw[len(head.method) + 1 + len(head.target) :])
            if self._host:
                raw = _with_host(raw, self._host)
                if not host:
                    host, fields = self._host, {**fields, b"host": (self._host,)}
            elif head.target[:1] != b"/" and b"host" in fields:
                raw = _with_host(raw, fields[b"host"][0])  # that of the target counts (RFC 9112 section 3.2.2)
        changed = RequestHead(
            head.method, target, head.minor, host, head.path, head.query, fields, raw, head.client, head.scheme,
            head.plain,
        )  # fmt: skip
        changed.cut = head.cut
        return changed


@lru_cache(maxsize=FINDERS_REMEMBERED_MAX)
def _finder(names: frozenset[str], alike: bool) -> re.Pattern[bytes]:
    """Finds the lines of these fields, each with the line end before it."""
    words = b"|".join(re.escape(name.encode()) for name in sorted(names))
    return re.compile(rb"\r\n(?i:%b):[^\r]*" % (_DASH.sub(b"[-_]", words) if alike else words))


def _with_host(raw: bytes, host: bytes) -> bytes:
    """A head with this Host field: where it had one, or else first."""
    line = b"\r\nHost: " + host
    raw, found = _HOST_LINE.subn(lambda _: line, raw, 1)
    end = raw.index(b"\r\n")
    return raw if found else b"%b%b%b" % (raw[:end], line, raw[end:])


def _has_lines(head: RequestHead, lines: bytes) -> bool:
    """Whether these are all the lines after its first one, with the end of that."""
    return head.raw.endswith(lines) and len(head.raw) - len(lines) == len(head.method) + len(head.target) + 10


_edited: dict[tuple[int, int], tuple[RequestEdits, RequestHead, bytes]] = {}
