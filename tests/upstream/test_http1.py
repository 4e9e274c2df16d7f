"""proxy/upstream/http1.py: one request at a time, and what came back is told as it was framed."""

from __future__ import annotations

import pytest

from proxy.http.framing import CHUNKED, UNTIL_CLOSE
from proxy.upstream.http1 import INTERIM_HEADS_MAX, RESPONSE_HEAD_BYTES_MAX, WRITE_HIGH_BYTES
from tests.talk import OK, Answer, Upstream, until, wire
from tests.upstream.sink import Ear, pool_of

IN_CHUNKS = wire("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=b"2\r\nab\r\n0\r\n\r\n")
NAMED = wire("HTTP/1.1 200 OK", "Connection: x", "Transfer-Encoding: chunked")


async def asked(*answers: Answer | bytes, line: str = "GET / HTTP/1.1", end: str = "head") -> tuple[Ear, int]:
    """What is heard for one request, and whether the connection was kept."""
    async with pool_of(Upstream(*answers)) as pool:
        ear = Ear()
        assert pool.ask(ear, 5)
        await ear.hears("connected")
        ear.says(line)
        await ear.hears(end)
        await until(lambda: ear.heard[-1][-1] is not False or ear.heard[-1][0] == "failed", "it ends")
        await until(lambda: pool.open == len(pool._idle), "the connection is at rest")
        return ear, pool.open


@pytest.mark.parametrize(
    ("answer", "line", "told", "kept"),
    [
        (OK, "GET / HTTP/1.1", ("head", 200, 2, b"ok", True), 1),
        (OK + b"x", "GET / HTTP/1.1", ("head", 200, 2, b"ok", True), 0),
        (wire("HTTP/1.1 204 x"), "GET / HTTP/1.1", ("head", 204, 0, b"", True), 1),
        (wire("HTTP/1.1 200 x", "Content-Length: 9"), "HEAD / HTTP/1.1", ("head", 200, 0, b"", True), 1),
        (wire("HTTP/1.1 200 x", "Content-Length: 0", "Connection: close"), "GET / HTTP/1.1",
         ("head", 200, 0, b"", True), 0),
        (wire("HTTP/1.0 200 x", "Content-Length: 0"), "GET / HTTP/1.1", ("head", 200, 0, b"", True), 0),
        (IN_CHUNKS, "GET / HTTP/1.1", ("head", 200, CHUNKED, b"2\r\nab\r\n0\r\n\r\n", True), 1),
        (IN_CHUNKS + b"x", "GET / HTTP/1.1", ("head", 200, CHUNKED, b"2\r\nab\r\n0\r\n\r\n", True), 0),
        (IN_CHUNKS, "GET / HTTP/1.0", ("head", 200, CHUNKED, b"ab", True), 1),
    ],
    ids=["length", "length and more", "204", "HEAD", "close", "HTTP/1.0", "chunks", "chunks and more", "decoded"],
)  # fmt: skip
async def test_whole_response(answer: bytes, line: str, told: tuple[object, ...], kept: int) -> None:
    """Head and body in one piece; kept if its end is certain and nothing came after it."""
    ear, left = await asked(answer, line=line)
    assert ear.heard[1:] == [told]
    assert left == kept


@pytest.mark.parametrize("line", ["GET / HTTP/1.1", "GET / HTTP/1.0"])
@pytest.mark.parametrize("answer", [OK, IN_CHUNKS], ids=["length", "chunks"])
async def test_response_byte_by_byte(answer: bytes, line: str) -> None:
    """The same in pieces."""
    ear, kept = await asked(Answer([answer[at : at + 1] for at in range(len(answer))]), line=line)
    body = answer.partition(b"\r\n\r\n")[2]
    assert ear.body() == (b"ab" if line.endswith("0") and answer is IN_CHUNKS else body)
    assert [told[-1] for told in ear.heard[1:]].count(True) == 1 and ear.heard[-1][-1] is True
    assert kept == 1


async def test_until_close() -> None:
    """An orderly end is the body's end; a reset is not."""
    answer = wire("HTTP/1.1 200 OK", body=b"ab")
    ear, kept = await asked(Answer(answer, close=True))
    assert ear.heard[1][:3] == ("head", 200, UNTIL_CLOSE)
    assert ear.body() == b"ab" and ear.heard[-1] == ("body", b"", True) and not kept
    ear, _ = await asked(Answer(answer, reset=True), end="failed")
    assert ear.heard[-1] == ("failed", "reset", True)


@pytest.mark.parametrize(
    ("answer", "flag", "started"),
    [
        (Answer(b"", close=True), "reset", False),
        (Answer(b"HTTP/1.1", close=True), "reset", True),
        (Answer(wire("HTTP/1.1 200 OK", "Content-Length: 5", body=b"a"), close=True), "reset", True),
        (Answer(b"nonsense\r\n\r\n"), "protocol", False),
        (Answer(wire("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=b"x\r\n")), "protocol", True),
        (Answer([wire("HTTP/1.1 200 OK", "Transfer-Encoding: chunked"), b"x\r\n"]), "protocol", True),
        (Answer(NAMED + b"0\r\nX: 1\r\n\r\n"), "protocol", True),
        (Answer(wire("HTTP/1.1 100 Continue") * (INTERIM_HEADS_MAX + 1)), "protocol", False),
        (Answer(b"HTTP/1.1 200 OK\r\nA: " + b"x" * (RESPONSE_HEAD_BYTES_MAX + 1)), "protocol", True),
    ],
    ids=[
        "nothing",
        "half a line",
        "half a body",
        "noise",
        "bad chunks",
        "bad chunks later",
        "a trailer of the connection",
        "too many 1xx",
        "too large",
    ],
)
async def test_response_that_fails(answer: Answer, flag: str, started: bool) -> None:
    """Whose fault it was, and whether bytes of it had come; the connection is gone."""
    ear, kept = await asked(answer, end="failed")
    assert ear.heard[-1] == ("failed", flag, started)
    assert not kept


async def test_interim_responses() -> None:
    """Each is told, then the final one."""
    ear, kept = await asked(wire("HTTP/1.1 100 Continue") + wire("HTTP/1.1 103 Early Hints") + OK)
    assert ear.heard[1:] == [("interim", 100), ("interim", 103), ("head", 200, 2, b"ok", True)]
    assert kept


async def test_response_before_the_request_has_ended_spoils_the_connection() -> None:
    """The rest of the request would be read as the next one."""
    async with pool_of(Upstream(Answer(OK, early=True))) as pool:
        ear = Ear()
        assert pool.ask(ear, 5)
        await ear.hears("connected")
        ear.says("POST / HTTP/1.1", "Content-Length: 5", body=b"a", done=False)
        await ear.hears("head")
        await until(lambda: pool.open == 0, "the connection ends")


async def test_reset_is_not_heard_by_who_asked_for_it() -> None:
    """The exchange has given up: it hears no more."""
    async with pool_of(Upstream(Answer([OK[:-1]]))) as pool:
        ear = Ear()
        assert pool.ask(ear, 5)
        await ear.hears("connected")
        ear.says("GET / HTTP/1.1")
        await ear.hears("head")
        assert ear.connection is not None
        ear.connection.reset()
        count = len(ear.heard)
        await until(lambda: pool.open == 0, "the connection ends")
        ear.connection.send_body(b"x", True)  # too late, and no harm
        assert len(ear.heard) == count


async def test_slow_upstream_blocks_the_request() -> None:
    """Told once when the buffer is full, and once when it has room."""
    upstream = Upstream()
    async with pool_of(upstream) as pool:
        ear = Ear()
        assert pool.ask(ear, 5)
        await ear.hears("connected")
        size = 64 * WRITE_HIGH_BYTES
        ear.says("POST / HTTP/1.1", f"Content-Length: {size}", body=b"x" * size)
        assert ("blocked",) in ear.heard
        await ear.hears("head")
        assert ear.heard.count(("blocked",)) == ear.heard.count(("unblocked",)) == 1
        assert len(upstream.heard[0]) > size


async def test_upgrade_hands_the_bare_connection_over() -> None:
    """It is the pool's no more, though it counts there till it ends; what came through it already goes along."""
    async with pool_of(Upstream(wire("HTTP/1.1 101 x", "Connection: Upgrade", "Upgrade: x") + b"hi")) as pool:
        ear = Ear()
        assert pool.ask(ear, 5)
        await ear.hears("connected")
        ear.says("GET / HTTP/1.1")
        assert await ear.hears("upgraded") == ("upgraded", 101, b"hi")
        assert ear.connection is not None
        transport = ear.connection.detach()
        assert pool.open == 1
        transport.abort()
        pool.tunnel_ended()
        assert pool.open == 0
