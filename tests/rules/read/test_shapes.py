from __future__ import annotations

from typing import Any

from proxy.rules.read import units
from proxy.rules.read.nodes import path_text, tree
from proxy.rules.read.shapes import Cursor, Key, ListOf, MapOf, Note, Reader, Record, Unit, choice, integer, near

NAME = Unit("a name", units.name, {})


def read(reader: Reader, text: str) -> tuple[Any, list[str]]:
    notes: list[Note] = []
    value = reader.read(Cursor(tree(text), (), notes))
    return value, [f"{path_text(path)}: {wrong}" for _, _, path, wrong in notes]


def test_a_reader_notes_every_fault_and_goes_on() -> None:
    """What can be read is given, what cannot is left out."""
    record = Record(None, Key("a", integer(1, 3)), Key("b", ListOf(NAME)), Key("c", NAME), build=dict)
    value, told = read(record, "a: 4\nb: [x, '', y]\nc: z\nd: 1\n")
    assert value == {"b": ("x", "y"), "c": "z"}
    assert [line.partition(":")[0] for line in told] == ["d", "a", "b[1]"]


def test_a_class_is_built_only_from_what_is_whole() -> None:
    """A record with a fault gives nothing."""
    assert read(Record(None, Key("a", NAME, required=True), build=lambda a: a), "b: 1")[0] is None


def test_limits_of_numbers() -> None:
    """Both ends are included, one past them is not; quotes make a text."""
    assert [read(integer(1, 3), text)[0] for text in ("0", "1", "3", "4", "'2'", "1.0")] == [
        None,
        1,
        3,
        None,
        None,
        None,
    ]


def test_words_as_other_standards_write_them() -> None:
    """`Lax`, as in Set-Cookie, is `lax`, where the file says so; `LAX` is nothing."""
    words = ("lax", "strict")
    assert [read(choice(*words, capitals=True), text)[0] for text in ("lax", "Lax", "LAX")] == ["lax", "lax", None]
    assert read(choice(*words), "Lax") == (None, [": expected lax or strict, not 'Lax'; did you mean 'lax'?"])


def test_one_item_may_stand_for_a_list() -> None:
    """Where the file says so."""
    assert read(ListOf(NAME, single=True), "x")[0] == ("x",)
    assert read(ListOf(NAME), "x") == (None, [": expected a list, not a text"])


def test_names_that_become_equal_are_told() -> None:
    """Two spellings of one header name are one name."""
    _, told = read(MapOf("headers", units.header_name, NAME), "{A: x, a: y}")
    assert told == ["a: 'a' is the same name as one before it"]


def test_the_nearest_word() -> None:
    """A hint where one is near, else none."""
    assert near("verison", ["version", "name"]) == "; did you mean 'version'?"
    assert near("colour", ["version", "name"]) == ""
