"""From the HTTPRoute objects of the manifests to routes of a draft."""

from __future__ import annotations

from typing import Final

from proxy.imports.draft import Draft
from proxy.imports.gateway_api.gateways import GROUP, Gateways
from proxy.imports.gateway_api.matches import matches, rules
from proxy.imports.gateway_api.order import Placed, Step, scopes
from proxy.imports.gateway_api.outcome import Outcomes
from proxy.imports.gateway_api.write import Writer
from proxy.imports.manifests import Object

READ: Final = ("HTTPRoute", "Gateway", "GatewayClass", "ListenerSet", "ReferenceGrant", "BackendTLSPolicy")
"""Kinds of the API that are looked at, or that say nothing which a rule file could."""


def draft_http_routes(routes: list[Object], draft: Draft) -> None:
    """Add a route for each host and path that these objects name."""
    for each in draft.objects:
        if each.group == GROUP and each.kind not in READ:
            draft.note(each, each.body, f"{each.kind} is not imported")
    gateways, outcomes = Gateways(draft), Outcomes(draft)
    placed: Placed = {}
    for route in routes:
        hosts = gateways.hosts(route)
        for rule in rules(route, draft):
            outcome = outcomes.read(rule)
            for match in () if outcome.void else matches(rule, draft):
                for host, schemes in hosts.items():
                    placed.setdefault(host, []).append(Step(match, outcome, schemes))
    writer = Writer(draft, gateways.schemes)
    for scope in scopes(placed, gateways.ends()):
        writer.add(scope)
    writer.finish()
