"""Who stays and who moves, over all weights: what the manual promises of sticky rules, as properties."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.rules.model import Route, Rule, RuleFile, Split
from proxy.rules.person import Sticky, StickyCookie, StickyKey
from proxy.rules.split import BUCKETS, owner_of, owners
from tests.people import Person, table_of, versions
from tests.rules.build import request, route, rule_file

NAMES = ("v1", "v2", "v3")
PEOPLE = 60
weights = st.lists(st.integers(0, 6), min_size=3, max_size=3).filter(any).map(tuple)
weight = st.one_of(st.integers(1, 10_000), st.floats(1e-3, 1e6, allow_nan=False))
some_share = st.one_of(st.integers(1, 1000), st.floats(1, 1000))
"""Among six of these each is more than a bucket's share."""
BY_USER = Sticky((StickyKey("header", "x-user"),))
PIN = Sticky(cookie=StickyCookie("gray"), mode="pin")


def split(values: Iterable[float]) -> Split:
    return Split(tuple(zip(NAMES, map(float, values), strict=True)))


def shop(values: Iterable[float], sticky: Sticky, name: str = "shop", path: str = "/") -> Route:
    return route(name, Rule("everyone", split=split(values), sticky=sticky), path=path)


# --- Hash: people follow the weights, and no further than they must --------------------------------------------------


def bucket_owners(pairs: list[tuple[str, float]]) -> list[str]:
    """The owner of each bucket; v0 is the stable version."""
    return [owner.version for owner in owners(pairs, "v0") for _ in range(owner.start, owner.end)]


@given(st.lists(some_share, min_size=2, max_size=6), st.integers(0, 5), st.just(0) | some_share)
def test_a_raised_weight_only_gains_people(values: list[float], which: int, other: float) -> None:
    """However many versions there are, while each has a bucket's share: the raised one loses nobody, and if it is a
    new one nobody moves to the old. And the other way round for one that is lowered."""
    which %= len(values)
    raised = f"v{which}"
    low, high = sorted((values[which], other))
    less = [(f"v{n}", low if n == which else value) for n, value in enumerate(values)]
    more = [(name, high if name == raised else value) for name, value in less]
    for was, now in zip(bucket_owners(less), bucket_owners(more), strict=True):
        assert was != raised or now == raised
        assert was == "v0" or now != "v0" or raised == "v0"


@given(weight, weight, weight)
def test_between_two_versions_nobody_moves_without_need(old: float, one: float, other: float) -> None:
    """As many buckets change hands as the share changes by, and all in one direction."""
    before, after = owners([("v1", old), ("v2", one)], "v1"), owners([("v1", old), ("v2", other)], "v1")
    moved = [
        (owner_of(bucket, before), owner_of(bucket, after))
        for bucket in range(min(before[0].end, after[0].end), max(before[0].end, after[0].end))
    ]
    assert len(set(moved)) <= 1
    assert len(moved) == abs(before[0].end - after[0].end)
    wanted = abs(BUCKETS * one / (old + one) - BUCKETS * other / (old + other))
    assert abs(len(moved) - wanted) <= 2


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 100), min_size=1, max_size=6))
def test_a_release_is_a_one_way_street(steps: list[int]) -> None:
    """While the weight of the new version rises, each person moves over at most once, and an abort moves all of the
    new version, and nobody else."""
    people = [Person(f"x-user: {n}") for n in range(PEOPLE)]
    places = [versions(people, table_of(rule_file(shop((100 - new, new, 0), BY_USER)))) for new in sorted(steps)]
    for before, after in pairwise(places):
        assert all(was == "v1" or now == "v2" for was, now in zip(before, after, strict=True))
    aborted = versions(people, table_of(rule_file(shop((100, 0, 0), BY_USER))))
    assert set(aborted) == {"v1"}


