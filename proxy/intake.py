"""A request's body on its way from the client: no larger and no slower than it may be."""

import asyncio
from math import inf

from aiohttp import HttpVersion11, web

from proxy.framing import Bounds
from proxy.refusals import Refusal, RefusedError

PACE = 500
"""Bytes that earn a body one second more of waiting."""

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Allowance:
    """How long a body may still be waited for: `seconds` are granted, and every piece that comes earns some more."""

    def __init__(self, seconds: float) -> None:
        self._granted = seconds
        self._earned = 0.0
        self._waited = 0.0

    @property
    def left(self) -> float:
        """Seconds until the next piece has to be here; a single one may not take longer than was granted."""
        return min(self._granted, self._granted + self._earned - self._waited)

    def note(self, waited: float, came: int) -> None:
        """Take note of a piece of so many bytes, and of the seconds for which it was waited."""
        self._waited += waited
        self._earned += came / PACE


class Intake:
    """Reads the body of `request` within `bounds`. To the seconds for which it is waited, PACE adds some.

    The time that Jira or we take is not the client's doing, and does not count.
    """

    def __init__(self, request: web.BaseRequest, bounds: Bounds) -> None:
        self._request = request
        self._room = inf if bounds.upload is None else bounds.upload
        self._allowance = Allowance(bounds.body_seconds)
        # An older client does not know what it would be told (RFC 9110 section 10.1.1).
        self._expected = "Expect" in request.headers and request.version >= HttpVersion11

    async def read(self) -> bytes:
        """Read the next piece; nothing at the end. Raises RefusedError."""
        self._go_on()
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            async with asyncio.timeout(self._allowance.left):
                piece = await self._request.content.readany()
        except TimeoutError:
            raise RefusedError(Refusal.SLOW_BODY) from None
        self._allowance.note(clock() - began, len(piece))
        self._room -= len(piece)
        if self._room < 0:
            raise RefusedError(Refusal.BODY_TOO_LARGE)
        return piece

    def _go_on(self) -> None:
        """Tell a client that waits for it that its body is wanted."""
        if self._expected and self._request.transport is not None:
            self._expected = False
            self._request.transport.write(_CONTINUE)
