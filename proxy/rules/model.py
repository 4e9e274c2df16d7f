"""What a rule file says, in one normal form: every shorthand written out, every default filled in, every name resolved.

The text under each field is its manual: `grayhound schema` prints it. Durations are seconds, sizes bytes,
percentages shares from 0 to 1. Plain frozen data: it is pickled from control to the workers, which check nothing again.
"""

from __future__ import annotations

from dataclasses import field
from typing import Literal

from proxy.data import dataclass
from proxy.rules.actions import HeaderChanges, Mirror, Redirect, Respond, Rewrite, Scheme
from proxy.rules.expect import Trial
from proxy.rules.health import ActiveHealth, PassiveHealth
from proxy.rules.person import Sticky
from proxy.rules.rollouts import Rollout
from proxy.rules.tls import DEFAULT_TLS, Tls

ValueSource = Literal["header", "cookie", "query"]
TextKind = Literal["in", "prefix", "suffix", "contains", "regex"]
PathKind = Literal["exact", "prefix", "regex"]
Balance = Literal["round_robin", "least_requests", "random_two", "hash"]
Fallback = Literal["stable", "any", "none"]
RetryCause = Literal["connect_failure", "reset"]
OtherwiseKind = Literal["version", "next", "status"]


# --- Value tests: one value against what the file says -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TextTest:
    """The value compared with texts. `bar`, `[a, b]`, `{exact: s}` and `{in: [..]}` are all of kind `in`."""

    kind: TextKind
    """How to compare: equal to one of `values`, or beginning with, ending with, containing, matching the only one."""
    values: tuple[str, ...]
    """The texts as written in the file, never empty; exactly one unless kind is `in`."""
    ignore_case: bool = False
    """Compare without regard to case."""


@dataclass(frozen=True, slots=True)
class PresentTest:
    """Whether the name stands in the request at all, whatever its value."""

    present: bool
    """true: the name is there; false: it is absent."""


@dataclass(frozen=True, slots=True)
class RangeTest:
    """An integer with low <= n < high."""

    low: int
    """The first number that holds."""
    high: int
    """The first number that no longer holds; greater than low."""


@dataclass(frozen=True, slots=True)
class ModTest:
    """An integer with n mod divisor < below."""

    divisor: int
    """What to divide by; at least 2."""
    below: int
    """Remainders under this hold: 0 for nobody, the divisor for every number."""


@dataclass(frozen=True, slots=True)
class NotTest:
    """The inner test does not hold for any value; an absent name satisfies it."""

    test: ValueTest
    """The test that must not hold."""


ValueTest = TextTest | PresentTest | RangeTest | ModTest | NotTest


# --- Conditions: a test on a request, or several joined ------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PathMatch:
    """Which paths fit."""

    kind: PathKind
    """exact: equal; prefix: by path element, `/v2` takes `/v2` and `/v2/x`, not `/v2x`; regex: found anywhere."""
    value: str
    """A path that begins with `/`, or a regex in RE2 syntax."""


@dataclass(frozen=True, slots=True)
class FieldTest:
    """A test on one named header, cookie or query argument."""

    where: ValueSource
    """What to look in."""
    name: str
    """The name; lower case if it is a header's."""
    test: ValueTest
    """What its value must satisfy."""


@dataclass(frozen=True, slots=True)
class MethodTest:
    """The request's method is one of these."""

    methods: tuple[str, ...]
    """Upper case, never empty."""


@dataclass(frozen=True, slots=True)
class SchemeTest:
    """The client came over this scheme: that of its connection, or as a trusted proxy says."""

    scheme: Scheme
    """http or https."""


@dataclass(frozen=True, slots=True)
class PathTest:
    """The request's path fits."""

    path: PathMatch
    """What it must fit."""


@dataclass(frozen=True, slots=True)
class ClientTest:
    """The client's address, after trusted proxies are taken off, lies in one of these networks."""

    networks: tuple[str, ...]
    """CIDR, like `10.0.0.0/8` or `2001:db8::/32`; host bits are zero; never empty."""


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every condition must hold. Never empty."""

    conditions: tuple[Condition, ...]
    """In file order."""


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One condition must hold. Never empty."""

    conditions: tuple[Condition, ...]
    """In file order."""


