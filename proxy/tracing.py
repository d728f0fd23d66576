"""Distributed tracing, by OpenTelemetry where its extra is installed and its variables say where spans go.

Without it nothing is done for tracing: `traceparent` and `tracestate` pass through, as a proxy that makes no spans of
its own should have it (https://www.w3.org/TR/trace-context/).
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from importlib.util import find_spec
from typing import Protocol

from aiohttp import web
from multidict import CIMultiDict

from proxy.notes import Answered, Notes

log = logging.getLogger(__name__)

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Status = Callable[[int], None]

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PARTS = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")


class Tracing(Protocol):
    """Makes a span of each request, and within it one of each call to Jira."""

    def around(self, handler: Handler) -> Handler:
        """Answer requests as `handler` does, each within a span; one that the client began is continued."""

    def answered(self, answered: Answered, notes: Notes) -> None:
        """Tell of the request whose span this is, and note the trace that it belongs to."""

    def asking(self, method: str, headers: CIMultiDict[str]) -> AbstractContextManager[Status]:
        """Ask Jira within a span, which `headers` are made to name. Gives what is to be told the answer's status."""

    async def close(self) -> None:
        """Send what was not sent yet."""


def tracing_of(environ: Mapping[str, str]) -> Tracing | None:
    """Start tracing if OpenTelemetry's own variables ask for it; None if they do not, or its extra is missing."""
    off = environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER") == "none"
    if off or not any(environ.get(name) for name in _ENDPOINTS):
        return None
    if not all(_installed(part) for part in _PARTS):
        log.warning("$OTEL_EXPORTER_OTLP_ENDPOINT is set, and no spans are made: pip install 'jira-cache-proxy[otel]'")
        return None
    from proxy.spans import Spans, exporter  # noqa: PLC0415 - needs the extra `otel`

    return Spans(exporter())


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
