"""Active health checks: control asks each endpoint at intervals whether it is well, once for the whole container.

An endpoint counts as healthy until it has proved otherwise, so that a start or a reload never waits for a check.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Any, Final

import aiohttp
from yarl import URL

import proxy
from proxy.rules.health import ActiveHealth
from proxy.rules.model import RuleFile
from proxy.tasks import spawn
from proxy.upstream.tls import Security, client_context, security

log = logging.getLogger("grayhound.health")

PROBES_MAX: Final = 64
"""Checks under way at a time: with thousands of endpoints, sockets and look-ups stay few. At a time-out of 1 s even
a dead network leaves 64 checks a second."""
AGENT: Final = f"grayhound-health/{proxy.__version__}"

Verdicts = dict[str, bool]
"""Endpoint url -> whether its checks say that it is well."""
Check = tuple[str, ActiveHealth, Security]
"""An endpoint url, how it is checked and how connections to it are secured. If all stay the same over a reload, so does
its state."""


class Streak:
    """Good or bad answers in a row turn the verdict; one answer of the other kind begins the count anew."""

    __slots__ = ("against", "healthy", "healthy_after", "unhealthy_after")

    def __init__(self, healthy_after: int, unhealthy_after: int) -> None:
        self.healthy = True
        self.against = 0  # answers in a row that speak against the verdict
        self.healthy_after = healthy_after
        self.unhealthy_after = unhealthy_after

    def record(self, good: bool) -> bool:
        """Take one answer; say whether it turned the verdict."""
        self.against = 0 if good == self.healthy else self.against + 1
        if self.against < (self.unhealthy_after if self.healthy else self.healthy_after):
            return False
        self.healthy, self.against = good, 0
        return True


class Checker:
    """The checks of all endpoints whose service asks for them.

    changed: told every verdict whenever one has turned; a url that is no longer checked is told once more, as well.
    chance: a number in [0, 1), spreads the first checks over the interval so that they do not go out in step.
    Methods need a running loop.
    """

    def __init__(
        self,
        changed: Callable[[Verdicts], None],
        *,
        chance: Callable[[], float] = random.random,
        probes_max: int = PROBES_MAX,
    ) -> None:
        self._changed = changed
        self._chance = chance
        self._turns = asyncio.Semaphore(probes_max)
        self._session: aiohttp.ClientSession | None = None
        self._streaks: dict[Check, Streak] = {}
        self._tasks: dict[Check, asyncio.Task[None]] = {}

    @property
    def verdicts(self) -> Verdicts:
        """Every url that is checked. One that stands in several services is well if all their checks say so."""
        verdicts: Verdicts = {}
        for (url, *_), streak in self._streaks.items():
            verdicts[url] = verdicts.get(url, True) and streak.healthy
        return verdicts

    def update(self, rule_file: RuleFile) -> None:
        """Check what these rules ask for from now on; what they ask for as before goes on undisturbed."""
        before = self.verdicts
        wanted = _checks(rule_file)
        for check in self._streaks.keys() - wanted:
            del self._streaks[check]
            self._tasks.pop(check).cancel()
        for check in sorted(wanted - self._streaks.keys(), key=str):
            self._streaks[check] = Streak(check[1].healthy_after, check[1].unhealthy_after)
            self._tasks[check] = spawn(self._watch(check), name=f"health check of {check[0]}")
        after = dict.fromkeys(before, True) | self.verdicts
        if any(after[url] != healthy for url, healthy in before.items()):
            self._changed(after)

    async def close(self) -> None:
        """Stop all checks; returns when none is under way."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        self._streaks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _watch(self, check: Check) -> None:
        url, health, _ = check
        loop = asyncio.get_running_loop()
        streak = self._streaks[check]
        await asyncio.sleep(self._chance() * health.interval)
        while True:
            began = loop.time()
            async with self._turns:
                fault = await self._probe(*check)
            if streak.record(not fault):
                log.log(*_news(url, fault))
                self._changed(self.verdicts)
            await asyncio.sleep(began + health.interval - loop.time())

    async def _probe(self, url: str, health: ActiveHealth, security: Security) -> str:
        """What is wrong with the endpoint; empty if it is well. A redirect is an answer and is not followed."""
        if self._session is None:
            self._session = _open_session()
        timeout = aiohttp.ClientTimeout(total=health.timeout)
        try:
            where = URL(url + health.path, encoded=True)
            secured: dict[str, Any] = {}
            if where.scheme == "https":
                secured = {"ssl": client_context(security), "server_hostname": security.server_name or None}
            async with self._session.get(where, timeout=timeout, allow_redirects=False, **secured) as response:
                good = any(first <= response.status <= last for first, last in health.status)
                return "" if good else f"status {response.status}"
        except TimeoutError:
            return f"no answer within {health.timeout:g} s"
        except aiohttp.ClientConnectorCertificateError as error:
            return str(error.certificate_error)
        except aiohttp.ClientConnectorError as error:
            return error.os_error.strerror or str(error)
        except (aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: a host name that IDNA refuses
            return str(error) or type(error).__name__


def _open_session() -> aiohttp.ClientSession:
    """A fresh connection for each check: it proves that the endpoint takes new ones, and leaves none behind."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, force_close=True),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": AGENT},
        auto_decompress=False,
    )


def _checks(rule_file: RuleFile) -> set[Check]:
    return {
        (endpoint.url, service.active, security(version.tls or service.tls, rule_file))
        for service in rule_file.services.values()
        if service.active is not None
        for version in service.versions.values()
        for endpoint in version.endpoints
    }


def _news(url: str, fault: str) -> tuple[int, str]:
    if fault:
        return logging.WARNING, f"endpoint {url} is down: {fault}"
    return logging.INFO, f"endpoint {url} is up again"