@dataclass(frozen=True, slots=True)
class Not:
    """The condition must not hold."""

    condition: Condition
    """What must not hold."""


Condition = AllOf | AnyOf | Not | FieldTest | MethodTest | SchemeTest | PathTest | ClientTest


# --- Rules: what becomes of a request ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Split:
    """Shares of traffic between versions."""

    weights: tuple[tuple[str, float], ...]
    """(version, weight) in file order; weights are relative, each >= 0, their sum > 0."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A match, and then one version or a split of several, or what the proxy itself answers."""

    name: str
    """Unique within its route; default `rule-N`, N its place counted from 1."""
    match: Condition | None = None
    """Which requests it takes; none: all of them."""
    version: str = ""
    """The one version these requests go to; empty if there is a split."""
    split: Split | None = None
    """The versions these requests are divided between."""
    sticky: Sticky | None = None
    """How to keep a person on one version of the split; none: drawn per request."""
    redirect: Redirect | None = None
    """In place of a version: the client is sent elsewhere. Who is there already goes on to the next rule."""
    respond: Respond | None = None
    """In place of a version: the proxy itself answers."""
    rewrite: Rewrite | None = None
    """In place of the route's, already complete: what the file leaves out is the route's; none: the route's."""
    request_headers: HeaderChanges | None = None
    """Changes to the request's header, after the route's."""
    response_headers: HeaderChanges | None = None
    """Changes to the response's header, after the route's."""
    mirror: tuple[Mirror, ...] | None = None
    """In place of the route's; an empty list: nothing is mirrored; none: the route's."""
    timeouts: Timeouts | None = None
    """In place of the route's, already complete: what the file leaves out is the route's; none: the route's."""
    retry: Retry | None = None
    """In place of the route's, likewise complete."""


@dataclass(frozen=True, slots=True)
class Otherwise:
    """What becomes of a request that fits the route and none of its rules."""

    kind: OtherwiseKind
    """version: goes to `version`; next: to the next best route that fits; status: answered by the proxy itself."""
    version: str = ""
    """Set if kind is `version`; `stable` is already resolved."""
    status: int = 0
    """Set if kind is `status`."""


@dataclass(frozen=True, slots=True)
class Route:
    """A host and path scope that leads to one service, or is answered by the proxy itself."""

    name: str
    """Unique; a metric label. Default `route-N`, N its place counted from 1."""
    service: str
    """The service it leads to; empty if the proxy itself answers all that the route takes."""
    otherwise: Otherwise
    """What becomes of requests that no rule takes. Default: the service's stable version; without a service: next."""
    hosts: tuple[str, ...] = ()
    """Lower-case names; `*.example.com` takes one or more labels; none: every host."""
    path: PathMatch = PathMatch("prefix", "/")
    """Which paths it takes."""
    methods: tuple[str, ...] = ()
    """Which methods it takes; none: every one."""
    rules: tuple[Rule, ...] = ()
    """In file order; the first that matches wins."""
    timeouts: Timeouts | None = None
    """In place of the service's, already complete: what the file leaves out is the service's; none: the service's."""
    retry: Retry | None = None
    """In place of the service's, likewise complete."""
    redirect: Redirect | None = None
    """Before any rule: the client is sent elsewhere. Who is there already goes on to the rules and the service."""
    respond: Respond | None = None
    """The proxy itself answers whatever the route takes."""
    rewrite: Rewrite | None = None
    """Another host or path in the requests that services get."""
    request_headers: HeaderChanges | None = None
    """Changes to the header of the requests that services get."""
    response_headers: HeaderChanges | None = None
    """Changes to the header of every answer that clients get, the proxy's own included."""
    mirror: tuple[Mirror, ...] = ()
    """Versions that are sent copies of requests; what they answer is thrown away."""


