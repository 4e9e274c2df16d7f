"""The other annotations of ingress-nginx, which ACK's controller shares -> settings of routes and services.

Those that rules have words for are kept; those that speak of nginx's own buffers and logs have no meaning here and are
passed over; all others are noted, so that nobody believes in an access check that is not there.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import field
from typing import Any, Final
from urllib.parse import urlsplit

from proxy.data import dataclass
from proxy.imports.draft import Draft, Part
from proxy.imports.locations import PREFIX, is_canary
from proxy.imports.manifests import Object, items_at, text_at
from proxy.rules.read import units

RETRIES_MAX: Final = 10
"""Further tries that a rule file may ask for; nginx takes 0 tries for as many as there are endpoints."""

CORS_HEADERS: Final = (
    "DNT,Keep-Alive,User-Agent,X-Requested-With,If-Modified-Since,Cache-Control,Content-Type,Range,Authorization"
)
CORS_MAX_AGE: Final = "1728000"
"""Both are the defaults of ingress-nginx."""

ELSEWHERE: Final = frozenset((
    "canary", "canary-by-header", "canary-by-header-value", "canary-by-header-pattern", "canary-by-cookie",
    "canary-weight", "canary-weight-total", "service-match", "service-weight", "rewrite-target", "use-regex",
    "affinity-canary-behavior", "session-cookie-name", "session-cookie-max-age",
    "session-cookie-expires", "session-cookie-path", "session-cookie-domain", "session-cookie-samesite",
    "session-cookie-secure", "permanent-redirect-code", "temporal-redirect-code", "cors-allow-origin",
    "cors-allow-methods", "cors-allow-headers", "cors-expose-headers", "cors-allow-credentials", "cors-max-age",
    "ssl-redirect", "force-ssl-redirect",
))  # fmt: skip
"""Read by other files, or together with another annotation."""
_MEANINGLESS: Final = frozenset((
    "proxy-buffering", "proxy-buffer-size", "proxy-buffers-number", "proxy-busy-buffers-size",
    "proxy-request-buffering", "proxy-max-temp-file-size", "client-body-buffer-size", "proxy-http-version",
    "http2-push-preload", "enable-access-log", "enable-rewrite-log", "service-upstream", "connection-proxy-header",
    "load-balance", "affinity-mode", "session-cookie-change-on-failure", "preserve-trailing-slash",
    "session-cookie-conditional-samesite-none", "ssl-ciphers", "ssl-prefer-server-ciphers", "proxy-ssl-protocols",
    "proxy-ssl-ciphers", "proxy-ssl-server-name", "proxy-ssl-verify-depth", "modsecurity-transaction-id",
))  # fmt: skip
"""How nginx works inside, or what is always so here: a Service's name leads to its addresses, bodies are streamed."""
_of_others = re.compile(
    r"(?!nginx\.)[a-z.]*ingress\.kubernetes\.io/.*|(?:nginx\.(?:org|com)|higress\.io|konghq\.com)/.*"
).fullmatch
_OPEN: Final = "; whoever it kept out is let in"
_LOST: Final = {
    **dict.fromkeys(("auth-type", "auth-secret", "auth-url", "auth-tls-secret", "auth-tls-verify-client"), _OPEN),
    **dict.fromkeys(("auth-tls-match-cn", "enable-global-auth", "enable-modsecurity", "satisfy"), _OPEN),
    **dict.fromkeys(("whitelist-source-range", "allowlist-source-range", "denylist-source-range"), _OPEN),
    **dict.fromkeys(("limit-rps", "limit-rpm", "limit-connections", "enable-owasp-core-rules"), _OPEN),
    "auth-tls-secret": f"{_OPEN}: see --tls-client-ca",
    "proxy-body-size": ": the limit is one for all routes, --max-body",
    "ssl-passthrough": ": TLS ends here, or before",
    "upstream-hash-by": ": `balance` divides between endpoints, and a Service is one",
    "proxy-ssl-secret": ": write the files of the Secret as `tls: {ca, cert, key}` of the service",
    "default-backend": ": a service without an endpoint is a 503",
}
"""What is lost with an annotation, where that is not plain."""


@dataclass(slots=True)
class Settings:
    """What the annotations of one Ingress say of its routes."""

    route: dict[str, Any] = field(default_factory=dict)
    service: dict[str, Any] = field(default_factory=dict)
    aliases: list[str] = field(default_factory=list)
    first: list[Part] = field(default_factory=list)
    """Rules before those of a release."""
    app_root: str = ""
    www: bool = False
    kept: list[str] = field(default_factory=list)
    """The annotations that became part of these, for a comment."""
    sticky: dict[str, Any] | None = None
    """How people stay on a version."""


