"""proxy/gateway/{mirror,mirroring,shadow}.py: copies go out, and nobody who asked for anything notices."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from proxy.gateway import shadow
from proxy.gateway.retry import REPLAYED_BYTES_MAX
from proxy.observe.mirrors import ROOM_MIN
from proxy.rules.actions import Compare, HeaderChanges, Mirror, PathChange, Rewrite
from proxy.rules.health import PassiveHealth
from proxy.rules.model import Limits, Retry, RuleFile, Split
from proxy.rules.person import Sticky, StickyKey
from tests.talk import NOBODY, OK, Answer, Stage, Upstream, forwarded, masked, rules, stage, until, wire

GET = wire("GET /x HTTP/1.1", "Host: a", "Connection: close")
COMPARED = Mirror("v2", compare=Compare())


@pytest.fixture(autouse=True)
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests wait by turning the loop, which must not count as work."""
    monkeypatch.setattr(shadow, "thread_time", lambda: 0.0)


def mirroring(*mirrors: Mirror, **service: Any) -> Callable[[list[str]], RuleFile]:
    """v1 answers; the other upstreams are v2, v3, ... and get copies. X-Want names another version."""

    def build(urls: list[str]) -> RuleFile:
        made = rules({f"v{number}": [url] for number, url in enumerate(urls, 1)}, **service)
        return replace(made, routes=(replace(made.routes[0], mirror=mirrors or (Mirror("v2"),)),))

    return build


def results(made: Stage, version: str = "v2") -> dict[str, int]:
    return made.gateway._state.counters.mirror("s", version).results


def differences(made: Stage) -> dict[str, int]:
    return made.gateway._state.counters.mirror("s", "v2").differences


async def copies_end(made: Stage, count: int, version: str = "v2") -> dict[str, int]:
    """What became of so many copies."""
    await until(lambda: sum(results(made, version).values()) == count, f"{count} in {results(made, version)}")
    assert made.gateway._state.counters.mirror("s", version).in_flight == 0
    assert not made.gateway._shadows.open
    assert all(one.in_flight == 0 for one in made.gateway._shadows.registry._endpoints.values())
    return results(made, version)


# --- What is sent --------------------------------------------------------------------------------------------------


async def test_a_copy_says_what_it_is_and_the_rest_is_the_request_as_it_came() -> None:
    """X-Gray-Version names the version it is for, X-Gray-Mirror says what it is; the request's id is the same."""
    real, copy = Upstream(), Upstream(wire("HTTP/1.1 500 no", "Content-Length: 3", body=b"bad"))
    async with stage(real, copy, rule_file=mirroring()) as made:
        heard = await made.ask(wire("GET /x?q=1 HTTP/1.1", "Host: a", "Cookie: c=d", "Connection: close"))
        assert heard == wire("HTTP/1.1 200 OK", "Content-Length: 2", "Connection: close", body=b"ok")
        assert await copies_end(made, 1) == {"answered": 1}
    (first,), (second,) = real.heard, copy.heard
    mark = b"X-Gray-Version: v2\r\nX-Gray-Mirror: 1\r\n"
    assert second == first.replace(b"X-Gray-Version: v1\r\n", mark)
    assert masked(first) == forwarded("GET /x?q=1 HTTP/1.1", "Host: a", "Cookie: c=d")


async def test_a_client_cannot_pass_for_a_copy() -> None:
    """X-Gray-Mirror of a client's own does not reach a service."""
    async with stage(rule_file=lambda urls: rules({"v1": urls})) as made:
        await made.ask(wire("GET / HTTP/1.1", "Host: a", "X-Gray-Mirror: 1", "Connection: close"))
        assert b"X-Gray-Mirror" not in made.upstream.heard[0]


