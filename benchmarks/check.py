"""Before anything is measured: does this proxy do the work that the measurement is about?"""

from __future__ import annotations

import http.client
from collections import Counter

DRAWS = 400
SHARE = 0.2
TOLERANCE = 0.08  # four standard deviations of 400 draws
BODIES = {"/": 12, "/10k": 10 * 1024, "/1m": 1024 * 1024, "/chunked": 64 * 1024}
HOST = "shop.example.com"


def faults(port: int) -> list[str]:
    """What the proxy on this port does not do as all of them should; empty if all is well."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        return [*_matches(connection), *_split(connection), *_bodies(connection), *_fields(connection)]
    except (OSError, http.client.HTTPException) as error:
        return [f"{type(error).__name__}: {error}"]
    finally:
        connection.close()


def _ask(
    connection: http.client.HTTPConnection, path: str = "/", body: bytes | None = None, **fields: str
) -> tuple[str, bytes]:
    """The version that answered, and its body."""
    connection.request("POST" if body else "GET", path, body, {"Host": HOST, "Accept": "*/*"} | fields)
    response = connection.getresponse()
    content = response.read()
    if response.status != 200:
        raise http.client.HTTPException(f"{path} was answered {response.status} {content[:200]!r}")
    return response.getheader("x-served-by", "?"), content


def _matches(connection: http.client.HTTPConnection) -> list[str]:
    found = []
    matching = {"header": {"foo": "bar"}, "cookie": {"Cookie": "a=1; foo=bar; b=2"}, "query": {"path": "/?a=1&foo=bar"}}
    for kind, fields in matching.items():
        if {_ask(connection, **fields)[0] for _ in range(20)} != {"v2"}:
            found.append(f"the {kind} foo=bar does not always lead to v2")
    missing = {"header": {"foo": "bars"}, "cookie": {"Cookie": "xfoo=bar; foo=bars"}, "query": {"path": "/?xfoo=bar"}}
    for kind, fields in missing.items():
        if {_ask(connection, **fields)[0] for _ in range(20)} == {"v2"}:
            found.append(f"a {kind} that only resembles foo=bar always leads to v2")
    return found


def _split(connection: http.client.HTTPConnection) -> list[str]:
    share = Counter(_ask(connection)[0] for _ in range(DRAWS))["v2"] / DRAWS
    if abs(share - SHARE) > TOLERANCE:
        return [f"{share:.0%} of the rest went to v2, not {SHARE:.0%}"]
    return []


def _bodies(connection: http.client.HTTPConnection) -> list[str]:
    found = []
    for path, length in BODIES.items():
        if (came := len(_ask(connection, path)[1])) != length:
            found.append(f"{path} came with {came} bytes, not {length}")
    upload = bytes(1024 * 1024)
    if (came_up := _ask(connection, "/upload", upload)[1]) != b"%d\n" % len(upload):
        found.append(f"of an upload of {len(upload)} bytes {came_up!r} arrived")
    return found


def _fields(connection: http.client.HTTPConnection) -> list[str]:
    """What the service sees. The last request closes the connection."""
    heads = [_seen(_ask(connection, "/echo", **fields)[1]) for fields in ({}, {"Connection": "close"})]
    wanted = {"host": HOST, "x-forwarded-proto": "http", "x-forwarded-host": HOST}
    found = [
        f"the service sees {name}: {heads[0].get(name)}, not {value}"
        for name, value in wanted.items()
        if heads[0].get(name) != value
    ]
    if not heads[0].get("x-forwarded-for"):  # not always 127.0.0.1: Envoy names the machine instead of loopback
        found.append("the service sees no X-Forwarded-For")
    if len({head.get("x-request-id", "") for head in heads} - {""}) != 2:
        found.append("there is no fresh X-Request-Id for each request")
    if "close" in heads[1].get("connection", ""):
        found.append("a client's Connection: close is passed on: no keep-alive to the services")
    return found


def _seen(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
