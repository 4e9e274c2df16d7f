"""Random and mutated bytes on the wire: only the documented errors, and nothing ambiguous reaches an upstream."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress

import pytest
import uvloop
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from proxy.errors import BadRequest, BadResponse
from proxy.http.edits import FieldEdits, RequestEdits
from proxy.http.framing import CHUNKED, ChunkedBody, request_length, response_length
from proxy.http.h1 import RequestReader, read_response_head
from proxy.http.headers import Peer, forward_request, forward_response, nominated
from proxy.http.message import HOP_BY_HOP, RequestHead
from proxy.rules.changes import own_target
from tests.talk import OK, TAIL, Answer, Stage, Upstream, stage, until, wire

QUICK = settings(max_examples=1000, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
SLOW = settings(QUICK, max_examples=250)
PEER = Peer("192.0.2.1", b"http", ())
READER = RequestReader(frozenset((b"cookie", b"x-user", b"x-gray-x")))

# --- what heads are made of ------------------------------------------------------------------------------------------

METHODS = st.sampled_from([b"GET", b"HEAD", b"POST", b"OPTIONS", b"PUT", b"BREW", b"get", b"CONNECT", b""])
TARGETS = st.one_of(
    st.sampled_from(
        [b"/", b"*", b"/a/../b", b"/..", b"/%2e%2e/x", b"http://b/x?y", b"http://b", b"b:80", b"/a#b", b""]
    ),
    st.text("/.%2eEfF?#&=a:@*", max_size=12).map(str.encode),
)
VERSIONS = st.sampled_from([b"HTTP/1.1"] * 6 + [b"HTTP/1.0", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/1.2", b"http/1.1", b""])
NAMES = st.one_of(
    st.sampled_from(
        [b"Host", b"host", b"Content-Length", b"Transfer-Encoding", b"Connection", b"TE", b"Upgrade", b"Keep-Alive",
         b"Proxy-Connection", b"X-Forwarded-For", b"x_forwarded_for", b"X-Real-IP", b"X-Gray-Version", b"Forwarded",
         b"X-Request-Id", b"Cookie", b"X-User", b"Expect", b"Trailer", b"A", b"Proxy-Authorization"]
    ),
    st.binary(max_size=4),
)  # fmt: skip
VALUES = st.one_of(
    st.sampled_from(
        [b"a", b"a:80", b"", b"0", b"5", b"5, 5", b"+5", b"chunked", b"Chunked", b"gzip, chunked", b"identity",
         b"close", b"keep-alive", b"host", b"content-length, x-user", b"transfer-encoding", b"upgrade",
         b"x-user, te, close", b"websocket", b"h2c", b"6.6.6.6", b"100-continue",
         b"\xe9\xff", b"a\tb", b"a\rb", b"a\nb", b"a\x00b"]
    ),
    st.binary(max_size=6),
)  # fmt: skip
COLONS = st.sampled_from([b": "] * 8 + [b":", b":\t", b" : ", b""])
ENDS = st.sampled_from([b"\r\n"] * 12 + [b"\n", b"\r", b"\r\n ", b"\r\r\n"])
FIELDS = st.tuples(NAMES, COLONS, VALUES, ENDS).map(b"".join)
HOSTS = st.sampled_from([b"Host: a\r\n"] * 8 + [b"Host: a:80\r\n", b"Host:\r\n", b"", b"host : a\r\n"])


@st.composite
def mutated(draw: st.DrawFn, messages: st.SearchStrategy[bytes]) -> bytes:
    """A message with a few bytes changed, taken out or put in."""
    message = bytearray(draw(messages))
    for _ in range(draw(st.sampled_from([0, 0, 0, 0, 1, 2]))):
        at = draw(st.integers(0, len(message)))
        message[at : at + draw(st.integers(0, 2))] = draw(
            st.sampled_from([b"", b"\r\n", b" ", b"\n", b"\x00", b":", b"x"])
        )
    return bytes(message)


REQUEST_LINES = st.tuples(METHODS, st.just(b" "), TARGETS, st.just(b" "), VERSIONS, st.just(b"\r\n")).map(b"".join)
REQUESTS = mutated(st.tuples(REQUEST_LINES, HOSTS, st.lists(FIELDS, max_size=5).map(b"".join)).map(b"".join))
STATUS_LINES = st.tuples(
    st.sampled_from([b"HTTP/1.1 ", b"HTTP/1.0 ", b"HTTP/2 ", b""]),
    st.sampled_from([b"200 OK", b"204 ", b"304", b"100 Continue", b"101 x", b"099 x", b"2000", b"\xe9", b"500 \x01"]),
    st.just(b"\r\n"),
).map(b"".join)
RESPONSES = mutated(st.tuples(STATUS_LINES, st.lists(FIELDS, max_size=5).map(b"".join)).map(b"".join))


def naive(head: bytes) -> tuple[list[bytes], list[tuple[bytes, bytes]]]:
    """Start line and fields by the book (RFC 9112 section 5); shares nothing with the proxy. May raise ValueError."""
    assert head.endswith(b"\r\n\r\n")
    first, *lines = head[:-4].split(b"\r\n")
    fields = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if (
            not colon
            or not re.fullmatch(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name)
            or re.search(rb"[\x00-\x08\n-\x1f\x7f]", value)
        ):
            raise ValueError(line)
        fields.append((name.lower(), value.strip(b" \t")))
    return first.split(b" ", 2), fields


def values(fields: list[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    return [value for key, value in fields if key == name]


def private(name: bytes) -> bool:
    plain = name.replace(b"_", b"-")
    return name in HOP_BY_HOP or name == b"forwarded" or plain.startswith((b"x-forwarded-", b"x-gray-", b"x-real-ip"))


# --- heads -----------------------------------------------------------------------------------------------------------


@QUICK
@given(REQUESTS)
@example(b"GET / HTTP/1.1\r\nHost:\r\n")
@example(b"GET / HTTP/1.0\r\nX-Forwarded-For: 6.6.6.6\r\n")
def test_request_heads(head: bytes) -> None:
    """The reader raises only BadRequest; what it accepts, a naive reader reads alike; what goes on is well-formed."""
    raw = head.split(b"\r\n\r\n")[0].removesuffix(b"\r\n") + b"\r\n\r\n"
    try:
        read = READER.read(raw)
        length = request_length(read.fields, read.minor)
        PEER.admit(read)
    except BadRequest:
        return
    (method, target, version), fields = naive(raw)
    assert (read.method, read.target) == (method, target)
    assert re.fullmatch(rb"HTTP/1\.[1-9]" if read.minor else rb"HTTP/1\.0", version)  # a later one is read as 1.1
    for name in (b"content-length", b"transfer-encoding", b"cookie", b"connection"):
        assert list(read.fields.get(name, ())) == values(fields, name)
    check_forwarded(read, length, fields)


def check_forwarded(read: RequestHead, length: int, before: list[tuple[bytes, bytes]]) -> None:
    (method, target, version), fields = naive(forward_request(read, PEER, b"ID", b"Via: v\r\n\r\n", b"", b"up:80"))
    assert (method, version) == (read.method, b"HTTP/1.1") and target[:1] in (b"/", b"*")
    assert len(values(fields, b"host")) == 1 and values(fields, b"host")[0]
    for name in (b"content-length", b"transfer-encoding"):
        assert values(fields, name) == values(before, name)
    assert request_length({key: tuple(values(fields, key)) for key, _ in fields}, 1) == length
    ours = {b"x-forwarded-for": [b"192.0.2.1"], b"x-forwarded-proto": [b"http"], b"x-request-id": [b"ID"]}
    for name, _ in fields:
        if name in ours:
            assert values(fields, name) == ours[name]
        else:
            assert not private(name) or (name == b"x-forwarded-host" and len(values(fields, name)) == 1)
    named = nominated(read.fields) if b"connection" in read.fields else []
    named += [b"host", b"x-request-id"] + ([] if read.minor else [b"expect"])
    kept = [field for field in before if not private(field[0]) and field[0] not in named]
    own = (*ours, b"via", b"host", b"x-forwarded-host")
    assert [field for field in fields if field[0] not in own] == [field for field in kept if field[0] not in own]


@QUICK
@given(
    REQUESTS, st.sets(st.sampled_from(["cookie", "x-a", "accept"])), st.booleans(), st.sampled_from([b"", b"in:8080"])
)
@example(b"GET http://a/b HTTP/1.1\r\nHost: c\r\n", set(), False, b"in:80")
@example(b"GET / HTTP/1.0\r\n", set(), True, b"in:80")
@example(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: cookie, x-a\r\nX-A: b\r\nCookie: c=d\r\n", {"x-a"}, True, b"")
def test_edited_request_heads(head: bytes, cut: set[str], moved: bool, host: bytes) -> None:
    """Edits change what they name, and nothing else of what a service hears."""
    raw = head.split(b"\r\n\r\n")[0].removesuffix(b"\r\n") + b"\r\n\r\n"
    try:
        read = READER.read(raw)
        PEER.admit(read)
    except BadRequest:
        return
    target = (lambda _: b"/moved") if moved else own_target if host else None
    edited = RequestEdits(FieldEdits(frozenset(cut)), target, host)(read)
    (method, asked, _), before = naive(forward_request(read, PEER, b"ID", b"Via: v\r\n\r\n", b"", b"up:80"))
    (*line, version), after = naive(forward_request(edited, PEER, b"ID", b"Via: v\r\n\r\n", b"", b"up:80"))
    assert line[0] == method and version == b"HTTP/1.1" and (line[1] == b"/moved" or not moved)
    assert moved or host or line[1] == asked
    assert values(after, b"host") == ([host] if host else values(before, b"host"))
    moving = (b"host", b"x-forwarded-host")
    assert [field for field in after if field[0] not in moving] == [
        field for field in before if field[0] not in moving and field[0].decode() not in cut
    ]
    if read.host:
        assert values(after, b"x-forwarded-host") == values(before, b"x-forwarded-host")


@QUICK
@given(RESPONSES, st.sampled_from([b"GET", b"HEAD"]))
def test_response_heads(head: bytes, method: bytes) -> None:
    """Only BadResponse; the framing that was read is the one that goes on, and no field of one connection does."""
    raw = head.split(b"\r\n\r\n")[0].removesuffix(b"\r\n") + b"\r\n\r\n"
    try:
        read = read_response_head(raw)
        length = response_length(method, read.status, read.fields, read.minor)
    except BadResponse:
        return
    _, fields = naive(read.raw)  # without spaces before colons
    assert read.size == len(raw)
    for name in (b"content-length", b"transfer-encoding", b"connection"):
        assert list(read.fields.get(name, ())) == values(fields, name)
    (version, status, *_), after = naive(forward_response(read, b"A: b\r\n"))
    assert (version, int(status)) == (b"HTTP/1.1", read.status)
    assert not [name for name, _ in after if name in HOP_BY_HOP]
    framing = values(after, b"content-length") + values(after, b"transfer-encoding")
    assert len(framing) <= 1 and not (length > 0 and values(after, b"content-length") != [b"%d" % length] and (
        int(values(after, b"content-length")[0]) != length))  # fmt: skip


@QUICK
@given(st.binary(max_size=60))
def test_noise(noise: bytes) -> None:
    """Bytes of no kind at all."""
    with suppress(BadRequest):
        READER.read(noise + b"\r\n\r\n")
    with suppress(BadResponse):
        read_response_head(noise + b"\r\n\r\n")


# --- chunks ----------------------------------------------------------------------------------------------------------

SIZES = st.sampled_from(
    [b"1\r\na\r\n", b"3\r\nabc\r\n", b"A;x=y\r\n0123456789\r\n", b"0\r\n", b"00\r\n", b"1\na\n", b"g\r\n"]
)
CHUNKS = mutated(
    st.tuples(
        st.lists(SIZES, max_size=5).map(b"".join),
        st.sampled_from([b"0\r\n\r\n", b"0\r\nA: b\r\n\r\n", b"0\r\nHost: b\r\n\r\n", b""]),
        st.sampled_from([b"", b"GET / HTTP/1.1\r\n"]),
    ).map(b"".join)
)


def naive_end(body: bytes) -> int | None:
    """Where a chunked body ends: -1 if it goes on, None if it is malformed as far as it has come."""
    at = 0
    while True:
        stop = body.find(b"\n", at)
        if stop < 0:
            return -1
        line = re.fullmatch(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[^\x00-\x08\n-\x1f\x7f]*)?\r\n", body[at : stop + 1])
        if not line:
            return None
        at, size = stop + 1, int(line[1], 16)
        if not size:
            break
        if len(body) <= at + size:
            return -1
        at += size
        stop = body.find(b"\n", at)
        if stop < 0:
            return -1
        if body[at : stop + 1] != b"\r\n":
            return None
        at += 2
    while (stop := body.find(b"\n", at)) >= 0:
        line = body[at : stop + 1]
        at = stop + 1
        if line == b"\r\n":
            return at
        name = re.fullmatch(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[^\x00-\x08\n-\x1f\x7f]*\r\n", line)
        if not name or name[1].lower() == b"host":
            return None
    return -1


@QUICK
@given(CHUNKS, st.lists(st.integers(1, 6), max_size=60), st.booleans())
def test_chunks(body: bytes, sizes: list[int], decode: bool) -> None:
    """However a chunked body is cut, its end is where a naive decoder finds it, and the only error is ValueError."""
    chunks, at, end = ChunkedBody(decode), 0, -1
    try:
        for size in [*sizes, len(body)]:
            piece = body[at : at + size]
            end = chunks.end(piece) if piece else -1
            if end >= 0:
                end += at
                break
            at += size
    except ValueError:
        assert naive_end(body) is None
        return
    expected = naive_end(body)
    assert end == expected or (expected is None and end == -1 and not body.endswith(b"\n"))


# --- the whole proxy -------------------------------------------------------------------------------------------------

BODIES = st.one_of(st.just(b""), CHUNKS, st.binary(max_size=20))
STREAMS = st.one_of(
    st.lists(st.tuples(REQUESTS, st.just(b"\r\n"), BODIES).map(b"".join), min_size=1, max_size=3).map(b"".join),
    st.binary(max_size=80),
)


class Checking(Upstream):
    """An upstream that reads each head by the book and holds it to what the proxy promises."""

    def check(self) -> None:
        for head in self.heads:
            (method, _, version), fields = naive(head)
            assert version == b"HTTP/1.1" and method.isupper()
            assert len(values(fields, b"host")) == len(values(fields, b"x-forwarded-for")) == 1
            assert values(fields, b"x-forwarded-for") == [b"127.0.0.1"]
            assert values(fields, b"x-gray-version") == [b"v1"]
            assert len(values(fields, b"content-length") + values(fields, b"transfer-encoding")) <= 1
            length = request_length({name: tuple(values(fields, name)) for name, _ in fields}, 1)
            assert length == CHUNKED or length >= 0
        self.heads.clear()
        self.heard.clear()


async def throw(the: Stage, upstream: Checking, pieces: list[bytes]) -> None:
    async with the.client() as client:
        await client.say(*pieces)
        client.writer.write_eof()
        await client.hear_all()
    await until(lambda: not the.listener.connections, "the client's connection ends")
    upstream.check()


@pytest.fixture(scope="module")
def runner() -> object:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield runner


@SLOW
@given(st.lists(st.tuples(STREAMS, st.integers(1, 200)), min_size=4, max_size=8))
def test_no_stream_of_requests_breaks_the_proxy(runner: asyncio.Runner, streams: list[tuple[bytes, int]]) -> None:
    """Nothing crashes, nothing stays in flight, and the upstream hears well-formed requests only."""

    async def go() -> None:
        upstream = Checking()
        async with stage(upstream) as the:
            for stream, cut in streams:
                await throw(the, upstream, [stream[:cut], stream[cut:]])
            assert b"tail" in await the.ask(TAIL)

    runner.run(go())


@SLOW
@given(st.lists(st.tuples(RESPONSES, BODIES, st.integers(1, 99)), min_size=2, max_size=5))
def test_no_response_breaks_the_proxy(runner: asyncio.Runner, answers: list[tuple[bytes, bytes, int]]) -> None:
    """Whatever the upstream answers, nothing crashes, nothing stays in flight, the next request is served."""

    async def go() -> None:
        async with stage(Upstream()) as the:
            for head, body, cut in answers:
                data = head + b"\r\n" + body
                the.upstream.script(*[Answer([data[:cut], data[cut:]], close=True)] * 3)
                heard = await the.ask(wire("GET / HTTP/1.1", "Host: a", "Connection: close"))
                assert not heard or heard.startswith(b"HTTP/1.1 ")
            the.upstream.script(OK)
            assert b"tail" in await the.ask(TAIL)

    runner.run(go())