@pytest.mark.parametrize(
    ("said", "mirror", "copied"),
    [
        (GET, Mirror("v2"), True),
        (wire("HEAD / HTTP/1.1", "Host: a", "Connection: close"), Mirror("v2"), True),
        (wire("DELETE / HTTP/1.1", "Host: a", "Connection: close"), Mirror("v2"), False),
        (wire("DELETE / HTTP/1.1", "Host: a", "Connection: close"), Mirror("v2", methods=("DELETE",)), True),
        (GET, Mirror("v2", methods=("DELETE",)), False),
        (GET, Mirror("v2", percent=0.0), False),
        (wire("GET / HTTP/1.1", "Host: a", "X-Want: v2", "Connection: close"), Mirror("v2"), False),
        (wire("GET / HTTP/1.1", "Host: a", "X-Want: v3", "Connection: close"), Mirror("v2"), True),
        (wire("GET / HTTP/1.0", "Host: a"), Mirror("v2"), True),
        (wire("GET / HTTP/1.1", "Host: a", "Upgrade: x", "Connection: close, upgrade"), Mirror("v2"), True),
    ],
)
async def test_which_requests_are_copied(said: bytes, mirror: Mirror, copied: bool) -> None:
    """Those of the methods listed, by default GET and HEAD, that another version has answered."""
    bodiless = OK if not said.startswith(b"HEAD") else wire("HTTP/1.1 200 OK", "Content-Length: 2")
    async with stage(bodiless, bodiless, bodiless, rule_file=mirroring(mirror)) as made:
        await made.ask(said)
        await copies_end(made, int(copied))
        assert len(made.upstreams[1].heard) == copied or b"X-Want: v2" in said


@pytest.mark.parametrize(
    "said",
    [
        wire("POST / HTTP/1.1", "Host: a", "Content-Length: 5", "Connection: close", body=b"hello"),
        wire(
            "POST / HTTP/1.1",
            "Host: a",
            "Transfer-Encoding: chunked",
            "Connection: close",
            body=b"2\r\nhe\r\n0\r\n\r\n",
        ),
        wire("POST / HTTP/1.1", "Host: a", f"Content-Length: {REPLAYED_BYTES_MAX}", "Connection: close")
        + b"x" * REPLAYED_BYTES_MAX,
    ],
    ids=["length", "chunks", "as much as is kept"],
)
async def test_a_body_is_copied_as_it_was_framed(said: bytes) -> None:
    async with stage(OK, OK, rule_file=mirroring(Mirror("v2", methods=("POST",)))) as made:
        await made.ask(said[:60], said[60:])
        await copies_end(made, 1)
        real, copy = made.upstreams
        assert copy.heard[0].partition(b"\r\n\r\n")[2] == real.heard[0].partition(b"\r\n\r\n")[2]


async def test_a_request_with_a_larger_body_is_not_copied_but_counted() -> None:
    """One byte more than is kept for another try."""
    size = REPLAYED_BYTES_MAX + 1
    async with stage(OK, OK, rule_file=mirroring(Mirror("v2", methods=("POST",)))) as made:
        await made.ask(wire("POST / HTTP/1.1", "Host: a", f"Content-Length: {size}", "Connection: close") + b"x" * size)
        assert await copies_end(made, 1) == {"too_large": 1}
        assert made.upstreams[1].heads == []


