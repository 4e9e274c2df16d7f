"""proxy/http/edits.py: changes to the bytes of a head."""

from __future__ import annotations

import pytest

from proxy.http.edits import FieldEdits, RequestEdits, lines_of
from proxy.http.h1 import read_request_head, read_response_head
from proxy.http.headers import Peer, forward_request
from proxy.http.message import RequestHead
from proxy.rules.changes import own_target
from tests.talk import wire

PEER = Peer("192.0.2.1", b"http", ())
NOTHING = FieldEdits(frozenset())


def heard(edits: RequestEdits, *lines: str) -> list[str]:
    """What the service is sent, without what the proxy adds of its own."""
    head = read_request_head(wire(*lines))
    PEER.admit(head)
    sent = forward_request(edits(head), PEER, b"id", b"X-Own: tail\r\n\r\n", b"", b"endpoint:1").decode()
    own = ("X-Forwarded-For", "X-Forwarded-Proto", "X-Request-Id", "X-Own")
    return [line for line in sent.split("\r\n") if line and not line.startswith(own)]


@pytest.mark.parametrize(
    ("cut", "lines", "expected"),
    [
        ((), "", "A: 1\r\nBb: 2\r\na:3\r\n"),
        (("a",), "", "Bb: 2\r\n"),
        (("a", "bb"), "", ""),
        (("b",), "C: 4\r\n", "A: 1\r\nBb: 2\r\na:3\r\nC: 4\r\n"),
    ],
)
def test_fields_are_cut_whatever_their_case_and_lines_appended(cut: tuple[str, ...], lines: str, expected: str) -> None:
    """Every field of a name is cut and no other; what is new comes last."""
    head = f"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{'A: 1'}\r\nBb: 2\r\na:3\r\n\r\n".encode()
    edits = FieldEdits(frozenset(cut), lines.encode())
    assert edits.raw(head) == f"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{expected}\r\n".encode()
    assert edits.lines(b"A: 1\r\nBb: 2\r\na:3\r\n") == expected.encode()
    changed = edits.response(read_response_head(head))
    assert (changed.status, changed.length, changed.raw) == (200, 0, edits.raw(head))


@pytest.mark.parametrize("cut", ["x-user-role", "x_user_role"])
def test_a_client_cannot_bring_a_field_in_its_other_spelling(cut: str) -> None:
    """Services that read fields as variables take `_` for `-`."""
    fields = ("X-User-Role: a", "X_User_Role: b", "x-user_role: c", "XUser-Role: d", "X-User-Roles: e")
    sent = heard(RequestEdits(FieldEdits(frozenset({cut}), alike=True)), "GET / HTTP/1.1", "Host: shop", *fields)
    assert sent == ["GET / HTTP/1.1", "Host: shop", *fields[3:], "X-Forwarded-Host: shop"]


def test_lines_are_written_as_utf8() -> None:
    """(name, value), in order, as written."""
    assert lines_of([("X-A", "é"), ("b", "")]) == "X-A: é\r\nb: \r\n".encode()


def test_the_target_and_host_are_replaced() -> None:
    """The Host stands where it stood; services learn the client's from X-Forwarded-Host."""
    edits = RequestEdits(NOTHING, lambda head: b"/new?x", b"internal:8080")
    assert heard(edits, "GET /old HTTP/1.1", "A: b", "Host: shop", "C: d") == [
        "GET /new?x HTTP/1.1", "A: b", "Host: internal:8080", "C: d", "X-Forwarded-Host: shop",
    ]  # fmt: skip


def test_of_an_absolute_target_the_host_counts() -> None:
    """RFC 9112 section 3.2.2: the Host field beside it is overridden, and the service gets origin-form."""
    absolute = ("GET http://shop/old HTTP/1.1", "Host: other")
    assert heard(RequestEdits(NOTHING, lambda head: b"/new"), *absolute) == [
        "GET /new HTTP/1.1", "Host: shop", "X-Forwarded-Host: shop",
    ]  # fmt: skip
    assert heard(RequestEdits(NOTHING, own_target, b"internal"), *absolute) == [
        "GET /old HTTP/1.1", "Host: internal", "X-Forwarded-Host: shop",
    ]  # fmt: skip


@pytest.mark.parametrize("host", [(), ("Host:",)])
def test_a_request_without_host_gets_the_new_one(host: tuple[str, ...]) -> None:
    """Once, and not the endpoint's address."""
    sent = heard(RequestEdits(NOTHING, own_target, b"internal"), "GET /old HTTP/1.0", *host, "A: b")
    assert sorted(sent) == ["A: b", "GET /old HTTP/1.1", "Host: internal", "X-Forwarded-Host: internal"]


def test_fields_of_the_connection_are_still_cut() -> None:
    """What must not pass on does not, on the changed head too."""
    edits = RequestEdits(FieldEdits(frozenset({"cookie"})), lambda head: b"/new")
    lines = ("GET /old HTTP/1.1", "Host: a", "Connection: x-mine, close", "X-Mine: 1", "Cookie: c=d", "X-Gray-A: b")
    assert heard(edits, *lines) == ["GET /new HTTP/1.1", "Host: a", "X-Forwarded-Host: a"]


def test_the_head_that_the_client_sent_stays_as_it_was() -> None:
    """A further try starts from it."""
    head = read_request_head(wire("GET /old HTTP/1.1", "Host: a", "B: c"))
    raw = head.raw
    changed = RequestEdits(FieldEdits(frozenset({"b"})), lambda _: b"/new", b"d")(head)
    assert (head.raw, head.target, head.fields[b"host"]) == (raw, b"/old", (b"a",))
    assert (changed.target, changed.path, changed.host) == (b"/new", b"/old", b"a")


def test_what_is_remembered_of_a_head_holds_for_its_lines_alone() -> None:
    """One with the same fields but further lines, as tracing makes them, is edited anew."""
    edits = RequestEdits(FieldEdits(frozenset({"b"})), lambda _: b"/new")
    head = read_request_head(wire("GET /old HTTP/1.1", "Host: a", "B: c"))
    PEER.admit(head)

    def sent(raw: bytes) -> bytes:
        like = RequestHead(b"GET", b"/old", 1, b"a", b"/old", b"", head.fields, raw, head.client, plain=True)
        return forward_request(edits(like), PEER, b"id", b"\r\n", b"", b"endpoint:1")

    plain = sent(head.raw)
    assert sent(head.raw) == plain and plain.startswith(b"GET /new HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: ")
    for number in (b"1", b"2"):
        traced = head.raw[:-2] + b"T: %b\r\n\r\n" % number
        assert sent(traced) == plain.replace(b"Host: a\r\n", b"Host: a\r\nT: %b\r\n" % number, 1)
        assert sent(traced.replace(b"Host: a\r\n", b"Z: y\r\nHost: a\r\n")).count(b"\r\nZ: y\r\n") == 1
    assert sent(head.raw) == plain
