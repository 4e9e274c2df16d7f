"""Services that die, hang, reset, answer 5xx and come back, under a steady load: what a client sees of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from time import monotonic

import pytest

from tests.load import Outcome, load
from tests.mortal import Mortal
from tests.serve import Proxy, serving

CONNECTIONS = 32
"""More than a retry budget would let fail at once by accident, on each of two workers."""


LOAD_S = 60.0
"""For the slowest of machines to do what a test does under load."""


def rules(versions: dict[str, list[Mortal]], service: str = "") -> str:
    """The header `want` names a version; else the first one."""
    made = [f"{{endpoints: [{', '.join(one.url for one in many)}]}}" for many in versions.values()]
    return "\n".join(
        (
            "services:\n  shop:\n    versions:",
            *(f"      {name}: {endpoints}" for name, endpoints in zip(versions, made, strict=True)),
            service + "routes:\n  - name: shop\n    service: shop\n    rules:",
            *(f"      - {{match: {{header: {{want: {name}}}}}, version: {name}}}" for name in versions),
        )
    )


@asynccontextmanager
async def mortals(*names: str) -> AsyncIterator[list[Mortal]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Mortal(name)) for name in names]


class Load:
    """A load that goes on while the test does something, until it is stopped or `seconds` are over."""

    def __init__(self, proxy: Proxy, seconds: float = LOAD_S, **headers: str) -> None:
        self._stop = asyncio.Event()
        self._task = asyncio.gather(load(proxy.url, seconds, CONNECTIONS, lambda _: headers, self._stop))

    async def stopped(self) -> Outcome:
        self._stop.set()
        return await self.ended()

    async def ended(self) -> Outcome:
        (outcome,) = await self._task
        print(f"{outcome.requests} requests, {len(outcome.failures)} failed, {dict(outcome.answers)}")
        return outcome


async def endpoint(proxy: Proxy, one: Mortal) -> dict[str, object]:
    """What the admin port says of it."""
    (shop,) = (await proxy.api("/api/services"))["services"]
    found = [each for version in shop["versions"] for each in version["endpoints"] if each["url"] == one.url]
    assert len(found) == 1
    return dict(found[0])


async def counted(one: Mortal, seconds: float) -> int:
    before = await one.count()
    await asyncio.sleep(seconds)  # the measure is a span of time
    return await one.count() - before


# --- Death ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("balance", ["round_robin", "least_requests", "random_two", "hash"])
async def test_one_endpoint_of_two_dies_and_comes_back(tmp_path: Path, balance: str) -> None:
    """Killed with requests under way, without any health check, then back: not one GET fails."""
    path = tmp_path / "rules.yaml"
    async with mortals("a", "b") as (one, other):
        path.write_text(rules({"v1": [one, other]}, f"    balance: {balance}\n"))
        async with serving(path) as proxy:
            running = Load(proxy)
            await asyncio.sleep(0.7)
            await one.die()
            await asyncio.sleep(0.8)
            await one.rise()
            if balance != "hash":  # all clients have one address
                await proxy.until(one.count, lambda heard: heard > CONNECTIONS)
            outcome = await running.stopped()
            assert outcome.failures == []
            assert outcome.requests > 300


async def test_the_only_endpoint_of_the_new_version_dies(tmp_path: Path) -> None:
    """fallback: stable answers for it, and the new version is asked again once it is back."""
    path = tmp_path / "rules.yaml"
    async with mortals("old", "new") as (old, new):
        path.write_text(rules({"v1": [old], "v2": [new]}, "    fallback: stable\n"))
        async with serving(path) as proxy:
            running = Load(proxy, want="v2")
            await proxy.until(new.count, lambda heard: heard > 0)
            assert await old.count() == 0
            await new.die()
            await proxy.until(old.count, lambda heard: heard > 0)
            await new.rise()
            await proxy.until(new.count, lambda heard: heard > CONNECTIONS)
            before = await old.count()
            await proxy.until(new.count, lambda heard: heard > 10 * CONNECTIONS)
            assert (await running.stopped()).failures == []
            assert await old.count() == before


# --- Health --------------------------------------------------------------------------------------------------------


async def test_traffic_ejects_an_endpoint_and_lets_it_return(tmp_path: Path) -> None:
    """Passive health: 5xx in a row take it out, GETs that met one were tried elsewhere, and it comes back in time."""
    path = tmp_path / "rules.yaml"
    service = "    health: {passive: {consecutive_5xx: 3, ejection: 3s}}\n    retry: {attempts: 2, on: [reset, 503]}\n"
    async with mortals("a", "b") as (one, other):
        path.write_text(rules({"v1": [one, other]}, service))
        async with serving(path) as proxy:
            running = Load(proxy)
            await asyncio.sleep(0.5)
            await one.become("503")
            await proxy.until(lambda: endpoint(proxy, one), lambda state: state["ejected"] == 2)  # in both workers
            await asyncio.sleep(0.1)
            assert await counted(one, 0.2) == 0
            await one.become("ok")
            await proxy.until(lambda: endpoint(proxy, one), lambda state: not state["ejected"])
            before = await one.count()
            await proxy.until(one.count, lambda heard: heard > before + CONNECTIONS)
            assert (await running.stopped()).failures == []


async def test_checks_take_an_endpoint_out_and_back(tmp_path: Path) -> None:
    """Active health: one that says it is not well gets nothing, though it would still answer."""
    path = tmp_path / "rules.yaml"
    check = "{path: /healthz, interval: 200ms, timeout: 150ms, unhealthy_after: 2, healthy_after: 2}"
    async with mortals("a", "b") as (one, other):
        path.write_text(rules({"v1": [one, other]}, f"    health: {{active: {check}}}\n"))
        async with serving(path) as proxy:
            running = Load(proxy)
            await asyncio.sleep(0.4)
            await one.become("sick")
            await proxy.until(lambda: endpoint(proxy, one), lambda state: not state["available"])
            await asyncio.sleep(0.3)
            assert await counted(one, 0.3) == 0
            await one.become("ok")
            await proxy.until(lambda: endpoint(proxy, one), lambda state: state["available"])
            before = await one.count()
            await proxy.until(one.count, lambda heard: heard > before + CONNECTIONS)
            assert (await running.stopped()).failures == []


async def test_an_endpoint_that_resets_costs_no_get(tmp_path: Path) -> None:
    """It takes connections and tears them down: passive health takes it out, retries bridge the time until then."""
    path = tmp_path / "rules.yaml"
    async with mortals("a", "b") as (one, other):
        path.write_text(rules({"v1": [one, other]}, "    health: {passive: {consecutive_5xx: 5, ejection: 30s}}\n"))
        async with serving(path) as proxy:
            running = Load(proxy, 2.0)
            await asyncio.sleep(0.5)
            await one.become("reset")
            assert (await running.ended()).failures == []
            assert await proxy.metric("upstream_errors_total", 'kind="reset"') >= 5


# --- A new version that fails --------------------------------------------------------------------------------------


async def test_rescue(tmp_path: Path) -> None:
    """A 500 of the new version becomes the stable one's answer for a GET, and stays a 500 for a POST."""
    path = tmp_path / "rules.yaml"
    async with mortals("old", "new") as (old, new):
        path.write_text(rules({"v1": [old], "v2": [new]}, "    rescue: true\n"))
        async with serving(path) as proxy:
            await new.become("500")
            running = Load(proxy, 1.0, want="v2")
            outcome = await running.ended()
            assert outcome.failures == [] and set(outcome.answers) == {"old"}
            async with proxy._session.post(proxy.url, headers={"want": "v2"}) as response:
                assert (response.status, await response.text()) == (500, "new")
            assert await old.count("POST") == 0 and await new.count("POST") == 1