async def test_a_copy_is_changed_as_a_request_to_its_version_would_be() -> None:
    """Header changes of route and version, rewrites; what the rules change of the real answer is not compared."""

    def build(urls: list[str]) -> RuleFile:
        made = mirroring(COMPARED)(urls)
        changes = {name: HeaderChanges(set=(("X-For", name),)) for name in ("v1", "v2")}
        service = made.services["s"]
        versions = {
            name: replace(version, request_headers=changes[name], response_headers=changes[name])
            for name, version in service.versions.items()
        }
        typed = HeaderChanges(set=(("Content-Type", "x/y"),))
        route = replace(made.routes[0], rewrite=Rewrite(path=PathChange("full", "/new")), response_headers=typed)
        return replace(made, services={"s": replace(service, versions=versions)}, routes=(route,))

    async with stage(OK, OK, rule_file=build) as made:
        heard = await made.ask(GET)
        assert b"X-For: v1\r\n" in heard and b"Content-Type: x/y\r\n" in heard
        assert await copies_end(made, 1) == {"same": 1}
        real, copy = (upstream.heard[0] for upstream in made.upstreams)
        assert real.startswith(b"GET /new HTTP/1.1\r\n") and b"\r\nX-For: v1\r\n" in real
        mark = b"X-Gray-Version: v2\r\nX-Gray-Mirror: 1\r\n"
        assert copy == real.replace(b"X-For: v1", b"X-For: v2").replace(b"X-Gray-Version: v1\r\n", mark)


async def test_each_mirror_gets_its_own_copy() -> None:
    async with stage(OK, OK, OK, rule_file=mirroring(Mirror("v2"), Mirror("v3"))) as made:
        await made.ask(GET)
        assert await copies_end(made, 1, "v2") == await copies_end(made, 1, "v3") == {"answered": 1}


async def test_a_rule_speaks_before_its_route() -> None:
    """Its own list stands in place of the route's, also if it is empty."""

    def build(urls: list[str]) -> RuleFile:
        made = mirroring(Mirror("v2"))(urls)
        route = made.routes[0]
        own = (
            replace(route.rules[0], version="v1", mirror=(Mirror("v3"),)),
            replace(route.rules[1], version="v1", mirror=()),
        )
        return replace(made, routes=(replace(route, rules=own),))

    async with stage(OK, OK, OK, rule_file=build) as made:
        await made.ask(wire("GET / HTTP/1.1", "Host: a", "X-Want: v2", "Connection: close"))
        assert await copies_end(made, 1, "v3") == {"answered": 1}
        await made.ask(wire("GET / HTTP/1.1", "Host: a", "X-Want: v3", "Connection: close"))
        await made.ask(GET)
        assert await copies_end(made, 1, "v2") == {"answered": 1}
        assert [len(one.heard) for one in made.upstreams] == [3, 1, 1]


async def test_all_of_a_persons_requests_are_copied_or_none() -> None:
    """`by: users`: the same people each time, about as many as the percentage says."""

    def build(urls: list[str]) -> RuleFile:
        made = mirroring(Mirror("v2", percent=0.5, by="users"))(urls)
        people = Sticky((StickyKey("query", "user"),), salt="s/r")
        rule = replace(made.routes[0].rules[0], match=None, version="", split=Split((("v1", 1.0),)), sticky=people)
        return replace(made, routes=(replace(made.routes[0], rules=(rule,)),))

    async with stage(OK, OK, rule_file=build) as made:
        async with made.client() as client:
            for user in [*range(40), *range(40)]:
                await client.say(wire(f"GET /?user={user} HTTP/1.1", "Host: a"))
                await client.hear(len(OK))
        count = len(made.upstreams[1].heads)
        await until(lambda: not made.gateway._shadows.open, "all copies end")
        asked = [head.split(b" ")[1] for head in made.upstreams[1].heads]
        assert 20 < count < 60 and all(asked.count(one) == 2 for one in asked)


async def test_what_the_proxy_itself_answers_is_not_copied() -> None:
    """Nor what no service has answered whole."""
    dead = Upstream()
    dead.url = NOBODY
    async with stage(dead, OK, rule_file=mirroring(retry=Retry(attempts=0))) as made:
        assert (await made.ask(GET)).startswith(b"HTTP/1.1 502 ")
        assert results(made) == {} and made.upstreams[1].heads == []


async def test_a_client_that_leaves_before_the_end_is_not_copied() -> None:
    real = Upstream(Answer(wire("HTTP/1.1 200 OK", "Content-Length: 9", body=b"half")))
    async with stage(real, OK, rule_file=mirroring()) as made:
        async with made.client() as client:
            await client.say(GET)
            await client.hear_head()
            client.leave()
        await made.settled()
        assert results(made) == {}


