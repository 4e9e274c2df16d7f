"""People and versions, with real proxies and services: who stays where, whoever answers and whatever is saved."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest
from yarl import URL

from proxy.rules.split import bucketer, owner_of, owners
from tests.load import Counting
from tests.mortal import Mortal
from tests.serve import Proxy, run, serving

PEOPLE = 30
"""At even weights all are on one side once in 500 million runs."""
OLD, NEW = "the-key-of-last-year", "the-key-of-this-year"


def rules(v1: str, v2: str, weights: str, sticky: str, more: str = "") -> str:
    return f"""\
services:
  shop:
    versions:
      v1: {{endpoints: [{v1}]}}
      v2: {{endpoints: [{v2}]}}
routes:
  - name: shop
    service: shop
    rules:
      - name: everyone
        split: {{{weights}}}
        sticky: {{{sticky}}}
{more}"""


def save(path: Path, text: str) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.rename(path)


async def live(proxy: Proxy, generation: int) -> None:
    """Wait until all workers serve by it."""

    async def least() -> int:
        config = await proxy.api("/api/config")
        return min([config["generation"], *(worker["generation"] for worker in config["workers"])])

    await proxy.until(least, lambda found: found >= generation)


class Browser:
    """Keeps cookies as browsers do, and asks on a new connection each time, so that any worker may answer."""

    def __init__(self) -> None:
        self.jar = aiohttp.CookieJar(unsafe=True)  # hosts are addresses here
        self.told = 0
        self._session = aiohttp.ClientSession(cookie_jar=self.jar, connector=aiohttp.TCPConnector(force_close=True))

    async def visit(self, proxy: Proxy, path: str = "/") -> str:
        async with self._session.get(proxy.url + path) as response:
            assert response.status == 200
            self.told += "Set-Cookie" in response.headers
            return await response.text()

    @property
    def cookie(self) -> str:
        return self.jar.filter_cookies(URL("http://127.0.0.1/"))["gray"].value

    @cookie.setter
    def cookie(self, value: str) -> None:
        self.jar.update_cookies({"gray": value}, URL("http://127.0.0.1/"))

    async def close(self) -> None:
        await self._session.close()


@asynccontextmanager
async def people(number: int = PEOPLE) -> AsyncIterator[list[Browser]]:
    async with AsyncExitStack() as stack:
        browsers = [Browser() for _ in range(number)]
        for browser in browsers:
            stack.push_async_callback(browser.close)
        yield browsers


async def visit(browsers: list[Browser], proxy: Proxy) -> list[str]:
    return await asyncio.gather(*(browser.visit(proxy) for browser in browsers))


@pytest.fixture
async def versions() -> AsyncIterator[tuple[str, str]]:
    async with Counting("v1") as v1, Counting("v2") as v2:
        yield v1.url, v2.url


async def test_all_workers_and_replicas_agree(tmp_path: Path, versions: tuple[str, str]) -> None:
    """Two proxies of two workers that know nothing of each other, and this test: one key, one version."""
    path = tmp_path / "rules.yaml"
    path.write_text(rules(*versions, "v1: 50, v2: 50", "by: {header: x-user-id}, cookie: gray"))
    owned, bucket = owners([("v1", 50), ("v2", 50)], "v1"), bucketer("shop/shop")
    async with serving(path) as one, serving(path) as other, people() as browsers:
        for user in range(40):
            headers, wanted = {"X-User-Id": f"user-{user}"}, owner_of(bucket(b"user-%d" % user), owned)
            answers = await asyncio.gather(*(proxy.get(headers=headers) for proxy in (one, one, other, other)))
            assert answers == [(200, wanted)] * 4
        first = await visit(browsers, one)
        assert set(first) == {"v1", "v2"}
        assert await visit(browsers, other) == await visit(browsers, one) == first
        assert [browser.told for browser in browsers] == [1] * PEOPLE


async def test_pinned_people_stay_while_their_version_has_a_weight(tmp_path: Path, versions: tuple[str, str]) -> None:
    """Over saved weights, another replica and a restart; a weight of 0 moves its own, and only them, for good."""
    path, keys = tmp_path / "rules.yaml", tmp_path / "keys"
    keys.write_text(NEW)
    options = ("--cookie-key-file", str(keys))
    sticky = "cookie: {name: gray, ttl: 30d}, mode: pin"
    path.write_text(rules(*versions, "v1: 50, v2: 50", sticky))
    async with people() as browsers:
        async with serving(path, *options) as one, serving(path, *options) as other:
            first = await visit(browsers, one)
            assert set(first) == {"v1", "v2"}
            for generation, weights in enumerate(("v1: 1, v2: 9999", "v2: 1, v1: 9999"), 2):
                save(path, rules(*versions, weights, sticky))
                await live(one, generation)
                await live(other, generation)
                assert await visit(browsers, other) == await visit(browsers, one) == first
            assert [browser.told for browser in browsers] == [1] * PEOPLE
        async with serving(path, *options) as restarted:
            assert await visit(browsers, restarted) == first
            save(path, rules(*versions, "v1: 1, v2: 0", sticky))
            await live(restarted, 2)
            assert await visit(browsers, restarted) == ["v1"] * PEOPLE
            assert [browser.told for browser in browsers] == [1 + (version == "v2") for version in first]
            save(path, rules(*versions, "v1: 1, v2: 9999", sticky))
            await live(restarted, 3)
            assert await visit(browsers, restarted) == ["v1"] * PEOPLE


async def test_people_are_kept_on_a_version_that_drains(tmp_path: Path, versions: tuple[str, str]) -> None:
    """on_zero keep: nobody new comes, who is there stays and the version drains; out of the split they move. No forged
    cookie leads there, nor one of another route."""
    path, keys = tmp_path / "rules.yaml", tmp_path / "keys"
    keys.write_text(NEW)
    sticky = "cookie: gray, mode: pin, on_zero: keep"
    cart = """\
  - name: cart
    path: /cart
    service: shop
    rules: [{name: all, split: {v2: 1}, sticky: {cookie: {name: cart, path: /cart}, mode: pin}}]
