"""Answers as aiohttp sends them, and the last one on a connection."""

from contextlib import suppress
from http import HTTPStatus
from typing import Protocol, cast

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http import StreamWriter
from multidict import CIMultiDict

from proxy.answers import BODILESS, Answer, Whole

REQUEST_ID = "X-Request-Id"

_NAME = "jira-cache"
_PHRASES = {status.value: status.phrase for status in HTTPStatus}


def status_line(status: int) -> str:
    """Spell the first line of an answer; a status that HTTP does not know has no phrase."""
    return f"HTTP/1.1 {status} {_PHRASES.get(status, '')}"


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


class Prompt:
    """A response that is sent at once, as far as aiohttp's connections use one: its `headers` are all it has to say.

    What aiohttp's own is ready for besides took a tenth of the time of each request that a trip answers.
    """

    keep_alive = True

    def __init__(self, status: int, headers: CIMultiDict[str], body: bytes) -> None:
        self.status = status
        self.prepared = False
        self._headers = headers
        self._body = body

    async def prepare(self, request: web.BaseRequest) -> None:
        """Hand all of it to the connection. Raises ValueError for a head that cannot be written."""
        if self.prepared:
            return
        self._writer = writer = cast("StreamWriter", request.writer)
        await writer.write_headers(status_line(self.status), self._headers)
        self.prepared = True
        with suppress(ConnectionError):  # the client has gone; there is nobody left to tell
            await writer.write(self._body, drain=False)

    async def write_eof(self) -> None:
        """Wait for a client who reads more slowly than we write."""
        await self._writer.write_eof()
        await self._writer.drain()


def whole(answer: Whole, request: web.BaseRequest, request_id: str | None) -> web.StreamResponse:
    """Make the response of an answer whose body is at hand."""
    headers = headers_of(answer, request_id)
    if not (request.version == HttpVersion11 and request.keep_alive and _has_body(answer, request)):
        return web.Response(status=answer.status, headers=headers, body=answer.body)
    headers[hdrs.CONTENT_LENGTH] = str(len(answer.body))
    headers.setdefault(hdrs.CONTENT_TYPE, "application/octet-stream")
    headers.setdefault(hdrs.DATE, rfc822_formatted_time())
    return cast("web.StreamResponse", Prompt(answer.status, headers, answer.body))


def _has_body(answer: Whole, request: web.BaseRequest) -> bool:
    """Tell whether a body is to be sent, and is what the answer's length measures."""
    return bool(answer.body) and answer.status not in BODILESS and request.method != hdrs.METH_HEAD


def headers_of(answer: Answer, request_id: str | None = None) -> CIMultiDict[str]:
    """List an answer's headers, whose it is where Jira did not say, and the name of the request if it has one."""
    headers = CIMultiDict(answer.headers)
    headers.setdefault("Server", _NAME)  # else aiohttp tells the world which versions run here
    if request_id is not None:
        headers[REQUEST_ID] = request_id
    return headers