async def test_a_request_that_took_two_tries_is_copied_once_and_compared_with_the_last() -> None:
    bad = wire("HTTP/1.1 503 x", "Content-Length: 0")
    retry = Retry(attempts=1, statuses=(503,))
    async with stage(Upstream(bad, OK), OK, rule_file=mirroring(COMPARED, retry=retry)) as made:
        assert (await made.ask(GET)).startswith(b"HTTP/1.1 200 ")
        assert await copies_end(made, 1) == {"same": 1}
        assert len(made.upstreams[1].heard) == 1


async def test_answers_of_a_version_that_stands_in_are_copied_too() -> None:
    """The chosen version has no endpoint, v1 stands in, v2 gets the copy."""
    dead = Upstream()
    dead.url = NOBODY
    async with stage(OK, OK, dead, rule_file=mirroring()) as made:
        made.gateway.set_health({dead.url: False})
        await made.ask(wire("GET / HTTP/1.1", "Host: a", "X-Want: v3", "Connection: close"))
        assert await copies_end(made, 1) == {"answered": 1}


# --- What is compared ----------------------------------------------------------------------------------------------


def said(*lines: str, status: str = "200 OK", body: bytes = b"") -> bytes:
    return wire(f"HTTP/1.1 {status}", *lines, body=body)


PLAIN = said("Content-Length: 5", "Content-Type: text/plain", body=b"hello")
CHUNKS = said("Transfer-Encoding: chunked", "Content-Type: text/plain", body=b"5\r\nhello\r\n0\r\n\r\n")
SPLIT_CHUNKS = said(
    "content-type:  text/plain", "Transfer-Encoding: chunked", body=b"2\r\nhe\r\n3;x\r\nllo\r\n0\r\n\r\n"
)


@pytest.mark.parametrize(
    ("real", "copy", "kinds"),
    [
        (PLAIN, PLAIN, set()),
        (PLAIN, CHUNKS, set()),
        (CHUNKS, SPLIT_CHUNKS, set()),
        (PLAIN, Answer(said("Content-Type: text/plain", body=b"hello"), close=True), set()),
        (PLAIN, said("Content-Length: 5", "Content-Type: text/plain", "Date: x", body=b"hello"), set()),
        (PLAIN, said("Content-Length: 5", "Content-Type: text/plain", status="404 no", body=b"hello"), {"status"}),
        (PLAIN, said("Content-Length: 5", "Content-Type: text/html", body=b"hello"), {"headers"}),
        (PLAIN, said("Content-Length: 5", body=b"hello"), {"headers"}),
        (PLAIN, said("Content-Length: 5", "Content-Type: text/plain", body=b"hallo"), {"body"}),
        (PLAIN, said("Content-Length: 6", "Content-Type: text/plain", body=b"hello!"), {"length", "body"}),
        (PLAIN, said(status="204 none"), {"status", "headers", "length", "body"}),
        (said("Location: /a", status="302 x"), said("Location: /b", status="302 x"), {"headers"}),
    ],
)
@pytest.mark.parametrize("minor", [0, 1])
async def test_what_counts_as_a_difference(real: Any, copy: Any, kinds: set[str], minor: int) -> None:
    """Status, Content-Type and Location, length and hash of the body; not how it is framed."""
    real = Answer(real, close=True) if b"302" in real else real
    copy = Answer(copy, close=True) if isinstance(copy, bytes) and b"302" in copy else copy
    async with stage(real, copy, rule_file=mirroring(COMPARED)) as made:
        await made.ask(wire(f"GET / HTTP/1.{minor}", "Host: a", "Connection: close"))
        assert await copies_end(made, 1) == {"different" if kinds else "same": 1}
        assert differences(made) == dict.fromkeys(kinds, 1)


