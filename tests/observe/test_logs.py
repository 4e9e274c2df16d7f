"""Logs: one line per event."""

from __future__ import annotations

import logging
import re

import pytest

from proxy.observe import logs


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
