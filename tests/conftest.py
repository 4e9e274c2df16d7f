"""What holds for every test: logging is left as it was found."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def logging_restored() -> Iterator[None]:
    """A command run in this process sets logging up for its own stderr, which is closed when the next test runs."""
    root, ours = logging.getLogger(), logging.getLogger("grayhound")
    handlers, levels = root.handlers[:], (root.level, ours.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])
