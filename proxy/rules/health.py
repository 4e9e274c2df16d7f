"""How it is found out that an endpoint is not well. Part of the model."""

from __future__ import annotations

from proxy.data import dataclass


@dataclass(frozen=True, slots=True)
class ActiveHealth:
    """Each endpoint is asked at intervals whether it is well."""

    path: str
    """What to GET."""
    interval: float = 5.0
    """Seconds between two checks of one endpoint."""
    timeout: float = 1.0
    """Seconds to wait for the answer."""
    healthy_after: int = 2
    """Good answers in a row until an endpoint that was down is used again."""
    unhealthy_after: int = 3
    """Bad answers in a row until an endpoint is no longer used."""
    status: tuple[tuple[int, int], ...] = ((200, 399),)
    """(first, last) of the statuses that are good, both included."""


@dataclass(frozen=True, slots=True)
class PassiveHealth:
    """An endpoint that answers real traffic badly is ejected for a while."""

    consecutive_5xx: int = 5
    """Statuses 500 to 599, failed connections and resets in a row until it is ejected."""
    ejection: float = 30.0
    """Seconds it is out the first time; longer each further time."""
    max_ejected: float = 0.5
    """At most this share of a version's endpoints is out at a time. At 100% all may be, even the only one: `fallback`
    says what becomes of its requests then."""
