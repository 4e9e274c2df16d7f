"""The dashboard's files. They lie in the package, need no build step, and name nothing outside this port."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from typing import Final

from aiohttp import web

TYPES: Final = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@cache
def _read(name: str) -> tuple[bytes, str, str]:
    """Content, type and entity tag of a file. Raises KeyError if there is none of that name."""
    known = {file.name: file for file in files("proxy.admin").joinpath("static").iterdir()}
    body = known[name].read_bytes()
    return body, TYPES[name[name.rindex(".") :]], hashlib.sha256(body).hexdigest()[:16]


def page(request: web.Request) -> web.Response:
    """The one page."""
    return _answer(request, "index.html")


def asset(request: web.Request) -> web.Response:
    """What the page names. Kept by browsers, who ask each time whether it is still the same: so a page and its script
    are always of one version. Raises web.HTTPNotFound."""
    return _answer(request, request.match_info["name"])


def _answer(request: web.Request, name: str) -> web.Response:
    try:
        body, content_type, tag = _read(name)
    except KeyError:
        raise web.HTTPNotFound from None
    headers = {"Cache-Control": "no-cache", "ETag": f'"{tag}"'}
    if any(known.value in (tag, "*") for known in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    return web.Response(body=body, content_type=content_type, charset="utf-8", headers=headers)
