"""The rule file, key by key: which keys there are, how each is read, and which field of the model documents it.

The one description of the file. Reading it (parse.py) and its JSON Schema (schema.py) both follow it.
"""

from __future__ import annotations

from typing import Any, Final

from proxy.rules.expect import Expectation, TrialRequest
from proxy.rules.health import ActiveHealth, PassiveHealth
from proxy.rules.model import (
    EndpointSpec,
    Limits,
    Otherwise,
    Retry,
    Route,
    Rule,
    RuleFile,
    Service,
    Split,
    Timeouts,
    Version,
)
from proxy.rules.person import Sticky, StickyCookie, StickyKey
from proxy.rules.read import units
from proxy.rules.read.action_grammar import MIRROR, REDIRECT, REQUEST_HEADERS, RESPOND, RESPONSE_HEADERS, REWRITE
from proxy.rules.read.match import CONDITION, PATH, STATUSES, TEXT, some
from proxy.rules.read.rollout_grammar import ROLLOUTS
from proxy.rules.read.shapes import (
    ByKind,
    Key,
    ListOf,
    MapOf,
    Placed,
    Reader,
    Record,
    Then,
    Unit,
    choice,
    integer,
)
from proxy.rules.tls import Tls

RETRIES_MAX: Final = 10
"""Further tries of one request; each one is load on a service in trouble."""
CONNECTIONS_MAX: Final = 1_000_000
"""Connections or waiting requests of one endpoint; there are 65,535 ports to come from."""
ENDPOINT_WEIGHT_MAX: Final = 1000
"""Weights of endpoints are relative; round robin goes through as many turns as they add up to."""
CHECKS_MAX: Final = 1000
"""Answers in a row that move an endpoint; at one check a second it is a quarter of an hour."""

NAME: Final = Unit("a name", units.name, {"type": "string", "pattern": f"^(?:{units.NAME})$"})
TITLE: Final = Unit("a name", units.title, {"type": "string", "minLength": 1})
BOOLEAN: Final = Unit("true or false", units.boolean, {"type": "boolean"}, plain=True)
_DURATION_FORM: Final = {"type": "string", "pattern": f"^{units.DURATION}$"}
DURATION: Final = Unit("a duration like 5s", units.duration, {"anyOf": [_DURATION_FORM, {"const": 0}]})
SOME_DURATION: Final = Unit("a duration like 5s", units.some_duration, _DURATION_FORM)
PERCENT: Final = Unit("a percentage like 20%", units.percent, {"type": "string", "pattern": f"^{units.PERCENT}$"})
WEIGHT: Final = Unit("a weight", units.weight, {"type": "number", "minimum": 0}, plain=True)
METHOD: Final = Unit("a method like GET", units.method, {"type": "string"})
COOKIE_NAME: Final = some("a cookie's name", units.token)
SENT_PATH: Final = some("a path", units.request_path)

_ACTIONS: Final = (
    Key("redirect", REDIRECT),
    Key("respond", RESPOND),
    Key("rewrite", REWRITE),
    Key("request_headers", REQUEST_HEADERS),
    Key("response_headers", RESPONSE_HEADERS),
    Key("mirror", ListOf(MIRROR)),
)

# --- What services and routes share --------------------------------------------------------------------------------

TIMEOUTS: Final = Record(
    Timeouts,
    *(Key(name, DURATION) for name in ("connect", "response", "idle", "request")),
    build=dict,
)
RETRY: Final = Record(
    Retry,
    Key("attempts", integer(0, RETRIES_MAX)),
    Key(
        "on",
        ListOf(
            Unit(
                "a cause or status",
                units.retry_condition,
                {
                    "anyOf": [
                        {"enum": ["connect_failure", "reset"]},
                        {"type": "integer", "minimum": 500, "maximum": 599},
                    ]
                },
            ),
            single=True,
        ),
        manual="What is tried again: connect_failure (any method), reset and statuses 500 to 599 (idempotent methods).",
    ),
    Key("budget", PERCENT),
    build=dict,
)

# --- Services ------------------------------------------------------------------------------------------------------

_URL: Final = some("a URL like http://10.0.0.11:8080", units.endpoint_url)
ENDPOINT: Final = ByKind(
    "a URL, or a map with `url` and `weight`",
    scalar=Then(_URL, EndpointSpec),
    map=Record(EndpointSpec, Key("url", _URL, required=True), Key("weight", integer(0, ENDPOINT_WEIGHT_MAX))),
)
_FILE: Final = some("the path of a file", units.file_path)
TLS: Final = Record(
    Tls,
    Key("ca", _FILE),
    Key("verify", BOOLEAN),
    Key("server_name", some("a host", units.host)),
    Key("cert", _FILE),
    Key("key", _FILE),
    build=dict,
)
VERSION: Final = Record(
    Version,
    Key("endpoints", ListOf(ENDPOINT, low=1, single=True), required=True),
    Key("tls", TLS),
    Key("request_headers", REQUEST_HEADERS),
    Key("response_headers", RESPONSE_HEADERS),
    build=dict,
)
ACTIVE: Final = Record(
    ActiveHealth,
    Key("path", SENT_PATH, required=True),
    Key("interval", SOME_DURATION),
    Key("timeout", SOME_DURATION),
    Key("healthy_after", integer(1, CHECKS_MAX)),
    Key("unhealthy_after", integer(1, CHECKS_MAX)),
    Key("status", ListOf(STATUSES, low=1, single=True)),
)
PASSIVE: Final = Record(
    PassiveHealth,
    Key("consecutive_5xx", integer(1, CHECKS_MAX)),
    Key("ejection", SOME_DURATION),
    Key("max_ejected", PERCENT),
)
SERVICE: Final = Record(
    Service,
    Key("stable", NAME),
    Key("versions", MapOf("versions", units.name, VERSION), required=True),
    Key("balance", choice("round_robin", "least_requests", "random_two", "hash")),
    Key("fallback", choice("stable", "any", "none")),
    Key("rescue", BOOLEAN),
    Key("tls", TLS),
    Key("timeouts", TIMEOUTS),
    Key("retry", RETRY),
    Key("limits", Record(Limits, *(Key(name, integer(1, CONNECTIONS_MAX)) for name in ("connections", "pending")))),
    Key(
        "health",
        Record(Service, Key("active", ACTIVE), Key("passive", PASSIVE), Key("slow_start", DURATION), build=dict),
        manual="How it is found out that an endpoint is not well.",
    ),
    build=dict,
)

