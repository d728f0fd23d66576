"""Spans by OpenTelemetry, with the names that its semantic conventions give to HTTP.

Needs the extra `otel`. What an operator sets by its variables (OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER,
OTEL_EXPORTER_OTLP_HEADERS, ...) is read by its SDK. Neither paths nor queries are told: they name issues.
"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web
from multidict import CIMultiDict
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from proxy.notes import Answered, Notes
from proxy.tracing import Handler, Status

_CLIENTS_ERROR, _SERVERS_ERROR = 400, 500


def exporter() -> SpanExporter:
    """Make what sends spans to where OpenTelemetry's variables say, by OTLP over HTTP."""
    return OTLPSpanExporter()


class Spans:
    """Makes spans and has them exported in batches, by a thread of its own."""

    def __init__(self, spans_to: SpanExporter) -> None:
        named = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": "jira-cache"}
        self._provider = TracerProvider(resource=Resource.create(named))
        self._provider.add_span_processor(BatchSpanProcessor(spans_to))
        self._tracer = self._provider.get_tracer("jira_cache")
        self._context = TraceContextTextMapPropagator()

    def around(self, handler: Handler) -> Handler:
        async def traced(request: web.BaseRequest) -> web.StreamResponse:
            given = {name.lower(): value for name, value in request.headers.items()}
            with self._tracer.start_as_current_span(
                request.method,
                context=self._context.extract(given),
                kind=SpanKind.SERVER,
                attributes={"http.request.method": request.method, "url.scheme": request.scheme},
            ):
                return await handler(request)

        return traced

    def answered(self, answered: Answered, notes: Notes) -> None:
        span = trace.get_current_span()
        context = span.get_span_context()
        if not context.is_valid:
            return
        notes.trace_id = trace.format_trace_id(context.trace_id)
        span.update_name(f"{answered.method} {notes.route}")
        span.set_attributes(
            {
                "http.route": notes.route,
                "http.response.status_code": answered.status,
                "http.response.body.size": answered.size,
                "jira_cache.tenant": notes.tenant,
                "jira_cache.type": notes.type,
                "jira_cache.why": answered.why.word,
            }
        )
        if answered.status >= _SERVERS_ERROR:
            span.set_status(StatusCode.ERROR)

    @contextmanager
    def asking(self, method: str, headers: CIMultiDict[str]) -> Iterator[Status]:
        attributes = {"http.request.method": method}
        with self._tracer.start_as_current_span(method, kind=SpanKind.CLIENT, attributes=attributes) as span:
            self._context.inject(headers)

            def told(status: int) -> None:
                span.set_attribute("http.response.status_code", status)
                if status >= _CLIENTS_ERROR:
                    span.set_status(StatusCode.ERROR)

            yield told

    async def close(self) -> None:
        await asyncio.to_thread(self._provider.shutdown)
