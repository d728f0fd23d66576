"""OpenTelemetry: a span of each request, one of each call to Jira within it, and nothing where nobody asked."""

import asyncio
import io
import json
import sys
from functools import partial

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from proxy.access import AccessLog
from proxy.tracing import tracing_of

ISSUE = "/rest/api/2/issue/PROJ-1"
ROUTE = "/rest/api/{v}/issue/{issue}/**"
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
BEGUN = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=1"}
ASKED_FOR = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}


@pytest.fixture
def exporter(monkeypatch):
    exporter = InMemorySpanExporter()
    monkeypatch.setattr("proxy.spans.exporter", lambda: exporter)
    return exporter


@pytest.fixture
async def proxy(exporter, new_proxy, origin):
    origin.issue("PROJ-1", "one")
    return await new_proxy(ASKED_FOR)


@pytest.fixture
def spans(proxy, exporter):
    """Have all that is finished exported, and list it in the order of its beginning."""

    async def spans():
        await asyncio.to_thread(proxy.running.app.tracing._provider.force_flush)
        return sorted(exporter.get_finished_spans(), key=lambda span: span.start_time)

    return spans


def heard(seen):
    return {name.lower(): value for name, value in seen.headers.items()}


async def test_a_miss_is_a_span_with_the_call_to_jira_within_it(proxy, origin, spans):
    await proxy.get(ISSUE)
    request, call = await spans()
    assert (request.name, request.kind, request.parent) == (f"GET {ROUTE}", SpanKind.SERVER, None)
    assert (call.name, call.kind, call.parent.span_id) == ("GET", SpanKind.CLIENT, request.context.span_id)
    told = dict(request.attributes)
    assert told["http.route"] == ROUTE
    assert (told["jira_cache.why"], told["jira_cache.type"], told["jira_cache.tenant"]) == ("miss", "issue", "default")
    assert told["http.response.status_code"] == call.attributes["http.response.status_code"] == 200
    version, trace, parent, flags = heard(origin.seen[0])["traceparent"].split("-")
    assert (version, int(trace, 16), int(parent, 16)) == ("00", call.context.trace_id, call.context.span_id)
    assert int(flags, 16) & 1  # sampled


async def test_a_hit_is_a_span_without_a_call(proxy, spans):
    for _ in range(2):
        await proxy.get(ISSUE)
    _, _, hit = await spans()
    assert (hit.attributes["jira_cache.why"], hit.kind) == ("fresh", SpanKind.SERVER)


async def test_the_trace_that_a_client_began_is_continued_to_jira(proxy, origin, spans):
    await proxy.get(ISSUE, headers=BEGUN)
    request, call = await spans()
    assert f"{request.context.trace_id:032x}" == f"{call.context.trace_id:032x}" == TRACE
    assert f"{request.parent.span_id:016x}" == PARENT
    given = heard(origin.seen[0])
    assert given["traceparent"] == f"00-{TRACE}-{call.context.span_id:016x}-01"
    assert given["tracestate"] == "vendor=1"


async def test_a_write_and_what_passes_through_are_traced_too(proxy, origin, spans):
    await proxy.request("PUT", ISSUE, json={"fields": {"summary": "two"}}, headers=BEGUN)
    await proxy.get("/secure/Dashboard.jspa")
    write, call, page, page_call = await spans()
    assert (write.name, call.name, call.parent.span_id) == (
        "PUT /rest/api/{v}/issue/{issue}",
        "PUT",
        write.context.span_id,
    )
    assert heard(origin.seen[0])["traceparent"].split("-")[2] == f"{call.context.span_id:016x}"
    assert page_call.parent.span_id == page.context.span_id
    assert call.status.status_code is StatusCode.UNSET
    assert page_call.status.status_code is StatusCode.ERROR  # 404


async def test_a_jira_that_cannot_be_reached_shows_in_both_spans(exporter, new_proxy):
    proxy = await new_proxy(ASKED_FOR, tenants={"default": {"upstream": "http://127.0.0.1:1"}})
    assert (await proxy.get(ISSUE)).status == 502
    await asyncio.to_thread(proxy.running.app.tracing._provider.force_flush)
    assert {span.status.status_code for span in exporter.get_finished_spans()} == {StatusCode.ERROR}


async def test_no_span_tells_of_paths_queries_or_credentials(proxy, exporter, spans):
    await proxy.get(f"{ISSUE}?fields=private-words")
    told = "".join(span.to_json() for span in await spans())
    assert not any(word in told for word in ("PROJ-1", "private-words", "Basic", "sesame"))


async def test_the_log_names_the_trace(exporter, monkeypatch, new_proxy, origin):
    stream = io.StringIO()
    monkeypatch.setattr("proxy.app.AccessLog", partial(AccessLog, stream=stream))
    proxy = await new_proxy(ASKED_FOR)
    await proxy.get(ISSUE)
    await asyncio.to_thread(proxy.running.app.tracing._provider.force_flush)
    trace = exporter.get_finished_spans()[0].context.trace_id
    assert json.loads(stream.getvalue())["trace_id"] == f"{trace:032x}"


async def test_spans_are_sent_by_otlp_before_the_proxy_has_stopped(monkeypatch, new_proxy, new_origin, origin):
    collector = await new_origin()
    collector.on("POST", "/v1/traces", lambda _: web.Response())
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "jira-cache-of-acme")
    proxy = await new_proxy({"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url})
    await proxy.get(ISSUE)
    await proxy.running.stop()
    [sent] = [ExportTraceServiceRequest.FromString(seen.body) for seen in collector.seen]
    [resource] = sent.resource_spans
    assert "jira-cache-of-acme" in str(resource.resource)
    assert sorted(span.name for span in resource.scope_spans[0].spans) == ["GET", f"GET {ROUTE}"]


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_SERVICE_NAME": "x"},
        ASKED_FOR | {"OTEL_SDK_DISABLED": "true"},
        ASKED_FOR | {"OTEL_TRACES_EXPORTER": "none"},
    ],
)
async def test_nothing_is_traced_unless_somebody_asks_for_it(new_proxy, environ):
    proxy = await new_proxy(environ)
    assert proxy.running.app.tracing is None


def test_without_the_extra_the_log_says_what_to_install(monkeypatch, caplog):
    for name in [name for name in sys.modules if name.startswith("opentelemetry")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    assert tracing_of(ASKED_FOR) is None
    assert "pip install 'jira-cache-proxy[otel]'" in caplog.text
