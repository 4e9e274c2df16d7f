"""The dashboard of a running proxy in a real browser: what an operator sees, and that everybody can."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp

from tests.accessible import faint, misbuilt, unnamed
from tests.browser import browser
from tests.serve import Proxy, Service, services, serving

ROLLOUT = """\
rollouts:
  other: {route: shop, from: v1, to: v2, steps: [{weight: 20, hold: 1h}, {weight: 50, hold: 1h}, {weight: 100}]}
"""
NASTY = """<img src=x onerror="document.title='taken'">"""
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


def write(file: Path, old: Service, new: Service) -> Path:
    file.write_text(RULES.format(old=old.url, new=new.url, nasty=NASTY.replace("'", "''")), encoding="utf-8")
    return file


async def ask(proxy: Proxy, times: int) -> None:
    async with aiohttp.ClientSession() as session:
        for number in range(times):
            async with session.get(f"{proxy.url}/?u={number}") as response:
                await response.read()


def card(service: str) -> str:
    return (
        f"[...document.querySelectorAll('.service')].find((one) => one.querySelector('h3').textContent === '{service}')"
    )


async def test_an_operator_sees_traffic_faults_and_reasons(tmp_path: Path) -> None:
    """Numbers move under traffic; a fault shows with its line, and goes again; the explain form answers by keyboard;
    a name in the rules is text, whatever it looks like; the console stays empty."""
    async with (
        services("v1", "v2") as (old, new),
        serving(write(tmp_path / "rules.yaml", old, new)) as proxy,
        browser(tmp_path / "profile") as page,
    ):
        await page.go(proxy.admin + "/")
        await page.until("document.querySelectorAll('.service').length === 2")
        assert await page.run(f"{card('shop')}.querySelector('.total').textContent") in ("", "0 requests/s")
        traffic = asyncio.get_running_loop().create_task(ask(proxy, 400))
        await page.until(f"/\\d/.test({card('shop')}.querySelector('tr.strong td:nth-of-type(2)').textContent)")
        assert "Live share: v1 " in await page.run(f"{card('shop')}.querySelector('.shares').ariaLabel")
        await traffic
        await page.until("document.querySelector('#mirrors-body .attention dd')?.textContent > 0")
        await page.run("document.querySelector('#mirrors-body details').open = true")
        await page.until("document.querySelector('.example')?.textContent.includes('v2 (copy)')")

        good = (tmp_path / "rules.yaml").read_text()
        (tmp_path / "rules.yaml").write_text(good.replace("{v1: 80, v2: 20}", "{v1: 80, v3: 20}"))
        line = next(number for number, text in enumerate(good.splitlines(), 1) if "v2: 20" in text)
        fault = await page.until("document.querySelector('li.fault')?.textContent")
        assert f"rules.yaml:{line}:" in fault and "unknown version 'v3'" in fault
        assert await page.until("document.getElementById('announcer').textContent.includes('refused')")
        (tmp_path / "rules.yaml").write_text(good)
        await page.until("!document.querySelector('li.fault')?.checkVisibility()")

        await page.run("document.getElementById('explain-url').focus()")
        await page.do("Input.insertText", text="http://other.example.com/x")
        await page.press("Enter", "\r")
        answer = await page.until("document.querySelector('.decision')?.textContent")
        assert answer == f"Service other, version v1 by no rule of route {NASTY} (default)"
        assert await page.run("document.title") == "Grayhound" and not page.console
        assert await page.run("document.images.length") == 1


async def test_everybody_can_read_and_steer_it(tmp_path: Path) -> None:
    """Light and dark, from 360 pixels on, by keyboard and by ear: names, order, contrast, no sideways scrolling."""
    async with (
        services("v1", "v2") as (old, new),
        serving(write(tmp_path / "rules.yaml", old, new)) as proxy,
        browser(tmp_path / "profile") as page,
    ):
        good = (tmp_path / "rules.yaml").read_text()
        await proxy.get("/")
        (tmp_path / "rules.yaml").write_text(good + "wrong: 1\n")
        await proxy.said("wrong")
        for width, scheme in ((360, "dark"), (1280, "light")):
            await page.go(proxy.admin + "/", width=width, scheme=scheme)
            await page.until("document.querySelectorAll('.service').length === 2")
            await page.run("document.querySelectorAll('details').forEach((one) => (one.open = true))")
            await page.until("document.querySelectorAll('.endpoints li').length === 3")
            assert await page.run("document.documentElement.scrollWidth") == width
            assert await faint(page) == []
            assert await misbuilt(page) == []
            assert await unnamed(page) == []
        focused = []
        for _ in range(4):
            await page.press("Tab")
            focused.append(await page.run("document.activeElement.textContent.trim().slice(0, 20)"))
            assert await page.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        assert focused[0] == "Skip to services" and len(set(focused)) > 1


async def test_it_says_when_it_is_not_live_and_comes_back(tmp_path: Path) -> None:
    """Old figures are never shown as new ones."""
    async with services("v1", "v2") as (old, new), browser(tmp_path / "profile") as page:
        rules = write(tmp_path / "rules.yaml", old, new)
        async with serving(rules) as proxy:
            await page.go(proxy.admin + "/")
            await page.until("document.querySelector('.stream.live') !== null")
        said = await page.until("document.getElementById('lost').checkVisibility() && document.body.innerText")
        assert "Not live" in said and "Figures are from" in said
        async with serving(rules, "--admin", proxy.admin.removeprefix("http://")):
            await page.until("document.querySelector('.stream.live') !== null")
            assert not await page.run("document.getElementById('lost').checkVisibility()")


async def test_a_rollout_is_steered_with_the_token(tmp_path: Path) -> None:
    """The panel is there as soon as the rules name a rollout. A promote click asks for the token and changes the file,
    and the page tells of the step; rolling back is asked again first, and Escape calls it off."""
    (tmp_path / "token").write_text("correct-horse-battery-staple\n")
    async with (
        services("v1", "v2") as (old, new),
        serving(
            rules := write(tmp_path / "rules.yaml", old, new), "--admin-token-file", str(tmp_path / "token")
        ) as proxy,
        browser(tmp_path / "profile") as page,
    ):
        await page.go(proxy.admin + "/", width=360, scheme="dark")
        await page.until("document.querySelectorAll('.service').length === 2")
        assert not await page.run("document.getElementById('rollouts').checkVisibility()")
        rules.write_text(rules.read_text() + ROLLOUT)
        await page.until("document.querySelector('.rollout [aria-current=step]')?.textContent.startsWith('20')")
        assert await faint(page) == [] and await misbuilt(page) == []
        assert await page.run("document.documentElement.scrollWidth") == 360

        await page.run(click("Next step"))
        for token in ("wrong", "correct-horse-battery-staple"):
            await page.until("document.getElementById('ask-token').checkVisibility()")
            assert await faint(page) == [] and await unnamed(page) == []
            await page.do("Input.insertText", text=token)
            await page.press("Enter", "\r")
            if token == "wrong":
                await page.until("document.getElementById('ask-text').textContent === 'That is not the token.'")
        await page.until("document.querySelector('.rollout [aria-current=step]')?.textContent.startsWith('50')")
        assert "split: {v1: 50, v2: 50}" in rules.read_text()
        assert "correct-horse" not in await page.run(
            "document.documentElement.outerHTML + JSON.stringify(localStorage)"
        )

        await page.run(click("Roll back"))
        await page.until("document.getElementById('ask').open")
        await page.press("Escape")
        await page.until("!document.getElementById('ask').open")
        assert "v2: 50" in rules.read_text()
        await page.run(click("Roll back"))
        await page.until("document.getElementById('ask').open")
        await page.run("document.getElementById('ask-yes').click()")
        await page.until("document.querySelector('.rollout .pill').textContent === 'Rolled back'")
        assert "split: {v1: 100, v2: 0}" in rules.read_text()
        await page.run("document.querySelector('.rollout details').open = true")
        assert "rolled back aborted by hand" in await page.until("document.querySelector('.journal').textContent")


def click(button: str) -> str:
    return f"[...document.querySelectorAll('.rollout button')].find((one) => one.textContent === '{button}').click()"
