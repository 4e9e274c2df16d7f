"""The admin port: is it alive, is it ready, what does it count, what is in use; and the dashboard that shows it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any, Final

from aiohttp import web

from proxy.admin import api, rollouts
from proxy.admin.gate import Handler, Token, gate, loopback, name_of
from proxy.admin.live import Live
from proxy.admin.mirrors import mirrors
from proxy.admin.page import asset, page
from proxy.admin.view import View
from proxy.errors import StartError
from proxy.observe.exposition import render

log = logging.getLogger("grayhound.admin")

REQUEST_LINE_BYTES_MAX: Final = 16_384
"""Room for a question to /api/explain with many headers; the rest of the API needs none."""
GRACE_S: Final = 1.0
"""At the end, for answers under way: scrapes are short."""
HEADERS: Final = {
    "Server": "grayhound",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
}


async def serve(view: View, host: str, port: int, token: Token | None = None) -> web.AppRunner:
    """Answer on this address (port 0: any free one, see `.addresses`) until `.cleanup()`. Raises StartError."""
    app = make_app(view, host, token)
    runner = web.AppRunner(app, access_log=None, max_line_size=REQUEST_LINE_BYTES_MAX, shutdown_timeout=GRACE_S)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        raise StartError(f"cannot listen on {host}:{port} (admin): {error.strerror or error}") from None
    return runner


def make_app(view: View, host: str, token: Token | None = None) -> web.Application:
    """host: the configured address; on loopback, requests by another name are refused. token: as for `gate`."""
    app = web.Application(middlewares=[_errors_as_json, _guard(host), gate(token)])
    app.on_response_prepare.append(_add_headers)
    live = Live(view)
    app.on_shutdown.append(lambda _: live.close())
    app.add_routes(
        [
            web.get("/", _answer(page)),
            web.get("/static/{name}", _answer(asset)),
            web.get("/healthz", _answer(lambda _: _json({"alive": True}))),
            web.get("/readyz", _answer(lambda _: _ready(view))),
            web.get("/metrics", _answer(lambda request: _metrics(view, request), view)),
            web.get("/api/config", _answer(lambda _: _json(api.config(view)))),
            web.get("/api/services", _answer(lambda _: _json(api.services(view)), view)),
            web.get("/api/mirrors", _answer(lambda _: _json(mirrors(view)), view)),
            web.get("/api/rollouts", _answer(lambda _: _json(rollouts.rollouts(view)))),
            web.get("/api/rollouts/{rollout}", _answer(lambda request: _json(rollouts.rollout(view, request)))),
            web.post("/api/rollouts/{rollout}/{verb}", _answer(lambda request: _json(rollouts.act(view, request)))),
            web.get("/api/drain/{service}/{version}", _drained(view)),
            web.get("/api/events", live.answer, allow_head=False),
            web.get("/api/explain", _answer(lambda request: _json(api.explained(view, request)))),
        ]
    )
    return app


def _answer(make: Callable[[web.Request], web.Response], counted: View | None = None) -> Handler:
    """counted: the answer tells what workers count, up to now."""

    async def handler(request: web.Request) -> web.Response:
        if counted is not None:
            await counted.counted()
        return make(request)

    return handler


def _drained(view: View) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        return _json(await api.drained(view, request))

    return handler


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        text = error.text if error.text and not error.text.startswith(f"{error.status}:") else error.reason
        answer = _json({"error": text}, error.status)
        for name in ("Allow", "WWW-Authenticate"):
            if name in error.headers:
                answer.headers[name] = error.headers[name]
        return answer
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        return _json({"error": "a mistake of the proxy's; its log says more"}, 500)


def _guard(host: str) -> Any:
    """Against DNS rebinding: a web page in the operator's browser can point a name of its own at 127.0.0.1 and then
    read this port as its own origin. The Host field gives it away, since it carries that name. An address others can
    reach is left open: probes and scrapers come by names this process cannot know."""
    own = host.lower()
    closed = loopback(own)

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        asked = request.headers.get("Host")  # a browser always sends one
        if closed and asked is not None and not loopback(name := name_of(asked)) and name != own:
            raise web.HTTPForbidden(text=f"this port listens on {host} and does not answer to the name '{name}'")
        return await handler(request)

    return guard


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    kept = response.headers.get("Cache-Control", HEADERS["Cache-Control"])
    response.headers.update(HEADERS | {"Cache-Control": kept})


def _json(body: dict[str, Any], status: int = 200) -> web.Response:
    text = json.dumps(body, ensure_ascii=False, indent=2) + "\n"
    return web.Response(text=text, status=status, content_type="application/json")


def _ready(view: View) -> web.Response:
    reasons = view.unready()
    return _json({"ready": not reasons, "reasons": reasons}, 503 if reasons else 200)


def _metrics(view: View, request: web.Request) -> web.Response:
    body, content_type = render(view.registry, request.headers.get("Accept", ""))
    return web.Response(body=body, headers={"Content-Type": content_type})
