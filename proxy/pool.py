"""Connections to one Jira: a request is sent once, over one that rests or a new one, and its answer comes as it is.

Made of what aiohttp's session is made of. The session itself would follow redirects, keep cookies and log in from a
.netrc, it repeats even PUT and DELETE when a connection breaks, and it took a twenty-fifth of the CPU of a miss.
"""

import asyncio
import io
from collections.abc import AsyncIterator
from typing import cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from multidict import CIMultiDict, istr
from yarl import URL

from proxy.replies import LARGEST_HEAD, Connector
from proxy.schema import Timeouts

Body = bytes | AsyncIterator[bytes] | None

_LARGE = 1024 * 1024
_AUTOMATIC = frozenset(map(istr, ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")))


class Pool:
    """Connections made by `connector`, through the outbound `proxy` if there is one."""

    def __init__(self, connector: Connector, timeouts: Timeouts, proxy: str | None) -> None:
        self._connector = connector
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=timeouts.connect, sock_read=timeouts.read)
        self._proxy = None if proxy is None else URL(proxy)

    async def send(self, method: str, url: URL, headers: CIMultiDict[str], body: Body) -> aiohttp.ClientResponse:
        """Send a request; return when the head of its answer is here. Raises aiohttp.ClientError and OSError."""
        request = aiohttp.ClientRequest(
            method,
            url,
            headers=headers,
            skip_auto_headers=_AUTOMATIC,
            # A large one is written in pieces, so that the other requests get their turn.
            data=io.BytesIO(body) if isinstance(body, bytes) and len(body) > _LARGE else body,
            proxy=self._proxy,
            loop=asyncio.get_running_loop(),
        )
        connection = await self._connected(request)
        try:
            return await self._answered(request, connection)
        except BaseException:
            connection.close()
            raise

    async def _connected(self, request: aiohttp.ClientRequest) -> Connection:
        try:
            return await self._connector.connect(request, traces=[], timeout=self._timeout)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError("no connection in time") from error

    async def _answered(self, request: aiohttp.ClientRequest, connection: Connection) -> aiohttp.ClientResponse:
        cast("ResponseHandler", connection.protocol).set_response_params(
            skip_payload=request.method == "HEAD",
            read_until_eof=True,
            auto_decompress=False,
            read_timeout=self._timeout.sock_read,
            max_line_size=LARGEST_HEAD,
            max_field_size=LARGEST_HEAD,
            max_headers=LARGEST_HEAD,  # a count, which the bytes bound
        )
        response = await request.send(connection)
        try:
            return await response.start(connection)
        except BaseException:
            response.close()
            raise

    async def close(self) -> None:
        """Close all connections."""
        await self._connector.close()
