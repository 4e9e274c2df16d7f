"""No spelling of a request slips past a rule: the real process, with rules that refuse and a service that notes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.serve import Proxy, services, serving
from tests.talk import wire

RULES = """\
services:
  shop:
    versions:
      v1: {{endpoints: ["{url}"], request_headers: {{set: {{x-user-role: guest}}}}}}
routes:
  - name: admin
    hosts: [shop.example.com]
    path: /admin
    respond: {{status: 403}}
  - name: shop
    hosts: [shop.example.com]
    service: shop
    rules:
      - name: blocked
        match:
          any:
            - header: {{x-block: {{present: true}}}}
            - cookie: {{block: "1"}}
            - query: {{block: {{present: true}}}}
        respond: {{status: 403}}
  - name: elsewhere
    respond: {{status: 404}}
"""
HOST = "Host: shop.example.com"
REFUSED = (b"HTTP/1.1 400", b"HTTP/1.1 403")


def get(target: str, *fields: str, host: str = HOST) -> bytes:
    return wire(f"GET {target} HTTP/1.1", host, *fields)


PATHS = [
    "/admin", "/admin/", "/admin/x", "/admin?x", "/admin/.", "/admin/x/..", "/./admin", "/x/../admin", "/.//../admin",
    "/%61dmin", "/%61%64%6D%69%6e", "/%2e/admin", "/x/%2e%2e/admin", "/x/.%2E/admin/x", "/x/y/../%2e%2e/admin",
    "/../admin", "/%2e%2e/admin", "/admin%00", "/admin#", "/admin%", "/admin/%2e%2e/admin",
    "http://shop.example.com/admin", "HTTP://SHOP.example.COM:80/%61dmin", "http://shop.example.com/x/../admin?y",
    "http://shop.example.com#/admin", "http://x@shop.example.com/admin",
]  # fmt: skip
HOSTS = [
    "SHOP.example.COM", "shop.example.com.", "shop.example.com:80", "shop.example.com.:8080", "\tshop.example.com ",
    "x@shop.example.com", "shop.example.com/", "shop.example.com, x",
]  # fmt: skip
FIELDS = [
    ("x-block: 1",), ("X-BLOCK:1",), ("X-Block:",), ("x-block:\t ",), ("a: b", "X-block: \xe9"),
    ("X-Block : 1",), (" X-Block: 1",), ("a: b", " X-Block: 1"), ("a: b\rX-Block: 1",), ("a: b\nX-Block: 1",),
    ("Connection: x-block", "X-Block: 1"), ("Connection: close, x-block", "X-Block: 1"),
    ("Cookie: block=1",), ("COOKIE: a=b;block=1",), ("Cookie: a=b", "cookie: block=1"), ("Cookie: block=1; block=2",),
    ('Cookie: block="1"',), ("Cookie:\tblock =\t1 ;x",), ("Cookie: ;; block=1;",), ("Cookie: xblock=2; block=1",),
    ("Cookie: a=block=1; block=1",), ("Cookie: block; block=1",), ("Connection: cookie", "Cookie: block=1"),
    *((f"Cookie: {'a=b; ' * 2000}block=1",),),
]  # fmt: skip
QUERIES = [
    "block", "block=", "a=b&block=1", "%62lock", "bl%6Fck=1", "&&block", "a=b?&block", "block=1&block=2", "block=%",
    "a&" * 5000 + "block", "%61&" * 3000 + "block", "a=" + "&a=" * 4000 + "&block",
]  # fmt: skip

SLIPPERY = [
    *(get(path) for path in PATHS),
    *(get("/admin", host=f"Host: {host}") for host in HOSTS),
    *(get("/", *fields) for fields in FIELDS),
    *(get(f"/?{query}") for query in QUERIES),
    get("http://shop.example.com/admin", host="Host: other.example.com"),
    get("http://shop.example.com/?block", host="Host: other.example.com"),
    wire("GET /admin HTTP/1.0", HOST),
    b"\r\n" + get("/admin"),
]


class Talk:
    """One client's connection after the other."""

    def __init__(self, proxy: Proxy) -> None:
        url = urlsplit(proxy.url)
        self._where = (url.hostname, url.port)

    async def answers(self, *requests: bytes) -> list[bytes]:
        """The status lines that one connection hears; the last request ends it."""
        reader, writer = await asyncio.open_connection(*self._where)
        writer.write(b"".join(requests[:-1]) + requests[-1].replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
        async with asyncio.timeout(10):
            heard = await reader.read()
        writer.close()
        return re.findall(rb"HTTP/1\.1 [^\r]*", heard)


@asynccontextmanager
async def guarded(folder: Path) -> AsyncIterator[Talk]:
    async with services("v1") as (v1,):
        rules = folder / "rules.yaml"
        rules.write_text(RULES.format(url=v1.url))
        async with serving(rules) as proxy:
            yield Talk(proxy)


async def test_no_spelling_slips_past_a_rule(tmp_path: Path) -> None:
    """Refused by the rule, or as malformed; and so on a connection that asked for something harmless before."""
    async with guarded(tmp_path) as talk:
        harmless = get("/fine")
        assert await talk.answers(harmless, harmless) == [b"HTTP/1.1 200 OK"] * 2
        for request in SLIPPERY:
            (answer,) = await talk.answers(request)
            assert answer.startswith(REFUSED), (request[:200], answer)
            first, *then = await talk.answers(harmless, request)
            assert first == b"HTTP/1.1 200 OK" and len(then) == 1, request[:200]
            assert then[0].startswith(REFUSED), (request[:200], then)


ALIKE = [
    get("/Admin"), get("/administrator"), get("/x?/admin"), get("/x/admin"), get("/?blocks"), get("/?a=block"),
    get("/", "Cookie: Block=1"), get("/", "Cookie: block=2; block=1"), get("/", "Cookie: xblock=1"),
    get("/", "X-Blocks: 1"), get("/%2561dmin"),
]  # fmt: skip


async def test_what_is_only_alike_passes(tmp_path: Path) -> None:
    """A proxy that refuses everything would prove nothing."""
    async with guarded(tmp_path) as talk:
        for request in ALIKE:
            assert await talk.answers(request) == [b"HTTP/1.1 200 OK"], request
