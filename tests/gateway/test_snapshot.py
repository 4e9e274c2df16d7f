"""proxy/gateway/snapshot.py: what one reload makes, and what outlives it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.clock import Clock
from proxy.gateway.lane import Lane
from proxy.gateway.shadow import Shadows
from proxy.gateway.snapshot import Snapshot, making_snapshot
from proxy.observe.counters import Counters
from proxy.rules.health import PassiveHealth
from proxy.rules.model import Retry, RuleFile, Timeouts
from proxy.steps import finish
from proxy.upstream.endpoint import EndpointRegistry
from tests.talk import rules

THREE = {name: [f"http://{name}:80"] for name in ("v1", "v2", "v3")}


def snapshot(rule_file: RuleFile, registry: EndpointRegistry | None = None) -> Snapshot:
    registry = registry or EndpointRegistry(Clock())
    shadows, counters = Shadows(Clock(), 1), Counters()
    return finish(making_snapshot(3, rule_file, registry, shadows, counters, lambda: 0.5, lambda: "id"))


def lane(made: Snapshot, version: str) -> Lane:
    for decision, one in zip(made.table.decisions, made.lanes, strict=True):
        if decision.version == version:
            return one
    raise AssertionError(version)


def way(one: Lane | None) -> list[str]:
    names = []
    while one is not None:
        assert one.version is not None
        names.append(one.version.name)
        one = one.fallback
    return names


@pytest.mark.parametrize(
    ("fallback", "version", "expected"),
    [
        ("stable", "v2", ["v2", "v1"]),
        ("stable", "v1", ["v1"]),
        ("any", "v1", ["v1", "v2", "v3"]),
        ("any", "v3", ["v3", "v1", "v2"]),
        ("none", "v2", ["v2"]),
    ],
)
def test_ways_when_a_version_has_no_endpoint(fallback: str, version: str, expected: list[str]) -> None:
    """stable: the old version; any: the stable one first, then the others in file order; none: no way."""
    assert way(lane(snapshot(rules(THREE, fallback=fallback)), version)) == expected


def test_only_other_versions_are_rescued() -> None:
    """The stable version has nowhere safer to go, and a rescue is not rescued again."""
    made = snapshot(rules(THREE, rescue=True))
    rescue = lane(made, "v2").rescue
    assert rescue is not None and rescue.version is not None
    assert (rescue.version.name, rescue.rescue) == ("v1", None)
    assert lane(made, "v1").rescue is None
    assert lane(snapshot(rules(THREE)), "v2").rescue is None


def test_route_speaks_before_its_service() -> None:
    """timeouts and retry of the rule, else of the route, else of the service."""
    rule_file = rules(THREE, timeouts=Timeouts(connect=2), retry=Retry(attempts=5))
    made = lane(snapshot(rule_file), "v1")
    assert (made.timeouts.connect, made.retry.attempts) == (2, 5)
    route = replace(rule_file.routes[0], timeouts=Timeouts(connect=3), retry=Retry(attempts=6))
    made = lane(snapshot(replace(rule_file, routes=(route,))), "v1")
    assert (made.timeouts.connect, made.retry.attempts) == (3, 6)
    own = replace(route.rules[0], timeouts=Timeouts(connect=4), retry=Retry(attempts=7))
    ruled = snapshot(replace(rule_file, routes=(replace(route, rules=(own, *route.rules[1:])),)))
    found = next(
        each for each, decision in zip(ruled.lanes, ruled.table.decisions, strict=True) if decision.rule == own.name
    )
    assert (found.timeouts.connect, found.retry.attempts) == (4, 7)


def test_lane_is_ready_made() -> None:
    """What each request needs of its lane stands there."""
    made = lane(snapshot(rules(THREE, balance="hash", passive=PassiveHealth())), "v2")
    assert made.tail == b"Via: 1.1 grayhound\r\nX-Gray-Version: v2\r\n\r\n"
    assert made.picks_by_request and made.judges
    made = lane(snapshot(rules(THREE)), "v2")
    assert not made.picks_by_request and not made.judges


def test_endpoints_outlive_a_reload() -> None:
    """The same address of the same version is the same object."""
    registry = EndpointRegistry(Clock())
    before = lane(snapshot(rules(THREE), registry), "v2").version
    after = lane(snapshot(rules({"v1": THREE["v1"], "v2": THREE["v2"]}), registry), "v2").version
    assert before is not None and after is not None and before is not after
    assert before.endpoints[0] is after.endpoints[0]
