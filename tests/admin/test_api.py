"""proxy/admin/api.py: the JSON tells what is in use, what it does, and why, in the words of the rule file."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from proxy.admin import api
from proxy.admin.drain import Drains
from proxy.admin.view import ConfigState, View
from proxy.errors import Fault
from proxy.observe.counts import Counts
from proxy.observe.metrics import Registry
from proxy.observe.series import series_of
from proxy.rules.analysis.reach import reach
from proxy.rules.model import (
    EndpointSpec,
    FieldTest,
    Otherwise,
    Route,
    Rule,
    RuleFile,
    Service,
    Split,
    TextTest,
    Version,
)

V1, V2 = "http://127.0.0.1:1001", "http://127.0.0.1:1002"
FOO_BAR = FieldTest("header", "foo", TextTest("in", ("bar",)))
SHOP = Service(
    "shop", "v1", {"v1": Version("v1", (EndpointSpec(V1),)), "v2": Version("v2", (EndpointSpec(V2, weight=2),))}
)
ROUTE = Route(
    "all",
    "shop",
    Otherwise("version", "v1"),
    rules=(Rule("testers", match=FOO_BAR, version="v2"), Rule("everyone", split=Split((("v1", 80.0), ("v2", 20.0))))),
)
RULES = RuleFile({"shop": SHOP}, (ROUTE,))
WITH_V0 = {"v0": Version("v0", (EndpointSpec(V1),))} | SHOP.versions
BEFORE = RuleFile({"shop": replace(SHOP, versions=WITH_V0)}, (ROUTE,))


@pytest.fixture
def registry() -> Registry:
    made = Registry()
    made.declare(series_of(RULES), 4)
    return made


def view(registry: Registry, rules: RuleFile | None = RULES, state: ConfigState | None = None) -> View:
    drains = Drains(registry, dict)
    for generation, known in enumerate((BEFORE, RULES), 3):
        drains.going_live(reach(known), generation)
    return View(registry, lambda: rules, lambda: state or ConfigState(), list, drains)


def explain(registry: Registry, query: str, rules: RuleFile | None = RULES) -> Any:
    return api.explained(view(registry, rules), make_mocked_request("GET", f"/api/explain?{query}"))


def test_config_tells_the_rules_in_use_and_the_last_result(registry: Registry) -> None:
    """A refused file's faults stand beside the generation that keeps serving, with the line they are in; each worker
    says how far it is. A warning is of the rules in use, whose lines are others than those of the file refused."""
    fault = Fault("r.yaml", 31, 16, "routes[0].rules[1].split", "unknown version 'v3'")
    warning = Fault("r.yaml", 31, 1, "", "never matches")
    state = ConfigState(4, "abc", "refused", 1.5, (fault,), (warning,), {2: 3, 1: 4}, {31: "  split: {v3: 1}"})
    assert api.config(view(registry, state=state)) == {
        "generation": 4,
        "hash": "abc",
        "result": "refused",
        "at": 1.5,
        "faults": [
            {
                "file": "r.yaml",
                "line": 31,
                "column": 16,
                "path": "routes[0].rules[1].split",
                "text": "unknown version 'v3'",
                "source": "  split: {v3: 1}",
            }
        ],
        "warnings": [{"file": "r.yaml", "line": 31, "column": 1, "path": "", "text": "never matches"}],
        "workers": [{"worker": 1, "generation": 4}, {"worker": 2, "generation": 3}],
    }


def test_config_is_json_before_any_rules_are_there(registry: Registry) -> None:
    assert json.loads(json.dumps(api.config(view(registry, None))))["generation"] == 0
    assert api.services(view(registry, None)) == {"services": []}


def test_services_show_versions_endpoints_and_shares(registry: Registry) -> None:
    said: dict[tuple[str, ...], dict[str, float]] = {
        ("shop", "v2", V2): {"in_flight": 3, "connections": 4, "available": False, "ejected": True}
    }
    registry.merge(1, Counts(gauge={"requests_in_flight": {("shop", "v2"): 3}}, endpoints=said))
    registry.set_health({V1: False})
    (shop,) = api.services(view(registry))["services"]
    assert (shop["service"], shop["stable"], shop["draining"], shop["idle"]) == ("shop", "v1", [], [{"version": "v0"}])
    old, new = shop["versions"]
    assert (old["version"], old["in_flight"], new["version"], new["in_flight"]) == ("v1", 0, "v2", 3)
    assert old["endpoints"][0]["up"] is False and old["endpoints"][0]["healthy"] is False
    assert new["endpoints"] == [
        {
            "url": V2,
            "weight": 2,
            "up": False,
            "healthy": True,
            "workers": 1,
            "available": 0,
            "ejected": 1,
            "in_flight": 3,
            "connections": 4,
        }
    ]
    assert shop["rules"] == [
        {"route": "all", "rule": "testers", "shares": {"v2": 1.0}},
        {
            "route": "all",
            "rule": "everyone",
            "shares": {"v1": 0.8, "v2": 0.2},
            "weights": {"v1": 80.0, "v2": 20.0},
        },
    ]


def test_a_removed_version_is_shown_while_it_drains_and_named_after(registry: Registry) -> None:
    registry.merge(1, Counts(gauge={"requests_in_flight": {("shop", "v0"): 2, ("other", "v9"): 1}}))
    (shop,) = api.services(view(registry))["services"]
    assert shop["draining"] == [{"version": "v0", "state": "draining", "in_flight": 2, "tunnels": 0}]
    assert shop["idle"] == []


def test_explain_follows_a_request_through_the_rules(registry: Registry) -> None:
    told = explain(registry, "url=http://shop.example.com/cart&header=foo:bar&cookie=a=b&client_ip=10.0.0.1")
    assert (told["service"], told["version"], told["rule"], told["reason"]) == ("shop", "v2", "testers", "match")
    assert (told["host"], told["path"], told["client"]) == ("shop.example.com", "/cart", "10.0.0.1")
    json.dumps(told)
    assert explain(registry, "url=/")["rule"] == "everyone"
    assert explain(registry, "url=/&header=foo:no&header=Foo:bar")["rule"] == "testers"


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("", "url is missing"),
        ("url=", "url is missing"),
        ("url=/&headers=foo:bar", "unknown parameter 'headers'"),
        ("url=/&header=foo", "header 'foo' is not name:value"),
        ("url=/&cookie=:", "cookie ':' is not name=value"),
        ("url=/&client_ip=me", "'me' does not appear to be an IPv4 or IPv6 address"),
        ("url=/&method=G%20T", "no such request"),
        ("url=http://[/", "Invalid IPv6 URL"),
    ],
)
def test_a_question_that_makes_no_sense_is_answered_with_what_is_wrong(
    registry: Registry, query: str, why: str
) -> None:
    with pytest.raises(web.HTTPBadRequest) as caught:
        explain(registry, query)
    assert why in str(caught.value.text)


def test_explain_without_rules_says_so(registry: Registry) -> None:
    with pytest.raises(web.HTTPServiceUnavailable):
        explain(registry, "url=/", None)
