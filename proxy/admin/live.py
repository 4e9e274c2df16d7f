"""The dashboard's stream: a snapshot a second as a server-sent event, made once for all who watch, for nobody else."""

from __future__ import annotations

import asyncio
import json
import time
import zlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import fields
from functools import cached_property
from typing import Any, Final

from aiohttp import web

import proxy
from proxy.admin import api
from proxy.admin.figures import WINDOW_S, Figures, RuleName, VersionName, Window, sample
from proxy.admin.mirrors import mirrors
from proxy.admin.rollouts import rollouts
from proxy.admin.view import View

INTERVAL_S: Final = 1.0
"""Workers tell what they counted four times a second; a person reads no faster than this."""
WATCHERS_MAX: Final = 32
"""Each holds a connection and is sent some KiB a second; a team, and its wall display."""
WRITE_S: Final = 10.0
"""For a watcher to take a snapshot: one that does not is gone, or will not catch up."""
SERVICES_MAX: Final = 250
"""Services in a snapshot, those with the most requests: 50 ms of control's time a second. /api/services has all."""
FAULTS_MAX: Final = 50
"""Faults and warnings in a snapshot, each; whoever has mended these sees the next. /api/config has all."""

NOTHING: Final = Figures()
FIGURES: Final = tuple(one.name for one in fields(Figures))
GZIP_HEAD: Final = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
"""RFC 1952 section 2.3: deflate, no name, no time, of no system."""


class Live:
    """Who watches, and what they are shown."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._window = Window()
        self._closed = asyncio.Event()
        self._second = -1
        self._event = Event({})
        self._watchers = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """The stream, until the watcher leaves or `close`. Raises web.HTTPServiceUnavailable if too many watch."""
        if self._watchers >= WATCHERS_MAX:
            raise web.HTTPServiceUnavailable(text=f"{WATCHERS_MAX} watch already; close another dashboard")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Vary": "Accept-Encoding"})
        if squeezed := "gzip" in request.headers.get("Accept-Encoding", ""):
            response.headers["Content-Encoding"] = "gzip"
        self._watchers += 1
        try:
            await response.prepare(request)
            if squeezed:
                await response.write(GZIP_HEAD)
            async for event in self._events():
                async with asyncio.timeout(WRITE_S):
                    await response.write(event.squeezed if squeezed else event.text)
        except (ConnectionError, TimeoutError):
            if request.transport is not None:
                request.transport.abort()
        finally:
            self._watchers -= 1
        return response

    async def close(self) -> None:
        """Let all watchers go: the process ends."""
        self._closed.set()

    async def _events(self) -> AsyncIterator[Event]:
        """One at once, then one at each full INTERVAL_S, which is the same moment for all."""
        while not self._closed.is_set():
            yield self._latest()
            now = time.monotonic()
            try:
                async with asyncio.timeout(INTERVAL_S - now % INTERVAL_S):
                    await self._closed.wait()
            except TimeoutError:
                pass

    def _latest(self) -> Event:
        now = time.monotonic()
        if (second := int(now / INTERVAL_S)) != self._second:
            self._second = second
            self._window.add(now, sample(self._view.registry))
            self._event = Event(snapshot(self._view, self._window.figures(), self._window.taken()))
        return self._event


class Event:
    """A snapshot as it is sent: made once, whoever watches."""

    def __init__(self, shown: dict[str, Any]) -> None:
        self.text = b"data: " + json.dumps(shown, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"

    @cached_property
    def squeezed(self) -> bytes:
        """Deflated by itself: after a full flush nothing refers to what came before, so the same bytes go on in every
        watcher's gzip stream, and one who is slow may miss some. A tenth or less, as snapshots repeat themselves."""
        deflate = zlib.compressobj(1, wbits=-zlib.MAX_WBITS)
        return deflate.compress(self.text) + deflate.flush(zlib.Z_FULL_FLUSH)


def snapshot(
    view: View, figures: Mapping[VersionName, Figures] | None, taken: Mapping[RuleName, Mapping[str, float]]
) -> dict[str, Any]:
    """What the dashboard shows. Services as under /api/services, each version with its figures as `live`, or None while
    there are none yet; `share` is its part (0 to 1) of the service's requests. `taken` of a rule: requests a second by
    version, to be held against its shares."""
    rates: dict[str, float] = {}
    for (service, version), of in (figures or {}).items():
        rates[service] = rates.get(service, 0.0) + (of.rate if version else 0.0)
    rule_file = view.rule_file()
    known = list(rule_file.services) if rule_file is not None else []
    busiest = set(sorted(known, key=lambda name: rates.get(name, 0.0), reverse=True)[:SERVICES_MAX])
    services = api.services(view, busiest)["services"]
    for service in services:
        for version in service["versions"] + service["draining"] + service["idle"]:
            name = (service["service"], version["version"])
            version["live"] = None if figures is None else _live(figures.get(name, NOTHING), rates.get(name[0], 0.0))
        for rule in service["rules"]:
            rule["taken"] = {
                name: round(rate, 3) for name, rate in taken.get((rule["route"], rule["rule"]), {}).items()
            }
    return {
        "at": time.time(),
        "version": proxy.__version__,
        "window_s": WINDOW_S,
        "unready": view.unready(),
        "config": _config(view),
        "totals": _totals(view, figures),
        "services": services,
        "services_left_out": len(known) - len(services),
        "mirrors": [
            {name: value for name, value in mirror.items() if name != "examples"} for mirror in mirrors(view)["mirrors"]
        ],
        **rollouts(view),
    }


def _live(figures: Figures, rate: float) -> dict[str, Any]:
    told = {name: getattr(figures, name) for name in FIGURES}
    return told | {"share": figures.rate / rate if rate else None}


def _config(view: View) -> dict[str, Any]:
    state = api.config(view)
    for kind in ("faults", "warnings"):
        state[f"{kind}_left_out"] = max(0, len(state[kind]) - FAULTS_MAX)
        del state[kind][FAULTS_MAX:]
    return state


def _totals(view: View, figures: Mapping[VersionName, Figures] | None) -> dict[str, Any]:
    """Of the container; rate and error_rate are None while there are no figures, error_rate also without requests."""
    gauge = view.registry.gauge
    known = list((figures or {}).values())
    requests = sum(of.requests for of in known)
    failed = sum(of.requests * (of.error_rate or 0.0) for of in known)
    return {
        "rate": None if figures is None else sum(of.rate for of in known),
        "error_rate": failed / requests if requests else None,
        "in_flight": int(sum(gauge("requests_in_flight").values())),
        "connections": int(sum(gauge("connections_open").values())),
        "workers": int(gauge("workers")[()]),
    }