# --- Pin: nobody moves while their version has a weight ---------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(weights, st.sets(st.integers(0, 19))), min_size=1, max_size=8),
    st.sampled_from(["move", "keep"]),
)
def test_whoever_is_pinned_stays_while_the_version_has_a_weight(
    steps: list[tuple[tuple[int, ...], set[int]]], on_zero: str
) -> None:
    """Weights change at random, some people come by: each stays, unless the weight is 0 and nobody is kept; who moves
    goes to a version that has a weight. A cookie is set for those who are new and those who move, and for no others."""
    people = [Person() for _ in range(20)]
    at: dict[int, str] = {}
    sticky = replace(PIN, on_zero=on_zero)
    for values, coming in steps:
        table = table_of(rule_file(shop(values, sticky)))
        positive = {name for name, value in zip(NAMES, values, strict=True) if value}
        for who in coming:
            person = people[who]
            told = person.told
            version = person.visit(table).version
            stays = who in at and (at[who] in positive or on_zero == "keep")
            assert version == at[who] if stays else version in positive
            assert person.told == told + (not stays)
            at[who] = version


@settings(max_examples=40, deadline=None)
@given(weights, weights)
def test_a_weight_that_is_cut_to_0_moves_exactly_its_own(before: tuple[int, ...], after: tuple[int, ...]) -> None:
    """An abort: those of the version that lost its weight, all of them, and nobody else."""
    people = [Person() for _ in range(PEOPLE)]
    first = versions(people, table_of(rule_file(shop(before, PIN))))
    then = versions(people, table_of(rule_file(shop(after, PIN))))
    cut = {name for name, value in zip(NAMES, after, strict=True) if not value}
    for was, now in zip(first, then, strict=True):
        assert (now != was) == (was in cut)


@settings(max_examples=40, deadline=None)
@given(weights)
def test_pins_begin_where_hashing_leads(values: tuple[int, ...]) -> None:
    """So mode `hash` becomes `pin` without moving anybody, and shares are those of the weights in both."""
    people = [Person() for _ in range(PEOPLE)]
    hashed = versions(people, table_of(rule_file(shop(values, replace(PIN, mode="hash")))))
    assert versions(people, table_of(rule_file(shop(values, PIN)))) == hashed
    assert all(person.told == 2 for person in people)


@settings(max_examples=40, deadline=None)
@given(weights, st.lists(st.text(max_size=8), min_size=PEOPLE, max_size=PEOPLE, unique=True))
def test_keys_decide_where_a_pin_begins(values: tuple[int, ...], users: list[str]) -> None:
    """One person with two browsers begins in the same place; and who logs in later stays where they are."""
    sticky = replace(PIN, by=BY_USER.by)
    table = table_of(rule_file(shop(values, sticky)))
    keys = [f"x-user: {user.encode().hex()}1" for user in users]
    one, other = [Person(key) for key in keys], [Person(key) for key in keys]
    assert versions(one, table) == versions(other, table)
    guests = [Person() for _ in users]
    before = versions(guests, table)
    for guest, key in zip(guests, keys, strict=True):
        guest.keys = (key,)
    assert versions(guests, table) == before


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["", "x", "é", "v2"]) | st.text(alphabet="0123456789abcdef.v2-_", max_size=80) | st.just("pin"),
    st.integers(0, 90),
    st.sampled_from([b"", b".", b"A", b"\x00", b"\xff"]),
)
def test_no_forgery_gets_to_a_version_without_weight(value: str, at: int, put: bytes) -> None:
    """Not to a version that keeps its own people, either; and whatever is sent, a pin that holds comes back."""
    table = table_of(rule_file(shop((1, 0, 0), replace(PIN, on_zero="keep"))))
    genuine = Person()
    genuine.visit(table)
    raw = (genuine.cookies["gray"].replace(".v1.", ".v2.") if value == "pin" else value).encode()
    forged = raw[:at] + put + raw[at:]
    head = request("/")
    head.fields = {b"cookie": (b"gray=" + forged,)}
    decision = table.match(head)
    assert decision is not None and decision.version == "v1"
    if decision.set_cookie:
        again = Person(gray=decision.set_cookie.decode().partition(";")[0].removeprefix("gray="))
        assert again.visit(table).set_cookie == b""