class _Said:
    """The annotations of one Ingress, by their short names."""

    def __init__(self, ingress: Object) -> None:
        self.values = {
            name.removeprefix(PREFIX): value for name, value in ingress.annotations().items() if name.startswith(PREFIX)
        }

    def text(self, name: str, default: str = "") -> str:
        value = self.values.get(name)
        return value.text.strip() if value is not None else default

    def true(self, name: str, default: str = "false") -> bool:
        return self.text(name, default).lower() in ("true", "t", "1")


def settings(ingress: Object, draft: Draft) -> Settings:
    """Read them; what cannot be kept is noted. Those of a canary were ignored by nginx, too."""
    said, found = _Said(ingress), Settings()
    if is_canary(ingress):
        return found
    _ssl_redirect(ingress, said, found, draft)
    for name, value in said.values.items():
        reader = READERS.get(name)
        if reader is not None:
            try:
                reader(value.text.strip(), found, said)
                found.kept.append(f"{name}: {value.text.strip()}")
            except ValueError as error:
                draft.note(ingress, value, f"{name}: {error}{_LOST.get(name, '')}")
        elif name not in ELSEWHERE | _MEANINGLESS:
            draft.note(ingress, value, f"{name} is not kept{_LOST.get(name, '')}")
    for name, value in ingress.annotations().items():
        if _of_others(name):
            draft.note(ingress, value, f"{name}: annotations of this controller are not read")
    for tls in items_at(ingress.body, "spec", "tls"):
        secret = text_at(tls, "secretName") or "the controller's own"
        draft.note(ingress, tls, f"certificate {secret}: give its files to `serve`, with --tls-listen and --tls-cert")
    return found


def _ssl_redirect(ingress: Object, said: _Said, found: Settings, draft: Draft) -> None:
    """As nginx: for an Ingress with certificates, unless it says otherwise."""
    secured = bool(items_at(ingress.body, "spec", "tls")) and said.true("ssl-redirect", "true")
    if secured or said.true("force-ssl-redirect"):
        found.route["redirect"] = {"scheme": "https", "status": 308}
        found.kept.append("ssl-redirect, as there are certificates" if secured else "force-ssl-redirect: true")


# --- One annotation each: its text, where to put it, and what stands beside it --------------------------------------


def _seconds(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,8}s?", text):
        raise ValueError(f"expected seconds, not '{text}'")
    return int(text.rstrip("s"))


def _connect_timeout(text: str, found: Settings, said: _Said) -> None:
    found.route.setdefault("timeouts", {})["connect"] = f"{_seconds(text)}s"


def _read_timeout(text: str, found: Settings, said: _Said) -> None:
    """nginx has one limit between two reads of the response, its head included."""
    found.route.setdefault("timeouts", {})["response"] = f"{_seconds(text)}s"
    _idle_timeout(text, found, said)


def _idle_timeout(text: str, found: Settings, said: _Said) -> None:
    both = [said.text(name) for name in ("proxy-read-timeout", "proxy-send-timeout")]
    longest = max(_seconds(text) for text in both if text)
    found.route.setdefault("timeouts", {})["idle"] = f"{longest}s"


def _next_upstream(text: str, found: Settings, said: _Said) -> None:
    words = text.split()
    if "off" in words:
        found.route["retry"] = {"attempts": 0}
        return
    on: list[Any] = ["connect_failure", "reset"] if "error" in words else []
    on += [int(word[5:]) for word in words if re.fullmatch("http_5[0-9][0-9]", word)]
    found.route.setdefault("retry", {})["on"] = on
    lost = [word for word in words if not re.fullmatch("error|invalid_header|http_5[0-9][0-9]", word)]
    if lost and lost != ["timeout"]:
        raise ValueError(f"nothing is tried again for {', '.join(lost)}; the rest is kept")


def _next_tries(text: str, found: Settings, said: _Said) -> None:
    tries = _seconds(text)
    found.route.setdefault("retry", {})["attempts"] = min(tries - 1 if tries else RETRIES_MAX, RETRIES_MAX)


def _redirect_to(status_name: str, default: int) -> Callable[[str, Settings, _Said], None]:
    def read(text: str, found: Settings, said: _Said) -> None:
        parts = urlsplit(re.sub(r"\$(?:request_uri|uri\$is_args\$args)$", "", text))
        if parts.scheme not in ("http", "https") or not parts.hostname or "$" in text.removesuffix("$request_uri"):
            raise ValueError(f"expected a URL like https://www.example.com/path, not '{text}'")
        redirect: dict[str, Any] = {"scheme": parts.scheme, "host": units.host(parts.hostname)}
        if parts.port:
            redirect["port"] = parts.port
        if not text.endswith("$request_uri"):
            redirect["path"] = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        code = said.text(status_name, str(default))
        redirect["status"] = int(code) if code in ("301", "302", "303", "307", "308") else default
        found.route["redirect"] = redirect

    return read


def _app_root(text: str, found: Settings, said: _Said) -> None:
    found.app_root = units.request_path(text)


def _www(text: str, found: Settings, said: _Said) -> None:
    found.www = said.true("from-to-www-redirect")


