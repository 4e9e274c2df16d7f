"""The supervisor's decisions; its real workers are in integration/test_life.py."""

from __future__ import annotations

import pytest

from proxy.run.supervisor import pause_before_start


@pytest.mark.parametrize(
    ("deaths", "pause_s"),
    [(1, 0), (2, 0), (3, 0), (4, 1), (5, 2), (6, 4), (7, 8), (8, 16), (9, 30), (10, 30), (1_000_000, 30)],
)
def test_restarts_are_immediate_and_then_back_off(deaths: int, pause_s: float) -> None:
    """Three deaths in a row are made good at once; then each pause doubles, up to half a minute."""
    assert pause_before_start(deaths) == pause_s
