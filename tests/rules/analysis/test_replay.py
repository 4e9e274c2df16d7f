"""proxy/rules/analysis/replay.py: recorded requests, asked of two rule files."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.rules.actions import Redirect, Respond
from proxy.rules.analysis.replay import EXAMPLES_MAX, NOWHERE, Recorded, Replay
from proxy.rules.model import RuleFile
from proxy.rules.person import Sticky, StickyCookie, StickyKey
from tests.rules.build import equal, request, route, rule, rule_file

SPLIT = replace(rule("everyone", v1=80, v2=20), sticky=Sticky((StickyKey("header", "x-user"),), StickyCookie("g"), "s"))
HALF = replace(SPLIT, split=rule("", v1=50, v2=50).split)


def replayed(old: RuleFile, new: RuleFile, *requests: Recorded) -> Replay:
    replay = Replay(old, new)
    for one in requests:
        replay.add(one)
    return replay


def whole(target: str, *lines: str) -> Recorded:
    return Recorded(request(target, *lines), target, True)


def moved(replay: Replay) -> dict[tuple[str, str], float]:
    return {(change.old, change.new): pytest.approx(group.requests) for change, group in replay.moved.items()}


def test_people_who_are_known_move_or_stay_and_others_do_by_shares() -> None:
    """Of 200 known ones so many as their buckets say; of those unknown three in ten are expected."""
    old, new = rule_file(route("r", SPLIT)), rule_file(route("r", HALF))
    known = replayed(old, new, *(whole(f"/{n}", f"x-user: {n}") for n in range(200)))
    (group,) = known.moved.values()
    assert group.requests == int(group.requests) and 40 < group.requests < 80
    assert len(group.examples) == EXAMPLES_MAX
    assert moved(replayed(old, new, *(whole("/") for _ in range(10)))) == {("shop v1", "shop v2"): 3}
    assert moved(replayed(old, old, whole("/"), whole("/", "x-user: 1"))) == {}


def test_what_the_proxy_answers_is_a_place_too() -> None:
    """Redirects, answers, and no route at all."""
    to = {
        "/a": route("a", replace(rule("x"), redirect=Redirect("https", status=301)), path="/a"),
        "/b": route("b", replace(rule("x"), respond=Respond(410)), path="/b"),
    }
    all_v1 = rule_file(route("all"))
    found = moved(replayed(all_v1, rule_file(*to.values()), whole("/a"), whole("/b"), whole("/c")))
    assert found == {("shop v1", "redirect 301"): 1, ("shop v1", "answer 410"): 1, ("shop v1", NOWHERE): 1}


def test_another_rule_to_the_same_end_is_told_apart() -> None:
    one, other = rule_file(route("r", rule("a", version="v2"))), rule_file(route("r", rule("b", version="v2")))
    replay = replayed(one, other, whole("/"))
    assert not replay.moved and [change.new_by for change in replay.retaken] == ["route 'r', rule 'b'"]


def test_what_the_log_contradicts_is_undecided() -> None:
    """It names a rule that the old file gives only with values which the log does not hold."""
    old = rule_file(route("r", rule("testers", equal("header", "foo", "bar"), "v2")))
    logged = Recorded(request("/"), "/", False, frozenset(["header host"]), ("r", "testers"))
    replay = replayed(old, rule_file(route("r", otherwise=old.routes[0].otherwise)), logged)
    assert (replay.requests, replay.undecided, replay.moved) == (1, 1, {})
    assert dict(replay.missing) == {"header foo": 1}
