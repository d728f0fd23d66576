"""Clients of Redis: made with bounds on everything, and one of each kind shared by all that do not bring their own."""

import asyncio
import os
import threading
import weakref
from collections.abc import Mapping

from redis.exceptions import RedisClusterException, RedisError

from proxy.layers import redis_url
from proxy.stores.clients import AsyncClient, BlockingClient, connect, connect_blocking

MEMORY = "memory://"


def get_redis_url(environ: Mapping[str, str] | None = None) -> str:
    """Tell where Redis is: $REDIS_URL, else $REDIS_HOST, $REDIS_PORT, $REDIS_PASSWORD and $REDIS_DB, else localhost.

    A password may hold any characters: it is percent-encoded.
    """
    given = os.environ if environ is None else environ
    return redis_url({**given, "REDIS_HOST": given.get("REDIS_HOST") or "localhost"}) or ""


def create_redis_client(
    url: str | None = None, max_connections: int = 50, *, timeout: float = 1.0, health_check_interval: float = 30.0
) -> BlockingClient:
    """Make a blocking client with a pool of its own; the network is first touched when it is first used.

    `url` is get_redis_url() unless given: redis://, rediss:// or unix://; redis+sentinel:// or redis+cluster:// for
    other topologies (proxy.stores.topology has the forms). `timeout` bounds, in seconds each, the wait for a free
    connection, for a new one, and for an answer. A connection that was idle for `health_check_interval` seconds is
    checked before it is used. Nothing is tried twice, so that nothing is counted twice. Raises ValueError for a URL
    that is none. A client of a Cluster asks it for its servers at once; BlockingClientError or RedisClusterException if
    none of them answers.
    """
    return connect_blocking(
        url or get_redis_url(),
        max_connections=max_connections,
        timeout=timeout,
        health_check_interval=health_check_interval,
    )


def create_async_redis_client(
    url: str | None = None, max_connections: int = 50, *, timeout: float = 1.0, health_check_interval: float = 30.0
) -> AsyncClient:
    """Make an asyncio client, for one event loop; all else as for `create_redis_client`.

    Here `timeout` bounds a command as a whole, and a client of a Cluster asks for its servers when it is first used.
    """
    return connect(
        url or get_redis_url(),
        max_connections=max_connections,
        timeout=timeout,
        health_check_interval=health_check_interval,
    )


def names_cluster(url: str) -> bool:
    """Tell whether a URL is a Cluster's."""
    return url.partition("://")[0].endswith("+cluster")


class Shared:
    """The clients that services share, by URL; those of asyncio also by event loop, which they cannot outlive."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blocking: dict[str, BlockingClient] = {}
        self._by_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, AsyncClient]]
        self._by_loop = weakref.WeakKeyDictionary()

    def blocking(self, url: str) -> BlockingClient:
        """Get the blocking client for a URL."""
        with self._lock:
            if url not in self._blocking:
                self._blocking[url] = create_redis_client(url)
            return self._blocking[url]

    def asynchronous(self, url: str) -> AsyncClient:
        """Get the client for a URL in the running event loop."""
        with self._lock:
            clients = self._by_loop.setdefault(asyncio.get_running_loop(), {})
            if url not in clients:
                clients[url] = create_async_redis_client(url)
            return clients[url]

    def close_blocking(self) -> None:
        """Close all blocking clients."""
        with self._lock:
            clients, self._blocking = self._blocking, {}
        for client in clients.values():
            client.close()

    async def close_asynchronous(self) -> None:
        """Close all clients of the running event loop."""
        with self._lock:
            clients = self._by_loop.pop(asyncio.get_running_loop(), {})
        for client in clients.values():
            await client.aclose()


_shared = (
    Shared()
)  # the one thing of the process: that it is shared is what it is for; nothing is opened before its use


def get_redis_client(url: str | None = None) -> BlockingClient:
    """Return the blocking client that this process shares for `url`: one pool of 50 connections."""
    return _shared.blocking(url or get_redis_url())


def get_async_redis_client(url: str | None = None) -> AsyncClient:
    """Return the asyncio client that this event loop shares for `url`: one pool of 50 connections."""
    return _shared.asynchronous(url or get_redis_url())


def ping_redis(client: BlockingClient | None = None) -> bool:
    """Tell whether Redis answers: the shared client's, unless another is given. Never raises for one that does not."""
    try:
        return bool((client or get_redis_client()).ping())
    except (RedisError, RedisClusterException, OSError):
        return False


async def ping_async_redis(client: AsyncClient | None = None) -> bool:
    """Tell whether Redis answers: the shared client's, unless another is given. Never raises for one that does not."""
    try:
        return bool(await (client or get_async_redis_client()).ping())
    except (RedisError, RedisClusterException, OSError):
        return False


def close_redis_client() -> None:
    """Close the shared blocking clients; the next use opens new ones."""
    _shared.close_blocking()


async def close_async_redis_client() -> None:
    """Close the shared clients of this event loop; the next use opens new ones."""
    await _shared.close_asynchronous()
