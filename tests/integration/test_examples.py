"""config/examples with real services in place of its addresses: each file does over the wire what it says of itself."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count, islice
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from proxy.rules.expect import Trial
from proxy.rules.model import RuleFile
from proxy.run.load import load
from proxy.sources.base import Content
from tests.mortal import Mortal
from tests.serve import Proxy, run, services, serving

EXAMPLES = {
    file.stem: file for file in sorted((Path(__file__).parent.parent.parent / "config/examples").glob("*.yaml"))
}
TRUSTED = ("--trusted-proxies", "127.0.0.1")
"""This test stands where a load balancer would: it says whose request it is."""
WEIGHTS = re.compile(r"split: {v1: [\d.]+, v2: [\d.]+} +")


def read(name: str) -> tuple[str, RuleFile]:
    text = EXAMPLES[name].read_text()
    return text, load(Content(name, text.encode())).rule_file


def with_services(text: str, rule_file: RuleFile, urls: dict[str, str]) -> str:
    """The addresses of a version become that of its one service."""
    for service in rule_file.services.values():
        for version in service.versions.values():
            first, *others = version.endpoints
            text = text.replace(first.url, urls[version.name])
            for endpoint in others:
                text = text.replace(f", {endpoint.url}", "")
    return text


@asynccontextmanager
async def example(name: str, folder: Path, *options: str, edit: Callable[[str], str] = str) -> AsyncIterator[Proxy]:
    """The file, served with one live service for each version, which answers the version's name."""
    text, rule_file = read(name)
    names = sorted({version for service in rule_file.services.values() for version in service.versions})
    async with services(*names) as live:
        path = folder / "rules.yaml"
        path.write_text(edit(with_services(text, rule_file, {service.name: service.url for service in live})))
        async with serving(path, *options) as proxy:
            yield proxy


async def save(path: Path, old: str, new: str, proxy: Proxy) -> None:
    """Change one place of the file, as a hand would, and wait until all workers serve by it."""
    before, text = (await proxy.api("/api/config"))["generation"], path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))

    def live(config: dict[str, object]) -> bool:
        applied = config["workers"]
        assert isinstance(applied, list)
        return config["generation"] == before + 1 and all(one["generation"] == before + 1 for one in applied)

    await proxy.until(lambda: proxy.api("/api/config"), live)


# --- All of them ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXAMPLES)
async def test_its_own_tests_hold_over_the_wire(name: str, tmp_path: Path) -> None:
    """Each request of `tests:` is sent for real; the access log says by which route, rule and reason it went."""
    log = tmp_path / "access.log"
    _, rule_file = read(name)
    async with example(name, tmp_path, *TRUSTED, "--access-log", str(log)) as proxy:
        answers = [await send(proxy, trial, f"trial-{number}") for number, trial in enumerate(rule_file.tests)]

        async def lines() -> int:
            return len(log.read_text().splitlines()) if log.exists() else 0

        await proxy.until(lines, len(answers))
    records = {record["request_id"]: record for record in map(json.loads, log.read_text().splitlines())}
    for number, trial in enumerate(rule_file.tests):
        record, (status, body) = records[f"trial-{number}"], answers[number]
        assert status == (trial.expect.status or 200), trial
        for field in ("service", "version", "route", "rule", "reason"):
            wanted = getattr(trial.expect, field)
            assert wanted is None or record[field] == wanted, (trial, record)
        assert status != 200 or body == record["version"]


async def send(proxy: Proxy, trial: Trial, request_id: str) -> tuple[int, str]:
    request = trial.request
    headers = [*request.headers, ("Host", request.host), ("X-Request-Id", request_id)]
    headers += [("X-Forwarded-For", request.client_ip), ("X-Forwarded-Proto", request.scheme)]
    if request.cookies:
        headers.append(("Cookie", "; ".join(f"{name}={value}" for name, value in request.cookies)))
    async with (
        aiohttp.ClientSession() as session,
        session.request(request.method, proxy.url + request.path, headers=headers) as response,
    ):
        return response.status, await response.text()


# --- What each is for ----------------------------------------------------------------------------------------------


