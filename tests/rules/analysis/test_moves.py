"""proxy/rules/analysis/moves.py: how many move from which version to which."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.rules.analysis.moves import moves, spread_of
from proxy.rules.model import Rule
from proxy.rules.person import Sticky, StickyCookie, StickyKey
from tests.rules.build import SHOP, rule

GRAY = Sticky(cookie=StickyCookie("gray"), salt="s")


def moved(old: Rule, new: Rule) -> list[tuple[str, str, float]]:
    found = moves(spread_of(old, SHOP), spread_of(new, SHOP))
    return [(move.old, move.new, pytest.approx(move.share)) for move in found]


def sticky(how: Sticky | None = GRAY, **weights: float) -> Rule:
    return replace(rule("everyone", **weights), sticky=how)


def test_raising_a_weight_moves_people_one_way() -> None:
    """From the stable version to the new one, so many as it gains; lowering it moves them back."""
    assert moved(sticky(v1=80, v2=20), sticky(v1=50, v2=50)) == [("v1", "v2", 0.3)]
    assert moved(sticky(v1=50, v2=50), sticky(v1=80, v2=20)) == [("v2", "v1", 0.3)]
    assert moved(sticky(v1=80, v2=20), sticky(v1=8, v2=2)) == []
    assert moved(sticky(v1=80, v2=20), sticky(v1=70, v2=20, v3=10)) == [("v1", "v3", 0.1)]


def test_what_is_drawn_changes_its_shares() -> None:
    """Nobody moves, but so many requests go elsewhere."""
    assert moved(sticky(None, v1=80, v2=20), sticky(None, v1=100)) == [("v2", "v1", 0.2)]
    assert moved(sticky(None, v1=2, v2=1, v3=1), sticky(None, v3=1, v1=2, v2=1)) == []
    assert moved(rule("a", version="v1"), sticky(None, v1=1, v2=1)) == [("v1", "v2", 0.5)]
    assert moved(rule("a", version="v1"), rule("a", version="v1")) == []


@pytest.mark.parametrize(
    "other", [replace(GRAY, salt="t"), Sticky((StickyKey("header", "x"),), GRAY.cookie, "s"), None], ids=str
)
def test_another_key_or_salt_deals_everybody_anew(other: Sticky | None) -> None:
    """Buckets of two salts are independent: with equal weights half of all move, each way as many."""
    assert moved(sticky(v1=1, v2=1), sticky(other, v1=1, v2=1)) == [("v1", "v2", 0.25), ("v2", "v1", 0.25)]


def test_a_ttl_moves_nobody() -> None:
    """A person is known by key and salt, not by how long the cookie lasts."""
    longer = replace(GRAY, cookie=StickyCookie("gray", ttl=60.0))
    assert moved(sticky(v1=1, v2=1), sticky(longer, v1=1, v2=1)) == []
