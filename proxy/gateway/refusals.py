"""What the proxy itself answers when a request cannot be passed on."""

from __future__ import annotations

from typing import Final

from proxy.errors import ProxyError

NO_ROUTE: Final = ProxyError("proxy", "no_route", 404, "no route for this request")
NO_ENDPOINT: Final = ProxyError("upstream", "no_endpoint", 503, "no endpoint of the service is available")
OVERLOADED: Final = ProxyError("upstream", "overload", 503, "the service has no free connection")


class Answer(ProxyError):
    """What the rules say that the proxy itself answers; nobody is at fault."""

    def __init__(self, status: int, lines: bytes, body: bytes) -> None:
        super().__init__("proxy", "rule", status, "")
        self.lines = lines
        self.body = body
