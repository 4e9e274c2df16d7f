"""A version as one generation of the rules sees it: its endpoints and the way to choose among them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final

from proxy.rules.health import PassiveHealth
from proxy.upstream.balance import Choose, balancer
from proxy.upstream.endpoint import Endpoint
from proxy.upstream.health import STEPS, may_eject

PARTIAL_CHOICES_MAX: Final = 64
"""Ways of choosing among some of the endpoints that are remembered; endpoints fail one at a time, not in all ways."""


class Version:
    """name and service as in the rules; endpoints in file order. balanced_by_key: `pick` heeds its key."""

    __slots__ = (
        "__weakref__",
        "_balance",
        "_choose",
        "_draw",
        "_only",
        "_partial",
        "balanced_by_key",
        "endpoints",
        "name",
        "passive",
        "service",
    )

    def __init__(
        self,
        service: str,
        name: str,
        endpoints: Sequence[Endpoint],
        balance: str,
        passive: PassiveHealth | None,
        draw: Callable[[], float],
    ) -> None:
        self.service = service
        self.name = name
        self.endpoints = endpoints
        self.passive = passive
        self.balanced_by_key = balance == "hash"
        self._balance = balance
        self._draw = draw
        self._only = endpoints[0] if len(endpoints) == 1 else None
        self._choose = balancer(balance, [endpoint.share for endpoint in endpoints], draw)
        self._partial: dict[tuple[tuple[str, float], ...], Choose] = {}

    def pick(self, key: bytes = b"", tried: Collection[Endpoint] = ()) -> Endpoint | None:
        """An available endpoint that has not been tried, or None. key: what `hash` hashes."""
        endpoint = self._only or self.endpoints[self._choose(self.endpoints, key)]
        if endpoint.steady and endpoint not in tried:
            return endpoint
        return self._pick_with_care(key, tried)

    def _pick_with_care(self, key: bytes, tried: Collection[Endpoint]) -> Endpoint | None:
        """Among those that may serve, each with the weight it has just now."""
        rest = self.others(tried)
        if not rest:
            return None
        if len(rest) == 1:
            return rest[0]
        state = tuple((endpoint.url, endpoint.weight) for endpoint in rest)
        choose = self._partial.get(state)
        if choose is None:
            if len(self._partial) >= PARTIAL_CHOICES_MAX:
                self._partial.clear()
            choose = balancer(self._balance, [round(endpoint.weight * STEPS) for endpoint in rest], self._draw)
            self._partial[state] = choose
        return rest[choose(rest, key)]

    def others(self, tried: Collection[Endpoint | None]) -> list[Endpoint]:
        """The endpoints that are available and have not been tried."""
        return [one for one in self.endpoints if one.available and one.weight and one not in tried]

    def succeeded(self, endpoint: Endpoint) -> None:
        """The endpoint answered, and not with a 5xx."""
        endpoint.health.succeed()

    def failed(self, endpoint: Endpoint, now: float) -> None:
        """The endpoint answered with a 5xx or not at all; it may be ejected for that."""
        policy = self.passive
        if policy is None or not endpoint.health.fail(policy):
            return
        if may_eject(policy, len(self.endpoints), sum(other.health.ejected for other in self.endpoints)):
            endpoint.health.eject(policy, now)
            endpoint.judge()
