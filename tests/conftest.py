"""What holds for every test: logging is left as it was found; compiled code has no constants that could be changed."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from proxy import protocol

COMPILED = not str(protocol.__file__).endswith(".py")


@pytest.fixture(autouse=True)
def logging_restored() -> Iterator[None]:
    """A command run in this process sets logging up for its own stderr, which is closed when the next test runs."""
    root, ours = logging.getLogger(), logging.getLogger("grayhound")
    handlers, levels = root.handlers[:], (root.level, ours.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


@pytest.fixture
def constants(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """To give constants of the data plane other values for one test. Compiled code has them built in."""
    if COMPILED:
        pytest.skip("its constants are compiled in")
    return monkeypatch
