"""Logs: one line per event to stderr, `TIME LEVEL logger: text`."""

from __future__ import annotations

import logging
import sys
import time
from typing import Final

FORMAT: Final = "%(asctime)s.%(msecs)03dZ %(levelname)-7s %(name)s: %(message)s"
TIME_FORMAT: Final = "%Y-%m-%dT%H:%M:%S"


def set_up(level: str) -> None:
    """Send the house's loggers to stderr from `level` up; those of libraries only from warning up."""
    formatter = logging.Formatter(FORMAT, TIME_FORMAT)
    formatter.converter = time.gmtime  # UTC: the lines of all containers can be laid side by side
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("grayhound").setLevel(level.upper())
