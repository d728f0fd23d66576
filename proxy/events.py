"""Server-sent events for whoever watches: each change as it is known, and once a second how things are.

A listener that does not read is dropped, and its browser comes again by itself; nobody else waits for it.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import orjson
from aiohttp import web

from proxy.gauges import EVERYBODY
from proxy.history import History
from proxy.report import Report

QUEUED = 64
"""Messages that wait for one listener; one that is so far behind is dropped."""

LISTENERS = 32
"""Who may listen at the same time. Each costs some kilobytes a second."""

RETRY = b"retry: 2000\n\n"  # milliseconds until a browser comes again
HEARTBEAT = b": still here\n\n"
HEARTBEAT_EVERY = 15.0
LIFE = 300.0

HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class Listener:
    """One who listens to the events of a tenant, or of EVERYBODY. `hang_up` ends the connection at once."""

    def __init__(self, tenant: str, hang_up: Callable[[], None]) -> None:
        self.tenant = tenant
        self._queue: asyncio.Queue[bytes] = asyncio.Queue(QUEUED)
        self._hang_up = hang_up
        self._dropped = False

    def tell(self, told: bytes) -> None:
        """Hand a message over; drop the listener if it has not read the earlier ones."""
        try:
            self._queue.put_nowait(told)
        except asyncio.QueueFull:
            self.drop()

    async def next(self) -> bytes | None:
        """Wait for the next message: a heartbeat, if there is none for long. None: the listener was dropped."""
        try:
            told = await asyncio.wait_for(self._queue.get(), HEARTBEAT_EVERY)
        except TimeoutError:
            told = HEARTBEAT
        return None if self._dropped else told

    def drop(self) -> None:
        """End the connection at once."""
        self._dropped = True
        self._hang_up()
        if self._queue.empty():  # so that whoever waits for a message wakes
            self._queue.put_nowait(b"")


class Events:
    """Tells listeners what `history` takes in."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._listeners: set[Listener] = set()

    @contextmanager
    def listening(self, tenant: str, hang_up: Callable[[], None]) -> Iterator[Listener]:
        """Listen for as long as the context lasts; the past hour is told first."""
        listener = Listener(tenant, hang_up)
        listener.tell(RETRY + message("history", self._history.past(tenant)))
        listener.tell(message("report", self._history.present(tenant)))
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    def __len__(self) -> int:
        return len(self._listeners)

    @property
    def crowded(self) -> bool:
        """Whether there is no room for one more listener."""
        return len(self) >= LISTENERS

    async def stream(self, request: web.Request, tenant: str) -> web.StreamResponse:
        """Answer a listener, for LIFE seconds: then its browser comes again, and has to be let in again."""
        response = web.StreamResponse(headers=HEADERS)
        await response.prepare(request)
        with self.listening(tenant, _abort(request)) as listener, suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(LIFE):
                while told := await listener.next():
                    await response.write(told)
        return response

    def take_in(self, report: Report) -> None:
        """Take in a report of any process, and tell the changes in it."""
        for change in self._history.add(report):
            self._tell(message("change", change), change["tenant"])

    def tick(self) -> None:
        """Tell how things are; to be called once a second, whatever the number of processes."""
        for tenant in {listener.tenant for listener in self._listeners}:
            told = message("report", self._history.present(tenant))
            for listener in self._of(tenant):
                listener.tell(told)

    def drop_all(self) -> None:
        """End all connections: who may still listen comes again."""
        for listener in tuple(self._listeners):
            listener.drop()

    def _tell(self, told: bytes, tenant: str) -> None:
        for listener in (*self._of(tenant), *self._of(EVERYBODY)):
            listener.tell(told)

    def _of(self, tenant: str) -> tuple[Listener, ...]:
        return tuple(listener for listener in self._listeners if listener.tenant == tenant)


def message(event: str, told: Any) -> bytes:
    """Write one event. JSON has no line breaks, so it is one line of data."""
    return b"event: %b\ndata: %b\n\n" % (event.encode(), orjson.dumps(told))


def _abort(request: web.Request) -> Callable[[], None]:
    def abort() -> None:
        if request.transport is not None:
            request.transport.abort()

    return abort
