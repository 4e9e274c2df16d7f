"""How redirects, rewrites, answers, header changes and mirrors are written: their part of the grammar."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from proxy.http.message import HOP_BY_HOP
from proxy.rules.actions import Compare, HeaderChanges, Mirror, PathChange, PathChangeKind, Redirect, Respond, Rewrite
from proxy.rules.read import units
from proxy.rules.read.match import BOOLEAN, SCALAR_FORM, TEXT, some
from proxy.rules.read.shapes import ByKind, Key, ListOf, MapOf, Reader, Record, Then, Unit, choice, integer

BODY_BYTES_MAX: Final = 64 * 1024
"""Of an answer that stands in the rule file; each worker holds all of them. What is longer is a service's matter."""
HEADER_CHANGES_MAX: Final = 64
"""Fields that one `request_headers` or `response_headers` changes; the Gateway API has at most 16 of each kind."""
VALUE_BYTES_MAX: Final = 4096
"""Of a field that a rule writes: two of them fit into the 8 KiB that servers take for a whole head at least."""
BODILESS: Final = (204, 304)
"""Statuses without a body (RFC 9110 sections 15.3.5 and 15.4.5)."""

_NOT_CHANGED: Final = {name.decode() for name in HOP_BY_HOP} | {"content-length", "transfer-encoding", "trailer"}
_WRITTEN: Final = re.compile(r"via|forwarded|x-request-id|x-real-ip|x-(?:forwarded|gray)-.*").fullmatch
_DOTS: Final = re.compile(r"/\.\.?(?:[/?]|$)").search


# --- Names and values of header fields -----------------------------------------------------------------------------


def response_name(text: str) -> str:
    """A field that rules may change in a response; case is kept."""
    if units.header_name(text) in _NOT_CHANGED:
        raise ValueError(f"'{text}' speaks of the connection or of where a body ends: no rule changes it")
    return text


def request_name(text: str) -> str:
    """A field that rules may change in a request; case is kept."""
    name = units.header_name(text)
    if name == "host":
        raise ValueError("Host is changed with `rewrite: {host: ...}`")
    if name == "expect":
        raise ValueError("'expect' is settled between the client and the service: no rule changes it")
    if _WRITTEN(name.replace("_", "-")):
        raise ValueError(f"'{text}' is written by the proxy itself, so that services can believe it")
    return response_name(text)


def _value(text: str) -> str:
    if len(text.encode()) > VALUE_BYTES_MAX:
        raise ValueError(f"the value of a field has at most {VALUE_BYTES_MAX:,} bytes")
    return units.field_value(text)


VALUE: Final = Unit("a text ('' for an empty one)", _value, SCALAR_FORM)