async def test_gray_release_moves_people_to_the_new_version_only(tmp_path: Path) -> None:
    """The steps that its head names: nobody comes back to v1 while the share is raised; at the end all are on v2."""
    async with example("gray-release", tmp_path) as proxy:

        async def versions() -> list[str]:
            host = {"Host": "shop.example.com"}
            return [(await proxy.get("/", headers=host | {"Cookie": f"gray={one}"}))[1] for one in range(60)]

        before = await versions()
        assert set(before) == {"v1", "v2"}
        for old, new in (("{v1: 80, v2: 20}", "{v1: 50, v2: 50}"), ("{v1: 50, v2: 50}", "{v1: 0, v2: 100}")):
            await save(tmp_path / "rules.yaml", f"split: {old}", f"split: {new}", proxy)
            after = await versions()
            assert not [one for one in zip(before, after, strict=True) if one == ("v2", "v1")]
            before = after
        assert set(before) == {"v2"}


async def test_blue_green_is_one_word_there_and_back(tmp_path: Path) -> None:
    host = {"Host": "shop.example.com"}
    async with example("blue-green", tmp_path) as proxy:
        assert await proxy.get("/", headers=host) == (200, "blue")
        assert await proxy.get("/", headers={"Host": "green.shop.example.com"}) == (200, "green")
        for old, new in (("blue", "green"), ("green", "blue")):
            await save(tmp_path / "rules.yaml", f"version: {old}  ", f"version: {new}  ", proxy)
            assert {await proxy.get("/", headers=host) for _ in range(10)} == {(200, new)}


async def test_an_ab_test_keeps_each_person_in_a_half_and_halves_them(tmp_path: Path) -> None:
    async with example("ab-test", tmp_path) as proxy:

        async def half(person: int) -> str:
            headers = {"Host": "shop.example.com", "x-user-id": f"person-{person}"}
            answers = {await proxy.get("/checkout", headers=headers) for _ in range(2)}
            ((status, version),) = answers
            assert status == 200
            return version

        halves = Counter([await half(person) for person in range(100)])
        assert halves.keys() == {"a", "b"} and abs(halves["a"] - halves["b"]) < 50


async def test_a_bad_canary_hurts_nobody(tmp_path: Path) -> None:
    """`rescue`: every GET that v2 fails is answered by v1, here of half the requests."""
    text, rule_file = read("canary-by-weight")
    async with Mortal("v1") as v1, Mortal("v2") as v2:
        await v2.become("503")
        path = tmp_path / "rules.yaml"
        split = "split: {v1: 99, v2: 1}"
        assert split in text
        text = text.replace(split, "split: {v1: 50, v2: 50}")
        path.write_text(with_services(text, rule_file, {"v1": v1.url, "v2": v2.url}))
        async with serving(path) as proxy:
            answers = {await proxy.get("/orders", headers={"Host": "api.example.com"}) for _ in range(40)}
            assert answers == {(200, "v1")}
            assert await v2.count("GET") > 0


async def test_of_the_beta_testers_half_get_the_new_version_and_nobody_else_does(tmp_path: Path) -> None:
    async with example("beta-testers", tmp_path) as proxy:

        async def asked(cookie: str) -> str:
            headers = {"Host": "shop.example.com", "Cookie": cookie}
            ((status, version),) = {await proxy.get("/", headers=headers) for _ in range(2)}
            assert status == 200
            return version

        joined = Counter([await asked(f"group=beta; uid=person-{person}") for person in range(100)])
        assert joined.keys() == {"v1", "v2"} and abs(joined["v1"] - joined["v2"]) < 50
        assert {await asked(f"uid=person-{person}") for person in range(20)} == {"v1"}


async def test_ack_divides_those_who_match_and_leaves_the_others_where_they_are(tmp_path: Path) -> None:
    async with example("ack-ingress", tmp_path) as proxy:

        async def asked(**headers: str) -> Counter[str]:
            answers = [await proxy.get("/", headers={"Host": "www.example.com"} | headers) for _ in range(60)]
            assert {status for status, _ in answers} == {200}
            return Counter(version for _, version in answers)

        matched = await asked(foo="bar")
        assert matched.keys() == {"old-nginx", "new-nginx"} and matched["new-nginx"] > 5
        assert await asked(foo="rebar") == {"old-nginx": 60}
        assert await asked(Cookie="foo=bar") == {"new-nginx": 60}


