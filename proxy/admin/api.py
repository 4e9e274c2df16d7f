"""The JSON under /api/: what is in use, what it does, and why. The words are those of the rule file and the metrics."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Container
from dataclasses import asdict, fields
from typing import Any, Final

from aiohttp import web
from multidict import MultiMapping

from proxy.admin.asked import Pair, asked
from proxy.admin.drain import Drain
from proxy.admin.view import View
from proxy.http.message import RequestHead
from proxy.observe.metrics import EndpointState
from proxy.observe.series import shares_of
from proxy.rules.analysis.explain import explain
from proxy.rules.analysis.report import to_json
from proxy.rules.model import Route, RuleFile, Service
from proxy.settings import read_duration

PARAMETERS: Final = frozenset(("url", "method", "header", "cookie", "client_ip"))
WAIT_MAX_S: Final = 300.0
"""For one answer of /api/drain: what stands between may end a connection that is silent for longer."""
ENDPOINT: Final = tuple(one.name for one in fields(EndpointState))
DRAIN_POLL_S: Final = 0.25
"""Between two looks while somebody waits."""


def config(view: View) -> dict[str, Any]:
    """The rules in use, what became of the last file read, and how far the workers are. `source` of a fault or warning
    is the line that it names, where that is known."""
    state: dict[str, Any] = asdict(view.config())
    applied, lines = state.pop("applied"), state.pop("lines")
    state["faults"], state["warnings"] = list(state["faults"]), list(state["warnings"])
    for found in state["faults" if state["result"] == "refused" else "warnings"]:
        if found["line"] in lines:
            found["source"] = lines[found["line"]]
    state["workers"] = [{"worker": worker, "generation": applied[worker]} for worker in sorted(applied)]
    return state


def services(view: View, names: Container[str] | None = None) -> dict[str, Any]:
    """Services, their versions and endpoints with live state, and who gets which share. names: of these alone."""
    rule_file = view.rule_file()
    if rule_file is None:
        return {"services": []}
    drains = view.drains.all()
    return {
        "services": [
            _service(view, rule_file, service, drains.get(service.name, []))
            for service in rule_file.services.values()
            if names is None or service.name in names
        ]
    }


def _service(view: View, rule_file: RuleFile, service: Service, drains: list[Drain]) -> dict[str, Any]:
    left = {
        drain.version: {"state": drain.state, "in_flight": drain.in_flight, "tunnels": drain.tunnels}
        for drain in drains
    }
    return {
        "service": service.name,
        "stable": service.stable,
        "versions": [
            {
                "version": name,
                **left[name],
                "endpoints": [_endpoint(view, service.name, name, spec.url, spec.weight) for spec in version.endpoints],
            }
            for name, version in service.versions.items()
        ],
        # No longer in the rules, but with something left.
        "draining": [
            {"version": drain.version, **left[drain.version]}
            for drain in drains
            if not drain.in_rules and drain.state != "idle"
        ],
        # In the rules until a while ago, and nothing is left of them.
        "idle": [{"version": drain.version} for drain in drains if drain.lately and drain.state == "idle"],
        "rules": [entry for route in rule_file.routes if route.service == service.name for entry in _rules(route)],
    }


def _endpoint(view: View, service: str, version: str, url: str, weight: float) -> dict[str, Any]:
    state = view.registry.endpoint(service, version, url)
    # PERF: asdict copies deeply: half of the time of a large answer.
    return {"url": url, "weight": weight, "up": state.up} | {name: getattr(state, name) for name in ENDPOINT}


def _rules(route: Route) -> list[dict[str, Any]]:
    splits = {rule.name: rule.split for rule in route.rules}
    entries = []
    for name, shares in shares_of(route):
        split = splits.get(name)
        entry: dict[str, Any] = {"route": route.name, "rule": name, "shares": shares}
        entries.append(entry if split is None else entry | {"weights": dict(split.weights)})
    return entries


async def drained(view: View, request: web.Request) -> dict[str, Any]:
    """What is left of a version; with `wait`, told as soon as nothing is, or when that time is over."""
    service, version = request.match_info["service"], request.match_info["version"]
    try:
        until = asyncio.get_running_loop().time() + _wait_s(request.query)
        while True:
            await view.counted()
            drain = view.drains.drain(service, version)
            left_s = until - asyncio.get_running_loop().time()
            if drain.state == "idle" or left_s <= 0:
                break
            await asyncio.sleep(min(DRAIN_POLL_S, left_s))
    except LookupError as error:
        raise web.HTTPNotFound(text=error.args[0]) from None
    except ValueError as error:
        raise web.HTTPBadRequest(text=str(error)) from None
    return {
        "service": service,
        "version": version,
        "state": drain.state,
        "safe_to_switch_off": drain.state == "idle",
        "in_rules": drain.in_rules,
        "in_flight": drain.in_flight,
        "tunnels": drain.tunnels,
        "ways": [way._asdict() | {"text": way.text} for way in drain.ways],
        "left": drain.left,
    }


def _wait_s(query: MultiMapping[str]) -> float:
    if unknown := set(query) - {"wait"}:
        raise ValueError(f"unknown parameter '{min(unknown)}'; there is wait, like ?wait=30s")
    seconds = read_duration(query.get("wait", "0s"))
    if seconds > WAIT_MAX_S:
        raise ValueError(f"wait is {WAIT_MAX_S:g} s at most; ask again after that")
    return seconds


def explained(view: View, request: web.Request) -> dict[str, Any]:
    """The way of one request through the rules. Raises web.HTTPBadRequest with what is wrong with the question."""
    rule_file = view.rule_file()
    if rule_file is None:
        raise web.HTTPServiceUnavailable(text="no rules are loaded yet")
    try:
        return to_json(explain(rule_file, _asked(request.query), time.time))
    except ValueError as error:
        raise web.HTTPBadRequest(text=str(error)) from None


def _asked(query: MultiMapping[str]) -> RequestHead:
    if unknown := set(query) - PARAMETERS:
        raise ValueError(f"unknown parameter '{min(unknown)}'; there are {', '.join(sorted(PARAMETERS))}")
    if not query.get("url"):
        raise ValueError("url is missing, like /api/explain?url=http://shop.example.com/&header=foo:bar")
    headers = [_pair(text, ":", "header", "name:value") for text in query.getall("header", [])]
    cookies = [_pair(text, "=", "cookie", "name=value") for text in query.getall("cookie", [])]
    return asked(query["url"], query.get("method", "GET"), headers, cookies, query.get("client_ip", "127.0.0.1"))


def _pair(text: str, separator: str, what: str, form: str) -> Pair:
    name, found, value = text.partition(separator)
    if not found or not name.strip():
        raise ValueError(f"{what} '{text}' is not {form}")
    return name.strip(), value.strip()
