"""Alone knows the W3C trace context: which traceparent is well-formed, and how a head gets another one."""

from __future__ import annotations

import re
from typing import Final

from proxy.data import dataclass
from proxy.http.message import RequestHead

TRACE_FIELDS: Final = frozenset((b"traceparent", b"tracestate"))

_parts = re.compile(
    rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
).fullmatch
_without_parent = re.compile(rb"(?i)\r\ntraceparent:[^\r]*").sub
_without_both = re.compile(rb"(?i)\r\ntrace(?:parent|state):[^\r]*").sub


@dataclass(frozen=True, slots=True)
class Parent:
    """The span that a request came from. sampled: its trace is being recorded."""

    trace_id: int
    span_id: int
    sampled: bool


def trace_id(traceparent: bytes) -> str:
    """Of a traceparent; empty unless it is well-formed (Trace Context section 3.2: ids of zeros are not)."""
    found = _read(traceparent)
    return str(found[2], "ascii") if found else ""


def read_parent(values: tuple[bytes, ...]) -> Parent | None:
    """The parent that the field's values name, if there is one value and it is well-formed."""
    found = _read(values[0]) if len(values) == 1 else None
    return Parent(int(found[2], 16), int(found[3], 16), bool(int(found[4], 16) & 1)) if found else None


def _read(traceparent: bytes) -> re.Match[bytes] | None:
    found = _parts(traceparent)
    return found if found and (found[5] is None or found[1] != b"00") else None


def write_traceparent(trace_id: int, span_id: int, sampled: bool) -> bytes:
    return b"00-%032x-%016x-%02x" % (trace_id, span_id, sampled)


def with_traceparent(head: RequestHead, traceparent: bytes, parent: Parent | None) -> RequestHead:
    """A head that goes on with this traceparent; the rules see the fields as they were sent. Without a parent there is
    no state of its trace either (Trace Context section 3.3). `head` was read with TRACE_FIELDS kept."""
    raw = head.raw
    if parent is not None:
        raw = _without_parent(b"", raw)
    elif b"traceparent" in head.fields or b"tracestate" in head.fields:
        raw = _without_both(b"", raw)
    raw = b"%btraceparent: %b\r\n\r\n" % (raw[:-2], traceparent)
    made = RequestHead(
        head.method, head.target, head.minor, head.host, head.path, head.query, head.fields, raw, head.client,
        head.scheme, head.plain,
    )  # fmt: skip
    made.cut = head.cut
    return made
