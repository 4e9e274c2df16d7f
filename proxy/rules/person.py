"""The words by which a person is known, and kept on one version. Part of the model."""

from __future__ import annotations

from typing import Literal

from proxy.data import dataclass

KeySource = Literal["header", "cookie", "query", "client_ip"]
StickyMode = Literal["hash", "pin"]
OnZero = Literal["move", "keep"]
SameSite = Literal["lax", "strict", "none"]


@dataclass(frozen=True, slots=True)
class StickyKey:
    """Where to find what identifies a person."""

    where: KeySource
    """What to look in."""
    name: str = ""
    """The header (lower case), cookie or query argument; empty for `client_ip`."""


@dataclass(frozen=True, slots=True)
class StickyCookie:
    """The cookie with a random id that the proxy gives to those who bring no key; with mode pin also with their
    version, signed, and to everybody."""

    name: str
    """The cookie's name; it should be the proxy's own, not one of the service's."""
    ttl: float = 0.0
    """How long browsers keep it, in seconds; 0: until the browser closes. With mode pin it is prolonged for whoever
    comes back in the second half of this time."""
    path: str = "/"
    """The paths it is sent for."""
    domain: str = ""
    """The domain it is sent to, with its subdomains; empty: only the host that set it."""
    secure: bool = False
    """Sent over https only, even where it was set over http. One that is set over https always is."""
    same_site: SameSite = "lax"
    """Whether it is sent on requests from other sites; `none` needs `secure: true`."""
    http_only: bool = True
    """Hidden from the scripts of the page."""


@dataclass(frozen=True, slots=True)
class Sticky:
    """One person, one version: a key is hashed into a bucket, and buckets belong to versions."""

    by: tuple[StickyKey, ...] = ()
    """Keys in order; the first that is present counts. The cookie, if any, is looked for after them."""
    cookie: StickyCookie | None = None
    """The cookie to issue when no key is present; none: the draw is then made per request."""
    salt: str = ""
    """Hashed together with the key. Default: `SERVICE/ROUTE`. Rules with equal salts give a person equal buckets."""
    mode: StickyMode = "hash"
    """hash: a person follows the weights. pin: they stay where they are when weights change, as the cookie says, which
    comes before every key; keys then decide where they begin."""
    on_zero: OnZero = "move"
    """What becomes of those pinned to a version whose weight is 0: they move to another version, or keep this one while
    it stands in the split. Kept pins are not prolonged, so after the cookie's `ttl` nobody is left there."""