def _aliases(text: str, found: Settings, said: _Said) -> None:
    for host in filter(None, re.split(r"[,\s]+", text)):
        found.aliases.append(units.host_scope(host))


def _networks(text: str) -> list[str]:
    networks = [str(ipaddress.ip_network(part.strip(), strict=False)) for part in text.split(",") if part.strip()]
    if not networks:
        raise ValueError("expected networks like 10.0.0.0/8")
    return networks


def _allowed(text: str, found: Settings, said: _Said) -> None:
    match = {"not": {"client_ip": _networks(text)}}
    found.first.append(
        Part({"name": "not allowed", "match": match, "respond": {"status": 403}}, ["whitelist-source-range"])
    )


def _denied(text: str, found: Settings, said: _Said) -> None:
    match = {"client_ip": _networks(text)}
    found.first.append(Part({"name": "denied", "match": match, "respond": {"status": 403}}, ["denylist-source-range"]))


def _vhost(text: str, found: Settings, said: _Said) -> None:
    if "$" in text:
        raise ValueError(f"'{text}' is made of nginx's variables")
    found.route.setdefault("rewrite", {})["host"] = units.authority(text)


def _affinity(text: str, found: Settings, said: _Said) -> None:
    cookie: dict[str, Any] = {"name": units.token(said.text("session-cookie-name", "INGRESSCOOKIE"))}
    if ttl := said.text("session-cookie-max-age") or said.text("session-cookie-expires"):
        cookie["ttl"] = f"{_seconds(ttl)}s"
    if path := said.text("session-cookie-path"):
        cookie["path"] = units.cookie_path(path)
    if domain := said.text("session-cookie-domain"):
        cookie["domain"] = units.cookie_domain(domain)
    same_site = said.text("session-cookie-samesite").lower()
    if said.true("session-cookie-secure") or same_site == "none":
        cookie["secure"] = True
    if same_site in ("lax", "strict", "none"):
        cookie["same_site"] = same_site
    found.sticky = {"cookie": cookie, "mode": "pin"}
    raise ValueError("people stay on a version here, not on a Pod: to the proxy a Service is one endpoint")


def _cors(text: str, found: Settings, said: _Said) -> None:
    """One origin or all: a rule does not write a header by what the request brings."""
    if text.lower() != "true":
        return
    origin = said.text("cors-allow-origin", "*")
    if "," in origin or (origin != "*" and "*" in origin):
        raise ValueError(f"one origin or * can be allowed, not {origin}; the service has to answer for CORS itself")
    headers = {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Methods": said.text("cors-allow-methods", "GET, PUT, POST, DELETE, PATCH, OPTIONS"),
        "Access-Control-Allow-Headers": said.text("cors-allow-headers", CORS_HEADERS),
        "Access-Control-Max-Age": said.text("cors-max-age", CORS_MAX_AGE),
    }
    if said.true("cors-allow-credentials", "true"):
        headers["Access-Control-Allow-Credentials"] = "true"
    if exposed := said.text("cors-expose-headers"):
        headers["Access-Control-Expose-Headers"] = exposed
    for value in headers.values():
        units.field_value(value)
    match: dict[str, Any] = {"method": "OPTIONS"} | ({} if origin == "*" else {"header": {"origin": origin}})
    found.first.append(Part({"name": "preflight", "match": match, "respond": {"status": 204}}, ["enable-cors"]))
    found.route["response_headers"] = {"set": headers}


def _protocol(text: str, found: Settings, said: _Said) -> None:
    """HTTPS is in the URLs already."""
    if text.upper() not in ("HTTP", "HTTPS"):
        raise ValueError(f"services are asked in HTTP/1.1, not in {text}")


def _ssl_verify(text: str, found: Settings, said: _Said) -> None:
    found.service.setdefault("tls", {})["verify"] = text == "on"


def _ssl_name(text: str, found: Settings, said: _Said) -> None:
    found.service.setdefault("tls", {})["server_name"] = units.host(text)


READERS: Final[dict[str, Callable[[str, Settings, _Said], None]]] = {
    "proxy-connect-timeout": _connect_timeout,
    "proxy-read-timeout": _read_timeout,
    "proxy-send-timeout": _idle_timeout,
    "proxy-next-upstream": _next_upstream,
    "proxy-next-upstream-tries": _next_tries,
    "permanent-redirect": _redirect_to("permanent-redirect-code", 301),
    "temporal-redirect": _redirect_to("temporal-redirect-code", 302),
    "app-root": _app_root,
    "from-to-www-redirect": _www,
    "server-alias": _aliases,
    "whitelist-source-range": _allowed,
    "allowlist-source-range": _allowed,
    "denylist-source-range": _denied,
    "upstream-vhost": _vhost,
    "affinity": _affinity,
    "backend-protocol": _protocol,
    "enable-cors": _cors,
    "proxy-ssl-verify": _ssl_verify,
    "proxy-ssl-name": _ssl_name,
}
