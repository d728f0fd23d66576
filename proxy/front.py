"""The main listener: from aiohttp's request to the journey, and from its answer to the client's socket.

No decision about caching lives here.
"""

import asyncio
import re
import socket
import struct
import time
from contextlib import suppress
from typing import NamedTuple, assert_never

from aiohttp import web
from multidict import CIMultiDict

from policies.cachestatus import HITS
from policies.headers import end_to_end
from policies.model import Request, Why
from proxy import answers
from proxy.answers import Answer, Streamed, Whole
from proxy.errors import UpstreamError
from proxy.health import Health
from proxy.incoming import Body, Incoming, Read
from proxy.notes import Answered, Notes
from proxy.record import Recorder
from proxy.signin import COOKIE, without_cookie
from proxy.tenants import Tenant, Tenants
from proxy.upstream import joined, texts
from proxy.webhooks import PATH, Delivery, Webhooks

_NAME = "jira-cache"
_REQUEST_ID = "X-Request-Id"
_NOT_FOUND, _BAD_REQUEST = 404, 400
_LONGEST_LINE = 64 * 1024  # JQL in a query string can be long
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # linger for no time at all
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
# A request target as RFC 9112 section 3.2 has it, for all methods but CONNECT: origin form, or absolute form.
_TARGET = re.compile(
    r"(?:https?://(?P<host>[^/?#\s@]+)|(?=/))(?P<path>(?:/[^?#]*)?)(?:\?(?P<query>[^#]*))?", re.IGNORECASE
)


