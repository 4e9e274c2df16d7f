"""The answer of the rules."""

from __future__ import annotations

from collections.abc import Callable

from proxy.http.message import RequestHead
from proxy.rules.actions import Redirect, Respond


class Decision:
    """What the rules say of one request. Ready made when the rules are compiled; nobody changes one.

    number: its place in RouteTable.decisions; a copy with a cookie keeps it.
    route, service: their names. version: empty if the proxy itself answers, with `status` (otherwise 0); `action` says
    how, if a route or rule does.
    rule: its name; empty if no rule took the request. rule_order: its place in Route.rules; -1 if there is none.
    reason: `match` the rule names the version, `sticky` a key chose it, `weight` it was drawn, `default` no rule took
    the request.
    set_cookie: the value of a Set-Cookie field to add to the response, or empty.
    """

    __slots__ = (
        "action", "number", "reason", "route", "rule", "rule_order", "service", "set_cookie", "status", "version",
    )  # fmt: skip

    def __init__(
        self,
        route: str,
        service: str,
        version: str,
        rule: str,
        reason: str,
        *,
        rule_order: int = -1,
        status: int = 0,
        action: Redirect | Respond | None = None,
        number: int = -1,
        set_cookie: bytes = b"",
    ) -> None:
        self.number = number
        self.route = route
        self.service = service
        self.version = version
        self.rule = rule
        self.reason = reason
        self.status = status
        self.action = action
        self.set_cookie = set_cookie
        self.rule_order = rule_order

    def with_cookie(self, set_cookie: bytes) -> Decision:
        """The same decision for one response that sets a cookie."""
        return Decision(
            self.route,
            self.service,
            self.version,
            self.rule,
            self.reason,
            rule_order=self.rule_order,
            status=self.status,
            number=self.number,
            set_cookie=set_cookie,
        )

    def __repr__(self) -> str:
        names = f"route={self.route!r}, version={self.version!r}, rule={self.rule!r}, reason={self.reason!r}"
        return f"Decision({names}, status={self.status}, number={self.number})"


Decide = Callable[[RequestHead], Decision | None]
"""What a route says of a request; None: it passes the request on to the next best route."""
