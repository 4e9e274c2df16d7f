"""Tracing of the real process: an OTLP collector gets a span for each request, and a dead one costs nothing."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.serve import Proxy, run, serving

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs pip install 'grayhound[otel]'")
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

RULES = """\
services:
  shop:
    stable: v1
    versions:
      v1: {{endpoints: ["{url}"]}}
      v2: {{endpoints: ["{url}"]}}
routes:
  - name: shop
    hosts: [shop.example.com]
    service: shop
    rules:
      - name: testers
        match: {{header: {{foo: bar}}}}
        version: v2
"""
HOST = {"Host": "shop.example.com"}
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
ERROR, SERVER = 2, 2  # StatusCode and SpanKind as OTLP numbers them


class Collector:
    """Takes what is exported to it, as a collector does. Also the service: it notes the traceparent it hears."""

    def __init__(self) -> None:
        self.spans: list[dict[str, Any]] = []
        self.resource: dict[str, Any] = {}
        self.heard: list[str | None] = []
        self.states: list[str | None] = []
        self.url = ""

    async def export(self, request: web.Request) -> web.Response:
        assert request.headers["X-Token"] == "secret"
        message = ExportTraceServiceRequest.FromString(await request.read())
        for group in message.resource_spans:
            self.resource = read(group.resource.attributes)
            self.spans += [self._read(span) for scope in group.scope_spans for span in scope.spans]
        return web.Response(content_type="application/x-protobuf")

    def _read(self, span: Any) -> dict[str, Any]:
        return read(span.attributes) | {
            "name": span.name, "kind": span.kind, "status": span.status.code, "trace": span.trace_id.hex(),
            "span": span.span_id.hex(), "parent": span.parent_span_id.hex(),
            "seconds": (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
        }  # fmt: skip

    async def answer(self, request: web.Request) -> web.Response:
        values = request.headers.getall("traceparent", [])
        assert len(values) <= 1
        self.heard.append(values[0] if values else None)
        self.states.append(request.headers.get("tracestate"))
        return web.Response(text="ok", status=503 if request.path == "/broken" else 200)

    async def count(self) -> int:
        return len(self.spans)


def read(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


@asynccontextmanager
async def collector() -> AsyncIterator[Collector]:
    made = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", made.export)
    app.router.add_route("*", "/{path:.*}", made.answer)
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield made
    finally:
        await runner.cleanup()


@asynccontextmanager
async def tracing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *options: str, **environ: str
) -> AsyncIterator[tuple[Proxy, Collector]]:
    async with collector() as made:
        rules = folder / "rules.yaml"
        rules.write_text(RULES.format(url=made.url))
        defaults = {"EXPORTER_OTLP_ENDPOINT": made.url, "EXPORTER_OTLP_HEADERS": "x-token=secret"}
        for name, value in (defaults | {"BSP_SCHEDULE_DELAY": "50"} | environ).items():
            monkeypatch.setenv(f"OTEL_{name}", value)
        async with serving(rules, "--tracing", "otlp", *options) as proxy:
            yield proxy, made


async def test_each_request_is_a_span_in_its_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The span says what was asked and decided; its parent is the client's, and it is the parent of the service's."""
    log = tmp_path / "access.log"
    async with tracing(tmp_path, monkeypatch, "--access-log", str(log)) as (proxy, seen):
        context = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "s=1", "User-Agent": "probe"}
        assert await proxy.get("/a/b?c=d", headers=HOST | context | {"foo": "bar"}) == (200, "ok")
        await proxy.until(seen.count, 1)
        (span,) = seen.spans
        assert seen.heard == [f"00-{TRACE}-{span['span']}-01"] and seen.states == ["s=1"]
        assert 0 < span.pop("seconds") < 10
        assert span.pop("grayhound.request_id") and span.pop("span") != PARENT
        assert span == {
            "name": "GET shop", "kind": SERVER, "status": 0, "trace": TRACE, "parent": PARENT,
            "http.request.method": "GET", "http.response.status_code": 200, "http.request.body.size": 0,
            "http.response.body.size": 2, "url.scheme": "http", "url.path": "/a/b", "url.query": "c=d",
            "client.address": "127.0.0.1", "server.address": "shop.example.com", "network.protocol.version": "1.1",
            "user_agent.original": "probe", "grayhound.route": "shop", "grayhound.service": "shop",
            "grayhound.version": "v2", "grayhound.rule": "testers", "grayhound.reason": "match",
            "grayhound.endpoint": seen.url, "grayhound.tries": 1, "grayhound.generation": 1,
        }  # fmt: skip
        assert seen.resource["service.name"] == "grayhound"
        await proxy.until(lambda: asyncio.to_thread(log.read_text), lambda text: TRACE in text)


