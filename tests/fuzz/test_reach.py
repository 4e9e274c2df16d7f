"""What the rules are said to lead to, against the compiled table and its lanes: nothing goes where no way was told."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.clock import Clock
from proxy.gateway.lane import Lane
from proxy.gateway.shadow import Shadows
from proxy.gateway.snapshot import making_snapshot
from proxy.observe.counters import Counters
from proxy.rules.analysis.reach import reach
from proxy.rules.model import RuleFile
from proxy.steps import finish
from proxy.upstream.endpoint import EndpointRegistry
from tests.fuzz.test_rules import clients, read, requests, rule_files

services = st.tuples(st.sampled_from(["stable", "any", "none"]), st.booleans())


def led_to(lane: Lane) -> set[tuple[str, str]]:
    """Where a request that enters a lane may come to: its version, those it falls back to, and the one that rescues."""
    found = set()
    for first in (lane, lane.rescue):
        at = first
        while at is not None:
            if at.version is not None:
                found.add((at.version.service, at.version.name))
            at = at.fallback
    return found


@settings(max_examples=150, deadline=None)
@given(rule_files(), services, st.lists(st.tuples(requests(), clients), min_size=4, max_size=12), st.floats(0, 0.999))
def test_no_request_comes_to_a_version_without_a_way(
    rule_file: RuleFile, how: tuple[str, bool], asked: list[tuple[bytes, str]], draw: float
) -> None:
    """Whatever is asked and drawn, and whichever endpoints fail: each version it may come to has a way told."""
    shop = replace(rule_file.services["shop"], fallback=how[0], rescue=how[1])
    rule_file = replace(rule_file, services={"shop": shop})
    registry, shadows = EndpointRegistry(Clock(), 1), Shadows(Clock(), 1)
    snapshot = finish(making_snapshot(1, rule_file, registry, shadows, Counters(), lambda: draw, lambda: "id"))
    ways = reach(rule_file)
    for raw, client in asked:
        decision = snapshot.table.match(read(raw, client, snapshot.table.needs))
        if decision is not None:
            assert all(ways[name] for name in led_to(snapshot.lanes[decision.number])), decision
    # And the other way round: a way is told only if some ready-made decision leads there.
    decided = {name for lane in snapshot.lanes for name in led_to(lane)}
    assert {name for name, those in ways.items() if those} <= decided
