"""proxy.rules.choose: from a rule that holds to a version."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from random import Random

import pytest

from proxy.rules.choose import Choices, choices
from proxy.rules.model import Rule, Split
from proxy.rules.person import Sticky, StickyCookie, StickyKey
from proxy.rules.pin import Pinning, Pins
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


# --- Pins ----------------------------------------------------------------------------------------------------------

PIN = Sticky(BY_USER, StickyCookie("gray", ttl=100.0), mode="pin")
PERSON = "0123456789abcdef01234567"


def pinned(rule: Rule, now: float = 1000.0, *keys: bytes) -> Choices:
    issue = f"{7:024x}"
    return choices(route("shop"), SHOP, rule, 3, lambda: 0.0, lambda: issue, Pinning(keys, lambda: now))


def everyone(v1: float, v2: float, how: Sticky = PIN) -> Rule:
    return Rule("everyone", split=Split((("v1", v1), ("v2", v2))), sticky=how)


def cookie(version: str, when: float = 1000.0, *keys: bytes, service: str = "shop") -> str:
    value = Pins(Pinning(keys, lambda: when), service, "shop/shop", 0).write(PERSON, version)
    return f"Cookie: gray={value}"


def test_whoever_has_no_pin_gets_one() -> None:
    """For the version that a key leads to, or a fresh id; the reason is `sticky`, and no decision is ever drawn."""
    made = pinned(everyone(80, 20))
    bucket, owned = bucketer("shop/shop"), owners((("v1", 80.0), ("v2", 20.0)), "v1")
    for lines, key in ((["x-user: 5"], b"5"), ([], b"%024x" % 7), ([f"Cookie: gray={PERSON}"], PERSON.encode())):
        decision = made.choose(request("/", *lines))
        assert (decision.version, decision.reason) == (owner_of(bucket(key), owned), "sticky")
        known = PERSON if key == PERSON.encode() else f"{7:024x}"
        assert decision.set_cookie.startswith(f"gray={known}.1000.{decision.version}.".encode())
        assert decision.set_cookie.endswith(b"; Path=/; Max-Age=100; HttpOnly; SameSite=Lax")
    assert {(decision.version, decision.reason) for decision in made.decisions} == {("v1", "sticky"), ("v2", "sticky")}


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_pin_comes_before_every_key(version: str) -> None:
    """Whatever the weights are, as long as the version has one; the decision is a ready-made one."""
    made = pinned(everyone(1, 1_000_000 if version == "v1" else 1e-6))
    for user in range(20):
        assert made.choose(request("/", f"x-user: {user}", cookie(version))) in made.decisions
        assert made.choose(request("/", f"x-user: {user}", cookie(version))).version == version


@pytest.mark.parametrize(
    ("split", "version", "version_then", "written"),
    [
        (everyone(1, 0), "v2", "v1", True),
        (everyone(1, 0, replace(PIN, on_zero="keep")), "v2", "v2", False),
        (everyone(1, 1, replace(PIN, on_zero="keep")), "v2", "v2", False),
        (everyone(1, 0, replace(PIN, on_zero="keep")), "v3", "v1", True),
        (everyone(1, 0, replace(PIN, on_zero="keep")), "gone", "v1", True),
        (Rule("everyone", split=Split((("v1", 1.0),)), sticky=replace(PIN, on_zero="keep")), "v2", "v1", True),
    ],
)
def test_a_version_without_weight(split: Rule, version: str, version_then: str, written: bool) -> None:
    """Its people move, and are pinned where they go; or they are kept, while it stands in the split with weight 0."""
    made = pinned(split)
    decision = made.choose(request("/", cookie(version)))
    assert (decision.version, bool(decision.set_cookie)) == (version_then, written)
    assert made.decisions[decision.number] is decision or written


@pytest.mark.parametrize(
    ("age", "version", "written"), [(0, "v2", False), (49, "v2", False), (50, "v2", True), (99, "v2", True)]
)
def test_a_pin_is_written_anew_when_half_of_its_ttl_is_over(age: float, version: str, written: bool) -> None:
    """With today's date, and the id that it had; a kept one is not, so that there is an end to it."""
    decision = pinned(everyone(1e9, 1e-9), 1000.0 + age).choose(request("/", cookie("v2")))
    assert (decision.version, bool(decision.set_cookie)) == (version, written)
    if written:
        assert decision.set_cookie.startswith(f"gray={PERSON}.{1000 + age}.v2.".encode())
    kept = pinned(everyone(1, 0, replace(PIN, on_zero="keep")), 1000.0 + age).choose(request("/", cookie("v2")))
    assert (kept.version, kept.set_cookie) == ("v2", b"")


def test_a_pin_that_is_too_old_is_an_id() -> None:
    """Even of a version that keeps its people."""
    made = pinned(everyone(1, 0, replace(PIN, on_zero="keep")), 1100.0)
    decision = made.choose(request("/", cookie("v2")))
    assert decision.version == "v1" and decision.set_cookie.startswith(f"gray={PERSON}.1100.v1.".encode())


def test_a_key_is_replaced_without_moving_anybody() -> None:
    """Pins of the old key hold as long as it stands in the file, and are signed with the new one when they come."""
    old, new = b"old" * 9, b"new" * 9
    decision = pinned(everyone(1e9, 1e-9), 1000.0, new, old).choose(request("/", cookie("v2", 1000.0, old)))
    assert decision.version == "v2"
    signed_anew = "Cookie: " + decision.set_cookie.decode().partition(";")[0]
    assert pinned(everyone(1e9, 1e-9), 1000.0, new).choose(request("/", signed_anew)).version == "v2"
    assert pinned(everyone(1e9, 1e-9), 1000.0, new).choose(request("/", cookie("v2", 1000.0, old))).version == "v1"
