"""One person, one version: where the key is found, and the cookie for those who bring none."""

from __future__ import annotations

from collections.abc import Callable

from proxy.http.message import RequestHead
from proxy.rules.conditions import read_fields
from proxy.rules.model import Rule
from proxy.rules.person import Sticky, StickyCookie, StickyKey
from proxy.rules.pin import known_id
from proxy.rules.values import Read, Values, reader


def keys(sticky: Sticky) -> tuple[StickyKey, ...]:
    """Where a key is looked for, in order; the proxy's own cookie comes last."""
    own = () if sticky.cookie is None else (StickyKey("cookie", sticky.cookie.name),)
    return sticky.by + own


def key_readers(sticky: Sticky) -> tuple[Read, ...]:
    """The values at each of these places. Of several the first is the key; an empty one counts as absent.

    Of a cookie with a pin the key is the person's id, which stays when the pin is written anew.
    """
    readers = [reader(key.where, key.name) for key in keys(sticky)]
    if sticky.mode == "pin":
        readers.append(_person_reader(readers.pop()))
    return tuple(readers)


def needs(sticky: Sticky) -> set[bytes]:
    """The header fields that are read to find the key, in lower case."""
    return {field for key in keys(sticky) for field in read_fields(key.where, key.name)}


def kept(rule: Rule) -> tuple[str, ...]:
    """The versions of weight 0 that a rule leaves those on who are pinned there. Who stands out of the split keeps
    nobody: so the last ones are moved, too, when that is wanted."""
    if rule.split is None or rule.sticky is None or (rule.sticky.mode, rule.sticky.on_zero) != ("pin", "keep"):
        return ()
    return tuple(version for version, weight in rule.split.weights if weight == 0)


def cookie_writer(cookie: StickyCookie) -> Callable[[str, RequestHead], bytes]:
    """Makes the value of a Set-Cookie field (RFC 6265) from an id or pin, for the client that sent this request."""
    attributes = f"; Path={cookie.path}"
    if cookie.domain:
        attributes += f"; Domain={cookie.domain}"
    if cookie.ttl > 0:
        attributes += f"; Max-Age={max(1, round(cookie.ttl))}"
    attributes += ("; HttpOnly" if cookie.http_only else "") + f"; SameSite={cookie.same_site.capitalize()}"
    plain = attributes.encode()
    secure = plain + b"; Secure"
    start = cookie.name.encode() + b"="

    def write(key: str, head: RequestHead) -> bytes:
        over_tls = cookie.secure or head.scheme == b"https"
        return start + key.encode() + (secure if over_tls else plain)

    return write


def _person_reader(read: Read) -> Read:
    def read_person(head: RequestHead) -> Values:
        values = read(head)
        return (known_id(values[0]),) if values else ()

    return read_person
