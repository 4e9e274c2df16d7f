"""How conditions, value tests and paths are written: their part of the grammar."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

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
    PathKind,
    PathMatch,
    PathTest,
    PresentTest,
    RangeTest,
    SchemeTest,
    TextKind,
    TextTest,
    ValueSource,
    ValueTest,
)
from proxy.rules.read import units
from proxy.rules.read.ack import FORM, read_ack
from proxy.rules.read.shapes import (
    NUMBER_MAX,
    ByKind,
    Key,
    ListOf,
    MapOf,
    Reader,
    Record,
    Shared,
    Then,
    Unit,
    choice,
    integer,
)

SCALAR_FORM: Final = {"type": ["string", "number", "boolean"]}


def some(what: str, parse: Callable[[str], str]) -> Unit:
    """A text with a form of its own."""
    return Unit(what, parse, {"type": "string"})


TEXT: Final = Unit("a text ('' for an empty one)", units.text, SCALAR_FORM)
SOME_TEXT: Final = Unit("a text", units.some_text, SCALAR_FORM)
REGEX: Final = Unit("a regex", units.regex, {"type": "string", "format": "regex"})
BOOLEAN: Final = Unit("true or false", units.boolean, {"type": "boolean"}, plain=True)
STATUSES: Final = Unit(
    "a status, or statuses like 200-399",
    units.statuses,
    {"type": ["string", "integer"], "pattern": f"^{units.STATUSES}$", "minimum": 100, "maximum": 599},
)
NUMBER: Final = integer(-NUMBER_MAX, NUMBER_MAX)

# --- Paths ---------------------------------------------------------------------------------------------------------

_PATH: Final = Unit("a path", units.path, {"type": "string", "pattern": "^/"})


def _path(kind: PathKind) -> Callable[[str], PathMatch]:
    return lambda value: PathMatch(kind, value)


PATH: Final = ByKind(
    "a path, or a map with `exact`, `prefix` or `regex`",
    scalar=Then(_PATH, _path("prefix")),
    map=Record(
        None,
        Key("exact", Then(_PATH, _path("exact")), manual="The path is equal."),
        Key("prefix", Then(_PATH, _path("prefix")), manual="The path begins with these elements."),
        Key("regex", Then(REGEX, _path("regex")), manual="Found anywhere in the path; RE2 syntax."),
        build=lambda **found: next(iter(found.values())),
        one_of=True,
    ),
)

# --- Value tests ---------------------------------------------------------------------------------------------------


def _one_text(kind: TextKind) -> Callable[[str], TextTest]:
    return lambda text: TextTest(kind, (text,))


def _one_of(texts: tuple[str, ...]) -> TextTest:
    return TextTest("in", tuple(dict.fromkeys(texts)))


def _range(bounds: tuple[int, int]) -> RangeTest:
    low, high = bounds
    if low >= high:
        raise ValueError(f"an empty range: no number is >= {low} and < {high}")
    return RangeTest(low, high)


def _mod(divisor: int, below: int) -> ModTest:
    if below > divisor:
        raise ValueError(f"`below` is at most the divisor, {divisor}, at which every number holds, and here is {below}")
    return ModTest(divisor, below)


def _value_test(ignore_case: bool = False, **found: ValueTest) -> ValueTest:
    (test,) = found.values()
    return _without_case(test) if ignore_case else test


def _without_case(test: ValueTest) -> ValueTest:
    if isinstance(test, TextTest):
        return replace(test, ignore_case=True)
    return NotTest(_without_case(test.test)) if isinstance(test, NotTest) else test


VALUE_TEST: Final = Shared("value_test")
VALUE_TEST.reader = ByKind(
    "a text, a list of texts, or a map with a test",
    scalar=Then(TEXT, _one_text("in")),
    items=Then(ListOf(TEXT, low=1), _one_of),
    map=Record(
        None,
        Key("exact", Then(TEXT, _one_text("in")), manual="The value is equal."),
        Key("in", Then(ListOf(TEXT, low=1), _one_of), manual="The value is equal to one of them."),
        Key("prefix", Then(SOME_TEXT, _one_text("prefix")), manual="The value begins with it."),
        Key("suffix", Then(SOME_TEXT, _one_text("suffix")), manual="The value ends with it."),
        Key("contains", Then(SOME_TEXT, _one_text("contains")), manual="It stands somewhere in the value."),
        Key("regex", Then(REGEX, _one_text("regex")), manual="Found anywhere in the value; RE2 syntax."),
        Key("present", Then(BOOLEAN, PresentTest), manual="true: the name is there; false: it is absent."),
        Key("range", Then(ListOf(NUMBER, low=2, high=2), _range), manual="[low, high]: an integer, low <= n < high."),
        Key(
            "mod",
            Record(
                ModTest,
                Key("divisor", integer(2, NUMBER_MAX), required=True),
                Key("below", integer(0, NUMBER_MAX), required=True),
                build=_mod,
            ),
            manual="An integer with n mod divisor < below.",
        ),
        Key("not", Then(VALUE_TEST, NotTest), manual="The test does not hold; an absent name satisfies it."),
        Key("ignore_case", BOOLEAN, manual="Case is ignored, in whichever test stands beside it."),
        build=_value_test,
        one_of=True,
        aside=("ignore_case",),
    ),
)

# --- Conditions ----------------------------------------------------------------------------------------------------


def all_of(conditions: tuple[Condition, ...]) -> Condition:
    """One condition stands for itself; conditions joined within others are written out flat."""
    flat: list[Condition] = []
    for condition in conditions:
        flat += condition.conditions if isinstance(condition, AllOf) else (condition,)
    return flat[0] if len(flat) == 1 else AllOf(tuple(flat))


def any_of(conditions: tuple[Condition, ...]) -> Condition:
    """As all_of, for `any`."""
    flat: list[Condition] = []
    for condition in conditions:
        flat += condition.conditions if isinstance(condition, AnyOf) else (condition,)
    return flat[0] if len(flat) == 1 else AnyOf(tuple(flat))


def _fields(where: ValueSource, name: Callable[[str], str]) -> Reader:
    def build(tests: dict[str, ValueTest]) -> Condition:
        return all_of(tuple(FieldTest(where, name, test) for name, test in tests.items()))

    return Then(MapOf("names and value tests", name, VALUE_TEST), build)


def _condition(**found: Condition) -> Condition:
    if not found:
        raise ValueError("an empty condition; leave `match` out to take every request")
    return all_of(tuple(found.values()))


CONDITION: Final = Shared("condition")
CONDITION.reader = ByKind(
    "a condition",
    scalar=Unit("a condition", read_ack, {"type": "string", "pattern": FORM}),
    map=Record(
        None,
        Key("header", _fields("header", units.header_name), manual="Name to value test; all names must hold."),
        Key("cookie", _fields("cookie", units.token), manual="Name to value test; all names must hold."),
        Key("query", _fields("query", units.argument_name), manual="Name to value test; all names must hold."),
        Key(
            "method",
            Then(ListOf(some("a method like GET", units.method), low=1, single=True), MethodTest),
            manual="The request's method is one of these.",
        ),
        Key(
            "scheme",
            Then(choice("http", "https"), SchemeTest),
            manual="The client came over http or https: the scheme of its connection, or as a trusted proxy says.",
        ),
        Key("path", Then(PATH, PathTest), manual="The path fits, as in a route."),
        Key(
            "client_ip",
            Then(ListOf(some("a network like 10.0.0.0/8", units.network), low=1, single=True), ClientTest),
            manual="The client's address lies in one of these networks.",
        ),
        Key("any", Then(ListOf(CONDITION, low=1), any_of), manual="One of these must hold."),
        Key("all", Then(ListOf(CONDITION, low=1), all_of), manual="All of these must hold."),
        Key("not", Then(CONDITION, Not), manual="This must not hold."),
        build=_condition,
    ),
)
