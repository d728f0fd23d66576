"""The main listener: from aiohttp's request to the journey, and from its answer to the client's socket.

No decision about caching lives here.
"""

import asyncio
import re
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NamedTuple, assert_never, cast

from aiohttp import web

from policies.cachestatus import HITS
from policies.model import Request, Why
from proxy import answers, logs
from proxy.addresses import is_host
from proxy.answers import Answer, Streamed, Whole
from proxy.connection import Connection, Listener
from proxy.errors import UpstreamError
from proxy.greeting import Greetings
from proxy.guard import Guard, Guarded
from proxy.health import Health
from proxy.incoming import Body, Incoming
from proxy.intake import Intake
from proxy.lane import Lane
from proxy.notes import Answered, Notes
from proxy.record import Recorder
from proxy.refusals import Refusal, RefusedError
from proxy.responses import REQUEST_ID, Farewell, headers_of, whole
from proxy.shortcut import Shortcut
from proxy.stores.allowance import allowed
from proxy.tenants import Tenant, Tenants
from proxy.tracing import Tracing
from proxy.upstream import joined, texts
from proxy.webhooks import PATH, Delivery, Webhooks

_NOT_FOUND = 404
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # linger for no time at all
# A request target as RFC 9112 section 3.2 has it, for all methods but CONNECT: origin form, or absolute form.
_TARGET = re.compile(
    r"(?:https?://(?P<host>[^/?#\s@]+)|(?=/))(?P<path>(?:/[^?#]*)?)(?:\?(?P<query>[^#]*))?", re.IGNORECASE
)

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Front:
    """Takes requests in, lets the right tenant's journey answer them, and tells log and metrics.

    Each request waits for its store no longer than `patience` seconds, all in all.
    """

    def __init__(
        self,
        tenants: Tenants,
        health: Health,
        webhooks: Webhooks,
        recorder: Recorder,
        guard: Guard,
        *,
        lane: Lane | None,
        prefix: str,
        patience: float,
        tracing: Tracing | None = None,
    ) -> None:
        self._tenants = tenants
        self._health = health
        self._webhooks = webhooks
        self._recorder = recorder
        self._guard = guard
        self._lane = lane if tracing is None else None  # a hit of the lane would have no span
        self._prefix = prefix
        self._patience = patience
        self._tracing = tracing
        self._greetings = Greetings()

    def server(self) -> web.Server:
        """Make the server to listen with."""
        handler = self.handle if self._tracing is None else self._tracing.around(self.handle)
        return Listener(handler, self._guard, self._lane)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request of a client, come what may."""
        began = time.perf_counter()
        notes = Notes.of(request.headers.get(REQUEST_ID), request.headers.get("traceparent"))
        try:
            with allowed(self._patience):
                answer, last = await self._taken(request, notes)
            sent = await _send(request, answer, _naming(answer, notes), last=last)
        except Exception as error:  # noqa: BLE001 - the client gets an answer, and the log a line
            logs.failure(error, request_id=notes.named())
            answer = Refusal.INTERNAL.answer()
            sent = _Sent(_farewell(request, answer, notes.named()), len(answer.body))
        seconds = time.perf_counter() - began
        answered = Answered(request.method, sent.response.status, answer.why, sent.size, seconds)
        self._recorder.answered(answered, notes)
        return sent.response

    async def _taken(self, request: web.BaseRequest, notes: Notes) -> tuple[Answer, bool]:
        """Answer a request; tell whether it is the last on its connection, because its body could not be taken."""
        body = Body(Intake(request, self._guard.bounds).read, present=request.body_exists)
        try:
            return await self._answer(request, body, notes), False
        except RefusedError as refused:
            return refused.refusal.answer(), True

    async def _answer(self, request: web.BaseRequest, body: Body, notes: Notes) -> Answer:
        target = _target(request)
        if target is None:
            return Refusal.TARGET.answer()
        if target.path.startswith(f"{self._prefix}/"):
            return await self._own(request, target, body, notes)
        tenant = self._tenants.find(target.host, target.path)
        if tenant is None:
            return answers.error(_NOT_FOUND, "no Jira is configured for this address", Why.UNKNOWN_TENANT)
        notes.tenant = tenant.name
        incoming = self._incoming(request, tenant, target, body, notes)
        answer = await tenant.journey.answer(incoming)
        if self._lane is not None and isinstance(answer, Whole) and answer.question is not None:
            self._learn(self._lane, request, Shortcut(tenant.journey, self._recorder, answer.question, notes))
        return answer

    def _incoming(
        self, request: web.BaseRequest, tenant: Tenant, target: "_Target", body: Body, notes: Notes
    ) -> Incoming:
        greeting = self._greetings.read(request, target.host)
        path = target.path[len(tenant.path_prefix) :] or "/"
        return Incoming(
            request=Request(request.method, path, target.query, greeting.headers),
            greeting=greeting,
            body=body,
            site=greeting.site(tenant, request.scheme),
            peer=request.remote or "unknown",
            scheme=request.scheme,
            notes=notes,
        )

    def _learn(self, lane: Lane, request: web.BaseRequest, shortcut: Shortcut) -> None:
        if (sole := cast("Connection", request.protocol).sole(request)) is not None:
            lane.learn(sole, shortcut)

    async def _own(self, request: web.BaseRequest, target: "_Target", body: Body, notes: Notes) -> Answer:
        path = target.path.removeprefix(self._prefix)
        if path.startswith(PATH):
            notes.type, notes.route = "webhook", f"{self._prefix}{PATH}{{tenant}}"
            headers = joined(texts(request.headers.items()))
            tenant = path.removeprefix(PATH)
            return await self._webhooks.answer(Delivery(tenant, request.method, target.query, headers, body, notes))
        notes.type = "own"
        health = self._health.answer(path)
        if health is None:
            return answers.error(_NOT_FOUND, "this proxy has no such endpoint", Why.OWN)
        notes.route = target.path
        return health


class _Target(NamedTuple):
    """What a request asks for, and of whom."""

    host: str
    path: str
    query: str


def _target(request: web.BaseRequest) -> _Target | None:
    target = _TARGET.fullmatch(request.raw_path)
    if target is None:
        return None
    if target["host"] and not is_host(target["host"]):
        return None
    # The host of an absolute-form target outranks the Host header (RFC 9112 section 3.2.2).
    host = target["host"] or request.headers.get("Host", "")
    return _Target(host, target["path"] or "/", target["query"] or "")


def _naming(answer: Answer, notes: Notes) -> str | None:
    """Tell by which name the client hears of its request: its own; for a hit, which needs none, no other."""
    return notes.request_id if answer.why in HITS else notes.named()


class _Sent(NamedTuple):
    """An answer that was sent, or is ready for aiohttp to send, and the bytes of its body."""

    response: web.StreamResponse
    size: int


async def _send(request: web.BaseRequest, answer: Answer, request_id: str | None, *, last: bool) -> _Sent:
    match answer:
        case Whole(body=body):
            response = _farewell(request, answer, request_id) if last else whole(answer, request, request_id)
            await response.prepare(request)  # here, where it is noticed if its headers cannot be written
            return _Sent(response, 0 if request.method == "HEAD" else len(body))
        case Streamed(status=status):
            stream = web.StreamResponse(status=status, headers=headers_of(answer, request_id))
            return _Sent(stream, await _stream(request, stream, answer))
        case never:
            assert_never(never)


def _farewell(request: web.BaseRequest, answer: Whole, request_id: str | None) -> web.Response:
    return Farewell(answer, cast("Guarded", request.protocol), request_id)


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
        _reset(request.transport)
    except Exception as error:
        if not response.prepared:
            raise
        logs.failure(error)
        _reset(request.transport)
    finally:
        answer.close()
    return size


def _reset(transport: asyncio.Transport | None) -> None:
    """Break a connection so that even a client that reads until it ends can tell that the body is not whole.

    The status has been sent: nothing else can still say so.
    """
    if transport is None:
        return
    with suppress(OSError):
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()
