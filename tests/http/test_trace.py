"""proxy/http/trace.py: which traceparent counts, and the one that goes on."""

from __future__ import annotations

import pytest

from proxy.http.h1 import read_request_head
from proxy.http.trace import TRACE_FIELDS, Parent, read_parent, trace_id, with_traceparent, write_traceparent
from tests.talk import wire

TRACEPARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OWN = b"00-0af7651916cd43dd8448eb211c80319c-1111111111111111-00"


@pytest.mark.parametrize(
    ("traceparent", "found"),
    [
        (TRACEPARENT, "0af7651916cd43dd8448eb211c80319c"),
        (b"01" + TRACEPARENT[2:] + b"-later", "0af7651916cd43dd8448eb211c80319c"),
        (TRACEPARENT + b"-later", ""),  # version 00 has four parts
        (b"ff" + TRACEPARENT[2:], ""),
        (TRACEPARENT.upper(), ""),
        (b"00-" + b"0" * 32 + b"-b7ad6b7169203331-01", ""),
        (b"00-0af7651916cd43dd8448eb211c80319c-" + b"0" * 16 + b"-01", ""),
        (TRACEPARENT[:-1], ""),
        (b"", ""),
    ],
)
def test_only_a_well_formed_traceparent_counts(traceparent: bytes, found: str) -> None:
    """W3C Trace Context, section 3.2."""
    assert trace_id(traceparent) == found
    assert (read_parent((traceparent,)) is not None) == bool(found)


def test_a_parent_is_read_and_written() -> None:
    """Its ids and whether it is sampled; other flags are unknown. Two fields are none."""
    parent = read_parent((TRACEPARENT,))
    assert parent == Parent(0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331, True)
    assert write_traceparent(parent.trace_id, parent.span_id, parent.sampled) == TRACEPARENT
    assert read_parent((TRACEPARENT[:-2] + b"02",)) == Parent(parent.trace_id, parent.span_id, False)
    assert read_parent((TRACEPARENT, TRACEPARENT)) is read_parent(()) is None


@pytest.mark.parametrize("sent", [["TraceParent: x"], ["traceparent: x", "TRACEPARENT: y"], []])
@pytest.mark.parametrize("parent", [None, Parent(1, 2, True)])
def test_one_traceparent_goes_on(sent: list[str], parent: Parent | None) -> None:
    """One stands for all that came, the rest stays to the byte; without a parent, its trace's state goes as well."""
    raw = wire("GET /a HTTP/1.1", "Host: a", *sent, "Tracestate: s=1", "X: y")
    head = read_request_head(raw, TRACE_FIELDS)
    made = with_traceparent(head, OWN, parent)
    state = ["Tracestate: s=1"] if parent else []
    assert made.raw == wire("GET /a HTTP/1.1", "Host: a", *state, "X: y", f"traceparent: {OWN.decode()}")
    assert head.raw == raw
    assert (made.fields, made.path, made.client, made.cut) == (head.fields, head.path, head.client, head.cut)
