"""config/prometheus/alerts.yml beside what goes wrong for real: each alert that traffic alone does not raise."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import aiohttp

from proxy.tasks import spawn
from tests.authority import Authority
from tests.integration.test_monitoring import ALERTS, QUIET, SCRAPE, empty, raised
from tests.load import load
from tests.mortal import Mortal
from tests.prometheus import prometheus, tool
from tests.serve import Proxy, serving
from tests.slow import slow

WAIT_S = 120.0
"""For some seconds of traffic and the scrapes after it, on a machine busy with other tests."""

RULES = """\
services:
  shop:
    versions:
      v1: {{endpoints: ["{v1}"]}}
      v2: {{endpoints: ["{slow}"]}}
  dead:
    health: {{active: {{path: /healthz, interval: 200ms, timeout: 100ms, unhealthy_after: 1}}}}
    versions:
      v1: {{endpoints: ["{v1}"]}}
      v2: {{endpoints: ["http://127.0.0.1:1"]}}
  copied:
    timeouts: {{response: 200ms}}
    versions:
      v1: {{endpoints: ["{v1}"]}}
      v2: {{endpoints: ["{hanging}"]}}
  burning:
    versions:
      v1: {{endpoints: ["{v1}"]}}
      v2: {{endpoints: ["{failing}"]}}
  held:
    versions:
      v1: {{endpoints: ["{v1}"]}}
      v2: {{endpoints: ["{v1}"]}}
routes:
  - {{name: shop, path: /shop, service: shop, rules: [{{name: everyone, split: {{v1: {share}, v2: 50}}}}]}}
  - {{name: dead, path: /dead, service: dead, rules: [{{name: everyone, split: {{v1: 50, v2: 50}}}}]}}
  - {{name: copied, path: /copied, service: copied, mirror: [{{version: v2}}]}}
  - {{name: hanging, path: /hanging, service: copied, otherwise: v2, timeouts: {{response: 1m}}}}
  - name: burning
    path: /burning
    service: burning
    rules:
      - name: everyone
        split: {{v1: 100, v2: 0}}
  - name: held
    path: /held
    service: held
    rules:
      - name: everyone
        split: {{v1: 100, v2: 0}}
        sticky: {{by: [{{header: x-user}}]}}
rollouts:
  burning: {{route: burning, from: v1, to: v2, steps: [{{weight: 50, hold: 1m}}]}}
  held: {{route: held, from: v1, to: v2, steps: [{{weight: 100, hold: 1m}}]}}
tests:
  - {{request: {{path: /held, headers: {{x-user: alice}}}}, expect: {{version: v1}}}}
"""
PATHS = ("/shop", "/dead", "/copied", "/burning", "/held")
BY_ACTS = {"GrayhoundWorkerRestarts", "GrayhoundNoWorkers"}
"""The others are raised by traffic, here or in test_monitoring.py."""
NOT_HERE = {"TLS handshakes and PROXY headers B"}
"""No listener asks for PROXY headers."""


async def test_what_goes_wrong_is_told(tmp_path: Path) -> None:
    """Two replicas that disagree, one at its limit and one with a full disk and an old certificate; versions that are
    slow, dead and hang; a rollout that burns, and one whose file refuses the next step. And no panel stays empty."""
    tool("prometheus")
    authority = Authority(tmp_path / "ca")
    soon = authority.issue("shop.example.com", days=1)
    async with Mortal("v1") as v1, Mortal("v2") as hanging, Mortal("v2") as failing, slow("v2", 0.1) as slow_url:
        await hanging.become("hang")
        await failing.become("500")
        places = {"v1": v1.url, "slow": slow_url, "hanging": hanging.url, "failing": failing.url}
        one, other = tmp_path / "one.yaml", tmp_path / "other.yaml"
        one.write_text(RULES.format(share=50, **places))
        other.write_text(RULES.format(share=150, **places))
        tls = ("--tls-listen", "127.0.0.1:0", "--tls-cert", soon.option)
        async with (
            serving(one, *tls, "--access-log", "/dev/full") as first,
            serving(other, "--max-connections", "1") as second,
        ):
            ports = [proxy.admin.removeprefix("http://") for proxy in (first, second)]
            secure = "https://" + (await first.said("listening for TLS on ")).rpartition(" ")[2]
            text = SCRAPE.format(alerts=ALERTS, target='", "'.join([*ports, "127.0.0.1:1"]))
            async with prometheus(tmp_path, text) as address, aiohttp.ClientSession(address) as session:
                await first.until(
                    lambda: traffic(first, second, session, secure, authority),
                    lambda silent: not silent & QUIET - BY_ACTS - NOT_HERE,
                    WAIT_S,
                )
                assert await empty(session) >= BY_ACTS
                os.kill(second.workers()[0], signal.SIGKILL)
                await first.until(
                    lambda: raised(session), lambda found: ("GrayhoundWorkerRestarts", "") in found, WAIT_S
                )
                await second.until(lambda: second.metric("workers"), 2.0)
                hanging_one = spawn(second.get("/hanging"), name="what a drain waits for")
                await second.until(lambda: second.metric("requests_in_flight"), 1.0)
                second.signal(signal.SIGTERM)
                await first.until(lambda: raised(session), lambda found: ("GrayhoundNoWorkers", "") in found, WAIT_S)
                hanging_one.cancel()


async def traffic(first: Proxy, second: Proxy, session: aiohttp.ClientSession, secure: str, ca: Authority) -> set[str]:
    """A second of requests to every route, one by TLS, and too many connections to the second proxy: what is silent."""
    loads = [load(first.url + path, 1.0, 16 if path == "/shop" else 4, lambda number: {}) for path in PATHS]
    await asyncio.gather(*loads, load(second.url + "/shop", 1.0, 8, lambda number: {}))
    async with aiohttp.ClientSession() as client:
        await client.get(secure + "/shop", ssl=ca.client(), server_hostname="shop.example.com")
    return await empty(session)
