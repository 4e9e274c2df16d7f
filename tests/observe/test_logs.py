"""Logs: one line per event."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator

import pytest

from proxy.observe import logs


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("grayhound").setLevel(logging.NOTSET)


def test_lines_have_time_level_and_logger(capfd: pytest.CaptureFixture[str]) -> None:
    """One line on stderr, with UTC time, level and who says it; libraries speak from warning up."""
    logs.set_up("info")
    logging.getLogger("grayhound.control").info("listening on %s", "0.0.0.0:8080")
    logging.getLogger("grayhound.control").debug("not said")
    logging.getLogger("aiohttp.access").info("not said")
    line = capfd.readouterr().err
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO    grayhound\.control: listening on 0\.0\.0\.0:8080\n", line
    )
