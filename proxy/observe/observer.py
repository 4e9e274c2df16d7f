"""Who hears of every request: the access log, or tracing, which passes on to it. Nobody, if both are off."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Final, Protocol

from proxy.errors import ProxyError, StartError
from proxy.http.message import RequestHead
from proxy.observe.access_log import AccessLog, Recorder, check_access_log, open_access_log
from proxy.settings import Settings

EXPORTER: Final = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
PROTOCOL: Final = "http/protobuf"


class Tracer(Protocol):
    """As AccessLog; and it has its say at the beginning of a request."""

    ending: bool

    def begin(self, head: RequestHead) -> tuple[RequestHead, Recorder | None]:
        """The head as it goes on, and who wants to hear how the request ends, if anybody does."""

    def refused(self, error: ProxyError, client: str, data: bytes, generation: int) -> None:
        """A request was refused before it could be routed; `data` is what came of it."""

    def take_dropped(self) -> dict[str, int]:
        """What was lost since the last call, by the metric that counts it."""

    def flush(self) -> None:
        """Hand on what waits."""

    def reopen(self) -> None:
        """Go on in a new file of the same name, where it is a file."""

    def close(self) -> None:
        """Hand on the last of it; returns within a second or two."""


Observer = AccessLog | Tracer


def open_observer(settings: Settings) -> Observer | None:
    """What the settings ask for. Raises OSError."""
    log = open_access_log(settings.access_log)
    if not _traces(settings):
        return log
    from proxy.observe.tracing import open_tracing  # the library is an extra, and takes half a second to import

    return open_tracing(log)


def check_observer(settings: Settings) -> None:
    """See whether it could be opened. Raises StartError."""
    check_access_log(settings.access_log)
    if not _traces(settings):
        return
    try:
        found = find_spec(EXPORTER)
    except ModuleNotFoundError:
        found = None
    if found is None:
        raise StartError("--tracing: OpenTelemetry is not installed: pip install 'grayhound[otel]'")
    for name in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        if os.environ.get(name, PROTOCOL) != PROTOCOL:
            raise StartError(f"--tracing: {name} is {os.environ[name]}; only {PROTOCOL} is spoken here")


def _traces(settings: Settings) -> bool:
    return settings.tracing != "off" and os.environ.get("OTEL_SDK_DISABLED", "").lower() != "true"