@pytest.mark.parametrize(("headers", "result"), [(("x-a",), "different"), (("X-B".lower(),), "same"), ((), "same")])
async def test_the_file_says_which_headers_are_compared(headers: tuple[str, ...], result: str) -> None:
    real = said("Content-Length: 0", "X-A: 1", "X-B: 2", "Content-Type: a/b")
    copy = said("Content-Length: 0", "X-A: 2", "X-B: 2", "Content-Type: c/d")
    async with stage(real, copy, rule_file=mirroring(Mirror("v2", compare=Compare(headers)))) as made:
        await made.ask(GET)
        assert await copies_end(made, 1) == {result: 1}


async def test_an_example_shows_both_answers_and_no_secret() -> None:
    """Who, what and how it differed; no query, no cookie, no body."""
    real = said("Content-Length: 5", "Set-Cookie: s=secret", "Content-Type: a/b", body=b"hello")
    copy = said("Content-Length: 6", "Set-Cookie: s=other", "Content-Type: a/b", body=b"secret")
    mirror, last = Mirror("v2", compare=Compare(("content-type", "set-cookie"))), "Connection: close"
    async with stage(real, copy, rule_file=mirroring(mirror)) as made:
        await made.ask(
            wire("GET /cart?token=secret HTTP/1.1", "Host: A:80", "Cookie: c=secret", "Authorization: secret", last)
        )
        await copies_end(made, 1)
        (example,) = made.gateway.counts().examples["s", "v2"]
    assert "secret" not in str(example) and example.pop("at") > 0 and len(example.pop("request_id")) == 24
    shown = [["content-type", "a/b"], ["set-cookie", "(not shown)"]]
    assert example == {
        "route": "r", "rule": "", "method": "GET", "host": "a", "path": "/cart",
        "differences": ["headers", "length", "body"],
        "real": {"version": "v1", "status": 200, "length": 5, "headers": shown, "body_hash": "3610a686"},
        "mirror": {"version": "v2", "status": 200, "length": 6, "headers": shown, "body_hash": "5ca2e8e5"},
    }  # fmt: skip


# --- Mirrored versions in trouble ----------------------------------------------------------------------------------


async def test_one_that_hangs_holds_few_and_nobody_waits() -> None:
    """Copies beyond the room there is are dropped; those that hang end with their time."""
    gate = asyncio.Event()
    slow = Upstream(*[Answer(OK, gate=gate)] * ROOM_MIN)
    async with stage(OK, slow, rule_file=mirroring()) as made:
        async with made.client() as client:
            for _ in range(ROOM_MIN + 7):
                await client.say(wire("GET / HTTP/1.1", "Host: a"))
                assert await client.hear(len(OK)) == OK
        assert results(made) == {"dropped": 7}
        assert made.gateway.counts().gauge["mirror_requests_in_flight"] == {("s", "v2"): ROOM_MIN}
        made.gateway._shadows.sweep(made.gateway._state.clock.now + 29)
        assert results(made) == {}
        made.gateway._shadows.sweep(made.gateway._state.clock.now + 31)
        assert await copies_end(made, ROOM_MIN) == {"timeout": ROOM_MIN}
        gate.set()
        await until(lambda: not slow.open, "its connections end")


