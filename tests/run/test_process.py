"""A worker process as control sees it."""

from __future__ import annotations

import pytest

from proxy.run.process import Process, pause_before_start


@pytest.mark.parametrize(
    ("deaths", "pause_s"),
    [(1, 0), (2, 0), (3, 0), (4, 1), (5, 2), (6, 4), (7, 8), (8, 16), (9, 30), (10, 30), (1_000_000, 30)],
)
def test_restarts_are_immediate_and_then_back_off(deaths: int, pause_s: float) -> None:
    """Three deaths in a row are made good at once; then each pause doubles, up to half a minute."""
    assert pause_before_start(deaths) == pause_s


def test_an_end_is_told_in_words() -> None:
    """By its exit code or by the signal."""
    process = Process(1, 1, 0.0, 0.0)
    process.status = 3 << 8
    assert process.how_it_ended == "ended with code 3"
    process.status = 9
    assert process.how_it_ended == "was ended by signal 9 (Killed)"


def test_it_takes_rules_until_it_says_what_became_of_them() -> None:
    """Applied or failed; and only if it accepts connections is anyone waiting for it."""
    process = Process(1, 1, 0.0, 0.0, told=2)
    assert not process.taking(2)
    process.accepting = True
    assert process.taking(2)
    process.fault = "KeyError"
    assert not process.taking(2)
    process.fault, process.generation = "", 2
    assert not process.taking(2)
