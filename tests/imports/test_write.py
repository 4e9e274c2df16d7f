"""The text of a draft: it says what the draft says, and looks as if written by hand."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from proxy.imports.draft import Draft, Part
from proxy.imports.write import WIDTH, flow, scalar, written
from proxy.rules.read.nodes import Map, Scalar, tree

PLAIN = ["/", "/shop", "old-nginx", "http://old.default.svc.cluster.local:80", "^/foo", "shop www.example.com/", "a:b"]
QUOTED = [
    "*.example.com",
    "true",
    "No",
    "42",
    "1.10",
    "2024-01-01",
    "0x1F",
    "",
    "- a",
    "a: b",
    "a #b",
    "it's",
    "~",
    "[x",
]


@pytest.mark.parametrize("text", PLAIN)
def test_texts_without_need_have_no_quotes(text: str) -> None:
    assert scalar(text) == text


@pytest.mark.parametrize("text", QUOTED)
def test_texts_that_could_be_misread_have_quotes(text: str) -> None:
    assert scalar(text)[0] in "'\""


@given(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x85\ufeff"), max_size=40))
def test_every_text_comes_back(text: str) -> None:
    """As a value, as a key and within lists and maps; for us and for any other reader of YAML."""
    for line in (f"k: {scalar(text)}", f"k: {flow([text, {text: text}])}"):
        assert "\n" not in line
        loaded = yaml.safe_load(line)["k"]
        assert loaded in (text, [text, {text: text}])
    node = tree(f"{scalar(text)}: {scalar(text)}")
    assert isinstance(node, Map)
    ((key, value),) = node.entries.values()
    assert isinstance(value, Scalar) and key.text == value.text == text


def test_numbers_and_truth_values_are_plain() -> None:
    assert flow({"a": 80, "b": 33.0, "c": 0.5, "d": True}) == "{a: 80, b: 33, c: 0.5, d: true}"


def test_what_is_too_long_for_a_line_stands_in_several() -> None:
    """Every line fits, also of comments; only what has no space in it may not."""
    draft = Draft([])
    names = [f"shop-{number}.example.com" for number in range(20)]
    match = {"any": [{"header": {"x-name": name * 3}} for name in names]}
    rule = Part({"name": "r", "match": match}, ["word " * 60, "x" * 200])
    draft.routes.append(Part({"name": "shop", "hosts": names, "rules": [rule]}))
    text = written(draft, "x.yaml")
    lines = text.splitlines()
    assert [line for line in lines if len(line) > WIDTH] == ["      #   " + "x" * 200] or "# " + "x" * 200 in text
    assert sum(len(line) > WIDTH for line in lines) == 1
    route = yaml.safe_load(text)["routes"][0]
    assert route == {"name": "shop", "hosts": names, "rules": [{"name": "r", "match": match}]}
