"""Alone moves an endpoint between healthy and ejected by how it answers real traffic."""

from __future__ import annotations

from math import ceil
from typing import Final

from proxy.rules.health import PassiveHealth

EJECTION_FACTOR_MAX: Final = 10
"""The n-th ejection in a row lasts n times as long, up to ten times; Envoy's 300 s to its 30 s."""

STEPS: Final = 10
"""A slow start goes up in so many steps, from a tenth: each step makes a new order of turns."""


class EndpointHealth:
    """Of one endpoint in one worker. `now` is in seconds, of one monotonic clock."""

    __slots__ = ("_ejected_until", "_ejections", "_failures", "ejected")

    def __init__(self) -> None:
        self._failures = 0
        self._ejections = 0
        self._ejected_until = 0.0
        self.ejected = False

    def succeed(self) -> None:
        """It answered, and not with a 5xx."""
        self._failures = 0
        if not self.ejected:
            self._ejections = 0

    def fail(self, policy: PassiveHealth) -> bool:
        """It answered with a 5xx or not at all. True if it has now failed so often that it should be ejected."""
        self._failures += 1
        return not self.ejected and self._failures >= policy.consecutive_5xx

    def eject(self, policy: PassiveHealth, now: float) -> None:
        """Take it out until `returned` lets it back."""
        self._ejections = min(self._ejections + 1, EJECTION_FACTOR_MAX)
        self._ejected_until = now + policy.ejection * self._ejections
        self._failures = 0
        self.ejected = True

    def returned(self, now: float) -> bool:
        """Whether an ejected endpoint's time is over; it is then back."""
        if self.ejected and now >= self._ejected_until:
            self.ejected = False
            return True
        return False


def may_eject(policy: PassiveHealth, endpoints: int, ejected: int) -> bool:
    """Whether one more endpoint of a version may be taken out. The only one may if all may: `fallback` stands in."""
    return ejected + 1 <= endpoints * policy.max_ejected


def weight_part(age: float, slow_start: float) -> float:
    """How much of its weight an endpoint has so many seconds after it came, in steps; at least the first one."""
    return max(1, min(STEPS, ceil(age / slow_start * STEPS))) / STEPS
