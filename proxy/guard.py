"""A client's connection, guarded: who may hold one, what may be said on it and how slowly, and how it ends.

What is done with a request is not known here.
"""

import asyncio
from dataclasses import dataclass
from typing import Any, cast

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from proxy import logs
from proxy.admission import Admission
from proxy.framing import Bounds, Framing
from proxy.notes import Answered, Notes
from proxy.record import Recorder
from proxy.refusals import Refusal, refusal_of
from proxy.responses import Farewell, headers_of, status_line

LINGER = 2.0
"""Seconds for which a connection is still read after the last word on it."""


@dataclass(frozen=True, slots=True)
class Guard:
    """What the connections of a listener have in common; `keep_alive` is for how many seconds one may rest."""

    bounds: Bounds
    admission: Admission
    keep_alive: float
    recorder: Recorder

    def tell(self, refusal: Refusal) -> None:
        """Count and log what was refused before it was a request."""
        size = len(refusal.answer().body)
        self.recorder.answered(Answered("-", refusal.status, refusal.why, size, seconds=0.0), Notes())


class Guarded(web.RequestHandler):
    """A client's connection as aiohttp has it, with our framing in place of its parser."""

    __slots__ = ("_address", "_guard")

    def __init__(self, manager: web.Server, guard: Guard, *, loop: asyncio.AbstractEventLoop, **options: Any) -> None:
        room = guard.bounds.header
        super().__init__(
            manager,
            loop=loop,
            keepalive_timeout=guard.keep_alive,
            max_line_size=room,
            max_field_size=room,
            max_headers=room,  # a count, which the bytes bound
            **options,
        )
        self._guard = guard
        self._address = ""
        framing = Framing(cast("Any", self._parser), guard.bounds, loop, wake=self._wake, finish=self._finish)
        self._parser = cast("Any", framing)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        client = cast("asyncio.Transport", transport)
        peer = client.get_extra_info("peername")
        self._address = str(peer[0]) if peer else ""
        refusal = self._guard.admission.enter(self._address)
        if refusal is None:
            super().connection_made(transport)
        else:
            self._guard.tell(refusal)
            client.set_protocol(_TurnedAway(client, refusal))

    def connection_lost(self, exc: BaseException | None) -> None:
        framing = cast("Framing", self._parser)
        self._guard.admission.leave(self._address)
        super().connection_lost(exc)
        framing.close()

    def _wake(self) -> None:
        self.data_received(b"")

    def _finish(self) -> None:
        self._close = True

    async def linger(self) -> None:
        """Say that nothing more comes, and let the client say on for a moment what nobody hears.

        To close before all that it sent has been read would reset the connection, and our last answer with it.
        """
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        self._close = True
        self.resume_reading(resume_parser=False)
        transport.write_eof()
        await asyncio.sleep(LINGER)  # ended by the client's leaving
        self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,  # noqa: ARG002 - as aiohttp has it
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - as aiohttp has it
    ) -> web.StreamResponse:
        """Answer what cannot be taken in the shape of Jira's errors; the log is told once, and not what was sent."""
        refusal = refusal_of(exc)
        self.log_exception("", exc_info=exc)
        self._guard.tell(refusal)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun, so there is no room for another")
        return Farewell(refusal.answer(), self)

    def log_exception(self, *_: object, exc_info: BaseException | None = None, **__: object) -> None:
        """Tell of what is our own failure; what a client did is told as its refusal."""
        if exc_info is not None and not isinstance(exc_info, HttpProcessingError):
            logs.failure(exc_info)


class _TurnedAway(asyncio.Protocol):
    """A connection that may not stay: its client is told why, and has a moment to hear it."""

    def __init__(self, transport: asyncio.Transport, refusal: Refusal) -> None:
        transport.write(_spoken(refusal))
        transport.write_eof()
        self._end = asyncio.get_running_loop().call_later(LINGER, transport.abort)

    def connection_lost(self, exc: BaseException | None) -> None:  # noqa: ARG002 - as asyncio has it
        self._end.cancel()


def _spoken(refusal: Refusal) -> bytes:
    """Spell an answer for a client of whom no request has been read."""
    answer = refusal.answer()
    headers = [*headers_of(answer).items(), ("Content-Length", str(len(answer.body))), ("Connection", "close")]
    lines = [status_line(answer.status)]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join([*lines, "", ""]).encode() + answer.body
