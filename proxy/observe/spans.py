"""Alone knows what a span says of a request: OpenTelemetry's conventions for HTTP servers, and `grayhound.*`."""

from __future__ import annotations

from typing import Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode

import proxy
from proxy.observe.access_lines import HOST_BYTES_MAX, METHOD_BYTES_MAX, TARGET_BYTES_MAX, USER_AGENT_BYTES_MAX, Entry
from proxy.observe.counts import METHODS

NAMES: Final = ("route", "service", "version", "rule", "reason")
OTHER_METHOD: Final = "_OTHER"
"""What the conventions call a method that is none of the known ones."""
NO_ERROR: Final = Status(StatusCode.UNSET)
ERROR: Final = Status(StatusCode.ERROR)
OUR_FAULTS: Final = ("upstream_", "proxy_overload", "proxy_drain")
"""Flags that make the span one of an error; what a client does wrong is none for a server, by the conventions."""


class SpanMaker:
    """Makes the span of a request that has ended."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        self._scope = InstrumentationScope("grayhound", proxy.__version__)

    def __call__(self, entry: Entry, context: SpanContext, parent: SpanContext | None, scheme: bytes) -> ReadableSpan:
        ended, took_s, flag, status, labels = entry[0], entry[1], entry[4], entry[10], entry[11]
        method = METHODS.get(entry[6], "")
        failed = status >= 500 or flag.startswith(OUR_FAULTS)
        attributes = _attributes(entry, method or OTHER_METHOD, scheme)
        if failed:
            attributes["error.type"] = flag or str(status)
        return ReadableSpan(
            name=f"{method or 'HTTP'} {labels[0]}".rstrip(), context=context, parent=parent, resource=self._resource,
            attributes=attributes, kind=SpanKind.SERVER, status=ERROR if failed else NO_ERROR,
            start_time=int((ended - took_s) * 1e9), end_time=int(ended * 1e9), instrumentation_scope=self._scope,
        )  # fmt: skip


def _attributes(entry: Entry, known_method: str, scheme: bytes) -> dict[str, str | int]:
    (_, _, request_bytes, response_bytes, flag, client, method, target, minor, host, status, labels, endpoint, tries, _,
     request_id, _, agent, generation) = entry  # fmt: skip
    path, _, query = target.partition(b"?")
    attributes: dict[str, str | int] = {
        "http.request.method": known_method,
        "http.response.status_code": status,
        "http.request.body.size": request_bytes,
        "http.response.body.size": response_bytes,
        "url.scheme": scheme.decode(),
        "url.path": _text(path, TARGET_BYTES_MAX),
        "client.address": client,
        "grayhound.tries": tries,
        "grayhound.generation": generation,
    }
    optional = {
        "http.request.method_original": _text(method, METHOD_BYTES_MAX) if known_method == OTHER_METHOD else "",
        "network.protocol.version": f"1.{minor}" if minor >= 0 else "",
        "url.query": _text(query, TARGET_BYTES_MAX),
        "server.address": _text(host, HOST_BYTES_MAX),
        "user_agent.original": _text(agent, USER_AGENT_BYTES_MAX),
        "grayhound.endpoint": endpoint,
        "grayhound.flag": flag,
        "grayhound.request_id": _text(request_id, USER_AGENT_BYTES_MAX),
    }
    attributes.update((name, value) for name, value in optional.items() if value)
    attributes.update((f"grayhound.{name}", value) for name, value in zip(NAMES, labels, strict=True) if value)
    return attributes


def _text(value: bytes, bytes_max: int) -> str:
    return value[:bytes_max].decode("utf-8", "backslashreplace")
