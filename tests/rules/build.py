"""Short words for building rules and requests in tests."""

from __future__ import annotations

from typing import Any

from proxy.http.h1 import read_request_head
from proxy.http.message import RequestHead
from proxy.rules.model import (
    Condition,
    EndpointSpec,
    FieldTest,
    Otherwise,
    PathMatch,
    Route,
    Rule,
    RuleFile,
    Service,
    Split,
    TextTest,
    Version,
)

EVERY_FIELD = frozenset((b"foo", b"x-user", b"cookie"))
STABLE = Otherwise("version", "v1")
NEXT = Otherwise("next")
SHOP = Service(
    "shop", "v1", {name: Version(name, (EndpointSpec("http://127.0.0.1:8081"),)) for name in ("v1", "v2", "v3")}
)


def request(
    target: str = "/",
    *lines: str,
    host: str = "shop.example.com",
    method: str = "GET",
    client: str = "192.0.2.1",
    scheme: bytes = b"http",
    needs: frozenset[bytes] = EVERY_FIELD,
) -> RequestHead:
    """A head as the data plane reads it; lines are header fields."""
    text = "\r\n".join((f"{method} {target} HTTP/1.1", f"Host: {host}", *lines, "", ""))
    head = read_request_head(text.encode(), needs)
    head.client, head.scheme = client, scheme
    return head


def equal(where: Any, name: str, *values: str) -> FieldTest:
    """The value equals one of these."""
    return FieldTest(where, name, TextTest("in", values))


def rule(name: str, match: Condition | None = None, version: str = "", **weights: float) -> Rule:
    """A rule with a version, or with a split: `rule("everyone", v1=80, v2=20)`."""
    return Rule(name, match, version, Split(tuple(weights.items())) if weights else None)


def route(name: str, *rules: Rule, path: str = "/", kind: Any = "prefix", **scope: Any) -> Route:
    """A route to the service shop; `otherwise` is its stable version unless said."""
    scope.setdefault("otherwise", STABLE)
    return Route(name, "shop", path=PathMatch(kind, path), rules=rules, **scope)


def rule_file(*routes: Route) -> RuleFile:
    """A rule file with the service shop."""
    return RuleFile({"shop": SHOP}, routes)
