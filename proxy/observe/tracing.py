"""OpenTelemetry: a span for each request, made of what the access log says of it, sent by OTLP in batches.

The SDK samples, batches in a thread of its own and exports, as its OTEL_* variables say. Spans are made when a request
has ended; at its beginning there are only the ids, for the traceparent that goes on. Imported only when tracing is on.
"""

from __future__ import annotations

import logging
import os
import random
import sys
import threading
from collections.abc import Sequence
from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import Decision, Sampler
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags, set_span_in_context

import proxy
from proxy.errors import ProxyError
from proxy.http.message import RequestHead
from proxy.http.trace import Parent, read_parent, with_traceparent, write_traceparent
from proxy.observe.access_lines import Entry
from proxy.observe.access_log import AccessLog, Recorder, refused_entry
from proxy.observe.spans import SpanMaker

QUEUE_MAX: Final = 2048
"""Spans that wait for the collector, per worker, unless OTEL_BSP_MAX_QUEUE_SIZE says otherwise: the SDK's own default,
some 4 MiB. What comes then is dropped."""
CLOSE_S: Final = 1.0
"""How long the last spans may take at the end: less than control waits for a worker to end."""
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_NOT_SAMPLED: Final = TraceFlags(TraceFlags.DEFAULT)
_ROOT: Final = Context()

SWITCH_S: Final = 0.0005
"""How long the exporter's thread may hold the interpreter while the event loop waits for it. Python's own 5 ms are as
long as fifty requests take, and encoding a batch takes a dozen times as much."""

log = logging.getLogger("grayhound.tracing")


class Tracing:
    """Gives each request its place in a trace, and makes a span of those that are sampled.

    access_log: what hears of all requests besides, if there is one. ending: as there.
    """

    def __init__(self, access_log: AccessLog | None, sampler: Sampler, resource: Resource, queue_max: int) -> None:
        self._log = access_log
        self._sampler = sampler
        self._exporter = _Exporter(OTLPSpanExporter())
        self._processor = BatchSpanProcessor(self._exporter, max_queue_size=queue_max)
        self._make = SpanMaker(resource)
        self._queue_max = queue_max
        self._handed = self._refused = self._told = 0
        self.ending = False

    def begin(self, head: RequestHead) -> tuple[RequestHead, Recorder | None]:
        """The head as it goes on, and who wants to hear how the request ends."""
        parent = read_parent(head.fields.get(b"traceparent", ()))
        span = self._span(parent, head.scheme)
        head = with_traceparent(head, span.traceparent, parent)
        return head, span if span.sampled or self._log is not None else None

    def refused(self, error: ProxyError, client: str, data: bytes, generation: int) -> None:
        """As AccessLog.refused."""
        entry = refused_entry(error, client, data, generation)
        self._span(read_parent((entry[16],)), b"http").record(entry)

    def finished(self, span: Span, entry: Entry) -> None:
        """Hand the request to the log, and its span to the exporter's thread."""
        if self._log is not None:
            self._log.record((*entry[:16], span.traceparent, *entry[17:]))
        if not span.sampled:
            return
        if self._handed - self._exporter.done >= self._queue_max:
            self._refused += 1
            return
        self._handed += 1
        self._processor.on_end(self._make(entry, *span.contexts(), span.scheme))

    def take_dropped(self) -> dict[str, int]:
        lost = self._refused + self._exporter.failed
        dropped, self._told = lost - self._told, lost
        return {"spans_dropped_total": dropped, **(self._log.take_dropped() if self._log is not None else {})}

    def flush(self) -> None:
        """The spans' thread keeps its own time."""
        if self._log is not None:
            self._log.flush()

    def reopen(self) -> None:
        if self._log is not None:
            self._log.reopen()

    def close(self) -> None:
        """Send what waits, for CLOSE_S at most; the rest counts as lost."""
        # The SDK would wait for thirty seconds if the collector does not answer.
        last = threading.Thread(target=self._processor.shutdown, name="last spans", daemon=True)
        last.start()
        if self._log is not None:
            self._log.close()
        last.join(CLOSE_S)
        self._refused += self._handed - self._exporter.done

    def _span(self, parent: Parent | None, scheme: bytes) -> Span:
        trace_id = parent.trace_id if parent is not None else random.getrandbits(128) or 1
        above = _ROOT if parent is None else set_span_in_context(NonRecordingSpan(_above(parent)), _ROOT)
        decision = self._sampler.should_sample(above, trace_id, "", SpanKind.SERVER).decision
        return Span(self, trace_id, parent, decision is Decision.RECORD_AND_SAMPLE, scheme)


class Span:
    """One request's place in a trace. A Recorder. parent: None at the beginning of a trace.

    PERF: most are not sampled, so that the SDK's objects are made only at the end.
    """

    __slots__ = ("_parent", "_span_id", "_trace_id", "_tracing", "sampled", "scheme", "traceparent")

    def __init__(self, tracing: Tracing, trace_id: int, parent: Parent | None, sampled: bool, scheme: bytes) -> None:
        self._tracing = tracing
        self._trace_id = trace_id
        self._span_id = random.getrandbits(64) or 1
        self._parent = parent
        self.sampled = sampled
        self.scheme = scheme
        self.traceparent = write_traceparent(trace_id, self._span_id, sampled)

    def contexts(self) -> tuple[SpanContext, SpanContext | None]:
        """Its own, as it was sampled, and its parent's."""
        own = SpanContext(self._trace_id, self._span_id, is_remote=False, trace_flags=_SAMPLED)
        return own, _above(self._parent) if self._parent is not None else None

    @property
    def ending(self) -> bool:
        return self._tracing.ending

    def record(self, entry: Entry) -> None:
        self._tracing.finished(self, entry)


def _above(parent: Parent) -> SpanContext:
    flags = _SAMPLED if parent.sampled else _NOT_SAMPLED
    return SpanContext(parent.trace_id, parent.span_id, is_remote=True, trace_flags=flags)


class _Exporter(SpanExporter):
    """Counts what becomes of the spans, and says once, not for every batch, that the collector does not take them.

    Called from the SDK's thread. done: spans that are sent or given up; failed: those given up.
    """

    def __init__(self, exporter: OTLPSpanExporter) -> None:
        self._exporter = exporter
        self._failing = False
        self.done = self.failed = 0
        logging.getLogger(OTLPSpanExporter.__module__).addFilter(lambda _: not self._failing)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        failing = result is not SpanExportResult.SUCCESS
        if failing:
            self.failed += len(spans)
        self.done += len(spans)
        if failing and not self._failing:
            log.error("spans cannot be exported (see above); they are dropped until they can")
        elif self._failing and not failing:
            log.warning("spans can be exported again; %d were dropped so far", self.failed)
        self._failing = failing
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()  # type: ignore[no-untyped-call]


def open_tracing(access_log: AccessLog | None) -> Tracing:
    """As the OTEL_* variables say: sampler, resource, endpoint, headers, batches."""
    given = Resource({"service.name": "grayhound", "service.version": proxy.__version__})
    resource = Resource.create(given.merge(OTELResourceDetector().detect()).attributes)
    size = os.environ.get("OTEL_BSP_MAX_QUEUE_SIZE", "")
    queue_max = int(size) if size.isdigit() and int(size) else QUEUE_MAX
    sys.setswitchinterval(SWITCH_S)
    # The provider reads OTEL_TRACES_SAMPLER; nothing else of it is used.
    return Tracing(access_log, TracerProvider(resource=resource, shutdown_on_exit=False).sampler, resource, queue_max)
