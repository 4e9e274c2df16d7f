from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.errors import RuleError
from proxy.rules.parse import parse

ROOT = Path(__file__).parent.parent.parent
FAULTS = sorted((Path(__file__).parent / "faults").glob("*.yaml"))
SHOP = "services:\n  shop:\n    versions: {v1: {endpoints: [http://a:1]}, v2: {endpoints: [http://b:1]}}\n"
ROUTE = SHOP + "routes:\n  - service: shop\n"


def faults(text: str) -> list[str]:
    with pytest.raises(RuleError) as error:
        parse(text, "rules.yaml")
    return [str(fault) for fault in error.value.faults]


@pytest.mark.parametrize("file", FAULTS, ids=lambda file: file.stem)
def test_every_fault_is_told_at_once_in_file_order(file: Path) -> None:
    """A bad file gives the faults written beside it, word for word, each with its line and column."""
    with pytest.raises(RuleError) as error:
        parse(file.read_text(), file.name)
    assert str(error.value) + "\n" == file.with_suffix(".txt").read_text()


def test_the_reference_file_has_neither_fault_nor_warning() -> None:
    """config/rules.yaml, which users copy, passes."""
    assert parse((ROOT / "config" / "rules.yaml").read_text(), "rules.yaml").warnings == []


def test_a_file_whose_routes_all_answer_needs_no_services() -> None:
    """Redirects are a rule file of their own."""
    parsed = parse("routes:\n  - {hosts: [old.example.com], redirect: {host: new.example.com}}\n", "rules.yaml")
    assert (parsed.rule_file.services, parsed.warnings) == ({}, [])


def test_a_fault_says_where_it_is_and_what_to_do() -> None:
    """File, line and column from 1, path, text: the form that editors and scripts read."""
    text = ROUTE + "    rules:\n      - version: v2\n        match: {method: GET}\n      - split: {v1: 80, v3: 20}\n"
    assert faults(text) == [
        "rules.yaml:9:16: routes[0].rules[1].split: unknown version 'v3' of service 'shop'; it has v1, v2"
    ]


def test_a_fault_is_not_told_twice_in_other_words() -> None:
    """What only follows from a part that could not be read is left unsaid; the rest of the file is still checked."""
    text = ROUTE + "    rules:\n      - split: {v1: x, v2: 0}\n      - {version: v3}\n"
    assert [fault.partition("]: ")[0] for fault in faults(text)] == [
        "rules.yaml:7:21: routes[0].rules[0].split.v1: expected a number >= 0, not 'x'",
        "rules.yaml:8:19: routes[0].rules[1].version: unknown version 'v3' of service 'shop'; it has v1, v2",
    ]
    assert faults(ROUTE.replace("shop:\n", "shop:\n    stable: v9\n", 1)) == [
        "rules.yaml:3:13: services.shop.stable: unknown version 'v9' of service 'shop'; it has v1, v2"
    ]


def test_warnings_have_places_too() -> None:
    """What is odd is told with its line, and refuses nothing."""
    text = ROUTE + "    rules:\n      - {version: v2}\n      - {version: v1}\n"
    assert [str(warning) for warning in parse(text, "r").warnings] == [
        "r:8:9: routes[0].rules[1]: rule 'rule-2' can never match: rule 'rule-1' before it takes all it could"
    ]


def test_a_fault_in_an_alias_stands_where_the_text_is() -> None:
    """The line is that of the anchor, the path that of the alias."""
    text = "services:\n  a: &a\n    versions: {v1: {endpoints: [x]}}\n  b: *a\nroutes: [{service: a}]\n"
    assert [fault.split(": ")[:2] for fault in faults(text)] == [
        ["rules.yaml:3:33", "services.a.versions.v1.endpoints[0]"],
        ["rules.yaml:3:33", "services.b.versions.v1.endpoints[0]"],
    ]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_text_brings_anything_but_a_rule_error(data: st.DataObject) -> None:
    """A cut, doubled or overwritten rule file is read, or refused with places inside the file."""
    text = (ROOT / "config" / "rules.yaml").read_text()
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 40)))
    junk = data.draw(st.text(alphabet="{}[]:,&*!|>'\"-#%@ \n\t\0aé0~=<?.", max_size=8))
    mutated = text[:start] + junk + text[end:]
    try:
        parse(mutated, "rules.yaml")
    except RuleError as error:
        assert error.faults
        for fault in error.faults:
            assert 1 <= fault.line <= mutated.count("\n") + 2 and fault.column >= 1 and fault.text


@given(st.text(max_size=60))
def test_any_text_at_all_is_judged(text: str) -> None:
    """Not even text that is no YAML raises anything else."""
    with pytest.raises(RuleError):
        parse(text, "rules.yaml")
