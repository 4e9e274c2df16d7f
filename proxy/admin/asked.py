"""A request that nobody sent, as a head: what someone asks the rules about."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import quote, urlsplit

from proxy.errors import BadRequest
from proxy.http.h1 import read_request_head
from proxy.http.message import RequestHead

Pair = tuple[str, str]


def asked(
    url: str,
    method: str = "GET",
    headers: Iterable[Pair] = (),
    cookies: Iterable[Pair] = (),
    client_ip: str = "127.0.0.1",
) -> RequestHead:
    """The head that a client would send: read by the same reader as real ones.

    url: with or without scheme and host, as for curl; a Host header overrides its host. Raises ValueError with one
    sentence if no client could send this.
    """
    scheme = re.match(r"([a-z][a-z0-9+.-]*)://", url, re.IGNORECASE)
    if scheme and scheme[1].lower() not in ("http", "https"):
        raise ValueError(f"a URL begins with http:// or https:// here, not {scheme[0]}")
    parts = urlsplit(url if scheme or url.startswith("/") else f"http://{url}")
    if scheme and not parts.netloc:
        raise ValueError(f"'{url}' names no host")
    fields = [(name.strip().lower(), value.strip()) for name, value in headers]
    if not any(name == "host" for name, _ in fields):
        fields.insert(0, ("host", parts.netloc.rpartition("@")[2] or "localhost"))
    if jar := "; ".join(f"{name}={value}" for name, value in cookies):
        fields.append(("cookie", jar))
    target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~") + (f"?{_query(parts.query)}" if parts.query else "")
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
    if any(bad in line for line in lines for bad in "\r\n\0"):
        raise ValueError("a line break has no place in a request")
    try:
        head = read_request_head("\r\n".join([*lines, "", ""]).encode(), frozenset(name.encode() for name, _ in fields))
        head.client = str(ipaddress.ip_address(client_ip))
    except BadRequest as error:
        raise ValueError(f"no such request: {error}") from None
    head.scheme = (parts.scheme or "http").encode()
    return head


def _query(query: str) -> str:
    return quote(query, safe="/%:@!$&'()*+,;=~?[]{}|")