class Front:
    """Takes requests in, lets the right tenant's journey answer them, and tells log and metrics."""

    def __init__(
        self, tenants: Tenants, health: Health, webhooks: Webhooks, recorder: Recorder, *, prefix: str
    ) -> None:
        self._tenants = tenants
        self._health = health
        self._webhooks = webhooks
        self._recorder = recorder
        self._prefix = prefix

    def server(self) -> web.Server:
        """Make the server to listen with. A client that leaves cancels its request; bodies keep their coding."""
        return _Server(
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
        notes = Notes.of(request.headers.get(_REQUEST_ID), request.headers.get("traceparent"))
        answer = await self._answer(request, notes)
        sent = await _send(request, answer, _naming(answer, notes))
        seconds = time.perf_counter() - began
        answered = Answered(request.method, sent.response.status, answer.why, sent.size, seconds)
        self._recorder.answered(answered, notes)
        return sent.response

    async def _answer(self, request: web.BaseRequest, notes: Notes) -> Answer:
        target = _target(request)
        if target is None:
            return answers.error(_BAD_REQUEST, "the request target is not a path", Why.BAD_REQUEST)
        if target.path.startswith(f"{self._prefix}/"):
            return await self._own(request, target, notes)
        tenant = self._tenants.find(target.host, target.path)
        if tenant is None:
            return answers.error(_NOT_FOUND, "no Jira is configured for this address", Why.UNKNOWN_TENANT)
        notes.tenant = tenant.name
        return await tenant.journey.answer(_incoming(request, tenant, target, notes))

    async def _own(self, request: web.BaseRequest, target: "_Target", notes: Notes) -> Answer:
        path = target.path.removeprefix(self._prefix)
        if path.startswith(PATH):
            notes.type, notes.route = "webhook", f"{self._prefix}{PATH}{{tenant}}"
            return await self._webhooks.answer(_delivery(request, path.removeprefix(PATH), target.query, notes))
        notes.type = "own"
        health = self._health.answer(path)
        if health is None:
            return answers.error(_NOT_FOUND, "this proxy has no such endpoint", Why.OWN)
        notes.route = target.path
        return health


class _Connection(web.RequestHandler):
    """A client's connection."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what cannot be read as HTTP in the shape of Jira's errors, and without a traceback in the log."""
        if status != _BAD_REQUEST:
            return super().handle_error(request, status, exc, message)
        response = _whole(answers.error(status, "the request is not HTTP as it should be", Why.BAD_REQUEST))
        response.force_close()
        return response


class _Server(web.Server):
    """aiohttp's server, with connections of our own."""

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Target(NamedTuple):
    """What a request asks for, and of whom."""

    host: str
    path: str
    query: str


def _target(request: web.BaseRequest) -> _Target | None:
    target = _TARGET.fullmatch(request.raw_path)
    if target is None:
        return None
    # The host of an absolute-form target outranks the Host header (RFC 9112 section 3.2.2).
    host = target["host"] or request.headers.get("Host", "")
    return _Target(host, target["path"] or "/", target["query"] or "")


def _incoming(request: web.BaseRequest, tenant: Tenant, target: _Target, notes: Notes) -> Incoming:
    pairs = texts(request.headers.items())
    if any(COOKIE in cookies for cookies in request.headers.getall("Cookie", ())):
        pairs = without_cookie(pairs)
    # What Connection names does not reach Jira, so it must not decide whose answer this is nor where it is kept.
    headers = joined(end_to_end(pairs)) | {"host": target.host}
    law = Request(request.method, target.path[len(tenant.path_prefix) :] or "/", target.query, headers)
    return Incoming(
        request=law,
        pairs=pairs,
        body=Body(_reader(request), present=request.body_exists),
        site=tenant.site(request.scheme, headers),
        peer=request.remote or "unknown",
        scheme=request.scheme,
        notes=notes,
    )


def _delivery(request: web.BaseRequest, tenant: str, query: str, notes: Notes) -> Delivery:
    body = Body(_reader(request), present=request.body_exists)
    return Delivery(tenant, request.method, query, joined(texts(request.headers.items())), body, notes)


def _reader(request: web.BaseRequest) -> Read:
    expected = request.headers.get("Expect", "").lower() == "100-continue"

    async def read() -> bytes:
        nonlocal expected
        if expected and request.transport is not None:
            expected = False
            request.transport.write(_CONTINUE)
        return await request.content.readany()

    return read


def _naming(answer: Answer, notes: Notes) -> str | None:
    """Tell by which name the client hears of its request: its own; for a hit, which needs none, no other."""
    return notes.request_id if answer.why in HITS else notes.named()


class _Sent(NamedTuple):
    """An answer that was sent, or is ready for aiohttp to send, and the bytes of its body."""

    response: web.StreamResponse
    size: int


async def _send(request: web.BaseRequest, answer: Answer, request_id: str | None) -> _Sent:
    match answer:
        case Whole(body=body):
            return _Sent(_whole(answer, request_id), 0 if request.method == "HEAD" else len(body))
        case Streamed(status=status):
            response = web.StreamResponse(status=status, headers=_headers(answer, request_id))
            return _Sent(response, await _stream(request, response, answer))
        case never:
            assert_never(never)


def _whole(answer: Whole, request_id: str | None = None) -> web.Response:
    return web.Response(status=answer.status, headers=_headers(answer, request_id), body=answer.body)


def _headers(answer: Answer, request_id: str | None) -> CIMultiDict[str]:
    headers = CIMultiDict(answer.headers)
    headers.setdefault("Server", _NAME)  # else aiohttp tells the world which versions run here
    if request_id is not None:
        headers[_REQUEST_ID] = request_id
    return headers


async def _stream(request: web.BaseRequest, response: web.StreamResponse, answer: Streamed) -> int:
    size = 0
    try:
        # A client that has gone shows as a ConnectionError; there is nobody left to tell.
        with suppress(ConnectionError):
            await response.prepare(request)
            async for chunk in answer.chunks:
                await response.write(chunk)
                size += len(chunk)
            await response.write_eof()
    except UpstreamError:
        # The status has been sent: only a broken connection can still say that the body is not whole.
        if request.transport is not None:
            _reset(request.transport)
    finally:
        answer.close()
    return size


def _reset(transport: asyncio.Transport) -> None:
    """Break a connection so that even a client that reads until it ends can tell."""
    with suppress(OSError):
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()
