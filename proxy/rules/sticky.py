"""One person, one version: where the key is found, and the cookie for those who bring none."""

from __future__ import annotations

from collections.abc import Callable

from proxy.http.message import RequestHead
from proxy.rules.conditions import read_fields
from proxy.rules.person import Sticky, StickyCookie, StickyKey
from proxy.rules.values import Read, reader


def keys(sticky: Sticky) -> tuple[StickyKey, ...]:
    """Where a key is looked for, in order; the proxy's own cookie comes last."""
    own = () if sticky.cookie is None else (StickyKey("cookie", sticky.cookie.name),)
    return sticky.by + own


def key_readers(sticky: Sticky) -> tuple[Read, ...]:
    """The values at each of these places. Of several the first is the key; an empty one counts as absent."""
    return tuple(reader(key.where, key.name) for key in keys(sticky))


def needs(sticky: Sticky) -> set[bytes]:
    """The header fields that are read to find the key, in lower case."""
    return {field for key in keys(sticky) for field in read_fields(key.where, key.name)}


def cookie_writer(cookie: StickyCookie) -> Callable[[str, RequestHead], bytes]:
    """Makes the value of a Set-Cookie field (RFC 6265) from an id, for the client that sent this request."""
    attributes = f"; Path={cookie.path}"
    if cookie.domain:
        attributes += f"; Domain={cookie.domain}"
    if cookie.ttl > 0:
        attributes += f"; Max-Age={max(1, round(cookie.ttl))}"
    attributes += f"; HttpOnly; SameSite={cookie.same_site.capitalize()}"
    plain = attributes.encode()
    secure = plain + b"; Secure"
    start = cookie.name.encode() + b"="

    def write(key: str, head: RequestHead) -> bytes:
        over_tls = cookie.secure or head.scheme == b"https"
        return start + key.encode() + (secure if over_tls else plain)

    return write
