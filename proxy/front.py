"""The main listener: from aiohttp's request to the journey, and from its answer to the client's socket.

No decision about caching lives here.
"""

import logging
import re
import time
from contextlib import suppress
from typing import assert_never

from aiohttp import web
from multidict import CIMultiDict

from policies.model import Request, Why
from proxy import answers
from proxy.answers import Answer, Streamed, Whole
from proxy.errors import UpstreamError
from proxy.health import Health
from proxy.incoming import Body, Incoming, Read
from proxy.metrics import Metrics
from proxy.tenants import Tenant, Tenants
from proxy.upstream import joined

_NOT_FOUND, _BAD_REQUEST = 404, 400
_LONGEST_LINE = 64 * 1024  # JQL in a query string can be long
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
# A request target as RFC 9112 section 3.2 has it, for all methods but CONNECT: origin form, or absolute form.
_TARGET = re.compile(r"(?:https?://(?P<host>[^/?#\s@]+))?(?P<path>/[^?#]*)(?:\?(?P<query>[^#]*))?", re.IGNORECASE)

access = logging.getLogger("jira_cache.access")


class Front:
    """Takes requests in, lets the right tenant's journey answer them, and tells log and metrics."""

    def __init__(self, tenants: Tenants, health: Health, metrics: Metrics, *, prefix: str) -> None:
        self._tenants = tenants
        self._health = health
        self._metrics = metrics
        self._prefix = prefix

    def server(self) -> web.Server:
        """Make the server to listen with. A client that leaves cancels its request; bodies keep their coding."""
        return web.Server(
            self.handle,
            handler_cancellation=True,
            access_log=None,
            auto_decompress=False,
            max_line_size=_LONGEST_LINE,
            max_field_size=_LONGEST_LINE,
        )

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request of a client."""
        began = time.perf_counter()
        notes = {"tenant": "-", "type": "other", "route": "-"}
        answer = await self._answer(request, notes)
        response = await _send(request, answer)
        self._tell(request, answer, response, notes, time.perf_counter() - began)
        return response

    async def _answer(self, request: web.BaseRequest, notes: dict[str, str]) -> Answer:
        target = _TARGET.fullmatch(request.raw_path)
        if target is None:
            return answers.error(_BAD_REQUEST, "the request target is not a path", Why.BAD_REQUEST)
        path, query = target["path"], target["query"] or ""
        if path.startswith(f"{self._prefix}/"):
            own = self._health.answer(path.removeprefix(self._prefix))
            return own or answers.error(_NOT_FOUND, "this proxy has no such endpoint", Why.OWN)
        # The host of an absolute-form target outranks the Host header (RFC 9112 section 3.2.2).
        tenant = self._tenants.find(target["host"] or request.headers.get("Host", ""), path)
        if tenant is None:
            return answers.error(_NOT_FOUND, "no Jira is configured for this address", Why.UNKNOWN_TENANT)
        notes["tenant"] = tenant.name
        return await tenant.journey.answer(_incoming(request, tenant, path, query, notes))

    def _tell(
        self, request: web.BaseRequest, answer: Answer, sent: web.StreamResponse, notes: dict[str, str], seconds: float
    ) -> None:
        why = answer.why.word
        self._metrics.requests.labels(notes["tenant"], notes["type"], why).inc()
        self._metrics.seconds.labels(notes["tenant"], why).observe(seconds)
        fields = {**notes, "method": request.method, "status": sent.status, "why": why, "ms": round(seconds * 1000, 2)}
        access.info("%s %s", request.method, notes["route"], extra=fields)


def _incoming(request: web.BaseRequest, tenant: Tenant, path: str, query: str, notes: dict[str, str]) -> Incoming:
    pairs = list(request.headers.items())
    headers = joined(pairs)
    law = Request(request.method, path[len(tenant.path_prefix) :] or "/", query, headers)
    return Incoming(
        request=law,
        pairs=pairs,
        body=Body(_reader(request), present=request.body_exists),
        site=tenant.site(request.scheme, headers),
        peer=request.remote or "unknown",
        scheme=request.scheme,
        notes=notes,
    )


def _reader(request: web.BaseRequest) -> Read:
    expected = request.headers.get("Expect", "").lower() == "100-continue"

    async def read() -> bytes:
        nonlocal expected
        if expected and request.transport is not None:
            expected = False
            request.transport.write(_CONTINUE)
        return await request.content.readany()

    return read


async def _send(request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
    headers = CIMultiDict(answer.headers)
    match answer:
        case Whole(status=status, body=body):
            return web.Response(status=status, headers=headers, body=body)
        case Streamed(status=status):
            response = web.StreamResponse(status=status, headers=headers)
            await _stream(request, response, answer)
            return response
        case never:
            assert_never(never)


async def _stream(request: web.BaseRequest, response: web.StreamResponse, answer: Streamed) -> None:
    try:
        # A client that has gone shows as a ConnectionError; there is nobody left to tell.
        with suppress(ConnectionError):
            await response.prepare(request)
            async for chunk in answer.chunks:
                await response.write(chunk)
            await response.write_eof()
    except UpstreamError:
        # The status has been sent: only a broken connection can still say that the body is not whole.
        if request.transport is not None:
            request.transport.abort()
    finally:
        answer.close()
