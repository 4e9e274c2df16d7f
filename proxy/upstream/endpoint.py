"""One address of a version with its live state, which outlives reloads: pool, requests in flight, health."""

from __future__ import annotations

from math import ceil
from urllib.parse import urlsplit

from proxy.clock import Clock
from proxy.rules.model import EndpointSpec, Limits
from proxy.upstream.health import EndpointHealth, weight_part
from proxy.upstream.pool import Pool
from proxy.upstream.tls import Security, client_context


class Endpoint:
    """url: as the rules name it. up: what active checks say. in_flight: requests and tunnels it serves for this worker.

    available: whether new requests may be sent to it. weight: its part now; share: its part by the rules, which is more
    than `weight` while it is young: new or just back, within the slow_start seconds after it.
    steady: it may be used without a second look; kept as a plain value, since each request reads it.
    """

    __slots__ = ("_clock", "_since", "available", "health", "in_flight", "pool", "security", "share", "slow_start",
                 "steady", "up", "url", "weight", "young")  # fmt: skip

    def __init__(self, spec: EndpointSpec, limits: Limits, clock: Clock, security: Security | None = None) -> None:
        parts = urlsplit(spec.url)
        self.security = (security or Security()) if parts.scheme == "https" else None
        tls = client_context(self.security) if self.security else None
        self.url = spec.url
        self.weight = float(spec.weight)
        self.share = spec.weight
        self.slow_start = 0.0
        self.young = False
        self._clock = clock
        self._since = clock.now
        name = self.security.server_name if self.security else ""
        self.pool = Pool(parts.hostname or "", parts.port or (443 if tls else 80), tls, limits, clock, name)
        self.health = EndpointHealth()
        self.in_flight = 0
        self.up = True
        self.available = True
        self.steady = spec.weight > 0

    def judge(self) -> None:
        """Make `available` say what checks and traffic have found."""
        available = self.up and not self.health.ejected
        if available and not self.available:
            self.begin()
        self.available = available
        self.steady = available and self.share > 0 and not self.young

    def begin(self) -> None:
        """It starts, slowly if the rules say so."""
        self._since = self._clock.now
        self.young = self.slow_start > 0
        self.grow(self._since)

    def grow(self, now: float) -> None:
        """Give it the weight that is due."""
        self.young = self.young and now < self._since + self.slow_start
        part = weight_part(now - self._since, self.slow_start) if self.young else 1
        self.weight = self.share * part


class EndpointRegistry:
    """All endpoints of a worker by service, version and url, so that a reload finds again what it still names."""

    def __init__(self, clock: Clock, workers: int = 1) -> None:
        """workers: among how many the limits of an endpoint are divided."""
        self._clock = clock
        self._workers = workers
        self._endpoints: dict[tuple[str, str, str], Endpoint] = {}
        self._up: dict[str, bool] = {}
        self._served: set[tuple[str, str]] = set()  # versions that had endpoints before this reload

    def get(
        self, service: str, version: str, spec: EndpointSpec, limits: Limits, security: Security | None = None,
        slow_start: float = 0.0,
    ) -> Endpoint:  # fmt: skip
        """The endpoint of that name, as it is or new. One that is secured in another way now is another one: no request
        may take a connection made under the old rules."""
        key = service, version, spec.url
        endpoint = self._endpoints.get(key)
        joins = False
        if endpoint is not None and endpoint.security and endpoint.security != (security or Security()):
            endpoint.pool.retire()
            endpoint = None
        if endpoint is None:
            endpoint = self._endpoints[key] = Endpoint(spec, limits, self._clock, security)
            endpoint.up = self._up.get(spec.url, True)
            endpoint.judge()
            joins = slow_start > 0 and key[:2] in self._served  # where all are new there is nobody to spare one
        endpoint.share = spec.weight
        endpoint.slow_start = slow_start
        endpoint.begin() if joins else endpoint.grow(self._clock.now)
        endpoint.judge()
        endpoint.pool.limits = Limits(ceil(limits.connections / self._workers), ceil(limits.pending / self._workers))
        endpoint.pool.revive()
        return endpoint

    def retire_all_but(self, keys: set[tuple[str, str, str]]) -> None:
        """The end of a reload: let go of what the rules no longer name."""
        for key in self._endpoints.keys() - keys:
            self._endpoints.pop(key).pool.retire()
        self._served = {key[:2] for key in self._endpoints}
        self._settle()

    def set_up(self, up: dict[str, bool]) -> None:
        """What active checks say, by url; an endpoint they do not name is not checked and counts as well."""
        self._up = up
        for endpoint in self._endpoints.values():
            endpoint.up = up.get(endpoint.url, True)
            endpoint.judge()
        self._settle()

    def sweep(self, now: float) -> None:
        """Close idle connections whose time is over; let ejected endpoints return, and young ones grow."""
        for endpoint in self._endpoints.values():
            endpoint.pool.sweep(now)
            if endpoint.health.ejected and endpoint.health.returned(now):
                endpoint.judge()
        if any(endpoint.young for endpoint in self._endpoints.values()):
            for endpoint in self._endpoints.values():
                endpoint.grow(now)
            self._settle()

    def _settle(self) -> None:
        """While an endpoint is young, each request to its version takes the second look that heeds its weight now."""
        starting = {key[:2] for key, endpoint in self._endpoints.items() if endpoint.young}
        for key, endpoint in self._endpoints.items():
            endpoint.steady = endpoint.available and endpoint.share > 0 and key[:2] not in starting

    def states(self) -> dict[tuple[str, ...], dict[str, float]]:
        """Per endpoint: requests in flight, connections, and whether it is available, as the admin port shows them."""
        return {
            key: {
                "in_flight": endpoint.in_flight,
                "connections": endpoint.pool.open,
                "available": endpoint.available,
                "ejected": endpoint.health.ejected,
            }
            for key, endpoint in self._endpoints.items()
        }
