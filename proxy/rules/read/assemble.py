"""What was read of a rule file -> its model: defaults and names filled in, a route's settings laid over its service's.

What could not be read is absent, and takes its default: the faults are noted already, and the checks that follow can
still judge the rest.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from proxy.rules.actions import Rewrite
from proxy.rules.expect import Expectation, Trial, TrialRequest
from proxy.rules.model import Otherwise, Retry, Route, Rule, RuleFile, Service, Timeouts, Version
from proxy.rules.read.nodes import path_text
from proxy.rules.rollouts import DEFAULT_GATES, Rollout
from proxy.rules.tls import DEFAULT_TLS, Tls

Raw = dict[str, Any]
Waits = tuple[Timeouts, Retry]

OUTCOMES: Final = frozenset(("version", "split", "redirect", "respond"))
"""What a rule can come to; it takes one of them."""
TREATMENTS: Final = frozenset(("rewrite", "request_headers", "response_headers", "mirror", "timeouts", "retry"))
"""What is done to requests on their way. A rule that says nothing else leads to the stable version."""


def rule_file(raw: Raw) -> RuleFile:
    """The whole model."""
    services = {name: _service(name, service or {}) for name, service in raw.get("services", {}).items()}
    routes = tuple(_route(number, route, services) for number, route in enumerate(raw.get("routes", ()), 1))
    rollouts = {name: _rollout(name, read or {}, routes) for name, read in raw.get("rollouts", {}).items()}
    return RuleFile(services, routes, tuple(_trial(*trial) for trial in raw.get("tests", ())), rollouts)


def _service(name: str, raw: Raw) -> Service:
    health = raw.pop("health", {})
    tls = raw["tls"] = replace(DEFAULT_TLS, **raw.pop("tls", {}))
    versions = {version: _version(version, read or {}, tls) for version, read in raw.pop("versions", {}).items()}
    stable = raw.pop("stable", next(iter(versions), ""))
    timeouts = replace(Timeouts(), **raw.pop("timeouts", {}))
    retry = _retry(Retry(), raw.pop("retry", {}))
    return Service(name, stable, versions, timeouts=timeouts, retry=retry, **health, **raw)


def _version(name: str, raw: Raw, tls: Tls) -> Version:
    own = replace(tls, **raw.pop("tls")) if "tls" in raw else None
    return Version(name, raw.pop("endpoints", ()), own, **raw)


def _retry(base: Retry, raw: Raw) -> Retry:
    on = raw.pop("on", None)
    if on is not None:
        raw["causes"] = tuple(cause for cause in dict.fromkeys(on) if isinstance(cause, str))
        raw["statuses"] = tuple(status for status in dict.fromkeys(on) if isinstance(status, int))
    return replace(base, **raw)


def _route(number: int, raw: Raw, services: dict[str, Service]) -> Route:
    name = raw.pop("name", f"route-{number}")
    service_name = raw.pop("service", "")
    service = services.get(service_name)
    otherwise = raw.pop("otherwise", Otherwise("version" if service_name else "next"))
    if otherwise.kind == "version" and not otherwise.version and service is not None:
        otherwise = Otherwise("version", service.stable)
    waits = _waits(raw, service.timeouts if service else Timeouts(), service.retry if service else Retry())
    salt, rewrite = f"{service_name}/{name}", raw.get("rewrite", Rewrite())
    stable = service.stable if service else ""
    rules = tuple(
        _rule(place, rule, salt, rewrite, waits, stable) for place, rule in enumerate(raw.pop("rules", ()), 1)
    )
    return Route(name, service_name, otherwise, rules=rules, **raw)


def _rule(number: int, raw: Raw, salt: str, rewrite: Rewrite, waits: Waits, stable: str) -> Rule:
    sticky = raw.get("sticky")
    if sticky is not None and not sticky.salt:
        raw["sticky"] = replace(sticky, salt=salt)
    if "rewrite" in raw:
        own: Rewrite = raw["rewrite"]
        raw["rewrite"] = Rewrite(own.host or rewrite.host, own.path or rewrite.path)
    _waits(raw, *waits)
    if OUTCOMES.isdisjoint(raw) and not TREATMENTS.isdisjoint(raw):
        raw["version"] = stable
    return Rule(raw.pop("name", f"rule-{number}"), **raw)


def _waits(raw: Raw, timeouts: Timeouts, retry: Retry) -> Waits:
    """Complete those of a route or rule by what holds around it; what holds within it."""
    if "timeouts" in raw:
        raw["timeouts"] = timeouts = replace(timeouts, **raw["timeouts"])
    if "retry" in raw:
        raw["retry"] = retry = _retry(retry, raw["retry"])
    return timeouts, retry


def _rollout(name: str, raw: Raw, routes: tuple[Route, ...]) -> Rollout:
    route = next((route for route in routes if route.name == raw.get("route")), None)
    plain = [rule.name for rule in route.rules if rule.match is None and rule.split is not None] if route else []
    defaults: Raw = {"route": "", "rule": plain[-1] if plain else "", "steps": (), "gates": DEFAULT_GATES}
    return Rollout(name, old=raw.pop("from", ""), new=raw.pop("to", ""), **(defaults | raw))


def _trial(raw: Raw | None, line: int, column: int, path: tuple[str | int, ...]) -> Trial:
    raw = raw or {}
    request, expect = raw.get("request", TrialRequest()), raw.get("expect", Expectation())
    return Trial(request, expect, line, column, path_text(path))