def _pairs(values: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(values.items())


def _values(name: Callable[[str], str]) -> Reader:
    return Then(MapOf("names and values", name, VALUE), _pairs)


def _header_changes(**found: Any) -> HeaderChanges:
    changes = HeaderChanges(**found)
    seen = set()
    for name in (*dict((*changes.set, *changes.add)), *changes.remove):
        if name.lower() in seen:
            raise ValueError(f"'{name}' stands here twice: a field is set, added to or removed")
        seen.add(name.lower())
    if len(seen) > HEADER_CHANGES_MAX:
        raise ValueError(f"at most {HEADER_CHANGES_MAX} fields, and here are {len(seen)}")
    if not seen:
        raise ValueError("nothing to change: give `set`, `add` or `remove`")
    return changes


def _header_record(name: Callable[[str], str]) -> Reader:
    return Record(
        HeaderChanges,
        Key("set", _values(name)),
        Key("add", _values(name)),
        Key("remove", ListOf(some("a header's name", name), low=1, single=True)),
        build=_header_changes,
    )


REQUEST_HEADERS: Final = _header_record(request_name)
RESPONSE_HEADERS: Final = _header_record(response_name)


# --- Redirects and rewrites ----------------------------------------------------------------------------------------


def _new_path(text: str) -> str:
    if _DOTS(text):
        raise ValueError(f"'{text}' has a dot segment; write the path that it leads to")
    return units.request_path(text)


def _new_prefix(text: str) -> str:
    if "?" in text:
        raise ValueError("a prefix ends before the '?'; the request's own query stays")
    return _new_path(text) if text else text


def _change(kind: PathChangeKind) -> Callable[[str], PathChange]:
    return lambda value: PathChange(kind, value)


_PATH_KEYS: Final = (
    Key(
        "path",
        Then(some("a path", _new_path), _change("full")),
        manual="The whole path instead. The request's query stays, unless a `?` and another one stand here.",
    ),
    Key(
        "replace_prefix",
        Then(some("a path", _new_prefix), _change("prefix")),
        manual="Stands for the route's `path`, which must be a prefix; what comes after it stays.",
    ),
)


def _with_path(found: dict[str, Any]) -> dict[str, Any]:
    changes = [found.pop(key) for key in ("path", "replace_prefix") if key in found]
    if len(changes) > 1:
        raise ValueError("both `path` and `replace_prefix`; take one of them")
    return found | ({"path": changes[0]} if changes else {})


def _redirect(**found: Any) -> Redirect:
    if not found.keys() - {"status"}:
        raise ValueError("leads to where the client is already; give `scheme`, `host`, `port`, `path` or "
                         "`replace_prefix`")  # fmt: skip
    return Redirect(**_with_path(found))


def _rewrite(**found: Any) -> Rewrite:
    if not found:
        raise ValueError("nothing to rewrite: give `host`, `path` or `replace_prefix`")
    return Rewrite(**_with_path(found))


def _redirect_host(text: str) -> str:
    if re.fullmatch(r".+:[0-9]+", text) and not text.endswith("]"):
        raise ValueError(f"the port stands apart: host: {text.rpartition(':')[0]}, port: {text.rpartition(':')[2]}")
    return units.host(text)


REDIRECT: Final = Record(
    Redirect,
    Key("scheme", choice("http", "https")),
    Key("host", some("a host", _redirect_host)),
    Key("port", integer(1, 65535)),
    *_PATH_KEYS,
    Key("status", Unit("301, 302, 303, 307 or 308", units.redirect_status, {"enum": [301, 302, 303, 307, 308]})),
    build=_redirect,
)
REWRITE: Final = Record(Rewrite, Key("host", some("a host", units.authority)), *_PATH_KEYS, build=_rewrite)


# --- Answers and mirrors -------------------------------------------------------------------------------------------


def _respond(**found: Any) -> Respond:
    respond = Respond(**found)
    size = len(respond.body.encode())
    if size and respond.status in (*BODILESS, 205):  # RFC 9110 section 15.3.6
        raise ValueError(f"status {respond.status} has no body")
    if size > BODY_BYTES_MAX:
        raise ValueError(f"the body has {size:,} bytes, and at most {BODY_BYTES_MAX:,}: let a service answer")
    return respond


RESPOND: Final = Record(
    Respond,
    Key("status", integer(200, 599)),
    Key("headers", _values(response_name)),
    Key("body", TEXT),
    build=_respond,
)
COMPARE: Final = ByKind(
    "true, or a map with `headers`",
    scalar=Then(BOOLEAN, lambda wanted: Compare() if wanted else None),
    map=Record(Compare, Key("headers", ListOf(some("a header's name", units.header_name), single=True))),
)
MIRROR: Final = Record(
    Mirror,
    Key("version", Unit("a name", units.name, {"type": "string", "pattern": f"^(?:{units.NAME})$"}), required=True),
    Key("percent", Unit("a percentage", units.percent_or_number, {"anyOf": [
        {"type": "number", "minimum": 0, "maximum": 100}, {"type": "string", "pattern": f"^{units.PERCENT}$"}]})),
    Key("by", choice("requests", "users")),
    Key("methods", ListOf(some("a method like GET", units.method), low=1, single=True)),
    Key("compare", COMPARE),
)  # fmt: skip
