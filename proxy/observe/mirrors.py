"""What a worker counts of mirrored requests, and the last answers that differed, for people to look at."""

from __future__ import annotations

from typing import Any, Final

RESULTS: Final = ("answered", "same", "different", "timeout", "failed", "too_large", "dropped")
"""What became of a request that was to be mirrored. answered, but not compared; compared, and same or different;
timeout: no whole answer in time; failed: no connection, or no whole answer in HTTP; too_large: not sent for its body;
dropped: not sent, as too many were under way or no endpoint was available."""
ROOM_MIN: Final = 5
"""Copies that may be under way to a version that has yet to answer one: who hangs or never ends is found out by few."""
EXAMPLES_MAX: Final = 20
"""Examples kept of each mirrored version, and made by a worker between two reports; a person looks at a few."""

Example = dict[str, Any]
"""Two answers to one request that differ, in the words and types of the API."""


class MirrorCounts:
    """Of the requests mirrored to one version. Lives as long as the worker, across reloads.

    in_flight: copies under way; room: how many may be. results: by RESULTS; differences: by http.digest.KINDS;
    examples: since `take`.
    """

    __slots__ = ("differences", "examples", "in_flight", "results", "room")

    def __init__(self) -> None:
        self.in_flight = 0
        self.room = ROOM_MIN
        self.results: dict[str, int] = {}
        self.differences: dict[str, int] = {}
        self.examples: list[Example] = []

    def ended(self, result: str) -> None:
        """Count what became of one."""
        self.results[result] = self.results.get(result, 0) + 1

    def differed(self, kinds: list[str]) -> bool:
        """Count in what two answers differed; whether an example of it is wanted."""
        for kind in kinds:
            self.differences[kind] = self.differences.get(kind, 0) + 1
        return len(self.examples) < EXAMPLES_MAX

    def take(self) -> tuple[dict[str, int], dict[str, int], list[Example]]:
        """Results, differences and examples since the last call."""
        taken = self.results, self.differences, self.examples
        self.results, self.differences, self.examples = {}, {}, []
        return taken
