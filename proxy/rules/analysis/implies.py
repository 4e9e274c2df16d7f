"""What one condition says about another, for certain: whenever this holds that one does, or nothing satisfies this.

`False` is no proof of the opposite: what is not seen at once, as what two regexes have in common, is not said. A name
can stand in a request several times, and one value that fits is enough; only a cookie has one value.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations
from typing import Final

from proxy.rules.conditions import normal, walk
from proxy.rules.model import (
    AllOf,
    AnyOf,
    ClientTest,
    Condition,
    FieldTest,
    MethodTest,
    ModTest,
    Not,
    NotTest,
    PathMatch,
    PathTest,
    PresentTest,
    RangeTest,
    TextTest,
    ValueTest,
)
from proxy.rules.networks import plain_network
from proxy.rules.paths import path_test, prefixes, spellings
from proxy.rules.values import build_value

PARTS_MAX: Final = 64
"""Parts of a condition that is looked into: each is held against each."""
NUMBERS_MAX: Final = 1000
"""Numbers of a range, and networks of a list, that are tried one by one."""

Positive = TextTest | RangeTest | ModTest
"""Tests of which one value that satisfies them is enough."""
ROOT: Final = PathMatch("prefix", "/")
_ANY_PATH: Final = PathTest(ROOT)


def plainly(condition: Condition) -> Condition:
    """The same condition in normal form, with `not` before single tests only."""
    return normal(_without_not(condition, False))


def _without_not(condition: Condition, negated: bool) -> Condition:
    if isinstance(condition, Not):
        return _without_not(condition.condition, not negated)
    if isinstance(condition, AllOf | AnyOf):
        parts = tuple(_without_not(part, negated) for part in condition.conditions)
        return AnyOf(parts) if isinstance(condition, AllOf) == negated else AllOf(parts)
    if isinstance(condition, FieldTest):
        return FieldTest(condition.where, condition.name, _plain_test(condition.test, negated))
    return Not(condition) if negated else condition


def _plain_test(test: ValueTest, negated: bool) -> ValueTest:
    if isinstance(test, NotTest):
        return _plain_test(test.test, not negated)
    if isinstance(test, PresentTest):
        return PresentTest(test.present != negated)
    return NotTest(test) if negated else test


def small(condition: Condition) -> bool:
    """Whether it has few enough parts to be looked into."""
    return sum(1 for _ in walk(condition)) <= PARTS_MAX


def implies(one: Condition, other: Condition) -> bool:
    """Whether each request that satisfies `one` satisfies `other`; both come from `plainly` and are small."""
    if one == other or other == _ANY_PATH:
        return True
    if isinstance(other, AllOf):
        return all(implies(one, part) for part in other.conditions)
    if isinstance(one, AnyOf):
        return all(implies(part, other) for part in one.conditions)
    if isinstance(other, AnyOf) and any(implies(one, part) for part in other.conditions):
        return True
    if isinstance(one, AllOf):
        return any(implies(part, other) for part in one.conditions)
    if isinstance(other, AnyOf):
        cases = single(one)
        return len(cases) > 1 and all(implies(case, other) for case in cases)
    return _test_implies(one, other)


def contradiction(condition: Condition) -> tuple[Condition, Condition] | None:
    """Two parts of a condition that no request satisfies both, so that none satisfies the condition, which comes from
    `plainly` and is small."""
    if isinstance(condition, AnyOf):
        found = [contradiction(part) for part in condition.conditions]
        return found[0] if all(found) else None
    if not isinstance(condition, AllOf):
        return None
    for part in condition.conditions:
        if inner := contradiction(part):
            return inner
    return next((pair for pair in combinations(condition.conditions, 2) if _apart(*pair)), None)


def _apart(one: Condition, other: Condition) -> bool:
    return implies(one, plainly(Not(other)))


def single(condition: Condition) -> list[Condition]:
    """The narrowest conditions of which one must hold: one per value or method of a list."""
    if isinstance(condition, MethodTest):
        return [MethodTest((method,)) for method in condition.methods]
    if isinstance(condition, FieldTest) and isinstance(condition.test, TextTest) and condition.test.kind == "in":
        where, name, fold = condition.where, condition.name, condition.test.ignore_case
        texts = [_lower(text) if fold else text for text in condition.test.values]
        return [FieldTest(where, name, TextTest("in", (text,), fold)) for text in texts]
    return [condition]


# --- Single tests --------------------------------------------------------------------------------------------------


def _test_implies(one: Condition, other: Condition) -> bool:
    if isinstance(one, Not) and isinstance(other, Not):
        return _test_implies(other.condition, one.condition)
    if isinstance(one, FieldTest) and isinstance(other, FieldTest):
        same = (one.where, one.name) == (other.where, other.name)
        return same and _values_imply(one.test, other.test, one.where == "cookie")
    excluded, wanted = isinstance(other, Not), other.condition if isinstance(other, Not) else other
    if isinstance(one, MethodTest) and isinstance(wanted, MethodTest):
        known = set(one.methods)
        return known.isdisjoint(wanted.methods) if excluded else known <= set(wanted.methods)
    if isinstance(one, PathTest) and isinstance(wanted, PathTest):
        return _paths_apart(one.path, wanted.path) if excluded else _path_within(one.path, wanted.path)
    if isinstance(one, ClientTest) and isinstance(wanted, ClientTest):
        return _clients_imply(one, wanted, excluded)
    return False


def _path_within(one: PathMatch, other: PathMatch) -> bool:
    if one.kind == "exact":
        return all(map(path_test(other), spellings(one.value)))
    if one.kind == "prefix" and other.kind == "prefix":
        return all(any(_below(part, whole) for whole in prefixes(other.value)) for part in prefixes(one.value))
    return one == other


def _paths_apart(one: PathMatch, other: PathMatch) -> bool:
    if one.kind == "exact" or other.kind == "exact":
        exact, wider = (one, other) if one.kind == "exact" else (other, one)
        return not any(map(path_test(wider), spellings(exact.value)))
    if one.kind == "regex" or other.kind == "regex":
        return False
    pairs = [(part, whole) for part in prefixes(one.value) for whole in prefixes(other.value)]
    return not any(_below(part, whole) or _below(whole, part) for part, whole in pairs)


def _below(path: bytes, prefix: bytes) -> bool:
    return not prefix or path == prefix or path.startswith(prefix + b"/")


def _clients_imply(one: ClientTest, other: ClientTest, excluded: bool) -> bool:
    if len(one.networks) * len(other.networks) > NUMBERS_MAX:
        return False
    mine, theirs = map(_network, one.networks), list(map(_network, other.networks))
    if excluded:
        return not any(net.overlaps(wider) for net in mine for wider in theirs if net.version == wider.version)
    # mypy sees networks of two kinds, and subnet_of takes its own.
    return all(
        any(net.version == wider.version and net.subnet_of(wider) for wider in theirs)  # type: ignore[arg-type]
        for net in mine
    )


_network = lru_cache(maxsize=NUMBERS_MAX)(plain_network)

# --- Values of one name --------------------------------------------------------------------------------------------


def _values_imply(one: ValueTest, other: ValueTest, one_value: bool) -> bool:
    """one_value: a request has one value of that name at most."""
    if isinstance(one, PresentTest):
        return not one.present and isinstance(other, NotTest)
    if isinstance(other, PresentTest):
        return other.present and not isinstance(one, NotTest)
    if isinstance(one, NotTest) and isinstance(other, NotTest):
        return _each_value(other.test, one.test)
    if isinstance(other, NotTest):
        return one_value and _no_value(one, other.test)
    return not isinstance(one, NotTest) and _each_value(one, other)


def _each_value(one: ValueTest, other: ValueTest) -> bool:
    """Whether each value that satisfies `one` satisfies `other`."""
    if one == other:
        return True
    if isinstance(one, TextTest):
        return _each_text(one, other)
    if isinstance(one, RangeTest) and isinstance(other, RangeTest):
        return other.low <= one.low and one.high <= other.high
    if isinstance(one, RangeTest) and isinstance(other, ModTest) and one.high - one.low <= NUMBERS_MAX:
        return all(number % other.divisor < other.below for number in range(one.low, one.high))
    if isinstance(one, ModTest) and isinstance(other, ModTest):
        return one.divisor == other.divisor and one.below <= other.below
    return False


def _each_text(one: TextTest, other: ValueTest) -> bool:
    folds = isinstance(other, TextTest) and other.ignore_case and other.kind != "regex"
    if one.ignore_case and not folds:
        return False
    if one.kind == "in":
        holds = build_value(other)
        return all(holds((text.encode(),)) for text in one.values)
    if not isinstance(other, TextTest) or "regex" in (one.kind, other.kind):
        return False
    text, part = (_lower(test.values[0]) if folds else test.values[0] for test in (one, other))
    if other.kind == "contains":
        return part in text
    return one.kind == other.kind and (text.startswith(part) if one.kind == "prefix" else text.endswith(part))


def _no_value(one: ValueTest, other: ValueTest) -> bool:
    """Whether no value satisfies both."""
    for test, against in ((one, other), (other, one)):
        if isinstance(test, TextTest) and test.kind == "in" and not test.ignore_case:
            holds = build_value(against)
            return not any(holds((text.encode(),)) for text in test.values)
    if isinstance(one, RangeTest) and isinstance(other, RangeTest):
        return one.high <= other.low or other.high <= one.low
    return False


def _lower(text: str) -> str:
    """Without case means ASCII letters."""
    return text.encode().lower().decode()
