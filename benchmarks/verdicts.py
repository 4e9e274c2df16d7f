"""What a proxy did with a wire case of tests/downstream/conformance.py, from what both its ends saw.

What comes out of a proxy is read by Grayhound's own readers, which take nothing malformed or ambiguous. The fields that
each proxy adds in its own way are left out of account.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from proxy.errors import BadRequest, BadResponse
from proxy.http.framing import CHUNKED, UNTIL_CLOSE, ChunkedBody, request_length, response_length
from proxy.http.h1 import read_request_head, read_response_head
from proxy.http.headers import wants_close
from tests.downstream.conformance import BAD, MUST, OURS, Passed, Refused

Case = Refused | Passed
Lines = dict[bytes, list[bytes]]

PASSED_ON, MENDED, FORWARDED, CHANGED = "PASSED ON", "mended", "forwarded", "CHANGED"
REFUSED, CLOSED, SILENT = "refused", "closed", "no answer"
LET_THROUGH: Final = (PASSED_ON, MENDED, FORWARDED, CHANGED)

# Framing may change from hop to hop, Connection is of one hop, the others a proxy writes itself.
_OWN: Final = frozenset(
    (b"connection", b"keep-alive", b"transfer-encoding", b"content-length", b"via", b"server", b"date",
     b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-request-id", b"x-gray-version")
)  # fmt: skip
_OWN_CONNECTION: Final = (b"close", b"keep-alive")


@dataclass(frozen=True, slots=True)
class Message:
    """start: the first line. fields: all, by lower-case name. body: without its chunks."""

    start: bytes
    fields: Lines
    body: bytes


@dataclass(frozen=True, slots=True)
class Seen:
    """heard: by the client; ended: the proxy closed the connection. requests: whole ones that the upstream heard;
    malformed: why it could not read one."""

    heard: bytes
    ended: bool
    requests: tuple[Message, ...]
    malformed: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """kind: one of the words above. detail: the status, or what differs. good: as the RFC demands."""

    kind: str
    detail: str
    good: bool

    @property
    def lets_through(self) -> bool:
        return self.kind in LET_THROUGH

    def __str__(self) -> str:
        return f"{self.kind} {self.detail}".strip()


class Unsound(Exception):
    """What came out of a proxy is malformed or ambiguous."""


def read_request(data: bytes) -> tuple[Message, bytes] | None:
    """The first request in `data`, and what follows it; None if it is not whole yet. Raises Unsound."""
    head, end, rest = data.partition(b"\r\n\r\n")
    if not end:
        return None
    try:
        read = read_request_head(head + end)
        return _with_body(head, rest, request_length(read.fields, read.minor))
    except (BadRequest, ValueError) as error:
        raise Unsound(str(error)) from None


def read_responses(data: bytes, method: bytes, ended: bool) -> list[Message] | None:
    """The interim responses and the final one; None if that is not whole yet. Raises Unsound."""
    found: list[Message] = []
    while True:
        head, end, rest = data.partition(b"\r\n\r\n")
        if not end:
            return None
        try:
            read = read_response_head(head + end)
            length = response_length(method, read.status, read.fields, read.minor)
            if length == UNTIL_CLOSE:
                length = len(rest)
                if not ended:
                    return None
            whole = _with_body(head, rest, length)
        except (BadResponse, ValueError) as error:
            raise Unsound(str(error)) from None
        if whole is None:
            return None
        message, data = whole
        found.append(message)
        if read.status >= 200 or read.status == 101:
            return found


def _with_body(head: bytes, rest: bytes, length: int) -> tuple[Message, bytes] | None:
    start, *lines = head.lstrip(b"\r\n").split(b"\r\n")
    fields = _fields(lines)
    if length != CHUNKED:
        return (Message(start, fields, rest[:length]), rest[length:]) if len(rest) >= length else None
    body = ChunkedBody(decode=True)
    end = body.end(rest)
    return (Message(start, fields, b"".join(body.data)), rest[end:]) if end >= 0 else None


def _fields(lines: list[bytes]) -> Lines:
    fields: Lines = {}
    for line in lines:
        name, _, value = line.partition(b":")
        fields.setdefault(name.lower(), []).append(value.strip(b" \t"))
    return fields


def judge(case: Case, seen: Seen) -> Verdict:
    if isinstance(case, Refused):
        verdict = _of_refusal(seen)
        kept = verdict.kind == MENDED and case.demand == MUST
        return Verdict(verdict.kind, verdict.detail, kept or not verdict.lets_through)
    if case.heard.endswith(BAD):
        kind, detail = _of_bad_response(case, seen)
        return Verdict(kind, detail, kind not in LET_THROUGH or (kind == MENDED and case.demand == MUST))
    kind, detail = _of_passed(case, seen)
    return Verdict(kind, detail, kind == FORWARDED)


def counts(case: Case) -> bool:
    """Whether the RFC demands something here."""
    return case.demand != OURS


def _of_refusal(seen: Seen) -> Verdict:
    if seen.malformed or len(seen.requests) > 1:
        return Verdict(PASSED_ON, "" if seen.malformed else f"as {len(seen.requests)} requests", False)
    if seen.requests:
        return Verdict(MENDED, "", False)
    return Verdict(*_answer(seen), True)


def _answer(seen: Seen) -> tuple[str, str]:
    """Of a proxy that let nothing through."""
    status = _status(seen.heard)
    if status:
        return REFUSED, str(status)
    return (CLOSED, "") if seen.ended else (SILENT, "")


def _status(heard: bytes) -> int:
    parts = heard.split(b" ", 2)
    return int(parts[1][:3]) if len(parts) > 1 and heard.startswith(b"HTTP/") and parts[1][:3].isdigit() else 0


def _of_bad_response(case: Passed, seen: Seen) -> tuple[str, str]:
    try:
        messages = read_responses(seen.heard, case.says.split(b" ")[0], seen.ended)
    except Unsound:
        return PASSED_ON, ""
    if not seen.heard:
        return _answer(seen)
    status = _status(messages[-1].start if messages else seen.heard)
    if messages is None:
        return (REFUSED, "by cutting it off") if seen.ended else (SILENT, "to the end")
    scripted = case.answer if isinstance(case.answer, bytes) else b""
    return (REFUSED, str(status)) if status >= 500 and status != _status(scripted) else (MENDED, "")


def _of_passed(case: Passed, seen: Seen) -> tuple[str, str]:
    if seen.malformed:
        return PASSED_ON, seen.malformed
    if not seen.requests:
        return _answer(seen)
    wanted = read_request(case.hears.replace(b"Host: upstream", b"Host: any"))
    sent = case.says.strip(b"\r\n").partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert wanted is not None
    got, hears = seen.requests[0], wanted[0]
    if got.start.rpartition(b" ")[0] != hears.start.rpartition(b" ")[0]:
        return CHANGED, "request line"
    if got.body != hears.body:
        return CHANGED, "body"
    if hears.fields[b"host"] not in ([b"any"], got.fields.get(b"host")):
        return CHANGED, "host"
    if difference := _difference(_fields(sent[1:]), hears.fields, got.fields):
        return CHANGED, difference
    return _of_response(case, seen)


def _of_response(case: Passed, seen: Seen) -> tuple[str, str]:
    request = read_request_head(case.says.lstrip(b"\r\n").partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
    try:
        got = read_responses(seen.heard, request.method, seen.ended)
    except Unsound as error:
        return PASSED_ON, str(error)
    if got is None:
        return (CHANGED, "cut off") if seen.heard else _answer(seen)
    wanted = read_responses(case.heard, request.method, True)
    assert wanted is not None
    final, hears = got[-1], wanted[-1]
    if _status(final.start) != _status(hears.start):
        return REFUSED, str(_status(final.start))
    if [_status(one.start) for one in got] != [_status(one.start) for one in wanted]:
        return CHANGED, "interim"
    if final.body != hears.body:
        return CHANGED, "body"
    status = _status(final.start)
    if b"transfer-encoding" in final.fields and (request.minor == 0 or status == 204):
        return CHANGED, "chunked"
    if b"content-length" in final.fields and status == 204:
        return CHANGED, "length"
    if b"date" in hears.fields and b"date" not in final.fields:
        return CHANGED, "no Date"
    if wants_close(request.fields, request.minor) and not seen.ended:
        return CHANGED, "not closed"
    answer = case.answer if isinstance(case.answer, bytes) else case.answer.data
    assert isinstance(answer, bytes)
    sent = answer.split(b"\r\n\r\n")[len(got) - 1].split(b"\r\n") if len(got) > 1 else answer.split(b"\r\n")
    if difference := _difference(_fields(sent[1:]), hears.fields, final.fields):
        return CHANGED, difference
    return FORWARDED, ""


def _difference(sent: Lines, wanted: Lines, got: Lines) -> str:
    """The first field that is lost or changed, or that passed though it must not."""
    for name in wanted.keys() - _OWN - {b"host"}:
        if got.get(name) != wanted[name]:
            return name.decode("latin-1")
    for name, values in sent.items():
        for value in values:
            leaked = value not in wanted.get(name, []) and value in got.get(name, [])
            if leaked and name != b"host" and not (name == b"connection" and value.lower() in _OWN_CONNECTION):
                return f"{name.decode('latin-1')} passed"
    return ""
