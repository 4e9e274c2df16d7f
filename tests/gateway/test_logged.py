"""proxy/gateway/logged.py: each request leaves one line, which says what became of it and who is at fault."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from proxy.observe.access_log import AccessLog, open_access_log
from proxy.rules.model import Otherwise, Retry, Timeouts
from tests.talk import NOBODY, OK, Answer, Upstream, rules, stage, until, wire

GET = wire("GET /a?b=c HTTP/1.1", "Host: shop.example.com:80", "User-Agent: test/1", "Connection: close")
NEVER_AGAIN = Retry(attempts=0)
Read = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "access.log"


@pytest.fixture
def log(path: Path) -> AccessLog:
    log = open_access_log(str(path))
    assert log is not None
    return log


@pytest.fixture
def read(log: AccessLog, path: Path) -> Read:
    """The lines, when all requests have ended."""

    def read() -> list[dict[str, Any]]:
        log.close()
        return [json.loads(line) for line in path.read_text().splitlines()]

    return read


async def test_a_request_that_went_well(log: AccessLog, read: Read) -> None:
    """Every field; the flag is empty; the id is the one the service saw."""
    async with stage(access_log=log) as the:
        await the.ask(GET)
        heard = the.upstream.heard[0]
    (line,) = read()
    assert 0 < line.pop("upstream_ms") <= line.pop("duration_ms") < 10_000
    assert line.pop("time").endswith("Z")
    assert b"X-Request-Id: " + line.pop("request_id").encode() in heard
    assert line == {
        "client": "127.0.0.1", "method": "GET", "host": "shop.example.com", "target": "/a?b=c", "status": 200,
        "flag": "", "route": "r", "service": "s", "version": "v1", "rule": "", "reason": "default",
        "endpoint": the.upstream.url, "tries": 1, "request_bytes": 0, "response_bytes": 2, "trace_id": "",
        "user_agent": "test/1", "generation": 1,
    }  # fmt: skip


async def test_bytes_are_those_of_the_bodies(log: AccessLog, read: Read) -> None:
    """As they passed, in however many pieces; as grayhound_request_bytes_total counts them."""
    answer = [wire("HTTP/1.1 200 OK", "Content-Length: 6"), b"abc", b"def"]
    head = wire("POST / HTTP/1.1", "Host: a", "Content-Length: 5", "Connection: close")
    async with stage(Answer(answer), access_log=log) as the:
        await the.ask(head + b"ab", b"cde")
        counts = the.version()
        assert (counts.request_bytes, counts.response_bytes) == (5, 6)
    (line,) = read()
    assert (line["request_bytes"], line["response_bytes"]) == (5, 6)


async def test_lines_stand_in_the_order_of_the_answers(log: AccessLog, read: Read) -> None:
    """Pipelined requests on one connection; ids differ."""
    many = b"".join(wire(f"GET /{number} HTTP/1.1", "Host: a") for number in range(9))
    async with stage(access_log=log) as the:
        await the.ask(many + GET)
    lines = read()
    assert [line["target"] for line in lines] == [*(f"/{number}" for number in range(9)), "/a?b=c"]
    assert len({line["request_id"] for line in lines}) == 10


async def test_a_further_try_keeps_the_id(log: AccessLog, read: Read) -> None:
    """One request is one line, with the tries it took and the endpoint that answered at last; all tries bear one id."""
    bad = wire("HTTP/1.1 503 Busy", "Content-Length: 4", body=b"busy")
    async with stage(bad, OK, retry=Retry(attempts=1, statuses=(503,)), access_log=log) as the:
        while not the.upstreams[0].heard:
            await the.ask(GET)
        ids = [heard.split(b"X-Request-Id: ")[1][:24].decode() for heard in the.upstreams[0].heard]
        again = [heard.split(b"X-Request-Id: ")[1][:24].decode() for heard in the.upstreams[1].heard]
    line = read()[-1]
    assert (line["status"], line["tries"], line["flag"], line["response_bytes"]) == (200, 2, "", 2)
    assert line["endpoint"] == the.upstreams[1].url
    assert line["request_id"] in ids and line["request_id"] in again


async def test_a_version_that_stands_in_is_named(log: AccessLog, read: Read) -> None:
    """The version that served, and `fallback` as the reason."""

    def file(urls: list[str]) -> Any:
        return rules({"v1": urls, "v2": [NOBODY]}, fallback="stable")

    async with stage(rule_file=file, access_log=log) as the:
        await the.ask(wire("GET / HTTP/1.1", "Host: a", "X-Want: v2", "Connection: close"))
    (line,) = read()
    assert (line["version"], line["rule"], line["status"], line["flag"]) == ("v1", "v2", 200, "")
    assert line["reason"] in ("fallback", "rescue") and line["tries"] >= 1


async def test_who_failed(log: AccessLog, read: Read) -> None:
    """No connection, a reset before the head and within the body, no HTTP: each has its flag, status and endpoint."""
    cut = wire("HTTP/1.1 200 OK", "Content-Length: 9", body=b"four")
    script = [Answer(b"", close=True), Answer(cut, close=True), Answer(b"nonsense\r\n\r\n", close=True)]
    async with stage(Upstream(*script), retry=NEVER_AGAIN, access_log=log) as the:
        for _ in script:
            await the.ask(GET)
    async with stage(rule_file=lambda _: rules({"v1": [NOBODY]}, retry=NEVER_AGAIN), access_log=log) as nobody:
        await nobody.ask(GET)
    found = [(line["flag"], line["status"], line["response_bytes"], line["tries"]) for line in read()]
    assert found == [
        ("upstream_reset", 502, 0, 1),
        ("upstream_reset", 200, 4, 1),
        ("upstream_protocol", 502, 0, 1),
        ("upstream_connect", 502, 0, 1),
    ]


async def test_time_outs_say_whose(log: AccessLog, read: Read) -> None:
    """An endpoint that does not answer, and a client that does not send its body."""
    gate = asyncio.Event()
    async with stage(Answer(gate=gate), timeouts=Timeouts(response=5, idle=5), access_log=log) as the:
        async with the.client() as slow:
            await slow.say(wire("POST / HTTP/1.1", "Host: a"))
            await until(lambda: the.upstream.heard, "the request arrives")
            the.later(6)
            assert b" 504 " in await slow.hear_head()
        async with the.client() as lazy:
            await lazy.say(wire("POST / HTTP/1.1", "Host: a", "Content-Length: 5") + b"abc")
            await until(lambda: len(the.upstream.heads) == 2, "the head arrives")
            the.later(6)
            assert b" 408 " in await lazy.hear_head()
        gate.set()
    assert [line["flag"] for line in read()] == ["upstream_timeout", "client_timeout"]


async def test_a_client_that_leaves(log: AccessLog, read: Read) -> None:
    """499 before the answer has begun; its own status afterwards; cut by our own end, it did not leave."""
    gate = asyncio.Event()
    part = wire("HTTP/1.1 200 OK", "Content-Length: 9", body=b"four")
    async with stage(Upstream(Answer(gate=gate), Answer(part, early=True)), access_log=log) as the:
        async with the.client() as client:
            await client.say(GET)
            await until(lambda: the.upstream.heard, "the request arrives")
            client.leave()
            await until(lambda: not the.listener.connections, "the client is gone")
        gate.set()
        async with the.client() as client:
            await client.say(GET)
            await client.hear_head()
            log.ending = True
            the.gateway.close()
    found = [(line["flag"], line["status"], line["response_bytes"]) for line in read()]
    assert found == [("client_gone", 499, 0), ("proxy_drain", 200, 4)]


async def test_what_the_proxy_answers_itself(log: AccessLog, read: Read) -> None:
    """By a rule; and where no route leads."""

    def file(urls: list[str]) -> Any:
        made = rules({"v1": urls})
        route = replace(made.routes[0], hosts=("shop.example.com",), otherwise=Otherwise("status", status=410))
        return replace(made, routes=(route,))

    async with stage(rule_file=file, access_log=log) as the:
        await the.ask(GET)
        await the.ask(wire("GET / HTTP/1.1", "Host: other", "Connection: close"))
    found = [(line["flag"], line["status"], line["route"], line["endpoint"], line["tries"]) for line in read()]
    assert found == [("proxy_rule", 410, "r", "", 0), ("proxy_no_route", 404, "", "", 0)]


async def test_refused_requests_say_what_is_known(log: AccessLog, read: Read) -> None:
    """Method, target, host and user agent as far as they came; forged lines stay within their values."""
    two = wire("GET /two HTTP/1.1", "Host: a", "Content-Length: 1", "Transfer-Encoding: chunked", "User-Agent: x")
    async with stage(access_log=log) as the:
        await the.ask(two)
        await the.ask(b'GET /" HTTP/1.1\r\nHost: a\nUser-Agent: "}\\\r\n\r\n')
        await the.ask(b"\x16\x03\x01\x02\r\n\r\n")
        async with the.client() as client:
            await client.say(b"GET /half HTTP/1.1\r\nHo")
            await until(lambda: any(one._buffer for one in the.listener.connections), "half a head is there")
            the.later(60)
            assert b" 408 " in await client.hear_head()
    lines = read()
    names = ("flag", "status", "method", "target", "host", "user_agent")
    assert [tuple(line[name] for name in names) for line in lines] == [
        ("client_bad_request", 400, "GET", "/two", "a", "x"),
        ("client_bad_request", 400, "GET", '/"', "a", '"}\\'),
        ("client_bad_request", 400, "", "", "", ""),
        ("client_timeout", 408, "GET", "/half", "", ""),
    ]
    assert {one["client"] for one in lines} == {"127.0.0.1"}


async def test_a_tunnel_leaves_its_line_when_it_ends(log: AccessLog, read: Read) -> None:
    """With status 101, and the bytes of both ways."""
    upgraded = wire("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: x", body=b"early")
    ask = wire("GET /ws HTTP/1.1", "Host: a", "Connection: Upgrade", "Upgrade: x")
    async with stage(Answer(upgraded), access_log=log) as the, the.client() as client:
        await client.say(ask)
        await client.hear_head()
        assert await client.hear(5) == b"early"
        await client.say(b"to the service")
        await until(lambda: the.version().request_bytes, "the bytes pass")
        log.flush()
        assert not log._entries and log._sink._put_lines == 0
    (line,) = read()
    assert (line["status"], line["flag"], line["target"], line["tries"]) == (101, "", "/ws", 1)
    assert (line["request_bytes"], line["response_bytes"], line["endpoint"]) == (14, 5, the.upstream.url)


async def test_what_trusted_proxies_say(log: AccessLog, read: Read) -> None:
    """The client, its id and its trace are theirs; a stranger's id is not believed."""
    trace = "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    ask = wire(
        "GET / HTTP/1.1", "Host: a", "X-Forwarded-For: 192.0.2.1", "X-Request-Id: i d", trace, "Connection: close"
    )
    async with stage(trusted=("127.0.0.1",), access_log=log) as the:
        await the.ask(ask)
    async with stage(access_log=log) as the:
        await the.ask(ask)
    trusted, stranger = read()
    assert (trusted["client"], trusted["request_id"]) == ("192.0.2.1", "i d")
    assert stranger["client"] == "127.0.0.1" and len(stranger["request_id"]) == 24
    assert trusted["trace_id"] == stranger["trace_id"] == "0af7651916cd43dd8448eb211c80319c"


