"""proxy/admin/mirrors.py: the JSON tells what is copied, what became of it, and how answers differed."""

from __future__ import annotations

from dataclasses import replace

from proxy.admin.mirrors import mirrors
from proxy.observe.counters import Counters
from proxy.observe.metrics import Registry
from proxy.observe.series import series_of
from proxy.rules.actions import Compare, Mirror
from tests.admin.test_api import ROUTE, RULES, view

OFTEN = Mirror("v2", percent=0.1, methods=("GET",), compare=Compare(("etag",)))
TESTERS, EVERYONE = ROUTE.rules
MIRRORING = replace(RULES, routes=(replace(ROUTE, rules=(TESTERS, replace(EVERYONE, mirror=(OFTEN,)))),))


def test_each_mirrored_version_with_its_rules_numbers_and_examples() -> None:
    registry, counters = Registry(), Counters()
    registry.declare(series_of(MIRRORING), 1)
    counts = counters.mirror("shop", "v2")
    counts.in_flight = 2
    counts.ended("different")
    counts.differed(["body"])
    counts.examples.append({"path": "/"})
    registry.merge(1, counters.take())
    (mirror,) = mirrors(view(registry, MIRRORING))["mirrors"]
    assert mirror.pop("requests") == {
        "answered": 0, "same": 0, "different": 1, "timeout": 0, "failed": 0, "too_large": 0, "dropped": 0,
    }  # fmt: skip
    assert mirror == {
        "service": "shop",
        "version": "v2",
        "in_flight": 2,
        "differences": {"status": 0, "headers": 0, "length": 0, "body": 1},
        "rules": [
            {"route": "all", "rule": "everyone", "percent": 10.0, "by": "requests", "methods": ["GET"],
             "compare": {"headers": ["etag"]}},
        ],
        "examples": [{"path": "/"}],
    }  # fmt: skip


def test_a_routes_mirror_is_that_of_all_rules_that_say_nothing() -> None:
    """And of the requests that no rule takes; but no rule's that leads to the mirrored version itself."""
    first, silent = replace(TESTERS, name="first", version="v1"), replace(EVERYONE, mirror=())
    both = replace(RULES, routes=(replace(ROUTE, rules=(first, TESTERS, silent), mirror=(Mirror("v2"),)),))
    (mirror,) = mirrors(view(Registry(), both))["mirrors"]
    assert [(entry["rule"], entry["compare"]) for entry in mirror["rules"]] == [("first", False), ("", False)]


def test_without_mirrors_or_rules_there_is_nothing() -> None:
    assert mirrors(view(Registry())) == mirrors(view(Registry(), None)) == {"mirrors": []}
