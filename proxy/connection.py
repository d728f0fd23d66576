"""A client's connection, with a fast lane for requests that came before and were hits.

Such a request is answered in the very callback that its bytes arrive in, before it is parsed: there is no request
object, no task and no response. It takes the lane only when it is all there is: alone and whole in one piece of data,
no request before it unanswered, no answer unsent. Everything else takes the ordinary way, and so does each request
that has no shortcut yet.

What is used here of aiohttp's own parts is no public interface: `proxy.lane_check` tries at the start whether it is as
we know it, and pyproject.toml names the versions that it was read in.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, cast

from aiohttp import web
from aiohttp.http import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD

from proxy.framing import HEAD_END, Framing, Message, Parsed
from proxy.guard import Guard, Guarded
from proxy.lane import Lane, Sole

Handler = Callable[[web.BaseRequest], Any]


class Connection(Guarded):
    """A client's connection; without a `lane` all its requests take the ordinary way."""

    __slots__ = ("_lane", "_place", "_sole")

    def __init__(
        self, server: web.Server, guard: Guard, lane: Lane | None, *, loop: asyncio.AbstractEventLoop, **options: Any
    ) -> None:
        super().__init__(server, guard, loop=loop, **options)
        self._lane = lane
        self._place = Place()
        self._sole: Sole | None = None
        if lane is not None:
            self._parser = cast("Any", _Watched(cast("Framing", self._parser), self._look))

    def data_received(self, data: bytes) -> None:
        if self._lane is not None and self._place.between and self._is_idle():
            answer = self._lane.answer(data)
            if answer is not None:
                cast("asyncio.Transport", self.transport).write(answer)
                self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
                return
        super().data_received(data)

    def sole(self, request: web.BaseRequest) -> Sole | None:
        """Return the bytes that `request` was, if it came alone, whole and without a body."""
        sole = self._sole
        return sole if sole is not None and sole.message.raw_headers is request.raw_headers else None

    def _look(self, data: bytes, messages: Sequence[Message]) -> None:
        """See what the parser found in `data` before anybody else does."""
        between, self._sole = self._place.between, None
        self._place.move(data, messages)
        if data and between and self._place.between and len(messages) == 1:
            message, body = messages[0]
            if body is EMPTY_PAYLOAD:
                self._sole = Sole(data, message)

    def _is_idle(self) -> bool:
        """Tell whether aiohttp waits for the next request, and the client has taken every answer."""
        waiter = self._waiter
        return (
            waiter is not None
            and not waiter.done()
            and not (self._messages or self._paused or self._force_close or self._close or self._upgraded)
            and self.transport is not None
        )


class Place:
    """Where in the stream of its requests a connection is, as far as that can be told from outside the parser.

    `between` tells whether the next byte begins a request, for sure.
    """

    __slots__ = ("_owed", "between")

    def __init__(self) -> None:
        self.between = True
        # Bytes of a body that are still to come; None when nobody can tell any more.
        self._owed: int | None = 0

    def move(self, data: bytes, messages: Sequence[Message]) -> None:
        """Go on by `data`, in which the parser found the heads of `messages`."""
        if self._owed is None or not data:
            return
        in_head = False
        if self._owed:
            self._owed = self._owed - len(data) if not messages and len(data) <= self._owed else None
        elif messages:
            self._owed = _owed(data, messages)
        else:
            in_head = True
        self.between = self._owed == 0 and not in_head


class Listener(web.Server):
    """aiohttp's server, with connections of our own. A client that leaves cancels its request."""

    def __init__(self, handler: Handler, guard: Guard, lane: Lane | None) -> None:
        super().__init__(handler, handler_cancellation=True)
        self._guard = guard
        self._lane = lane

    def __call__(self) -> web.RequestHandler:
        # Bodies keep their coding.
        return Connection(self, self._guard, self._lane, loop=self._loop, access_log=None, auto_decompress=False)


class _Watched:
    """A connection's framing, and somebody who looks at what it has read before anybody else does."""

    def __init__(self, framing: Framing, look: Callable[[bytes, Sequence[Message]], None]) -> None:
        self._framing = framing
        self._look = look

    def feed_data(self, data: bytes) -> Parsed:
        parsed = self._framing.feed_data(data)
        self._look(data, parsed[0])
        return parsed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._framing, name)


def _owed(data: bytes, messages: Sequence[Message]) -> int | None:
    """Tell how much of the body is still to come of the one request whose head ends in `data`."""
    head = data.find(HEAD_END)
    if len(messages) != 1 or head < 0:
        return None
    length = _length(messages[0][0])
    owed = -1 if length is None else length - (len(data) - head - len(HEAD_END))
    return owed if owed >= 0 else None


def _length(message: RawRequestMessage) -> int | None:
    if message.chunked or message.upgrade:
        return None  # where it ends, only the parser knows
    return int(message.headers.get("Content-Length", 0))
