"""proxy/admin/drain.py: active, draining or idle, from what the rules and the workers say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.admin import drain
from proxy.admin.drain import LATELY_S, Drains
from proxy.observe.counts import Counts
from proxy.observe.metrics import Registry
from proxy.rules.analysis.reach import reach
from proxy.rules.model import RuleFile
from proxy.rules.person import Sticky, StickyCookie
from tests.rules.build import SHOP, route, rule, rule_file

BOTH = rule_file(route("r", rule("everyone", v1=1, v2=1, v3=1)))
NONE = RuleFile({}, ())
WORKERS = {11: "worker 1", 12: "worker 2"}
OLD = ("shop", "v1")


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def drains(registry: Registry) -> Drains:
    """Rules of generation 1 lead to each version, those of generation 2 name none; both workers serve by the first."""
    made = Drains(registry, lambda: WORKERS)
    made.going_live(reach(BOTH), 1)
    for worker in WORKERS:
        registry.merge(worker, Counts(generation=1))
    assert made.drain(*OLD).state == "active"
    made.going_live(reach(NONE), 2)
    return made


def says(registry: Registry, worker: int, generation: int = 2, **gauges: int) -> None:
    counts = Counts(generation=generation, gauge={name: {OLD: number} for name, number in gauges.items()})
    registry.merge(worker, counts)


def test_it_is_idle_when_every_worker_says_so_by_the_new_rules(drains: Drains, registry: Registry) -> None:
    """What was said by earlier rules proves nothing: a request may have begun since."""
    assert drains.drain(*OLD).behind == ("worker 1", "worker 2")
    says(registry, 11)
    assert drains.drain(*OLD).left == ["worker 2 may still serve by earlier rules"]
    says(registry, 12, generation=3)
    assert (drains.drain(*OLD).state, drains.drain(*OLD).left) == ("idle", [])


@pytest.mark.parametrize("gauge", ["requests_in_flight", "tunnels_open"])
def test_what_one_worker_has_left_is_left(drains: Drains, registry: Registry, gauge: str) -> None:
    says(registry, 11)
    says(registry, 12, **{gauge: 2})
    found = drains.drain(*OLD)
    assert found.state == "draining" and found.left[0].startswith("2 ")
    registry.forget(12)  # it died, and what it had with it; its successor has said nothing yet
    assert drains.drain(*OLD).behind == ("worker 2",)
    says(registry, 12)
    assert drains.drain(*OLD).state == "idle"


def test_requests_elsewhere_that_may_turn_to_it_are_left(drains: Drains, registry: Registry) -> None:
    """In flight on another version, with this one as their fallback or rescue by the rules they began with."""
    says(registry, 11)
    registry.merge(12, Counts(generation=2, lingering={OLD}))
    found = drains.drain(*OLD)
    assert (found.state, found.standing_in, len(found.left)) == ("draining", True, 1)


def test_rules_that_lead_to_it_count_before_any_worker_has_them(drains: Drains, registry: Registry) -> None:
    for worker in WORKERS:
        says(registry, worker)
    assert drains.drain(*OLD).state == "idle"
    drains.going_live(reach(BOTH), 3)
    assert drains.drain(*OLD).state == "active"
    drains.going_live(reach(NONE), 4)
    assert drains.drain(*OLD).state == "draining"


def test_people_who_are_kept_are_left(registry: Registry) -> None:
    """No new traffic, and nothing under way; but they may come back."""
    kept = Sticky(cookie=StickyCookie("gray"), mode="pin", on_zero="keep")
    shop = replace(SHOP, fallback="none")
    drains = Drains(registry, dict)
    drains.going_live(reach(RuleFile({"shop": shop}, (route("r", replace(rule("all", v1=0, v2=1), sticky=kept)),))), 1)
    found = drains.drain(*OLD)
    assert (found.state, found.left) == ("draining", ["route 'r', rule 'all': people pinned to it are kept"])


def test_all_tells_of_each_version_once_those_in_the_rules_first(drains: Drains) -> None:
    drains.going_live(reach(RuleFile({"shop": replace(SHOP, versions={"v3": SHOP.versions["v3"]})}, ())), 3)
    assert [one.version for one in drains.all()["shop"]] == ["v3", "v1", "v2"]
    assert [one.in_rules for one in drains.all()["shop"]] == [True, False, False]


def test_what_left_the_rules_lately_is_known_as_such(registry: Registry) -> None:
    """For an hour, from the last time it left."""
    clock = [0.0]
    drains = Drains(registry, dict, lambda: clock[0])
    for generation, rules in enumerate((BOTH, NONE, BOTH), 1):
        drains.going_live(reach(rules), generation)
    assert not drains.drain(*OLD).lately
    clock[0] = 5000.0
    drains.going_live(reach(NONE), 4)
    for after_s, lately in ((0.0, True), (LATELY_S - 1, True), (LATELY_S, False)):
        clock[0] = 5000.0 + after_s
        assert drains.drain(*OLD).lately is lately


def test_unknown_names(drains: Drains) -> None:
    """The known ones are told, those that left the rules too."""
    with pytest.raises(LookupError, match="unknown service 'card'; there are shop"):
        drains.drain("card", "v1")
    with pytest.raises(LookupError, match="unknown version 'v9' of service 'shop'; it has v1, v2, v3"):
        drains.drain("shop", "v9")
    with pytest.raises(LookupError, match="there are none"):
        Drains(Registry(), dict).drain("shop", "v1")


def test_those_that_left_are_forgotten_in_the_end(
    drains: Drains, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One past the limit the first that left goes, unless something of it is left."""
    monkeypatch.setattr(drain, "GONE_MAX", 3)
    says(registry, 11)
    says(registry, 12, requests_in_flight=1)
    drains.going_live(reach(NONE), 3)
    assert len(drains.all()["shop"]) == 3
    monkeypatch.setattr(drain, "GONE_MAX", 1)
    drains.going_live(reach(NONE), 4)
    assert [one.version for one in drains.all()["shop"]] == ["v1", "v3"]