async def test_there_is_more_room_for_one_that_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more copy after each whole answer, up to the bound; half as many after a failure."""
    monkeypatch.setattr(shadow, "IN_FLIGHT_MAX", 12)
    async with stage(OK, Upstream(*[OK] * 10, *[b"?\r\n\r\n"] * 2), rule_file=mirroring()) as made:
        room = []
        for number in range(1, 13):
            await made.ask(GET)
            await copies_end(made, number)
            room.append(made.gateway._state.counters.mirror("s", "v2").room)
        assert room == [6, 7, 8, 9, 10, 11, 12, 12, 12, 12, 6, 5]


async def test_a_busy_worker_makes_no_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real requests come first: after nine tenths of a core for one sweep, there are none for a second."""
    used_s, wanted = 0.0, dict[str, int]()
    monkeypatch.setattr(shadow, "thread_time", lambda: used_s)
    async with stage(OK, OK, rule_file=mirroring()) as made:
        shadows, now = made.gateway._shadows, made.gateway._state.clock.now
        made.gateway._timer.cancel()  # time goes by here as it is said
        for passed_s, worked_s, result in (
            (100.0, 0.0, "answered"), (1.0, 0.89, "answered"), (1.0, 0.91, "dropped"), (0.9, 0.0, "dropped"),
            (0.2, 0.0, "answered"),
        ):  # fmt: skip
            now, used_s = now + passed_s, used_s + worked_s
            shadows.sweep(now)
            wanted[result] = wanted.get(result, 0) + 1
            await made.ask(GET)
            assert await copies_end(made, sum(wanted.values())) == wanted


async def test_nobody_waits_for_a_free_connection() -> None:
    """An endpoint's limit of connections holds for copies too."""
    gate = asyncio.Event()
    slow = Upstream(Answer(OK, gate=gate))
    async with stage(OK, slow, rule_file=mirroring(limits=Limits(connections=1))) as made:
        await made.ask(GET)
        await until(lambda: slow.heads, "the copy arrives")
        await made.ask(GET)
        assert results(made) == {"dropped": 1}
        gate.set()
        assert await copies_end(made, 2) == {"dropped": 1, "answered": 1}


async def test_one_that_fails_again_and_again_rests_for_a_while() -> None:
    """After five copies in a row without a whole answer, for a second, longer the next time. Statuses are answers."""
    bad, broken = said("Content-Length: 0", status="500 no"), Answer(b"", close=True)
    v2 = Upstream(*[bad] * 6, *[broken] * 5, OK, *[broken] * 5)
    async with stage(OK, v2, rule_file=mirroring(Mirror("v2", methods=("POST",)))) as made:

        async def copies(count: int) -> dict[str, int]:
            before = sum(results(made).values())
            for number in range(before, before + count):
                await made.ask(wire("POST / HTTP/1.1", "Host: a", "Content-Length: 0", "Connection: close"))
                await copies_end(made, number + 1)
            return dict(results(made))

        now = made.gateway._state.clock.now
        assert await copies(6) == {"answered": 6}
        assert await copies(7) == {"answered": 6, "failed": 5, "dropped": 2}
        made.gateway._shadows.sweep(now + 60)
        assert await copies(7) == {"answered": 7, "failed": 10, "dropped": 3}


ENDLESS = [said("Transfer-Encoding: chunked"), *[b"40000\r\n" + b"x" * 0x40000 + b"\r\n"] * 8]


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (Answer(b"garbage\r\n\r\n"), "failed"),
        (Answer(b"\x00" * 300_000, early=True), "failed"),
        (Answer(said("Content-Length: 5", "Transfer-Encoding: chunked")), "failed"),
        (Answer(said("Transfer-Encoding: chunked", body=b"zz\r\n")), "failed"),
        (Answer(said(status="101 x")), "failed"),
        (Answer(said(status="100 x") * 20), "failed"),
        (Answer(said("Content-Length: 5", body=b"ha"), close=True), "failed"),
        (Answer(b"", reset=True), "failed"),
        (Answer(b"", close=True), "failed"),
        (Answer(ENDLESS), "different"),
        (Answer(said("Content-Length: 99999999", body=b"x" * 2_000_000)), "different"),
    ],
)
async def test_one_that_answers_nonsense_is_counted_and_that_is_all(answer: Answer, result: str) -> None:
    """Not HTTP, cut short, without end: the client has its answer, and the connection is not used again."""
    async with stage(OK, Upstream(answer), rule_file=mirroring(COMPARED)) as made:
        heard = await made.ask(GET)
        assert heard.endswith(b"\r\n\r\nok")
        assert await copies_end(made, 1) == {result: 1}
        await until(lambda: not made.upstreams[1].open, "its connection ends")
        assert (await made.ask(GET)).endswith(b"\r\n\r\nok")
        await copies_end(made, 2)