# --- Routes, and shares -----------------------------------------------------------------------------------------------

KEYS = 100_000
CHI_SQUARE_P_0001 = {1: 10.83, 2: 13.82, 3: 16.27, 4: 18.47}
"""By degrees of freedom: what chance alone exceeds once in a thousand. The keys are fixed, and so is the outcome."""


def chi_square(counts: Iterable[float], expected: Iterable[float]) -> float:
    return sum((count - wanted) ** 2 / wanted for count, wanted in zip(counts, expected, strict=True))


def decided(file: RuleFile, path: str = "/") -> list[str]:
    """The versions of 100,000 people with ids that resemble each other."""
    table, head = table_of(file), request(path)
    found = []
    for person in range(KEYS):
        head.fields = {b"x-user": (b"user-%d" % person,)}
        decision = table.match(head)
        assert decision is not None
        found.append(decision.version)
    return found


@pytest.mark.parametrize("values", [(80, 20, 0), (99, 1, 0), (50, 30, 20), (1, 1, 1), (0, 0.5, 0.25)])
def test_shares_of_people_are_those_of_the_weights(values: tuple[float, ...]) -> None:
    """Chi-square over 100,000 keys; a weight of 0 gets nobody at all."""
    counts = Counter(decided(rule_file(shop(values, BY_USER))))
    expected = {name: KEYS * value / sum(values) for name, value in zip(NAMES, values, strict=True) if value}
    assert counts.keys() == expected.keys()
    found = chi_square([counts[name] for name in expected], expected.values())
    assert found < CHI_SQUARE_P_0001[len(expected) - 1]


def test_pins_of_new_people_have_the_shares_of_the_weights() -> None:
    """Random ids, 20,000 of them."""
    table = table_of(rule_file(shop((50, 30, 20), PIN)))
    counts = Counter(Person().visit(table).version for _ in range(20_000))
    assert chi_square([counts[name] for name in NAMES], [10_000, 6_000, 4_000]) < CHI_SQUARE_P_0001[2]


def test_two_routes_choose_independently() -> None:
    """Who is early in one release is not early in the other: chi-square of the joint table. With one salt for both the
    same people are on the same side."""
    one, other = shop((50, 30, 20), BY_USER), shop((50, 30, 20), BY_USER, "cart", "/cart")
    here, there = decided(rule_file(one, other)), decided(rule_file(one, other), "/cart")
    joint = Counter(zip(here, there, strict=True))
    mine, theirs = Counter(here), Counter(there)
    cells = [(a, b) for a in NAMES for b in NAMES]
    found = chi_square([joint[cell] for cell in cells], [mine[a] * theirs[b] / KEYS for a, b in cells])
    assert found < CHI_SQUARE_P_0001[4]
    salted = replace(BY_USER, salt="winter")
    both = rule_file(shop((50, 30, 20), salted), shop((50, 30, 20), salted, "cart", "/cart"))
    assert decided(both) == decided(both, "/cart")


def test_a_pin_holds_on_its_own_route_only() -> None:
    """Unless both routes of the service have one salt. Taken elsewhere it is an id like any other."""
    one, other = shop((1, 1, 1), PIN), shop((1, 1, 1), PIN, "cart", "/cart")
    table, people = table_of(rule_file(one, other)), [Person() for _ in range(PEOPLE)]
    pinned = versions(people, table)
    moved = table_of(rule_file(shop((0, 0, 1), PIN), shop((1, 1, 1), replace(PIN, salt="shop/shop"), "cart", "/cart")))
    assert versions([Person(**person.cookies) for person in people], moved, "/cart") == pinned
    assert versions([Person(**person.cookies) for person in people], table, "/cart") != pinned
    assert all(person.visit(table, "/cart").set_cookie for person in people)
