from __future__ import annotations

import pytest

from proxy.errors import RuleError
from proxy.rules.actions import PathChange, Rewrite
from proxy.rules.model import Otherwise, Retry, Service, Timeouts
from proxy.rules.parse import parse

FILE = """services:
  a: {versions: {old: {endpoints: [http://a]}, new: {endpoints: [http://b]}}}
  b:
    stable: new
    versions: {old: {endpoints: [http://a]}, new: {endpoints: [http://b]}}
    timeouts: {connect: 2s, request: 9s}
    retry: {on: [502, reset, 502], budget: 50%}
routes:
  - {service: a, otherwise: old, rules: [{version: new, match: {method: GET}}, {split: {new: 1, old: 3}, sticky: {by: client_ip}}]}
  - {service: b, name: named, timeouts: {connect: 3s}, retry: {attempts: 0}}
  - {service: b, otherwise: next}
  - {service: b, otherwise: {version: old}}
  - {service: b, otherwise: {status: 410}, retry: {on: []}}
"""  # noqa: E501


def test_what_the_file_leaves_out_has_its_default() -> None:
    """The first version is the stable one; unnamed routes and rules are numbered from 1."""
    rule_file = parse(FILE, "rules.yaml").rule_file
    service = rule_file.services["a"]
    assert service == Service("a", "old", service.versions)
    first = rule_file.routes[0]
    assert (first.name, [rule.name for rule in first.rules]) == ("route-1", ["rule-1", "rule-2"])
    assert first.rules[1].split is not None and first.rules[1].split.weights == (("new", 1.0), ("old", 3.0))
    assert first.rules[1].sticky is not None and first.rules[1].sticky.salt == "a/route-1"
    assert first.hosts == first.methods == () and first.path.value == "/"


def test_otherwise_names_a_version_of_the_service() -> None:
    """`stable`, and nothing at all, is the version that the service calls stable."""
    routes = parse(FILE, "rules.yaml").rule_file.routes
    assert [route.otherwise for route in routes] == [
        Otherwise("version", "old"),
        Otherwise("version", "new"),
        Otherwise("next"),
        Otherwise("version", "old"),
        Otherwise("status", status=410),
    ]


def test_a_routes_settings_are_laid_over_its_services() -> None:
    """What the route leaves out is the service's, and what that leaves out the default."""
    rule_file = parse(FILE, "rules.yaml").rule_file
    service, routes = rule_file.services["b"], rule_file.routes
    assert service.timeouts == Timeouts(connect=2.0, request=9.0)
    assert service.retry == Retry(2, ("reset",), (502,), 0.5)
    assert routes[1].timeouts == Timeouts(connect=3.0, request=9.0)
    assert routes[1].retry == Retry(0, ("reset",), (502,), 0.5)
    assert routes[4].retry == Retry(2, (), (), 0.5)
    assert routes[2].timeouts is None and routes[2].retry is None


def test_a_rules_time_outs_and_retries_are_laid_over_its_routes() -> None:
    """What the rule leaves out is the route's, or the service's where that says nothing."""
    rules = "rules: [{match: {method: GET}, version: new, timeouts: {request: 1s}, retry: {on: [503]}}, {version: old}]"
    rule_file = parse(
        FILE.replace("retry: {attempts: 0}}", "retry: {attempts: 0}, " + rules + "}"), "rules.yaml"
    ).rule_file
    ruled, plain = rule_file.routes[1].rules
    assert ruled.timeouts == Timeouts(connect=3.0, request=1.0)
    assert ruled.retry == Retry(0, (), (503,), 0.5)
    assert plain.timeouts is None and plain.retry is None


def test_a_rules_rewrite_is_laid_over_its_routes() -> None:
    """Key by key, `path` and `replace_prefix` being one."""
    text = (
        FILE
        + """  - service: a
    rewrite: {host: x, replace_prefix: /p}
    rules:
      - {version: new, match: {method: GET}, rewrite: {host: y}}
      - {version: new, match: {method: PUT}, rewrite: {path: /q}}
      - {version: new}
"""
    )
    rules = parse(text, "rules.yaml").rule_file.routes[-1].rules
    assert [rule.rewrite for rule in rules] == [
        Rewrite("y", PathChange("prefix", "/p")),
        Rewrite("x", PathChange("full", "/q")),
        None,
    ]


def test_a_route_without_service_passes_on_what_it_does_not_answer() -> None:
    """To the next best route, as nobody else could take it."""
    text = FILE + "  - {redirect: {scheme: https}}\n  - {rules: [{match: {method: PUT}, respond: {status: 405}}]}\n"
    redirect, rules = parse(text, "rules.yaml").rule_file.routes[-2:]
    assert (redirect.service, redirect.otherwise) == (rules.service, rules.otherwise) == ("", Otherwise("next"))


def test_a_rule_that_only_treats_requests_leads_to_the_stable_version() -> None:
    """What it does to them is what it was written for; a rule that says nothing at all stays a fault."""
    text = """services:
  a: {stable: old, versions: {new: {endpoints: [http://b]}, old: {endpoints: [http://a]}}}
routes:
  - service: a
    rules:
      - {match: {method: GET}, rewrite: {path: /x}}
      - {match: {method: PUT}, request_headers: {set: {a: b}}}
      - {match: {method: POST}, split: {new: 1}, rewrite: {path: /x}}
"""
    rules = parse(text, "rules.yaml").rule_file.routes[0].rules
    assert [rule.version for rule in rules] == ["old", "old", ""]
    with pytest.raises(RuleError, match=r"9:9: .* it takes one of them"):
        parse(text + "      - {match: {method: HEAD}}\n", "rules.yaml")