# --- Time and limits -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["response", "request"])
async def test_a_service_that_hangs_is_504(tmp_path: Path, which: str) -> None:
    """Each try has its time, and the whole has."""
    path = tmp_path / "rules.yaml"
    async with mortals("a") as (one,):
        path.write_text(rules({"v1": [one]}, f"    timeouts: {{{which}: 500ms}}\n"))
        async with serving(path) as proxy:
            await one.become("hang")
            began = monotonic()
            assert (await proxy.get())[0] == 504
            assert 0.4 < monotonic() - began < 2.0
            await one.become("ok")
            assert await proxy.get() == (200, "a")


async def test_the_time_of_the_whole_ends_tries_and_waits(tmp_path: Path) -> None:
    """timeouts.request ends a row of further tries, back-off included, with a 504 or the last answer."""
    path = tmp_path / "rules.yaml"
    service = "    timeouts: {request: 600ms}\n    retry: {attempts: 10, on: [503]}\n"
    async with mortals("a") as (one,):
        path.write_text(rules({"v1": [one]}, service))
        async with serving(path) as proxy:
            await one.become("503")
            began = monotonic()
            assert (await proxy.get())[0] in (503, 504)
            assert monotonic() - began < 1.5


async def test_more_than_may_wait_is_a_quick_503(tmp_path: Path) -> None:
    """limits: one connection, one that waits, in each worker; the rest hear at once when to come again."""
    path = tmp_path / "rules.yaml"
    async with mortals("a") as (one,):
        path.write_text(rules({"v1": [one]}, "    limits: {connections: 2, pending: 2}\n"))
        async with serving(path) as proxy:
            await one.become("hang")

            async def status() -> tuple[int, str | None, float]:
                began = monotonic()
                async with proxy._session.get(proxy.url) as response:
                    return response.status, response.headers.get("Retry-After"), monotonic() - began

            asked = [asyncio.get_running_loop().create_task(status()) for _ in range(40)]
            _, waiting = await asyncio.wait(asked, timeout=2.0)
            refused = [task.result() for task in asked if task not in waiting]
            assert {(status, after) for status, after, _ in refused} == {(503, "1")}
            assert max(took for *_, took in refused) < 1.5
            assert len(waiting) == 4 == 2 * (1 + 1)
            await one.die()  # sets free who waits
            assert {(await task)[0] for task in waiting} <= {502, 503}  # 503: another one waits again already


