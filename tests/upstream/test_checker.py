"""proxy/upstream/checker.py: endpoints are asked whether they are well, and the verdict turns on proof only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest
from aiohttp import web

from proxy.rules.health import ActiveHealth
from proxy.rules.model import EndpointSpec, RuleFile, Service, Version
from proxy.upstream.checker import PROBES_MAX, Checker, Streak, Verdicts

EVERY_10_MS = ActiveHealth("/well?deep=1", interval=0.01, timeout=5.0, healthy_after=2, unhealthy_after=2)
PATIENCE_S = 10


class Endpoint:
    """A real endpoint on every loopback address, that answers as told and notes what it was asked."""

    def __init__(self) -> None:
        self.status = 200
        self.asked: asyncio.Queue[web.BaseRequest] = asyncio.Queue()
        self.let_go = asyncio.Event()
        self.let_go.set()
        self.under_way = 0
        self.port = 0

    async def answer(self, request: web.BaseRequest) -> web.Response:
        self.asked.put_nowait(request)
        self.under_way += 1
        try:
            await self.let_go.wait()
        finally:
            self.under_way -= 1
        return web.Response(status=self.status, headers={"Location": "/elsewhere"})

    def url(self, number: int = 1) -> str:
        return f"http://127.0.0.{number}:{self.port}"


class Heard:
    """What the checker told, in order."""

    def __init__(self) -> None:
        self.all: list[Verdicts] = []
        self._news = asyncio.Event()

    def __call__(self, verdicts: Verdicts) -> None:
        self.all.append(verdicts)
        self._news.set()

    async def next(self) -> Verdicts:
        async with asyncio.timeout(PATIENCE_S):
            await self._news.wait()
        self._news.clear()
        return self.all[-1]


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    made = Endpoint()
    runner = web.ServerRunner(web.Server(made.answer, handler_cancellation=True))
    await runner.setup()
    site = web.TCPSite(runner, "0.0.0.0", 0)
    await site.start()
    made.port = runner.addresses[0][1]
    yield made
    made.let_go.set()
    await runner.cleanup()


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
async def checker(heard: Heard) -> AsyncIterator[Checker]:
    made = Checker(heard, chance=lambda: 0.0, probes_max=2)
    yield made
    await made.close()


def rules(*urls: str, active: ActiveHealth | None = EVERY_10_MS) -> RuleFile:
    version = Version("v1", tuple(EndpointSpec(url) for url in urls))
    return RuleFile({"shop": Service("shop", "v1", {"v1": version}, active=active)}, ())


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await asyncio.sleep(0.001)


@pytest.mark.parametrize(
    ("answers", "turns"),
    [
        ("--", [False, False]),
        ("---", [False, False, True]),
        ("--+--", [False] * 5),
        ("---+", [False, False, True, False]),
        ("---++", [False, False, True, False, True]),
        ("---+-+", [False, False, True, False, False, False]),
        ("---++---", [False, False, True, False, True, False, False, True]),
    ],
)
def test_the_verdict_turns_after_so_many_answers_in_a_row(answers: str, turns: list[bool]) -> None:
    """Down after 3 bad ones, up after 2 good ones; one answer of the other kind begins the count anew."""
    streak = Streak(healthy_after=2, unhealthy_after=3)
    assert [streak.record(answer == "+") for answer in answers] == turns


async def test_an_endpoint_is_well_until_proved_otherwise_and_comes_back(
    checker: Checker, heard: Heard, endpoint: Endpoint
) -> None:
    """The callback hears of turns only, always with every verdict."""
    endpoint.status = 500
    checker.update(rules(endpoint.url(1)))
    assert checker.verdicts == {endpoint.url(1): True}
    assert await heard.next() == {endpoint.url(1): False}
    endpoint.status = 200
    assert await heard.next() == {endpoint.url(1): True}
    assert len(heard.all) == 2


async def test_the_check_asks_as_the_rules_say(checker: Checker, endpoint: Endpoint) -> None:
    """A GET of the path, query included, that names itself."""
    checker.update(rules(endpoint.url()))
    request = await asyncio.wait_for(endpoint.asked.get(), PATIENCE_S)
    assert (request.method, request.path_qs) == ("GET", "/well?deep=1")
    assert request.headers["User-Agent"].startswith("grayhound-health/")


async def test_a_redirect_is_an_answer_and_is_not_followed(checker: Checker, heard: Heard, endpoint: Endpoint) -> None:
    """Its status is judged like any other: here only 200 is good."""
    endpoint.status = 302
    checker.update(rules(endpoint.url(), active=replace(EVERY_10_MS, status=((200, 200),))))
    assert await heard.next() == {endpoint.url(): False}
    assert {endpoint.asked.get_nowait().path for _ in range(endpoint.asked.qsize())} == {"/well"}


async def test_no_answer_in_time_is_a_bad_answer(checker: Checker, heard: Heard, endpoint: Endpoint) -> None:
    endpoint.let_go.clear()
    checker.update(rules(endpoint.url(), active=replace(EVERY_10_MS, timeout=0.02)))
    assert await heard.next() == {endpoint.url(): False}


@pytest.mark.parametrize("host", ["127.0.0.1:1", f"{'x' * 70}.invalid:80"])
async def test_an_endpoint_that_cannot_be_reached_is_down(checker: Checker, heard: Heard, host: str) -> None:
    """No listener, or a name that cannot even be looked up."""
    checker.update(rules(f"http://{host}"))
    assert await heard.next() == {f"http://{host}": False}


async def test_a_reload_keeps_the_state_of_endpoints_that_stay(
    checker: Checker, heard: Heard, endpoint: Endpoint
) -> None:
    endpoint.status = 500
    checker.update(rules(endpoint.url(1)))
    await heard.next()
    checker.update(rules(endpoint.url(1), endpoint.url(2)))
    assert checker.verdicts == {endpoint.url(1): False, endpoint.url(2): True}
    assert len(heard.all) == 1


async def test_an_endpoint_that_is_no_longer_checked_is_told_as_well_once(
    checker: Checker, heard: Heard, endpoint: Endpoint
) -> None:
    """Or the workers would keep it out for ever."""
    endpoint.status = 500
    checker.update(rules(endpoint.url()))
    await heard.next()
    checker.update(rules(endpoint.url(), active=None))
    assert await heard.next() == {endpoint.url(): True}
    assert checker.verdicts == {}


async def test_two_checks_of_one_address_must_both_be_well(checker: Checker, endpoint: Endpoint, heard: Heard) -> None:
    endpoint.status = 204
    strict, lax = replace(EVERY_10_MS, status=((200, 200),)), EVERY_10_MS
    one, two = rules(endpoint.url(), active=strict), rules(endpoint.url(), active=lax)
    checker.update(RuleFile({"one": one.services["shop"], "two": two.services["shop"]}, ()))
    assert await heard.next() == {endpoint.url(): False}


async def test_checks_under_way_are_limited(checker: Checker, endpoint: Endpoint) -> None:
    """With a limit of 2, the third waits for its turn; and the wait is not held against the endpoint."""
    endpoint.let_go.clear()
    checker.update(rules(*(endpoint.url(number) for number in range(1, 6))))
    await until(lambda: endpoint.under_way == 2)
    await asyncio.sleep(0.03)
    assert endpoint.under_way == 2
    endpoint.let_go.set()
    await until(lambda: endpoint.asked.qsize() >= 5)
    assert all(checker.verdicts.values())
    assert PROBES_MAX >= 2


async def test_the_first_checks_are_spread_over_the_interval(endpoint: Endpoint, heard: Heard) -> None:
    """Else a reload of a thousand endpoints would send a thousand checks at once, for ever in step."""
    checker = Checker(heard, chance=lambda: 0.9)
    checker.update(rules(endpoint.url(), active=replace(EVERY_10_MS, interval=60.0)))
    await asyncio.sleep(0.02)
    assert endpoint.asked.empty()
    await checker.close()


async def test_close_ends_checks_under_way_and_leaves_nothing_open(
    checker: Checker, endpoint: Endpoint, heard: Heard
) -> None:
    endpoint.let_go.clear()
    checker.update(rules(endpoint.url()))
    await until(lambda: endpoint.under_way == 1)
    await checker.close()
    await until(lambda: endpoint.under_way == 0)
    assert checker.verdicts == {} and heard.all == []
