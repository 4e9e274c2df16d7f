"""A real Chromium, driven over its DevTools protocol: one page, its console, and what a person would do with it."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

START_S = 40.0
WAIT_S = 15.0
OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--hide-scrollbars", "--remote-debugging-port=0",
)  # fmt: skip


class Page:
    """One page. console: what it wrote there, and every error, in order."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self.console: list[str] = []

    async def read(self) -> None:
        """Take what the browser sends, until it ends."""
        async for message in self._socket:
            said = json.loads(message.data)
            if "id" in said:
                self._waiting.pop(said["id"]).set_result(said)
            elif said["method"] == "Runtime.consoleAPICalled":
                self.console += [str(part.get("value", part)) for part in said["params"]["args"]]
            elif said["method"] == "Runtime.exceptionThrown":
                details = said["params"]["exceptionDetails"]
                self.console.append(details.get("exception", {}).get("description", details["text"]))
            elif said["method"] == "Log.entryAdded":
                self.console.append(f"{said['params']['entry']['text']} {said['params']['entry'].get('url', '')}")

    async def do(self, method: str, **parameters: Any) -> Any:
        """One command of the protocol, and its result."""
        number = max(self._waiting, default=0) + 1
        self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(WAIT_S):
            said = await self._waiting[number]
        assert "result" in said, said
        return said["result"]

    async def go(self, url: str, width: int = 1280, height: int = 900, scheme: str = "light") -> None:
        """Load a page, in a window of that size."""
        await self.do(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        await self.do("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        await self.do("Page.navigate", url=url)

    async def run(self, script: str) -> Any:
        """The value of a JavaScript expression; of a promise, once it is kept."""
        result = await self.do("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    async def until(self, script: str) -> Any:
        """The value of an expression as soon as it is true."""
        value = None
        try:
            async with asyncio.timeout(WAIT_S):
                while not (value := await self.run(script)):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            text = await self.run("document.body.innerText")
            raise AssertionError(f"not true in {WAIT_S} s: {script}\n{text}\n{self.console}") from None
        return value

    async def press(self, key: str, text: str = "") -> None:
        """One key, like Tab or Enter."""
        code = {"Tab": 9, "Enter": 13, "Escape": 27}.get(key, 0)
        event = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        await self.do("Input.dispatchKeyEvent", type="keyDown", **event, **({"text": text} if text else {}))
        await self.do("Input.dispatchKeyEvent", type="keyUp", **event)

    async def picture(self, file: Path, whole: bool = True) -> None:
        """The page as a PNG."""
        shot = await self.do("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(shot["data"]))


@asynccontextmanager
async def browser(folder: Path) -> AsyncIterator[Page]:
    """A Chromium with an empty profile in `folder`; the test is skipped where there is none."""
    chromium = shutil.which("chromium") or pytest.skip("needs Chromium: apt-get install chromium")
    process = await asyncio.create_subprocess_exec(
        chromium, *OPTIONS, f"--user-data-dir={folder}", "about:blank",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        async with asyncio.timeout(START_S):
            while not (line := (await process.stderr.readline()).decode()).startswith("DevTools listening on "):
                assert line, "Chromium ended"
        port = line.rpartition(" ")[2].split("/")[2]
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://{port}/json/list") as response:
                pages = [page for page in await response.json() if page["type"] == "page"]
            async with session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                page = Page(socket)
                reading = asyncio.get_running_loop().create_task(page.read())
                for domain in ("Page", "Runtime", "Log"):
                    await page.do(f"{domain}.enable")
                yield page
                await page.do("Browser.close")
                await reading
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
