"""One address of a version with its live state, which outlives reloads: pool, requests in flight, health."""

from __future__ import annotations

from urllib.parse import urlsplit

from proxy.clock import Clock
from proxy.rules.model import EndpointSpec, Limits
from proxy.upstream.health import EndpointHealth
from proxy.upstream.pool import Pool
from proxy.upstream.tls import Security, client_context


class Endpoint:
    """url: as the rules name it. up: what active checks say. in_flight: requests it is serving for this worker.

    available: whether new requests may be sent to it; kept as a plain value, since each request reads it.
    """

    __slots__ = ("available", "health", "in_flight", "pool", "security", "up", "url", "weight")

    def __init__(self, spec: EndpointSpec, limits: Limits, clock: Clock, security: Security | None = None) -> None:
        parts = urlsplit(spec.url)
        self.security = (security or Security()) if parts.scheme == "https" else None
        tls = client_context(self.security) if self.security else None
        self.url = spec.url
        self.weight = spec.weight
        name = self.security.server_name if self.security else ""
        self.pool = Pool(parts.hostname or "", parts.port or (443 if tls else 80), tls, limits, clock, name)
        self.health = EndpointHealth()
        self.in_flight = 0
        self.up = True
        self.available = True

    def judge(self) -> None:
        """Make `available` say what checks and traffic have found."""
        self.available = self.up and not self.health.ejected


class EndpointRegistry:
    """All endpoints of a worker by service, version and url, so that a reload finds again what it still names."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._endpoints: dict[tuple[str, str, str], Endpoint] = {}
        self._up: dict[str, bool] = {}

    def get(
        self, service: str, version: str, spec: EndpointSpec, limits: Limits, security: Security | None = None
    ) -> Endpoint:
        """The endpoint of that name, as it is or new. One that is secured in another way now is another one: no request
        may take a connection made under the old rules."""
        key = service, version, spec.url
        endpoint = self._endpoints.get(key)
        if endpoint is not None and endpoint.security and endpoint.security != (security or Security()):
            endpoint.pool.retire()
            endpoint = None
        if endpoint is None:
            endpoint = self._endpoints[key] = Endpoint(spec, limits, self._clock, security)
            endpoint.up = self._up.get(spec.url, True)
            endpoint.judge()
        endpoint.weight = spec.weight
        endpoint.pool.limits = limits
        endpoint.pool.revive()
        return endpoint

    def retire_all_but(self, keys: set[tuple[str, str, str]]) -> None:
        """Let go of what the rules no longer name."""
        for key in self._endpoints.keys() - keys:
            self._endpoints.pop(key).pool.retire()

    def set_up(self, up: dict[str, bool]) -> None:
        """What active checks say, by url; an endpoint they do not name is not checked and counts as well."""
        self._up = up
        for endpoint in self._endpoints.values():
            endpoint.up = up.get(endpoint.url, True)
            endpoint.judge()

    def sweep(self, now: float) -> None:
        """Close idle connections whose time is over; let ejected endpoints return."""
        for endpoint in self._endpoints.values():
            endpoint.pool.sweep(now)
            if endpoint.health.ejected and endpoint.health.returned(now):
                endpoint.judge()

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
