"""The JSON of /api/mirrors: what is copied to which version, what became of it, and how the answers differed."""

from __future__ import annotations

from typing import Any

from proxy.admin.view import View
from proxy.http.digest import KINDS
from proxy.observe.mirrors import RESULTS
from proxy.rules.actions import Mirror
from proxy.rules.mirrors import mirrored, mirrors_of
from proxy.rules.model import RuleFile


def mirrors(view: View) -> dict[str, Any]:
    """Each version that the rules send copies to."""
    rule_file = view.rule_file()
    if rule_file is None:
        return {"mirrors": []}
    return {"mirrors": [_mirror(view, rule_file, *name) for name in mirrored(rule_file)]}


def _mirror(view: View, rule_file: RuleFile, service: str, version: str) -> dict[str, Any]:
    registry = view.registry
    requests, differences = registry.counter("mirror_requests_total"), registry.counter("mirror_differences_total")
    return {
        "service": service,
        "version": version,
        "in_flight": int(registry.gauge("mirror_requests_in_flight").get((service, version), 0)),
        "requests": {result: int(requests.get((service, version, result), 0)) for result in RESULTS},
        "differences": {kind: int(differences.get((service, version, kind), 0)) for kind in KINDS},
        "rules": _rules(rule_file, service, version),
        "examples": registry.examples(service, version),
    }


def _rules(rule_file: RuleFile, service: str, version: str) -> list[dict[str, Any]]:
    """The rules whose requests are copied; the rule "" stands for requests that no rule takes."""
    return [
        {"route": route.name, "rule": rule.name if rule else "", **_said(mirror)}
        for route in rule_file.routes
        if route.service == service
        for rule in (*route.rules, None)
        for mirror in mirrors_of(route, rule)
        if mirror.version == version
    ]


def _said(mirror: Mirror) -> dict[str, Any]:
    compare = {"headers": list(mirror.compare.headers)} if mirror.compare else False
    return {
        "percent": round(mirror.percent * 100, 6),
        "by": mirror.by,
        "methods": list(mirror.methods),
        "compare": compare,
    }
