"""What one writes in an afternoon: aiohttp's server and client on uvloop, the canary rules as ifs, bodies streamed.

Run: plain_proxy.py PORT URL_OF_V1 URL_OF_V2 [ACCESS_LOG]
"""

from __future__ import annotations

import asyncio
import logging
import random
import sys
import uuid
from collections.abc import AsyncIterator

import uvloop
from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector, web

HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)
CLIENT = web.AppKey("client", ClientSession)
SERVICES = web.AppKey("services", list[str])


def choose(request: web.Request) -> str:
    """The address of the version that this request goes to."""
    v1, v2 = request.app[SERVICES]
    if request.headers.get("foo") == "bar":
        return v2
    if request.cookies.get("foo") == "bar" or request.query.get("foo") == "bar":
        return v2
    return v2 if random.random() < 0.2 else v1


async def handle(request: web.Request) -> web.StreamResponse:
    headers = request.headers.copy()
    for name in HOP_BY_HOP:
        headers.popall(name, None)
    headers["X-Forwarded-For"] = request.remote or ""
    headers["X-Forwarded-Proto"] = request.scheme
    headers["X-Forwarded-Host"] = request.host
    headers["X-Request-Id"] = uuid.uuid4().hex
    async with request.app[CLIENT].request(
        request.method,
        choose(request) + request.raw_path,
        headers=headers,
        data=request.content if request.body_exists else None,
        allow_redirects=False,
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
    ) as answer:
        response = web.StreamResponse(status=answer.status, reason=answer.reason)
        for name, value in answer.headers.items():
            if name.lower() not in HOP_BY_HOP:
                response.headers.add(name, value)
        await response.prepare(request)
        async for piece in answer.content.iter_any():
            await response.write(piece)
        await response.write_eof()
        return response


async def session(app: web.Application) -> AsyncIterator[None]:
    """One client for all: any number of connections, no cookies of its own, no decompression."""
    async with ClientSession(
        connector=TCPConnector(limit=0),
        cookie_jar=DummyCookieJar(),
        auto_decompress=False,
        timeout=ClientTimeout(total=60),
    ) as client:
        app[CLIENT] = client
        yield


def main(port: str, v1: str, v2: str, access_log: str = "") -> None:
    app = web.Application()
    app[SERVICES] = [v1, v2]
    app.cleanup_ctx.append(session)
    app.router.add_route("*", "/{path:.*}", handle)
    log = None
    if access_log:
        log = logging.getLogger("access")
        log.setLevel(logging.INFO)
        log.addHandler(logging.FileHandler(access_log))
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    web.run_app(app, host="127.0.0.1", port=int(port), access_log=log, print=None, backlog=1024, shutdown_timeout=1)


if __name__ == "__main__":
    main(*sys.argv[1:])