async def test_without_a_parent_a_trace_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A traceparent that is malformed counts as none, and its tracestate goes with it."""
    log = tmp_path / "access.log"
    async with tracing(tmp_path, monkeypatch, "--access-log", str(log), SERVICE_NAME="edge") as (proxy, seen):
        await proxy.get(headers=HOST | {"traceparent": f"00-{TRACE}-x", "tracestate": "s=1"})
        await proxy.until(seen.count, 1)
        (span,) = seen.spans
        assert span["trace"] != TRACE and span["parent"] == "" and seen.states == [None]
        assert seen.heard == [f"00-{span['trace']}-{span['span']}-01"]
        assert seen.resource["service.name"] == "edge"
        await proxy.until(lambda: asyncio.to_thread(log.read_text), lambda text: span["trace"] in text)


async def test_errors_are_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service's 5xx and its absence are errors of the span; what the client did wrong is none."""
    async with tracing(tmp_path, monkeypatch) as (proxy, seen):
        assert (await proxy.get("/broken", headers=HOST))[0] == 503
        assert (await proxy.get("/nowhere", headers={"Host": "else.example.com"}))[0] == 404
        assert (await proxy.get("/a%00", headers=HOST))[0] == 400
        await proxy.until(seen.count, 3)
        found = {span["url.path"]: span for span in seen.spans}
        assert (found["/broken"]["status"], found["/broken"]["error.type"]) == (ERROR, "503")
        assert (found["/nowhere"]["status"], found["/nowhere"]["grayhound.flag"]) == (0, "proxy_no_route")
        assert (found["/a%00"]["status"], found["/a%00"]["grayhound.flag"]) == (0, "client_bad_request")


async def test_the_standard_sampler_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not sampled is no span, and says so to the services; a sampled parent is followed."""
    sampler = {"TRACES_SAMPLER": "parentbased_traceidratio", "TRACES_SAMPLER_ARG": "0"}
    async with tracing(tmp_path, monkeypatch, **sampler) as (proxy, seen):
        await proxy.get("/left", headers=HOST)
        await proxy.get("/left", headers=HOST | {"traceparent": f"00-{TRACE}-{PARENT}-00"})
        await proxy.get("/taken", headers=HOST | {"traceparent": f"00-{TRACE}-{PARENT}-01"})
        await proxy.until(seen.count, 1)
        assert [span["url.path"] for span in seen.spans] == ["/taken"]
        assert [(value or "")[-3:] for value in seen.heard] == ["-00", "-00", "-01"]


async def test_each_request_of_a_connection_has_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is kept of a client's repeated lines, no span is told to two requests."""
    async with tracing(tmp_path, monkeypatch) as (proxy, seen), aiohttp.ClientSession() as session:
        for _ in range(4):
            async with session.get(proxy.url, headers=HOST | {"Connection": "keep-alive"}) as response:
                assert response.status == 200
        await proxy.until(seen.count, 4)
        spans = [f"00-{span['trace']}-{span['span']}-01" for span in seen.spans]
        assert sorted(spans) == sorted(map(str, seen.heard)) and len(set(spans)) == 4


async def test_off_a_traceparent_passes_untouched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables alone switch nothing on, and OTEL_SDK_DISABLED switches it off."""
    async with tracing(tmp_path, monkeypatch, SDK_DISABLED="true") as (proxy, seen):
        await proxy.get(headers=HOST | {"traceparent": f"00-{TRACE}-{PARENT}-01"})
        await proxy.get(headers=HOST)
        assert seen.heard == [f"00-{TRACE}-{PARENT}-01", None]


async def test_the_last_spans_are_sent_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TERM: what waits for its batch is not lost."""
    async with tracing(tmp_path, monkeypatch, BSP_SCHEDULE_DELAY="60000") as (proxy, seen):
        for _ in range(5):
            await proxy.get(headers=HOST)
        assert not seen.spans
        proxy.signal(signal.SIGTERM)
        assert await proxy.ended() == 0
        assert len(seen.spans) == 5


async def test_a_dead_collector_costs_no_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests are answered, what does not fit the queue is counted as lost, and the end does not wait for it."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        nowhere = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        async with tracing(tmp_path, monkeypatch, EXPORTER_OTLP_ENDPOINT=nowhere, BSP_MAX_QUEUE_SIZE="10",
                           BSP_MAX_EXPORT_BATCH_SIZE="5") as (proxy, _):  # fmt: skip
            for _ in range(60):
                assert (await proxy.get(headers=HOST))[0] == 200
            await proxy.until(lambda: proxy.metric("spans_dropped_total"), lambda lost: lost >= 40)
            proxy.signal(signal.SIGTERM)
            assert await proxy.ended() == 0


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL is grpc; only http/protobuf"),
        ({"PYTHONPATH": "hidden"}, "OpenTelemetry is not installed: pip install 'grayhound[otel]'"),
    ],
)
async def test_what_cannot_be_traced_is_said_in_one_line(tmp_path: Path, environ: dict[str, str], said: str) -> None:
    """Exit code 1, before anything listens."""
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES.format(url="http://127.0.0.1:1"))
    if "PYTHONPATH" in environ:  # a package of that name without an exporter stands in for the missing one
        (tmp_path / "opentelemetry").mkdir()
        (tmp_path / "opentelemetry" / "__init__.py").touch()
        environ = {"PYTHONPATH": str(tmp_path)}
    code, _, err = await run("serve", str(rules), "--tracing", "otlp", "--listen", "127.0.0.1:0", **environ)
    assert (code, err.count("\n")) == (1, 1) and said in err