# --- Idle connections ----------------------------------------------------------------------------------------------


async def test_services_that_close_idle_connections_cost_no_get(tmp_path: Path) -> None:
    """Closed after 100 ms of idleness, asked at about that rhythm: each GET is answered."""
    path = tmp_path / "rules.yaml"
    async with mortals("a") as (one,):
        path.write_text(rules({"v1": [one]}, "    retry: {attempts: 0}\n"))
        async with serving(path) as proxy:
            await one.become("hasty")
            failures = []

            async def rhythm(number: int) -> None:
                for turn in range(25):
                    answer = await proxy.get()
                    if answer != (200, "a"):
                        failures.append(answer)
                    await asyncio.sleep(0.09 + 0.001 * ((number + turn) % 20))

            await asyncio.gather(*(rhythm(number) for number in range(20)))
            assert failures == []


# --- What outlives a reload ----------------------------------------------------------------------------------------


async def test_live_state_outlives_a_reload(tmp_path: Path) -> None:
    """Weights change under load: who is ejected stays ejected, pools stay open, what is in flight stays counted."""
    path = tmp_path / "rules.yaml"
    service = "    health: {passive: {consecutive_5xx: 3, ejection: 60s}}\n    retry: {on: [503]}\n"
    async with mortals("a", "b", "c") as (one, other, third):
        versions = {"v1": [one, other], "v2": [third]}
        path.write_text(rules(versions, service))
        async with serving(path) as proxy:
            await one.become("503")
            await third.become("hang")
            hanging = asyncio.gather(proxy.get(headers={"want": "v2"}))
            running = Load(proxy)
            await proxy.until(lambda: endpoint(proxy, one), lambda state: state["ejected"] == 2)
            await proxy.until(lambda: endpoint(proxy, third), lambda state: state["in_flight"] == 1)
            await proxy.until(lambda: endpoint(proxy, one), lambda state: state["in_flight"] == 0)
            await one.become("ok")
            heard, accepted = await one.count(), await other.count("connections")
            for weight in (2, 3, 4):
                text = rules(versions, service)
                path.write_text(text.replace(one.url, f"{{url: {one.url}, weight: {weight}}}"))
                await proxy.until(lambda: proxy.api("/api/config"), lambda config, n=weight: config["generation"] == n)
            assert (await endpoint(proxy, one))["ejected"] == 2
            assert (await endpoint(proxy, third))["in_flight"] == 1
            assert await one.count() == heard
            assert await other.count("connections") - accepted <= 8  # four more were ours
            assert (await running.stopped()).failures == []
            await third.die()
            assert (await hanging)[0][0] in (200, 502)


# --- Slow start, names ---------------------------------------------------------------------------------------------


async def test_endpoint_that_joins_starts_slowly(tmp_path: Path) -> None:
    """A save adds one of two: in the first second it has far less than half, in the end half."""
    path = tmp_path / "rules.yaml"
    async with mortals("a", "b") as (one, other):
        path.write_text(rules({"v1": [one]}, "    health: {slow_start: 4s}\n"))
        async with serving(path) as proxy:
            running = Load(proxy)
            await asyncio.sleep(0.5)
            path.write_text(rules({"v1": [one, other]}, "    health: {slow_start: 4s}\n"))
            await proxy.until(lambda: proxy.api("/api/config"), lambda config: config["generation"] == 2)
            new, old = await asyncio.gather(counted(other, 1.0), counted(one, 1.0))
            print(f"in the first second {new} of {new + old}")
            assert 0 < new < 0.3 * (new + old)
            await asyncio.sleep(3.5)
            new, old = await asyncio.gather(counted(other, 1.0), counted(one, 1.0))
            print(f"in the end {new} of {new + old}")
            assert 0.45 < new / (new + old) < 0.55
            assert (await running.stopped()).failures == []


async def test_endpoint_by_name(tmp_path: Path) -> None:
    """localhost, which may have an IPv6 address where nobody listens: it is passed over, dead or alive."""
    path = tmp_path / "rules.yaml"
    async with mortals("a") as (one,):
        path.write_text(rules({"v1": [one]}).replace("127.0.0.1", "localhost"))
        async with serving(path) as proxy:
            assert (await Load(proxy, 1.0).ended()).failures == []


async def test_name_that_does_not_exist_is_502(tmp_path: Path) -> None:
    """Said in the log; workers go on, and other versions are served meanwhile."""
    path = tmp_path / "rules.yaml"
    async with mortals("a", "b") as (one, other):
        text = rules({"v1": [one], "v2": [other]}, "    fallback: none\n    timeouts: {connect: 5s}\n")
        path.write_text(text.replace(other.url, f"http://no-such-host.invalid:{other.port}"))
        async with serving(path) as proxy:
            running = Load(proxy, 1.0)
            assert (await proxy.get(headers={"want": "v2"}))[0] in (502, 504)
            assert (await running.ended()).failures == []
            await proxy.said("cannot resolve no-such-host.invalid")
