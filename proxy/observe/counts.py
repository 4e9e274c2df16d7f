"""The words of a worker's report to control: what it counted, and under which labels.

A label tuple stands in the order of the metric's labels in the documentation.
"""

from __future__ import annotations

from dataclasses import field
from typing import Final

from proxy.data import dataclass
from proxy.observe.mirrors import Example

BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of duration histograms in seconds: Prometheus' own default, which dashboards in the field expect."""
METHODS: Final = {
    name.encode(): name
    for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT")
}  # fmt: skip
"""Methods that are label values; any other is `other`, since label values never come from what a client sends."""

CLIENT_GONE: Final = 499
"""The status of a request whose client left before an answer began; nginx's number for it."""

Labels = tuple[str, ...]


@dataclass(slots=True)
class Counts:
    """What happened in a worker since the last report (add, observe), and what holds now (gauge, endpoints).

    observe: counts per bucket, the last one for +Inf, and the sum. endpoints: (service, version, url) to its state.
    generation: of the rules by which requests begin. lingering: (service, version) that requests which began by earlier
    ones are at, or may yet turn to though they are under way on another.
    examples: by (service, version) mirrored to, answers that differed.
    answers: by (route, service, rule, version) of splits, what became of requests that the rule gave to the version.
    """

    add: dict[str, dict[Labels, float]] = field(default_factory=dict)
    observe: dict[str, dict[Labels, tuple[list[int], float]]] = field(default_factory=dict)
    gauge: dict[str, dict[Labels, float]] = field(default_factory=dict)
    endpoints: dict[Labels, dict[str, float]] = field(default_factory=dict)
    generation: int = 0
    lingering: set[tuple[str, str]] = field(default_factory=set)
    examples: dict[Labels, list[Example]] = field(default_factory=dict)
    answers: dict[Labels, Answers] = field(default_factory=dict)


@dataclass(slots=True)
class Answers:
    """What became of requests that were given to a version: whole answers of its own by status, lost ones (it broke
    off, or another version answered in its place), and how many clients left before an answer began; those count
    nowhere else. buckets: how long its own answers took."""

    whole: dict[int, int] = field(default_factory=dict)
    lost: int = 0
    left: int = 0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))

    def add(self, other: Answers) -> None:
        for status, count in other.whole.items():
            self.whole[status] = self.whole.get(status, 0) + count
        self.lost += other.lost
        self.left += other.left
        self.buckets = [mine + theirs for mine, theirs in zip(self.buckets, other.buckets, strict=True)]