# --- Services ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EndpointSpec:
    """One address of a version, as the file names it."""

    url: str
    """`http://host:port` or `https://host:port`, host in lower case, port always written, no slash at the end."""
    weight: int = 1
    """Its share of the version's requests, relative to its siblings; 0 takes none."""


@dataclass(frozen=True, slots=True)
class Version:
    """Old, new, ...: a named set of equal endpoints of a service."""

    name: str
    """Unique within its service; a metric label."""
    endpoints: tuple[EndpointSpec, ...]
    """Never empty."""
    tls: Tls | None = None
    """In place of the service's, already complete: what the file leaves out is the service's; none: the service's."""
    request_headers: HeaderChanges | None = None
    """Changes to the header of the requests that this version gets, after those of route and rule."""
    response_headers: HeaderChanges | None = None
    """Changes to the header of its responses, after those of route and rule."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long to wait for an upstream, in seconds; 0: no limit."""

    connect: float = 1.0
    """To open a connection, TLS included."""
    response: float = 30.0
    """From the last byte of the request to the first of the response's head."""
    idle: float = 60.0
    """Between two bytes while a body passes, either way."""
    request: float = 0.0
    """The whole exchange, retries included."""


@dataclass(frozen=True, slots=True)
class Retry:
    """When to try another endpoint of the same version."""

    attempts: int = 2
    """Further tries after the first; 0: never."""
    causes: tuple[RetryCause, ...] = ("connect_failure", "reset")
    """connect_failure: no connection came about, so any method may be tried again;
    reset: the connection broke before the response's head, so only idempotent methods may."""
    statuses: tuple[int, ...] = ()
    """Response statuses, 500 to 599, that an idempotent request is tried again after."""
    budget: float = 0.2
    """Retries may be at most this share of the requests of the last ten seconds, and ten a second in any case, so that
    trouble is not multiplied. Failed connections are not counted: they cost the service nothing."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one endpoint is asked to bear, over all workers: each holds its part, rounded up."""

    connections: int = 1024
    """Open connections at a time, WebSockets included."""
    pending: int = 1024
    """Requests that wait for one of them; one more is answered 503."""


@dataclass(frozen=True, slots=True)
class Service:
    """What clients ask for."""

    name: str
    """Unique; a metric label."""
    stable: str
    """The old version. Default: the first one listed."""
    versions: dict[str, Version]
    """By name, in file order; never empty."""
    balance: Balance = "round_robin"
    """How an endpoint of the chosen version is picked."""
    fallback: Fallback = "stable"
    """When the chosen version has no available endpoint: the stable version, any other one, or none (503)."""
    rescue: bool = False
    """An idempotent request that failed (5xx, reset, time-out) on another version is tried once on the stable one."""
    timeouts: Timeouts = Timeouts()
    """How long to wait for its endpoints."""
    retry: Retry = Retry()
    """When to try another endpoint of the same version."""
    limits: Limits = Limits()
    """What one endpoint is asked to bear."""
    active: ActiveHealth | None = None
    """Checks at intervals; none: every endpoint counts as well."""
    passive: PassiveHealth | None = None
    """Ejection by real traffic; none: never."""
    slow_start: float = 0.0
    """Seconds in which an endpoint that is new or back comes from a tenth of its weight to all of it; 0: at once."""
    tls: Tls = DEFAULT_TLS
    """How connections to `https://` endpoints are secured."""


@dataclass(frozen=True, slots=True)
class RuleFile:
    """A whole rule file."""

    services: dict[str, Service]
    """By name, in file order; none if the proxy itself answers whatever the routes take."""
    routes: tuple[Route, ...]
    """In file order."""
    tests: tuple[Trial, ...] = ()
    """The file's own tests, run before it is taken into use."""
    rollouts: dict[str, Rollout] = field(default_factory=dict)
    """By name: weights that the proxy itself moves, step by step."""
    files: dict[str, bytes] = field(default_factory=dict, repr=False)
    """What stands in the files that it names, by path; filled in by who may read files."""
    cookie_keys: tuple[bytes, ...] = field(default=(), repr=False)
    """What signs pins, likewise filled in; none: a key that everybody knows."""
