"""Long work done in steps, so that who does it decides how many at a time."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")

Steps = Generator[None, None, T]
"""Work that stops after each step; what it comes to is the generator's return value."""


def finish(steps: Steps[T]) -> T:
    """Do all that is left at once."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
