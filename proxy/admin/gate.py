"""Alone decides who may change something by way of the admin port. Reading stays open to whoever reaches the port."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable
from hmac import compare_digest
from typing import Any, Final

from aiohttp import web

from proxy.errors import StartError

READING: Final = frozenset({"GET", "HEAD"})
"""Methods that change nothing (RFC 9110 section 9.2.1); every other one has to pass the gate."""
PASSED_ON: Final = ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via")
"""Fields that say a request came by way of a proxy: its sender is then not who is connected."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Token = Callable[[], str]
"""The token as it is now. Raises StartError with one line if it cannot be read."""


def gate(token: Token | None) -> Any:
    """The middleware. token: who brings it may change things; none is set: whoever is on this host may."""

    @web.middleware
    async def pass_gate(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.method not in READING:
            if token is None:
                _check_local(request)
            else:
                await _check_token(request, token)
        return await handler(request)

    return pass_gate


async def _check_token(request: web.Request, token: Token) -> None:
    try:
        wanted = await asyncio.to_thread(token)  # a file, and perhaps one on a network
    except StartError as error:
        raise web.HTTPServiceUnavailable(text=f"nothing can be changed: {error}") from None
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not compare_digest(given.strip().encode(), wanted.encode()):
        raise web.HTTPUnauthorized(
            text="a change needs the token of --admin-token-file: Authorization: Bearer TOKEN",
            headers={"WWW-Authenticate": "Bearer"},
        )


def _check_local(request: web.Request) -> None:
    """A web page in the operator's browser is on this host, too: by a name of its own that leads to this port (Host),
    or by a form of its own (Origin, Sec-Fetch-Site); browsers say so in fields that a page cannot write."""
    if not loopback(request.remote or "") or any(name in request.headers for name in PASSED_ON):
        raise web.HTTPForbidden(text="without --admin-token-file, changes are taken from this host alone")
    host = request.headers.get("Host", "")
    origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site", "none")
    own = loopback(name_of(host)) and origin in (None, f"http://{host}") and site in ("none", "same-origin")
    if not own:
        raise web.HTTPForbidden(text="a change cannot be asked for by a web page of another origin")


def loopback(name: str) -> bool:
    """Whether a name or an address, without brackets, is this host's own."""
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return name == "localhost"
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def name_of(field: str) -> str:
    """The name in a Host field, in lower case, without brackets and port."""
    field = field.strip().lower()
    if field.startswith("["):
        return field[1:].partition("]")[0]
    return field.partition(":")[0].rstrip(".")
