"""Other weights in the text of a rule file, and not a character changed besides."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from proxy.rules.read.nodes import Map, Path, Scalar, TreeError, locate, tree

_LINE_END: Final = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
"""What ends a line in YAML 1.1 (section 4.1.4), by which the places of nodes are counted."""


def reweigh(text: str, split: Path, weights: Mapping[str, float]) -> str:
    """The text with these weights in the split at this place. Raises ValueError if they do not stand there plainly."""
    try:
        node, known = locate(tree(text), split)
    except TreeError as error:
        raise ValueError(str(error)) from None
    if known != split or not isinstance(node, Map):
        raise ValueError("there is no split of weights there")
    starts = [0, *(end.end() for end in _LINE_END.finditer(text))]
    edits = []
    for version, weight in weights.items():
        _, value = node.entries.get(version, (None, None))
        if not isinstance(value, Scalar):
            raise ValueError(f"the split has no weight of version '{version}'")
        start = starts[value.line - 1] + value.column - 1
        if not value.plain or text[start : start + len(value.text)] != value.text:
            raise ValueError(f"the weight of version '{version}' does not stand in the split itself")
        edits.append((start, value.text, shown(weight)))
    for start, old, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[start + len(old) :]
    return text


def shown(weight: float) -> str:
    """A weight as it is written: `20`, `2.5`."""
    return f"{weight:.6f}".rstrip("0").rstrip(".")
