"""What browsers make of the cookies that sticky rules set: which they refuse, and which would not do what was meant."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

from proxy.rules.model import PathMatch, Route
from proxy.rules.person import Sticky, StickyCookie
from proxy.rules.read.nodes import Path
from proxy.rules.split import default_salt

Finding = tuple[Path, str]
TTL_MAX_S: Final = 400 * 86_400.0
"""RFC 6265bis section 5.5: browsers keep no cookie for longer."""

Scope = tuple[str, str]
"""Service and salt: whose pins they are. Empty for ids, which serve everywhere."""


def refused(cookie: StickyCookie, hosts: Sequence[str], at: Path) -> Iterator[Finding]:
    """Why browsers would drop the cookie, so that nobody were known by it. hosts: those of its route."""
    if cookie.same_site == "none" and not cookie.secure:
        yield (*at, "same_site"), "browsers refuse `same_site: none` without `secure: true`"
    prefix = next((prefix for prefix in ("__host-", "__secure-") if cookie.name.lower().startswith(prefix)), "")
    if prefix and not cookie.secure:
        yield (*at, "name"), f"browsers refuse a cookie of the name '{cookie.name}' without `secure: true`"
    if prefix == "__host-" and (cookie.path != "/" or cookie.domain):
        yield (*at, "name"), f"browsers refuse a cookie of the name '{cookie.name}' with a `domain`, or a `path` but /"
    domain = cookie.domain
    if domain and "." not in domain:
        yield (*at, "domain"), f"browsers refuse a cookie for all of '{domain}'; name a domain within it, or none"
    elif domain:
        for host in hosts:
            if not _within(host.removeprefix("*."), domain):
                yield (*at, "domain"), f"browsers refuse a cookie for '{domain}' from host '{host}', which is not in it"


def odd(routes: Sequence[Route]) -> Iterator[Finding]:
    """What is no fault, and yet most likely not meant."""
    for cookie, _, route, at in _cookies(routes):
        if cookie.ttl > TTL_MAX_S:
            yield (*at, "ttl"), "browsers keep a cookie for 400 days at most"
        if not _covers(cookie.path, route.path):
            outside = f"route '{route.name}' also takes paths that the cookie is not sent for"
            yield (*at, "path"), f"{outside}: there everybody is new each time"
    yield from _overwritten(routes)


def _cookies(routes: Sequence[Route]) -> Iterator[tuple[StickyCookie, Sticky, Route, Path]]:
    for number, route in enumerate(routes):
        for place, rule in enumerate(route.rules):
            if rule.sticky is not None and rule.sticky.cookie is not None:
                yield rule.sticky.cookie, rule.sticky, route, ("routes", number, "rules", place, "sticky", "cookie")


def _covers(cookie_path: str, match: PathMatch) -> bool:
    """Whether browsers send the cookie on every request that fits (RFC 6265 section 5.1.4)."""
    path = cookie_path.rstrip("/")
    if match.kind == "regex":
        return not path
    return match.value == cookie_path or match.value.startswith(path + "/") or match.value == path


def _overwritten(routes: Sequence[Route]) -> Iterator[Finding]:
    """Cookies that share a name and path in one browser, where one holds a pin that means nothing to the other."""
    jars: dict[tuple[str, str], dict[str, tuple[Scope, str]]] = defaultdict(dict)
    places = []
    for cookie, sticky, route, at in _cookies(routes):
        salt = sticky.salt or default_salt(route.service, route.name)
        scope = (route.service, salt) if sticky.mode == "pin" else ("", "")
        hosts = (cookie.domain, f"*.{cookie.domain}") if cookie.domain else route.hosts or ("*",)
        jar = jars[cookie.name, cookie.path]
        for host in hosts:
            jar.setdefault(host, (scope, route.name))
        places.append(((*at, "name"), scope, jar, hosts))
    for at, scope, jar, hosts in places:
        sharing = (jar[wider] for host in hosts for wider in _wider(host) if wider in jar)
        other = next((name for other_scope, name in sharing if other_scope != scope), "")
        if other:
            yield (
                at,
                (
                    f"route '{other}' sets a cookie of this name too, and each overwrites the other's pin: "
                    "give one of them another name, or both the same `salt` if they lead to one service"
                ),
            )


def _wider(host: str) -> Iterator[str]:
    """The host itself, and every scope of hosts that it lies in."""
    yield host
    name = host.removeprefix("*.")
    while "." in name:
        name = name.partition(".")[2]
        yield f"*.{name}"
    yield "*"


def _within(host: str, domain: str) -> bool:
    return host == domain or host.endswith("." + domain)
