"""Clients of Redis: made with bounds on everything, and one of each kind shared by all that do not bring their own."""

import asyncio
import os
import threading
import weakref
from collections.abc import Mapping
from typing import Any

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from proxy.layers import redis_url

MEMORY = "memory://"


def get_redis_url(environ: Mapping[str, str] | None = None) -> str:
    """Tell where Redis is: $REDIS_URL, else $REDIS_HOST, $REDIS_PORT, $REDIS_PASSWORD and $REDIS_DB, else localhost.

    A password may hold any characters: it is percent-encoded.
    """
    given = os.environ if environ is None else environ
    return redis_url({**given, "REDIS_HOST": given.get("REDIS_HOST") or "localhost"}) or ""


def create_redis_client(
    url: str | None = None, max_connections: int = 50, *, timeout: float = 1.0, health_check_interval: float = 30.0
) -> redis.Redis:
    """Make a blocking client with a pool of its own; the network is first touched when it is first used.

    `url` is get_redis_url() unless given. `timeout` bounds, in seconds each, the wait for a free connection, for a new
    one, and for an answer. A connection that was idle for `health_check_interval` seconds is checked before it is
    used. Nothing is tried twice, so that nothing is counted twice. Raises ValueError for a URL that is none.
    """
    options = _options(max_connections, timeout, health_check_interval)
    pool = redis.BlockingConnectionPool.from_url(url or get_redis_url(), retry=Retry(NoBackoff(), 0), **options)
    return redis.Redis.from_pool(pool)


def create_async_redis_client(
    url: str | None = None, max_connections: int = 50, *, timeout: float = 1.0, health_check_interval: float = 30.0
) -> redis.asyncio.Redis:
    """Make an asyncio client, for one event loop; all else as for `create_redis_client`."""
    options = _options(max_connections, timeout, health_check_interval)
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        url or get_redis_url(), retry=AsyncRetry(NoBackoff(), 0), **options
    )
    return redis.asyncio.Redis.from_pool(pool)


def _options(max_connections: int, timeout: float, health_check_interval: float) -> dict[str, Any]:
    return {
        "max_connections": max_connections,
        "timeout": timeout,
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "health_check_interval": health_check_interval,
    }


class Shared:
    """The clients that services share, by URL; those of asyncio also by event loop, which they cannot outlive."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blocking: dict[str, redis.Redis] = {}
        self._by_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, redis.asyncio.Redis]]
        self._by_loop = weakref.WeakKeyDictionary()

    def blocking(self, url: str) -> redis.Redis:
        """Get the blocking client for a URL."""
        with self._lock:
            if url not in self._blocking:
                self._blocking[url] = create_redis_client(url)
            return self._blocking[url]

    def asynchronous(self, url: str) -> redis.asyncio.Redis:
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


def get_redis_client(url: str | None = None) -> redis.Redis:
    """Return the blocking client that this process shares for `url`: one pool of 50 connections."""
    return _shared.blocking(url or get_redis_url())


def get_async_redis_client(url: str | None = None) -> redis.asyncio.Redis:
    """Return the asyncio client that this event loop shares for `url`: one pool of 50 connections."""
    return _shared.asynchronous(url or get_redis_url())


def ping_redis(client: redis.Redis | None = None) -> bool:
    """Tell whether Redis answers: the shared client's, unless another is given. Never raises for one that does not."""
    try:
        return bool((client or get_redis_client()).ping())
    except (redis.RedisError, OSError):
        return False


async def ping_async_redis(client: redis.asyncio.Redis | None = None) -> bool:
    """Tell whether Redis answers: the shared client's, unless another is given. Never raises for one that does not."""
    try:
        return bool(await (client or get_async_redis_client()).ping())
    except (redis.RedisError, OSError):
        return False


def close_redis_client() -> None:
    """Close the shared blocking clients; the next use opens new ones."""
    _shared.close_blocking()


async def close_async_redis_client() -> None:
    """Close the shared clients of this event loop; the next use opens new ones."""
    await _shared.close_asynchronous()
