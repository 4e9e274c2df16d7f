"""proxy.rules.choose: from a rule that holds to a version."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import count
from random import Random

import pytest

from proxy.rules.choose import Choices, choices
from proxy.rules.model import Rule, Split
from proxy.rules.person import Sticky, StickyCookie, StickyKey
from proxy.rules.split import bucketer, owner_of, owners
from tests.rules.build import SHOP, request, route

WEIGHTS = (("v1", 80.0), ("v2", 20.0))
BY_USER = (StickyKey("header", "x-user"), StickyKey("cookie", "uid"))


def chosen(rule: Rule, draw: Callable[[], float] = lambda: 0.0) -> Choices:
    ids = count()
    return choices(route("shop"), SHOP, rule, 3, draw, lambda: f"id-{next(ids)}")


def test_a_rule_with_a_version_has_one_decision() -> None:
    """Ready made, with all its names and its place."""
    made = chosen(Rule("testers", version="v2"))
    assert made.only is made.choose(request()) is made.decisions[0]
    only = made.only
    assert only is not None
    names = (only.route, only.service, only.version, only.rule, only.reason, only.rule_order, only.status)
    assert names == ("shop", "shop", "v2", "testers", "match", 3, 0)
    assert "version='v2'" in repr(only)


def test_a_split_with_one_weight_needs_no_draw() -> None:
    """Weight 0 gets nothing, not even a decision."""
    made = chosen(Rule("everyone", split=Split((("v1", 0.0), ("v2", 5.0)))), draw=lambda: pytest.fail("drawn"))
    assert made.only is not None and (made.only.version, made.only.reason) == ("v2", "weight")


@pytest.mark.parametrize("weights", [WEIGHTS, (("v1", 70.0), ("v2", 20.0), ("v3", 10.0))])
def test_draws_follow_the_weights(weights: tuple[tuple[str, float], ...]) -> None:
    """10,000 draws, each share within four standard deviations (200 at most)."""
    made = chosen(Rule("everyone", split=Split(weights)), Random(3).random)
    drawn = Counter(made.choose(request()).version for _ in range(10_000))
    for version, weight in weights:
        assert abs(drawn[version] - weight * 100) < 200
    assert {decision.reason for decision in made.decisions} == {"weight"}


def test_a_person_stays_on_one_version() -> None:
    """The first key that is present and not empty counts; whoever has none is drawn."""
    made = chosen(Rule("everyone", split=Split(WEIGHTS), sticky=Sticky(BY_USER)))
    bucket, owned = bucketer("shop/shop"), owners(WEIGHTS, "v1")
    for n in range(50):
        wanted = owner_of(bucket(b"%d" % n), owned)
        for lines in ([f"x-user: {n}", "Cookie: uid=x"], [f"Cookie: uid={n}"], ["x-user:", f"Cookie: uid={n}"]):
            decision = made.choose(request("/", *lines))
            assert (decision.version, decision.reason, decision.set_cookie) == (wanted, "sticky", b"")
    assert made.choose(request("/", "Cookie: uid=")).reason == "weight"
    assert {(decision.version, decision.reason) for decision in made.decisions} == {
        ("v1", "sticky"),
        ("v2", "sticky"),
        ("v1", "weight"),
        ("v2", "weight"),
    }


def test_the_salt_of_the_file_counts() -> None:
    """Rules of one salt give a person one bucket, whatever their route."""
    made = chosen(Rule("everyone", split=Split(WEIGHTS), sticky=Sticky(BY_USER, salt="winter")))
    owned = owners(WEIGHTS, "v1")
    for n in range(50):
        wanted = owner_of(bucketer("winter")(b"%d" % n), owned)
        assert made.choose(request("/", f"x-user: {n}")).version == wanted


def test_whoever_has_no_key_is_given_one() -> None:
    """The id that is issued leads to the same version when it comes back; ready-made decisions carry no cookie."""
    made = chosen(Rule("everyone", split=Split(WEIGHTS), sticky=Sticky(BY_USER, StickyCookie("gray"))))
    for n in range(50):
        first = made.choose(request())
        assert first.set_cookie == b"gray=id-%d; Path=/; HttpOnly; SameSite=Lax" % n
        again = made.choose(request("/", f"Cookie: gray=id-{n}"))
        assert (again.version, again.reason, again.set_cookie) == (first.version, "sticky", b"")
        assert again in made.decisions and first not in made.decisions
        assert (first.number, first.rule_order) == (again.number, again.rule_order)
