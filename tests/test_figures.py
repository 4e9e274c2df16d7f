"""The figures and pictures in the pages are those of the kept measurements."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks import publish
from benchmarks.results import Results

ROOT = Path(__file__).parent.parent


def test_the_pages_repeat_the_comparison_that_is_kept() -> None:
    """`python -m benchmarks.publish` would change nothing."""
    if not publish.COMPARE.exists():
        pytest.skip("no comparison is kept")
    results = Results.read(publish.COMPARE)
    assert publish.COMPARE.with_name("costs.svg").read_text() == publish.draw_costs(results)
    for page, places in publish.pages(results).items():
        text = (ROOT / page).read_text()
        for name, content in places.items():
            assert publish.filled(text, name, content) == text, (page, name)


@pytest.mark.parametrize(("kept", "draw"), [(publish.GROWTH, publish.draw_growth), (publish.SOAK, publish.draw_soak)])
def test_a_picture_shows_what_is_kept(kept: Path, draw: Callable[[dict[str, Any]], str]) -> None:
    if not kept.exists():
        pytest.skip("nothing is kept")
    drawn = draw(json.loads(kept.read_text()))
    ElementTree.fromstring(drawn)
    assert kept.with_suffix(".svg").read_text() == drawn


@pytest.mark.parametrize(("page", "name"), [(page, name) for page, names in publish.PLACES.items() for name in names])
def test_every_place_to_fill_is_in_its_page(page: str, name: str) -> None:
    text = (ROOT / page).read_text()
    assert text.count(f"<!-- {name} -->\n") == text.count(f"<!-- /{name} -->") == 1
