"""Connections to one Jira: a request is sent once, over one that rests or a new one, and its answer comes as it is.

Made of what aiohttp's session is made of. The session itself would follow redirects, keep cookies and log in from a
.netrc, it repeats even PUT and DELETE when a connection breaks, and it took a twenty-fifth of the CPU of a miss.
"""

import asyncio
import io
from collections.abc import AsyncIterator
from typing import Protocol, cast

import aiohttp
from aiohttp import hdrs
from aiohttp.connector import Connection
from aiohttp.http import RawResponseMessage, StreamWriter
from aiohttp.streams import StreamReader
from multidict import CIMultiDict, CIMultiDictProxy, istr
from yarl import URL

from proxy.replies import LARGEST_HEAD, Complete, Connector, Replies
from proxy.schema import Timeouts

Body = bytes | AsyncIterator[bytes] | None

_LARGE = 1024 * 1024
_AUTOMATIC = frozenset(map(istr, ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")))
_BODILESS = frozenset({"GET", "HEAD"})


class Answer(Protocol):
    """An answer whose head is here. It is read to the end and then released, or else closed."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> CIMultiDictProxy[str]: ...

    @property
    def content(self) -> StreamReader: ...

    def release(self) -> None:
        """Let another request have the connection."""

    def close(self) -> None:
        """Close the connection."""


class Pool:
    """Connections to the Jira at `base`, made by `connector`, through the outbound `proxy` if there is one."""

    def __init__(self, base: str, connector: Connector, timeouts: Timeouts, proxy: str | None) -> None:
        self._base = base
        self._connector = connector
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=timeouts.connect, sock_read=timeouts.read)
        self._proxy = None if proxy is None else URL(proxy)
        absolute = proxy is not None and base.startswith("http:")  # such a proxy is told the whole address
        self._prefix = base if absolute else URL(base).raw_path.rstrip("/")
        self._opening: aiohttp.ClientRequest | None = None

    async def send(self, method: str, target: str, headers: CIMultiDict[str], body: Body) -> Answer | Complete:
        """Send a request; return when the head of its answer is here. Raises aiohttp's errors and OSError.

        `target` is the raw path and query below the base, kept to the byte.
        """
        if body is None and method in _BODILESS:
            return await self._ask(method, target, headers)
        request = self._request(method, target, headers, body)
        connection = await self._connected(request)
        try:
            return await self._answered(request, connection)
        except BaseException:
            connection.close()
            raise

    async def _ask(self, method: str, target: str, headers: CIMultiDict[str]) -> Answer | Complete:
        """Send a request that has no body: what aiohttp is ready for besides took a sixth of the CPU of a miss."""
        opening = self._opening = self._opening or self._request("GET", "/", CIMultiDict(), None)
        connection = await self._connected(opening)
        try:
            protocol = self._expecting(connection, method, takes_complete=True)
            sent = CIMultiDict(opening.headers)  # our host, and what the outbound proxy wants to know
            sent.extend(headers)
            if self._connector.force_close:
                sent[hdrs.CONNECTION] = "close"
            writer = StreamWriter(protocol, protocol._loop)  # noqa: SLF001 - as aiohttp's own requests have it
            await writer.write_headers(f"{method} {self._prefix}{target} HTTP/1.1", sent)
            protocol.start_timeout()
            writer.set_eof()
            said = await protocol.read()
        except BaseException:
            connection.close()
            raise
        if not isinstance(said, Complete):
            return _Answer(connection, *said)
        connection.release()
        return said

    def _request(self, method: str, target: str, headers: CIMultiDict[str], body: Body) -> aiohttp.ClientRequest:
        return aiohttp.ClientRequest(
            method,
            URL(self._base + target, encoded=True),
            headers=headers,
            skip_auto_headers=_AUTOMATIC,
            # A large one is written in pieces, so that the other requests get their turn.
            data=io.BytesIO(body) if isinstance(body, bytes) and len(body) > _LARGE else body,
            proxy=self._proxy,
            loop=asyncio.get_running_loop(),
        )

    async def _connected(self, request: aiohttp.ClientRequest) -> Connection:
        try:
            return await self._connector.connect(request, traces=[], timeout=self._timeout)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError("no connection in time") from error

    async def _answered(self, request: aiohttp.ClientRequest, connection: Connection) -> Answer:
        self._expecting(connection, request.method)
        response = await request.send(connection)
        try:
            return await response.start(connection)
        except BaseException:
            response.close()
            raise

    def _expecting(self, connection: Connection, method: str, *, takes_complete: bool = False) -> Replies:
        """Make a connection ready for the answer to a request."""
        protocol = cast("Replies", connection.protocol)
        protocol.set_response_params(
            takes_complete=takes_complete,
            skip_payload=method == "HEAD",
            read_until_eof=True,
            auto_decompress=False,
            read_timeout=self._timeout.sock_read,
            max_line_size=LARGEST_HEAD,
            max_field_size=LARGEST_HEAD,
            max_headers=LARGEST_HEAD,  # a count, which the bytes bound
        )
        return protocol

    async def close(self) -> None:
        """Close all connections."""
        await self._connector.close()


class _Answer:
    """The answer to a request that had no body. When its own has come, another request has the connection."""

    __slots__ = ("_connection", "content", "headers", "status")

    def __init__(self, connection: Connection, message: RawResponseMessage, content: StreamReader) -> None:
        self._connection = connection
        self.status = message.code
        self.headers = message.headers
        self.content = content
        content.on_eof(connection.release)

    def release(self) -> None:
        self._connection.release()

    def close(self) -> None:
        self._connection.close()
