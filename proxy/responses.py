"""Answers as aiohttp sends them, and the last one on a connection."""

from typing import Protocol

from aiohttp import web
from multidict import CIMultiDict

from proxy.answers import Answer, Whole

REQUEST_ID = "X-Request-Id"

_NAME = "jira-cache"


class Lingering(Protocol):
    """A connection that can be closed with care."""

    async def linger(self) -> None:
        """Close the connection so that what was said last is heard."""


class Farewell(web.Response):
    """The last answer on a connection: what its client still sends is not for us to understand."""

    def __init__(self, answer: Whole, connection: Lingering, request_id: str | None = None) -> None:
        super().__init__(status=answer.status, headers=headers_of(answer, request_id), body=answer.body)
        self._connection = connection
        self.force_close()

    async def write_eof(self, data: bytes = b"") -> None:
        await super().write_eof(data)
        await self._connection.linger()


def whole(answer: Whole, request_id: str | None) -> web.Response:
    """Make the response of an answer whose body is at hand."""
    return web.Response(status=answer.status, headers=headers_of(answer, request_id), body=answer.body)


def headers_of(answer: Answer, request_id: str | None = None) -> CIMultiDict[str]:
    """List an answer's headers, whose it is where Jira did not say, and the name of the request if it has one."""
    headers = CIMultiDict(answer.headers)
    headers.setdefault("Server", _NAME)  # else aiohttp tells the world which versions run here
    if request_id is not None:
        headers[REQUEST_ID] = request_id
    return headers