async def test_one_whose_answers_have_no_end_rests_like_one_that_fails() -> None:
    """Compared, its answers are different; not compared, they are none."""
    for mirror, result in ((COMPARED, "different"), (Mirror("v2"), "failed")):
        async with stage(OK, Upstream(*[Answer(ENDLESS)] * 5), rule_file=mirroring(mirror)) as made:
            for number in range(1, 7):
                await made.ask(GET)
                await copies_end(made, number)
            assert results(made) == {result: 5, "dropped": 1}


async def test_one_that_is_gone_is_counted() -> None:
    """Nobody listens there, or its health check has failed."""
    dead = Upstream()
    dead.url = NOBODY
    async with stage(OK, dead, rule_file=mirroring()) as made:
        await made.ask(GET)
        assert await copies_end(made, 1) == {"failed": 1}
        made.gateway.set_health({dead.url: False})
        await made.ask(GET)
        assert await copies_end(made, 2) == {"failed": 1, "dropped": 1}


async def test_a_pooled_connection_that_died_idle_costs_no_copy() -> None:
    async with stage(OK, OK, rule_file=mirroring(Mirror("v2", methods=("GET", "POST")))) as made:
        for _ in range(2):
            await made.ask(GET)
        await copies_end(made, 2)
        assert made.upstreams[1].accepted == 1
        made.upstreams[1].script(Answer(b"", close=True), OK)
        await made.ask(GET)
        assert await copies_end(made, 3) == {"answered": 3}


async def test_real_requests_to_the_same_version_feel_nothing_of_its_copies() -> None:
    """Endpoints of their own: other connections, other numbers, and no ejection by what copies bring."""
    bad = said("Content-Length: 0", status="500 no")
    passive = PassiveHealth(consecutive_5xx=1, max_ejected=1.0)
    wanting = wire("GET /real HTTP/1.1", "Host: a", "X-Want: v2", "Connection: close")
    gate = asyncio.Event()
    v2 = Upstream(bad, Answer(OK, gate=gate), OK)
    async with stage(OK, v2, rule_file=mirroring(passive=passive, limits=Limits(connections=1, pending=1))) as made:
        await made.ask(GET)
        await copies_end(made, 1)
        await made.ask(GET)
        await until(lambda: len(v2.heads) == 2, "the second copy arrives, and hangs")
        assert (await made.ask(wanting)).endswith(b"\r\n\r\nok")
        assert made.version("v2").begun == 1
        assert v2.accepted == 2
        gate.set()
        await copies_end(made, 2)


async def test_the_end_of_the_worker_ends_its_copies() -> None:
    gate = asyncio.Event()
    slow = Upstream(Answer(OK, gate=gate))
    async with stage(OK, slow, rule_file=mirroring()) as made:
        await made.ask(GET)
        await until(lambda: slow.heads, "the copy arrives")
        made.gateway._shadows.close()
        assert await copies_end(made, 1) == {"dropped": 1}
        gate.set()
        await until(lambda: not slow.open, "its connection ends")


async def test_a_reload_without_the_mirror_lets_its_connections_go() -> None:
    async with stage(OK, OK, rule_file=mirroring()) as made:
        await made.ask(GET)
        await copies_end(made, 1)
        made.gateway.apply(2, rules({"v1": [made.upstream.url], "v2": [made.upstreams[1].url]}))
        await until(lambda: not made.upstreams[1].open, "the shadows' connections end")
        await made.ask(GET)
        assert len(made.upstreams[1].heads) == 1
