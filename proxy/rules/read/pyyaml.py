"""PyYAML, imported without the regexes that only its parser in Python needs: the one in C, which we use, has its own.

PERF: 0.88 of a start. They are compiled when PyYAML is imported, and the class of printable characters, 55,000 of them
one by one, takes 6 ms alone. Here they are compiled when someone uses them.
"""

from __future__ import annotations

import re
from typing import Any


class _Regex:
    """In place of what re.compile gives."""

    def __init__(self, *arguments: Any) -> None:
        self._arguments = arguments

    def __getattr__(self, name: str) -> Any:
        return getattr(re.compile(*self._arguments), name)  # which remembers what it has compiled


_compile = re.compile
re.compile = _Regex  # type: ignore[assignment]
try:
    import yaml as yaml
finally:
    re.compile = _compile
