from __future__ import annotations

import pytest

from proxy.rules.read import nodes
from proxy.rules.read.nodes import Items, Map, Scalar, TreeError, locate, path_text, tree, trees


def told(text: str) -> tuple[int, int, str]:
    with pytest.raises(TreeError) as error:
        tree(text)
    line, column, _, wrong = error.value.faults[0]
    return line, column, wrong


@pytest.mark.parametrize("text", ["on", "no", "0123", "1:30", "1.10", "2024-01-01", "~", "1_000", "0x1F", "TRUE"])
def test_a_scalar_keeps_its_text(text: str) -> None:
    """Nothing of YAML 1.1 turns a text into something else, be it a key or a value."""
    node = tree(f"{text}: {text}")
    assert isinstance(node, Map)
    key, value = node.entries[text]
    assert isinstance(value, Scalar) and key.text == value.text == text and value.plain


@pytest.mark.parametrize("text", ["'5'", '"5"', "!!str 5", "! 5", "|-\n  5"])
def test_quotes_and_the_string_tag_make_a_text(text: str) -> None:
    """Such a scalar is no number or truth value."""
    node = tree(f"a: {text}")
    assert isinstance(node, Map)
    value = node.entries["a"][1]
    assert isinstance(value, Scalar) and value.text == "5" and not value.plain


def test_places_count_from_one() -> None:
    """Line and column of key and value, counted in characters."""
    node = tree("é: x\nb:\n  - ü: y\n")
    found, path = locate(node, ("b", 0, "ü"))
    assert (found.line, found.column, path) == (3, 8, ("b", 0, "ü"))
    assert path_text(path) == "b[0].ü"


def test_locate_stops_at_the_deepest_node() -> None:
    """A path into a shorthand leads to the shorthand."""
    node = tree("a: [x]")
    assert locate(node, ("a", 0, "url"))[1] == ("a", 0)
    assert locate(node, ("a", 7))[1] == ("a",)


def test_aliases_and_merge_keys() -> None:
    """An alias is the anchored node; `<<` fills in what is not given here."""
    node = tree("base: &b {x: 1, y: 2}\nuse: {<<: *b, y: 3}\nmany: {<<: [*b, {z: 4}]}")
    assert isinstance(node, Map)
    use, many = node.entries["use"][1], node.entries["many"][1]
    assert isinstance(use, Map) and isinstance(many, Map)
    assert [value.text for _, value in use.entries.values() if isinstance(value, Scalar)] == ["3", "1"]
    assert list(many.entries) == ["x", "y", "z"]
    assert told("<<: 5")[2] == "'<<' takes a map, or a list of maps"


def test_depth_has_a_limit() -> None:
    """DEPTH_MAX levels are read, one more is refused."""
    assert isinstance(tree("[" * nodes.DEPTH_MAX + "]" * nodes.DEPTH_MAX), Items)
    deeper = nodes.DEPTH_MAX + 1
    assert told("[" * deeper + "]" * deeper) == (1, deeper, f"nested deeper than {nodes.DEPTH_MAX} levels")


def test_aliases_written_out_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """NODES_MAX nodes are read, one more is refused, however few characters they take."""
    monkeypatch.setattr(nodes, "NODES_MAX", 8)
    assert isinstance(tree("[&a [x, y], *a, z]"), Items)  # 1 + 3 + 3 + 1
    assert told("[&a [x, y], *a, z, z]")[2] == "more than 8 values, aliases written out"


def test_text_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """TEXT_BYTES_MAX bytes are read, one more is refused."""
    monkeypatch.setattr(nodes, "TEXT_BYTES_MAX", 4)
    assert isinstance(tree("[ü]"), Items)
    assert told("[üx]")[2] == "the file has 5 bytes; at most 4 are read"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: b\n\0", (2, 1, "character U+0000 is not allowed")),
        ("é\x1f", (1, 2, "character U+001F is not allowed")),
        ("a: \ud800", (1, 4, "character U+D800 is not allowed")),
        ("[a]: b", (1, 1, "a key is a text, not a list or map")),
        ("a: *b", (1, 4, "alias '*b' of nothing: '&b' must stand and end before it")),
        ("", (1, 1, "the file is empty; it needs `services:` and `routes:`")),
    ],
)
def test_what_is_no_tree(text: str, expected: tuple[int, int, str]) -> None:
    """Each has its place and a sentence."""
    assert told(text) == expected


def test_a_text_of_several_documents() -> None:
    """Each is a tree; lines count through; an anchor is known in its own document alone."""
    first, second = trees("a: &x 1\n---\nb: 2\n")
    assert (first.line, second.line) == (1, 3)
    assert trees("") == []
    with pytest.raises(TreeError, match="alias"):
        trees("a: &x 1\n---\nb: *x\n")
    assert told("a: 1\n---\nb: 2\n") == (2, 1, "a second document begins here; a rule file is one document")