# --- Routes --------------------------------------------------------------------------------------------------------


def _sticky_name(parse: Any) -> Unit:
    return some("a name", parse)


STICKY_KEY: Final = ByKind(
    "a map like {header: x-user-id}, or client_ip",
    scalar=Then(choice("client_ip"), lambda _: StickyKey("client_ip")),
    map=Record(
        StickyKey,
        Key("header", _sticky_name(units.header_name), field="name"),
        Key("cookie", _sticky_name(units.token), field="name"),
        Key("query", _sticky_name(units.argument_name), field="name"),
        Key("client_ip", Unit("true", units.only_true, {"const": True}, plain=True), manual="The client's address."),
        build=lambda **found: next(
            StickyKey(where, name if isinstance(name, str) else "")  # type: ignore[arg-type]  # the keys above
            for where, name in found.items()
        ),
        one_of=True,
    ),
)
STICKY_COOKIE: Final = ByKind(
    "a map with `name`, or a name",
    scalar=Then(COOKIE_NAME, StickyCookie),
    map=Record(
        StickyCookie,
        Key("name", COOKIE_NAME, required=True),
        Key("ttl", DURATION),
        Key("path", some("a path", units.cookie_path)),
        Key("domain", some("a domain", units.cookie_domain)),
        Key("secure", BOOLEAN),
        Key("same_site", choice("lax", "strict", "none", capitals=True)),
        Key("http_only", BOOLEAN),
    ),
)
STICKY: Final = Record(
    Sticky,
    Key("by", ListOf(STICKY_KEY, low=1, single=True)),
    Key("cookie", STICKY_COOKIE),
    Key("salt", TEXT),
    Key("mode", choice("hash", "pin")),
    Key("on_zero", choice("move", "keep")),
)
SPLIT: Final = Then(MapOf("versions and weights", units.name, WEIGHT), lambda weights: Split(tuple(weights.items())))
RULE: Final = Record(
    Rule,
    Key("name", TITLE),
    Key("match", CONDITION),
    Key("version", NAME),
    Key("split", SPLIT),
    Key("sticky", STICKY),
    Key("timeouts", TIMEOUTS),
    Key("retry", RETRY),
    *_ACTIONS,
    build=dict,
)
OTHERWISE: Final = ByKind(
    "stable, a version, next, or a map like {status: 404}",
    scalar=Then(
        NAME,
        # An empty version is the stable one: only who knows the service can name it.
        lambda word: Otherwise("next") if word == "next" else Otherwise("version", "" if word == "stable" else word),
    ),
    map=Record(
        Otherwise,
        Key("version", NAME),
        Key("status", integer(200, 599)),
        build=lambda version="", status=0: Otherwise("status" if status else "version", version, status),
        one_of=True,
    ),
)
ROUTE: Final = Record(
    Route,
    Key("name", TITLE),
    Key("hosts", ListOf(some("a host", units.host_scope), low=1, single=True)),
    Key("path", PATH),
    Key("methods", ListOf(METHOD, low=1, single=True)),
    Key("service", NAME, required=True, unless=("redirect", "respond", "rules")),
    Key("rules", ListOf(RULE)),
    Key("otherwise", OTHERWISE),
    Key("timeouts", TIMEOUTS),
    Key("retry", RETRY),
    *_ACTIONS,
    build=dict,
)

# --- The file's own tests ------------------------------------------------------------------------------------------

_VALUE: Final = some("a text", units.field_value)


def _repeated(values: dict[str, tuple[str, ...]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, many in values.items() for value in many)


def _pairs(values: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(values.items())


REQUEST: Final = Record(
    TrialRequest,
    Key("method", METHOD),
    Key("host", _VALUE),
    Key("path", SENT_PATH),
    Key("headers", Then(MapOf("headers", units.token, ListOf(_VALUE, single=True)), _repeated)),
    Key("cookies", Then(MapOf("cookies", units.token, some("a text", units.attribute)), _pairs)),
    Key("client_ip", some("an IP address", units.address)),
    Key("scheme", choice("http", "https")),
)
EXPECTATION: Final = Record(
    Expectation,
    Key("service", NAME),
    Key("version", NAME),
    Key("route", TEXT),
    Key("rule", TEXT),
    Key("reason", choice("match", "weight", "sticky", "default")),
    Key("status", integer(100, 599)),
    Key("redirect", some("a URL", units.field_value)),
)
TRIAL: Final = Placed(
    Record(
        None,
        Key("request", REQUEST, required=True, manual="The request that is asked."),
        Key("expect", EXPECTATION, required=True, manual="What the rules must say; at least one key."),
        build=dict,
    )
)

FILE: Final[Reader] = Record(
    RuleFile,
    Key("services", MapOf("services", units.name, SERVICE)),
    Key("routes", ListOf(ROUTE, low=1), required=True),
    Key("tests", ListOf(TRIAL)),
    Key("rollouts", ROLLOUTS),
    build=dict,
)