"""
    path.write_text(rules(*versions, "v1: 50, v2: 50", sticky, cart))
    async with serving(path, "--cookie-key-file", str(keys)) as proxy, people() as browsers, people(10) as new:
        first = await visit(browsers, proxy)
        assert await new[0].visit(proxy, "/cart") == "v2"
        save(path, rules(*versions, "v1: 1, v2: 0", sticky))
        await live(proxy, 2)
        assert await visit(browsers, proxy) == first
        assert (await proxy.api("/api/drain/shop/v2"))["state"] == "draining"
        elsewhere = new[0].jar.filter_cookies(URL("http://127.0.0.1/cart"))["cart"].value
        genuine = next(browser.cookie for browser, version in zip(browsers, first, strict=True) if version == "v1")
        for browser, cookie in zip(
            new,
            (elsewhere, genuine.replace(".v1.", ".v2."), genuine[:-1], "v2", genuine.rpartition(".")[0] + ".", ".v2."),
            strict=False,
        ):
            browser.cookie = cookie
        assert await visit(new, proxy) == ["v1"] * 10
        assert await visit(new, proxy) == ["v1"] * 10
        asked = quote(f"gray={genuine}", safe="")
        told = await proxy.api(f"/api/explain?url=http://x/&cookie={asked}")
        assert (told["version"], told["reason"]) == ("v1", "sticky")
        assert told["routes"][0]["rules"][0]["choice"]["pin"] == "v1, by cookie gray"
        save(path, rules(*versions, "v1: 1", sticky))
        await live(proxy, 3)
        assert await visit(browsers, proxy) == ["v1"] * PEOPLE


async def test_a_key_is_replaced_while_people_come(tmp_path: Path, versions: tuple[str, str]) -> None:
    """The new one above the old, then alone: saved while the proxy runs, and nobody moves. A file without a key
    changes nothing."""
    path, keys = tmp_path / "rules.yaml", tmp_path / "keys"
    path.write_text(rules(*versions, "v1: 50, v2: 50", "cookie: gray, mode: pin"))
    keys.write_text(OLD)
    async with serving(path, "--cookie-key-file", str(keys)) as proxy, people() as browsers:
        first = await visit(browsers, proxy)
        keys.write_text(f"{NEW}\n{OLD}\n")
        await live(proxy, 2)
        # Other weights, so that who is hashed anew would be seen to move.
        save(path, rules(*versions, "v1: 99, v2: 1", "cookie: gray, mode: pin"))
        await live(proxy, 3)
        assert await visit(browsers, proxy) == first
        assert [browser.told for browser in browsers] == [2] * PEOPLE
        keys.write_text(f"{NEW}\n")
        await live(proxy, 4)
        assert await visit(browsers, proxy) == first
        keys.write_text("")
        await proxy.said("there is no key in it")
        assert await visit(browsers, proxy) == first
        assert [browser.told for browser in browsers] == [2] * PEOPLE


async def test_a_pin_outlives_the_endpoints_of_its_version(tmp_path: Path) -> None:
    """While none is available the stable version answers; the pin stays, and leads back when there is one again."""
    path = tmp_path / "rules.yaml"
    sticky = "cookie: gray, mode: pin"
    async with Mortal("v1") as v1, Mortal("v2") as v2, people(10) as browsers:
        path.write_text(rules(v1.url, v2.url, "v1: 0, v2: 1", sticky).replace(
            "    versions:\n", "    health: {active: {path: /healthz, interval: 100ms, timeout: 100ms,"
            " healthy_after: 1, unhealthy_after: 1}}\n    versions:\n"))  # fmt: skip
        async with serving(path) as proxy:
            assert await visit(browsers, proxy) == ["v2"] * 10
            pins = [browser.cookie for browser in browsers]

            async def up() -> float:
                return await proxy.metric("endpoint_up", 'version="v2"')

            await v2.die()
            await proxy.until(up, 0.0)
            assert await visit(browsers, proxy) == ["v1"] * 10
            await v2.rise()
            await proxy.until(up, 1.0)
            await proxy.until(lambda: visit(browsers, proxy), ["v2"] * 10)
            assert [browser.cookie for browser in browsers] == pins
            await proxy.said("anybody can forge a pin")


async def test_a_key_file_that_is_missing_is_one_line(tmp_path: Path, versions: tuple[str, str]) -> None:
    """Found before anything listens; exit code 1."""
    path = tmp_path / "rules.yaml"
    path.write_text(rules(*versions, "v1: 50, v2: 50", "cookie: gray, mode: pin"))
    code, _, err = await run("serve", str(path), "--cookie-key-file", "/none/keys")
    assert (code, err) == (1, "grayhound: --cookie-key-file: cannot read /none/keys: No such file or directory\n")
