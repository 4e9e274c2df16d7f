"""Simulated rollouts with fixed seeds; benchmarks/rollouts.py runs a thousand of each."""

from __future__ import annotations

from functools import partial
from typing import Final

from benchmarks.rollouts import BOTH, FAILING, SAME, SLOW, simulate

CASES: Final = {
    "equal": partial(simulate, BOTH, SAME, SAME, 50.0),
    "errors": partial(simulate, BOTH, SAME, FAILING, 50.0),
    "slow": partial(simulate, BOTH, SAME, SLOW, 50.0),
}
