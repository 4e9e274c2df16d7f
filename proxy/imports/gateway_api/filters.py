"""Filters of HTTPRoutes -> what the keys of a rule say, as far as both can say it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from proxy.imports.manifests import get, items_at, number_at, text_at
from proxy.rules.read.action_grammar import request_name, response_name
from proxy.rules.read.nodes import Node, Scalar

Keys = dict[str, Any]
"""Keys of a rule of the rule file, with their values."""
Say = Callable[[str], None]
"""Takes what could not be kept."""

FAILED: Final[Keys] = {"respond": {"status": 500}}
"""What the API answers where a rule leads nowhere, or a filter that must not be skipped is not known."""


def read(node: Node, say: Say) -> Keys:
    """What a filter is in a rule file. Not for RequestMirror, which needs to know the backends."""
    kind = text_at(node, "type")
    if kind in READERS:
        key, reader = READERS[kind]
        return reader(get(node, key), say)
    say(f"filter {kind} is not known here, and must not be skipped: its requests are answered 500")
    return FAILED


def percent(node: Node | None) -> float:
    """The share of requests that a mirror gets."""
    fraction = get(node, "fraction")
    if fraction is None:
        return min(number_at(node, "percent", default=100), 100)
    whole = number_at(fraction, "denominator", default=100) or 100
    return min(round(100 * number_at(fraction, "numerator", default=0) / whole, 4), 100)


def _request_headers(node: Node | None, say: Say) -> Keys:
    changes = _changes(node, request_name, say)
    return {"request_headers": changes} if changes else {}


def _response_headers(node: Node | None, say: Say) -> Keys:
    changes = _changes(node, response_name, say)
    return {"response_headers": changes} if changes else {}


def _changes(node: Node | None, name_of: Callable[[str], str], say: Say) -> Keys:
    """Of several changes of one header the first counts."""
    changes: Keys = {}
    seen: set[str] = set()
    for key in ("set", "add", "remove"):
        for each in items_at(node, key):
            name, value = (
                (each.text, "") if isinstance(each, Scalar) else (text_at(each, "name"), text_at(each, "value"))
            )
            try:
                fresh = name_of(name).lower() not in seen
            except ValueError as error:
                say(f"a change of a header is left out: {error}")
                continue
            seen.add(name.lower())
            if fresh and key == "remove":
                changes.setdefault(key, []).append(name)
            elif fresh:
                changes.setdefault(key, {})[name] = value
    return changes


def _rewrite(node: Node | None, say: Say) -> Keys:
    change = _elsewhere(node)
    return {"rewrite": change} if change else {}


def _redirect(node: Node | None, say: Say) -> Keys:
    """Without a change there is nothing but a status: the client would be sent in circles."""
    scheme, port = text_at(node, "scheme"), number_at(node, "port", default=0)
    change = ({"scheme": scheme} if scheme else {}) | _elsewhere(node) | ({"port": port} if port else {})
    return {"redirect": change and change | {"status": number_at(node, "statusCode", default=302)}}


def _elsewhere(node: Node | None) -> Keys:
    change: Keys = {}
    if text_at(node, "hostname"):
        change["host"] = text_at(node, "hostname")
    for theirs, ours in (("replaceFullPath", "path"), ("replacePrefixMatch", "replace_prefix")):
        if get(node, "path", theirs) is not None:
            change[ours] = text_at(node, "path", theirs)
    return change


def _cors(node: Node | None, say: Say) -> Keys:
    say("filter CORS is left out: browsers ask the service itself what other origins may do")
    return {}


READERS: Final[dict[str, tuple[str, Callable[[Node | None, Say], Keys]]]] = {
    "RequestHeaderModifier": ("requestHeaderModifier", _request_headers),
    "ResponseHeaderModifier": ("responseHeaderModifier", _response_headers),
    "RequestRedirect": ("requestRedirect", _redirect),
    "URLRewrite": ("urlRewrite", _rewrite),
    "CORS": ("cors", _cors),
}
"""By a filter's type: the key that says more, and who reads it."""
