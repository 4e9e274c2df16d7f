"""proxy/data.py: data as of the standard library's dataclass."""

from __future__ import annotations

import dataclasses
import pickle
from dataclasses import field

import pytest

from proxy.data import dataclass


@dataclass(frozen=True, slots=True)
class Pair:
    """Two values, a list of more, and one that nobody should see."""

    left: int
    right: str = "r"
    more: tuple[int, ...] = ()
    key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Same:
    """The same fields."""

    left: int
    right: str = "r"
    more: tuple[int, ...] = ()
    key: str = ""


@dataclass(slots=True)
class Mutable:
    """What changes, with a list of its own."""

    items: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Worded:
    """Who says for itself what it is, and what is equal to it."""

    text: str

    def __repr__(self) -> str:
        return self.text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Worded)

    def __hash__(self) -> int:
        return 0


@dataclass(slots=True)
class Late:
    """Nobody makes one but the test of that."""

    one: int
    two: int = 2
    three: list[int] = field(default_factory=list)


def test_equal_are_those_of_one_class_with_equal_values() -> None:
    """And they have one hash; a value of another class is never equal."""
    assert Pair(1, "a") == Pair(1, "a") != Pair(1, "b")
    assert hash(Pair(1, "a")) == hash(Pair(1, "a"))
    assert Pair(1) != Same(1)
    assert Mutable() == Mutable() != Mutable([1])


def test_what_changes_has_no_hash() -> None:
    """It cannot be a key."""
    with pytest.raises(TypeError, match="unhashable"):
        hash(Mutable())


def test_what_is_not_shown_is_compared() -> None:
    """A key stays out of logs."""
    assert repr(Pair(1, key="secret")) == "Pair(left=1, right='r', more=())"
    assert Pair(1, key="secret") != Pair(1)


def test_a_class_may_say_it_itself() -> None:
    """Its own functions stay."""
    assert repr(Worded("x")) == "x"
    assert Worded("x") == Worded("y")
    assert hash(Worded("x")) == 0


def test_there_are_no_other_attributes() -> None:
    """Slots: a misspelt name is an error, and an instance is small."""
    with pytest.raises(AttributeError):
        Mutable().item = []  # type: ignore[attr-defined]


def test_an_instance_is_made_as_by_any_function() -> None:
    """By position and by name, with defaults of its own; what is missing or too much is told, the first time too."""
    with pytest.raises(TypeError, match=r"Late.__init__\(\) missing 1 required positional argument: 'one'"):
        Late()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="takes from 2 to 4 positional arguments but 5 were given"):
        Late(1, 2, [], 4)  # type: ignore[call-arg]
    late = Late(1, three=[3])
    assert (late.one, late.two, late.three) == (1, 2, [3])
    assert Late(1).three is not Late(1).three


def test_the_standard_library_takes_it_for_its_own() -> None:
    """replace, asdict, fields, match and pickle work."""
    pair = Pair(1, more=(2,))
    assert dataclasses.replace(pair, left=3) == Pair(3, more=(2,))
    assert dataclasses.asdict(pair) == {"left": 1, "right": "r", "more": (2,), "key": ""}
    assert dataclasses.is_dataclass(pair)
    assert [(one.name, one.default) for one in dataclasses.fields(Mutable)] == [("items", dataclasses.MISSING)]
    assert pickle.loads(pickle.dumps(pair, pickle.HIGHEST_PROTOCOL)) == pair
    match pair:
        case Pair(left, right):
            assert (left, right) == (1, "r")