async def test_a_client_cannot_pretend_to_be_in_the_office(tmp_path: Path) -> None:
    """Believed is the last address before the networks one trusts; without any, who connects."""
    office, elsewhere = "192.0.2.17", "198.51.100.1"

    async def version(proxy: Proxy, said: str) -> str:
        status, text = await proxy.get("/", headers={"Host": "intranet.example.com", "X-Forwarded-For": said})
        assert status == 200
        return text

    async with example("by-client-network", tmp_path, *TRUSTED) as proxy:
        assert await version(proxy, office) == "v2"
        assert await version(proxy, f"{elsewhere}, {office}") == "v2"
        assert await version(proxy, f"{office}, {elsewhere}") == "v1"
    async with example("by-client-network", tmp_path) as proxy:
        assert await version(proxy, office) == "v1"


async def test_the_canarys_rollout_waits_at_half_and_ends_with_all_of_it(tmp_path: Path) -> None:
    """Minutes are seconds here; the weights are those of the file, in which nothing else has changed."""

    def shortened(text: str) -> str:
        text = re.sub(r"hold: \d+m", "hold: 1s", text).replace("min_requests: 100", "min_requests: 5")
        return re.sub(r"- {(metric: \w+)", r"- {window: 1s, \1", text)

    async with example("canary-rollout", tmp_path, edit=shortened) as proxy:
        path = tmp_path / "rules.yaml"
        begun = path.read_text()
        people = count()

        async def phase() -> str:
            """Of the rollout, after some more requests by different people."""
            for person in islice(people, 40):
                headers = {"Host": "shop.example.com", "Cookie": f"gray={person}"}
                assert (await proxy.get("/", headers=headers))[0] == 200
            return str((await proxy.api("/api/rollouts/shop-v2"))["phase"])

        await proxy.until(phase, "waiting", 60.0)
        assert "split: {v1: 50, v2: 50} " in path.read_text()
        assert (await run("rollout", "promote", "shop-v2", "--admin", proxy.admin))[0] == 0
        await proxy.until(phase, "promoted", 60.0)
        assert "split: {v1: 0, v2: 100} " in path.read_text()
        assert WEIGHTS.sub("", path.read_text()) == WEIGHTS.sub("", begun)
        ended = {await proxy.get("/", headers={"Host": "shop.example.com"}) for _ in range(20)}
        assert ended == {(200, "v2")}


async def test_shadow_is_answered_by_the_old_version_and_copied_to_the_new_one(tmp_path: Path) -> None:
    async with example("shadow", tmp_path, edit=lambda text: text.replace("percent: 10\n", "percent: 100\n")) as proxy:
        host = {"Host": "shop.example.com"}
        assert {await proxy.get("/cart", headers=host) for _ in range(5)} == {(200, "v1")}
        assert await proxy.get("/healthz", headers=host) == (200, "v1")
        compared = ('version="v2"', 'result="different"')
        await proxy.until(lambda: proxy.metric("mirror_requests_total", *compared), 5.0)


async def test_a_websocket_stays_where_it_is_and_the_next_one_goes_by_the_new_weights(tmp_path: Path) -> None:
    text, rule_file = read("websocket")
    async with _sockets("v1") as v1, _sockets("v2") as v2:
        path = tmp_path / "rules.yaml"
        path.write_text(with_services(text, rule_file, {"v1": v1, "v2": v2}))
        async with serving(path) as proxy, aiohttp.ClientSession(proxy.url) as session:
            host = {"Host": "chat.example.com"}
            async with session.ws_connect("/ws?client=1.9", headers=host | {"Cookie": "uid=alice"}) as kept:
                assert await said(kept) == "v1"
                await save(path, "split: {v1: 90, v2: 10}", "split: {v1: 0, v2: 100}", proxy)
                assert await said(kept) == "v1"
                async with session.ws_connect("/ws?client=1.9", headers=host | {"Cookie": "uid=alice"}) as fresh:
                    assert await said(fresh) == "v2"
                assert await proxy.metric("tunnels_open", 'version="v1"') == 1
            await proxy.until(lambda: proxy.metric("tunnels_open", 'version="v1"'), 0.0)


async def said(socket: aiohttp.ClientWebSocketResponse) -> str:
    await socket.send_str("who is there?")
    return str(await socket.receive_str())


@asynccontextmanager
async def _sockets(name: str) -> AsyncIterator[str]:
    """A service that answers each message on a WebSocket with its name: its address."""

    async def answer(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for _ in socket:
            await socket.send_str(name)
        return socket

    app = web.Application()
    app.router.add_get("/ws", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