async def test_the_generation_is_that_of_the_requests_rules(log: AccessLog, read: Read) -> None:
    """Not that of a reload that came meanwhile."""
    gate = asyncio.Event()
    async with stage(Answer(gate=gate), access_log=log) as the:
        async with the.client() as client:
            await client.say(GET)
            await until(lambda: the.upstream.heard, "the request arrives")
            the.gateway.apply(2, rules({"v1": [the.upstream.url]}))
            gate.set()
            await client.hear_all()
        await the.ask(GET)
    assert [line["generation"] for line in read()] == [1, 2]


async def test_a_tunnel_that_the_drain_ends_says_so(log: AccessLog, read: Read) -> None:
    """Neither side wished it."""
    upgraded = wire("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: x")
    ask = wire("GET /ws HTTP/1.1", "Host: a", "Connection: Upgrade", "Upgrade: x")
    async with stage(Answer(upgraded), access_log=log) as the, the.client() as client:
        await client.say(ask)
        await client.hear_head()
        the.gateway.hang_up()
        assert await client.hear_all() == b""
    (line,) = read()
    assert (line["status"], line["flag"]) == (101, "proxy_drain")


async def test_a_client_that_does_not_read(log: AccessLog, read: Read) -> None:
    """Its answer is cut short, and the endpoint is not to blame."""
    size = 32 << 20
    answer = [wire("HTTP/1.1 200 OK", f"Content-Length: {size}"), b"x" * size]
    async with stage(Answer(answer), timeouts=Timeouts(idle=5), access_log=log) as the, the.client() as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.say(GET)
        await until(lambda: any(one._blocked for one in the.listener.connections), "the client is blocked")
        for _ in range(3):
            the.later(600)
        await until(lambda: not the.version().in_flight, "it is over")
        client.leave()
    (line,) = read()
    assert (line["flag"], line["status"]) == ("client_slow", 200)
    assert 0 < line["response_bytes"] < size
