"""The dashboard of a running proxy in a real browser: what an operator sees, and that everybody can."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from proxy.admin.live import WATCHERS_MAX
from tests.accessible import dim, faint, misbuilt, unnamed
from tests.browser import Page, browser
from tests.serve import Proxy, Service, services, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

NASTY = """<img src=x onerror="document.title='taken'"> '; עברית"""
ROLLOUT = """\
rollouts:
  shop-v2: {route: shop, from: v1, to: v2, steps: [{weight: 20, hold: 1h}, {weight: 50, hold: 1h}, {weight: 100}]}
"""
RULES = """\
services:
  shop:
    versions:
      v1: {{endpoints: ["{old}"]}}
      v2: {{endpoints: ["{new}"]}}
  other:
    versions:
      v1: {{endpoints: ["{old}"]}}
    health:
      active: {{path: /, interval: 1s, timeout: 1s, unhealthy_after: 1}}
routes:
  - name: '{nasty}'
    hosts: [other.example.com]
    service: other
  - name: shop
    service: shop
    mirror: [{{version: v2, percent: 100, compare: true}}]
    rules:
      - {{name: testers, match: {{header: {{foo: bar}}}}, version: v2}}
      - {{name: everyone, split: {{v1: 80, v2: 20}}, sticky: {{by: [{{query: u}}]}}}}
"""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def chromium(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Page]:
    async with browser(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest_asyncio.fixture(loop_scope="module")
async def page(chromium: Page) -> AsyncIterator[Page]:
    """Nothing is left of the test before, and nothing may be written to the console but that the proxy has ended."""
    chromium.console.clear()
    yield chromium
    assert [text for text in chromium.console if "net::ERR_" not in text] == []
    await chromium.go("about:blank")


def write(file: Path, old: Service, new: Service) -> Path:
    file.write_text(RULES.format(old=old.url, new=new.url, nasty=NASTY.replace("'", "''")), encoding="utf-8")
    return file


async def ask(proxy: Proxy, times: int) -> None:
    async with aiohttp.ClientSession() as session:
        for number in range(times):
            async with session.get(f"{proxy.url}/?u={number}") as response:
                await response.read()


def line(service: str) -> str:
    return (
        f"[...document.querySelectorAll('.service')].find((one) => one.querySelector('h3').textContent === '{service}')"
    )


def figure(service: str, version: str, column: str) -> str:
    """What stands in a service's table, by the names of its row and column."""
    return (
        f"((rows) => rows.find((row) => row.querySelector('.version')?.textContent === '{version}').children"
        f"[[...rows[0].children].findIndex((one) => one.textContent === '{column}')]"
        ".querySelector('.value').textContent)"
        f"([...{line(service)}.querySelectorAll('.versions tr')])"
    )


def click(button: str) -> str:
    """True once it is done: buttons are disabled until the page has heard that its dialog is closed."""
    found = f"[...document.querySelectorAll('.rollout button')].find((one) => one.textContent.startsWith('{button}'))"
    return f"((one) => !!one && !one.disabled && (one.click(), true))({found})"


async def loaded(page: Page, proxy: Proxy, count: int = 2, width: int = 1280, scheme: str = "light") -> None:
    await page.go(proxy.admin + "/", width=width, scheme=scheme)
    await page.until(f"document.querySelectorAll('.service').length === {count}")


async def test_an_operator_sees_traffic_faults_and_reasons(tmp_path: Path, page: Page) -> None:
    """Numbers move under traffic; a fault shows with its line and text, and goes again; the explain form answers by
    keyboard; a name in the rules is text, whatever it looks like; the console stays empty."""
    async with services("v1", "v2") as (old, new), serving(write(tmp_path / "rules.yaml", old, new)) as proxy:
        await loaded(page, proxy)
        assert await page.run(figure("shop", "v1", "Share")) == "–"
        traffic = asyncio.get_running_loop().create_task(ask(proxy, 400))
        for column in ("Share", "Requests/s", "Errors (5xx)", "p50", "p99"):
            await page.until(f"/\\d/.test({figure('shop', 'v2', column)})")
        assert (await page.run(figure("shop", "v2", "Weight"))).startswith("20")
        assert "Live share: v1 " in await page.run(f"{line('shop')}.querySelector('.shares').ariaLabel")
        assert await page.until(f"{line('shop')}.querySelector('table.rules').textContent.includes('got ')")
        await traffic
        await page.until("document.querySelector('#mirrors-body .attention dd')?.textContent > 0")
        await page.run("document.querySelector('#mirrors-body details').open = true")
        await page.until("document.querySelector('.example')?.textContent.includes('v2 (copy)')")

        good = (tmp_path / "rules.yaml").read_text()
        (tmp_path / "rules.yaml").write_text(good.replace("{v1: 80, v2: 20}", "{v1: 80, v3: 20}"))
        number = next(number for number, text in enumerate(good.splitlines(), 1) if "v2: 20" in text)
        fault = await page.until("document.querySelector('li.fault')?.textContent")
        assert f"rules.yaml:{number}:" in fault and "unknown version 'v3'" in fault
        assert await page.run("document.querySelector('.source mark').textContent") == "{v1: 80, v3: 20}"
        assert await page.until("document.getElementById('announcer').textContent.includes('refused')")
        (tmp_path / "rules.yaml").write_text(good)
        await page.until("!document.getElementById('rules').checkVisibility()")

        await page.run("document.getElementById('explain-url').focus()")
        await page.do("Input.insertText", text="http://other.example.com/x")
        await page.press("Enter", "\r")
        answer = await page.until("document.querySelector('.decision')?.textContent")
        assert answer == f"Service other, version v1 by no rule of route {NASTY} (default)"
        assert await page.run("document.title") == "Grayhound"
        assert await page.run("document.images.length") == 1


async def test_everybody_can_read_and_steer_it(tmp_path: Path, page: Page) -> None:
    """Light and dark, from 360 pixels on, by keyboard and by ear: names, order, contrast, no sideways scrolling. With a
    fault, a rollout and an endpoint that is down, and all that can be opened open."""
    async with services("v1", "v2") as (old, new):
        rules = write(tmp_path / "rules.yaml", old, new)
        rules.write_text(rules.read_text().replace("path: /, interval", "path: /slow, interval") + ROLLOUT)
        async with serving(rules) as proxy:
            await ask(proxy, 3)
            rules.write_text(rules.read_text() + "wrong: 1\n")
            await proxy.said("wrong")
            for width, scheme in ((360, "dark"), (768, "light"), (1280, "light"), (1280, "dark")):
                await loaded(page, proxy, width=width, scheme=scheme)
                await page.run("document.querySelectorAll('details').forEach((one) => (one.open = true))")
                await page.until("document.querySelectorAll('.endpoints li').length === 3")
                await page.until("document.querySelector('.endpoints .bad') !== null")
                assert await page.run("document.documentElement.scrollWidth") == width
                for check in (faint, dim, misbuilt, unnamed):
                    assert await check(page) == [], check.__name__
            focused = []
            for _ in range(4):
                await page.press("Tab")
                focused.append(await page.run("document.activeElement.textContent.trim().slice(0, 20)"))
                assert await page.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
            assert focused == ["Skip to services", "Rollouts", "Services", "Mirrors"]


async def test_it_says_when_it_is_not_live_and_comes_back(tmp_path: Path, page: Page) -> None:
    """Old figures are never shown as new ones; that too many watch is said as the reason."""
    live, lost = "document.querySelector('.stream.live') !== null", "document.getElementById('lost')"
    async with services("v1", "v2") as (old, new):
        rules = write(tmp_path / "rules.yaml", old, new)
        async with serving(rules) as proxy:
            await loaded(page, proxy)
            await page.until(live)
        said = await page.until(f"{lost}.checkVisibility() && document.body.innerText")
        assert "Not live" in said and "What is shown is from" in said
        async with serving(rules, "--admin", proxy.admin.removeprefix("http://")):
            await page.until(live)
            assert not await page.run(f"{lost}.checkVisibility()")
            await page.go("about:blank")
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
                watchers: list[aiohttp.ClientResponse] = []
                while len(watchers) < WATCHERS_MAX:  # the page's own place may be free a moment later
                    if (watcher := await session.get(f"{proxy.admin}/api/events")).ok:
                        watchers.append(watcher)
                await page.go(proxy.admin + "/")
                await page.until(f"{lost}?.innerText.includes('{WATCHERS_MAX} watch already')")
                for watcher in watchers:
                    watcher.close()
                await page.until(live)
        assert all("503" in text or "ERR_" in text for text in page.console)
        page.console.clear()


async def test_a_rollout_is_steered_with_the_token(tmp_path: Path, page: Page) -> None:
    """The panel is there as soon as the rules name a rollout. A promote click asks for the token and changes the file,
    and the page tells of the step; so does a weight; rolling back is asked again first, and Escape calls it off."""
    (tmp_path / "token").write_text("correct-horse-battery-staple\n")
    token = ("--admin-token-file", str(tmp_path / "token"))
    async with (
        services("v1", "v2") as (old, new),
        serving(rules := write(tmp_path / "rules.yaml", old, new), *token) as proxy,
    ):
        await loaded(page, proxy, width=360, scheme="dark")
        assert not await page.run("document.getElementById('rollouts').checkVisibility()")
        rules.write_text(rules.read_text() + ROLLOUT)
        await page.until("document.querySelector('.rollout [aria-current=step]')?.textContent.startsWith('20')")

        await page.until(click("Promote to 50"))
        for given in ("wrong", "correct-horse-battery-staple"):
            await page.until("document.getElementById('ask-token').checkVisibility()")
            if given != "wrong":
                await page.until("document.getElementById('ask-text').textContent === 'That is not the token.'")
            for check in (faint, misbuilt, unnamed):
                assert await check(page) == [], check.__name__
            await page.do("Input.insertText", text=given)
            await page.press("Enter", "\r")
        await page.until("document.querySelector('.rollout [aria-current=step]')?.textContent.startsWith('50')")
        assert "split: {v1: 50, v2: 50}" in rules.read_text()
        kept = "document.documentElement.outerHTML + JSON.stringify(localStorage) + JSON.stringify(sessionStorage)"
        assert "correct-horse" not in await page.run(kept)
        assert len(page.console) == 2 and all("401" in text for text in page.console)
        page.console.clear()

        await page.until(click("Set weight"))
        await page.until("document.activeElement.id === 'ask-weight'")
        assert await page.run("document.activeElement.value") == "50"
        await page.do("Input.insertText", text="35")
        assert await page.run("document.querySelector('#ask-command code').textContent") == (
            "grayhound rollout set-weight shop-v2 35"
        )
        for check in (faint, dim, misbuilt, unnamed):
            assert await check(page) == [], check.__name__
        await page.press("Enter", "\r")
        await page.until("document.querySelector('.rollout .pill').textContent === 'Paused'")
        assert "split: {v1: 65, v2: 35}" in rules.read_text()

        await page.until(click("Roll back"))
        await page.until("document.getElementById('ask').open")
        await page.press("Escape")
        await page.until("!document.getElementById('ask').open")
        assert "v2: 35" in rules.read_text()
        await page.until(click("Roll back"))
        await page.until("document.getElementById('ask').open")
        await page.run("document.getElementById('ask-yes').click()")
        await page.until("document.querySelector('.rollout .pill').textContent === 'Rolled back'")
        assert "split: {v1: 100, v2: 0}" in rules.read_text()
        await page.run("document.querySelector('.rollout details').open = true")
        assert "rolled back aborted by hand" in await page.until("document.querySelector('.journal').textContent")


async def test_a_version_that_leaves_is_followed_until_it_may_be_switched_off(tmp_path: Path, page: Page) -> None:
    """It keeps its colour while another becomes the stable one."""
    async with services("v1", "v2") as (old, new), serving(write(tmp_path / "rules.yaml", old, new)) as proxy:
        await loaded(page, proxy)
        state = f"[...{line('shop')}.querySelectorAll('.versions tr')].at(-1).textContent"
        held = asyncio.get_running_loop().create_task(proxy.get("/slow?u=1"))
        await old.arrived.wait()
        text = (tmp_path / "rules.yaml").read_text().replace(f'v1: {{endpoints: ["{old.url}"]}}\n', "", 1)
        text = text.replace("mirror: [{version: v2, percent: 100, compare: true}]", "")
        (tmp_path / "rules.yaml").write_text(text.replace("split: {v1: 80, v2: 20}", "split: {v2: 1}"))
        await page.until(f"{state}.startsWith('v1left the rules, draining')")
        assert await page.run(f"{line('shop')}.querySelector('.flags').textContent") == "v1 draining"
        old.release.set()
        await held
        await page.until(f"{state}.startsWith('v1left the rules, safe to switch off')")
        swatches = f"[...{line('shop')}.querySelectorAll('.versions .swatch')].map((one) => one.className)"
        assert await page.run(swatches) == ["swatch v1", "swatch v0"]


async def test_two_hundred_services_are_a_list_to_search_in(tmp_path: Path, page: Page) -> None:
    """Each is a line that opens; found by name, or by trouble; on a phone as well."""
    names = [f"a-service-with-a-name-of-sixty-characters-on-the-whole-{number:05}" for number in range(200)]
    well = "{versions: {v1: {endpoints: ['http://127.0.0.1:9']}, v2: {endpoints: ['http://127.0.0.1:9']}}}"
    down = "{versions: {v1: {endpoints: ['http://127.0.0.2:9']}}, health: {active: {path: /, interval: 1s}}}"
    (tmp_path / "rules.yaml").write_text(
        "services:\n"
        + "".join(f"  {name}: {down if name == names[7] else well}\n" for name in names)
        + "routes:\n"
        + "".join(f"  - {{name: r-{name}, hosts: [h{at}], service: {name}}}\n" for at, name in enumerate(names))
    )
    async with serving(tmp_path / "rules.yaml") as proxy:
        await loaded(page, proxy, 200, width=390)
        assert await page.run("document.documentElement.scrollWidth") == 390
        assert await page.run("document.querySelectorAll('.service[open]').length") == 0
        await page.until("document.getElementById('find-troubles').textContent === '(1)'")
        await page.run("document.getElementById('find-trouble').click()")
        await page.until("document.querySelectorAll('.service:not([hidden])').length === 1")
        assert "1 endpoint down" in await page.run("document.querySelector('.service:not([hidden])').textContent")
        await page.run("document.getElementById('find-trouble').click()")
        await page.run("document.getElementById('find-name').focus()")
        await page.do("Input.insertText", text="-0019")
        await page.until("document.querySelectorAll('.service:not([hidden])').length === 10")
        await page.run("document.querySelector('.service:not([hidden]) summary').focus()")
        await page.press("Enter", "\r")
        await page.until("document.querySelector('.service .versions')?.checkVisibility()")
        for check in (faint, misbuilt, unnamed):
            assert await check(page) == [], check.__name__
