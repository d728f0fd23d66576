"""Clients of Redis in each topology, for asyncio and for threads, with a bound on all that they wait for.

Nothing is tried twice: whoever waits for the cache is better off without it. What redis-py raises is left as it is; the
stores and the library make StoreErrors of it.
"""

import asyncio
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeAlias, assert_never, cast

import hiredis
import redis
import redis.asyncio
import redis.asyncio.connection
import redis.asyncio.sentinel
import redis.connection
import redis.sentinel
from redis.asyncio.cluster import ClusterNode as AsyncClusterNode
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode
from redis.retry import Retry

from proxy.stores.allowance import within
from proxy.stores.topology import Cluster, Place, Sentinels, Server, topology

AsyncClient: TypeAlias = redis.asyncio.Redis | redis.asyncio.RedisCluster
BlockingClient: TypeAlias = redis.Redis | redis.RedisCluster

_SHARE = 0.8
"""Of the time for an operation, what a single answer of a Cluster may take: redis-py has to notice by itself which
server hangs, because it looks for another only then."""


class bounded(within):  # noqa: N801 - used as a function is
    """Let what is done here with `client` take no longer than one of its commands. Raises TimeoutError."""

    __slots__ = ()

    def __init__(self, client: object) -> None:
        super().__init__(getattr(client, "patience", None))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await super().__aexit__(kind, error, trace)
        if isinstance(error, AttributeError):  # redis-py's, where another task has closed the connection meanwhile
            raise redis.ConnectionError("the connection was closed") from error


class BoundedRedis(redis.asyncio.Redis):
    """A client whose commands wait no longer than `patience` seconds in all: for a connection and for the answer."""

    patience: float

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        async with bounded(self):
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]


class BoundedCluster(redis.asyncio.RedisCluster):
    """The same for a Cluster. So many commands as there may be connections are under way, and the others wait."""

    RedisClusterRequestTTL = 4
    """To how many servers a command goes: by MOVED, by ASK, and once more while a slot is on its way."""

    def __init__(self, patience: float, options: Mapping[str, Any]) -> None:
        # Where redis-py is sent elsewhere it notes that for the slot. To forget all it knows, every so often when that
        # happens, would close the connections that others use.
        super().__init__(**options, reinitialize_steps=0)
        self.patience = patience
        self.options = options
        self._turns = asyncio.Semaphore(options["max_connections"])

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        async with bounded(self), self._turns:
            return await super().execute_command(*args, **options)

    async def aclose(self) -> None:
        """Close all connections, also where redis-py was about to look for the servers anew."""
        await super().aclose()
        await self.nodes_manager.aclose()
        await self.nodes_manager.aclose("startup_nodes")


class _Packing:
    """A pool whose connections write commands by hiredis, as redis-py's do for threads and not yet for asyncio."""

    def make_connection(self) -> Any:
        connection = super().make_connection()  # type: ignore[misc] # it stands before a pool
        connection.pack_command = _packed
        return connection


def _packed(name: str | bytes, *values: Any) -> list[bytes]:
    """Write a command, whose name may be of two words."""
    words = name.encode().split() if isinstance(name, str) else name.split()
    return [hiredis.pack_command((*words, *values))]


class _AsyncPool(_Packing, redis.asyncio.BlockingConnectionPool):
    """Connections to one server, for which those wait that come too late. While nobody does, a free one is had at once.

    redis-py takes a lock, sets an alarm and keeps statistics first, which costs as much as a short command does.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._late = 0

    async def get_connection(self, *_: Any, **__: Any) -> Any:
        try:
            connection = None if self._late else self.get_available_connection()  # type: ignore[no-untyped-call]
        except redis.exceptions.MaxConnectionsError:
            connection = None
        return await (self._waited_for() if connection is None else self._ready(connection))

    async def _ready(self, connection: Any) -> Any:
        try:
            await self.ensure_connection(connection)
        except BaseException:
            await self.release(connection)
            raise
        return connection

    async def _waited_for(self) -> Any:
        self._late += 1
        try:
            return await super().get_connection()  # type: ignore[no-untyped-call]
        finally:
            self._late -= 1


class _AsyncSentinelPool(_Packing, redis.asyncio.sentinel.SentinelConnectionPool, redis.asyncio.BlockingConnectionPool):
    """Connections to a master, for which those wait that come too late."""

    async def get_master_address(self) -> Place:
        """Ask where the master is. Whoever still talks to an earlier one does so for the last time.

        1. A master hangs while a command is on its way to it. 2. Another one takes over. 3. The first one wakes up,
        takes itself for the master for some seconds more, and answers. Its connection must not be used again: what was
        invalidated at the new master it does not know.
        """
        earlier = self.master_address
        address = cast(Place, await super().get_master_address())  # type: ignore[no-untyped-call]
        if earlier not in (None, address):
            await self.update_active_connections_for_reconnect()  # type: ignore[no-untyped-call]
        return address

    async def disconnect(self, inuse_connections: bool = True) -> None:
        """Close connections; if it is all of them, those to the Sentinels too."""
        await super().disconnect(inuse_connections)
        if inuse_connections:
            await self.sentinel_manager.aclose()


class _SentinelPool(redis.sentinel.SentinelConnectionPool, redis.BlockingConnectionPool):
    """The same for threads, where redis-py does not take connections to an earlier master back."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """The parts of redis-py that one kind of client is made of."""

    client: Callable[[Any], Any]
    pool: Callable[..., Any]
    sentinels: Callable[..., Any]
    sentinel_pool: Callable[..., Any]
    parse: Callable[[str], Mapping[str, Any]]
    tls: type
    retry: Callable[[], Any]


_ASYNC = _Kind(
    client=BoundedRedis.from_pool,
    pool=_AsyncPool.from_url,
    sentinels=redis.asyncio.sentinel.Sentinel,
    sentinel_pool=_AsyncSentinelPool,
    parse=redis.asyncio.connection.parse_url,
    tls=redis.asyncio.SSLConnection,
    retry=lambda: AsyncRetry(NoBackoff(), 0),
)
_BLOCKING = _Kind(
    client=redis.Redis.from_pool,
    pool=redis.BlockingConnectionPool.from_url,
    sentinels=redis.sentinel.Sentinel,
    sentinel_pool=_SentinelPool,
    parse=redis.connection.parse_url,
    tls=redis.SSLConnection,
    retry=lambda: Retry(NoBackoff(), 0),
)


def connect(url: str, *, max_connections: int = 50, timeout: float = 0.25, **options: Any) -> AsyncClient:
    """Make a client for asyncio; the network is first touched when it is first used.

    `timeout` is how many seconds a command may take in all; `options` are redis-py's, of a connection. In a Cluster
    `max_connections` is for each server. Raises ValueError for a URL that is none (proxy.stores.topology).
    """
    options |= _bounds(timeout) | {"retry": _ASYNC.retry(), "max_connections": max_connections}
    match topology(url):
        case Cluster(places, common):
            given = _cluster_options(_ASYNC, common, options | _bounds(timeout * _SHARE))
            _check(given)
            nodes = [AsyncClusterNode(*place) for place in places]
            return BoundedCluster(timeout, given | {"startup_nodes": nodes})
        case Server() | Sentinels() as where:
            client = cast(BoundedRedis, _over_pool(_ASYNC, where, options, timeout))
            client.patience = timeout
            return client
        case never:
            assert_never(never)


def connect_blocking(url: str, *, max_connections: int = 50, timeout: float = 1.0, **options: Any) -> BlockingClient:
    """Make a client for threads; all else as for `connect`.

    Here `timeout` bounds one by one the wait for a free connection, for a new one, and for an answer. A client of a
    Cluster asks it at once for its servers, and raises RedisError or RedisClusterException if none of them answers.
    """
    options |= _bounds(timeout) | {"retry": _BLOCKING.retry(), "max_connections": max_connections}
    match topology(url):
        case Cluster(places, common):
            given = _cluster_options(_BLOCKING, common, options)
            _check(given)
            nodes = [ClusterNode(*place) for place in places]  # type: ignore[no-untyped-call]
            pool = functools.partial(redis.BlockingConnectionPool, timeout=timeout)
            return redis.RedisCluster(startup_nodes=nodes, connection_pool_class=pool, **given)
        case Server() | Sentinels() as where:
            return cast(redis.Redis, _over_pool(_BLOCKING, where, options, timeout))
        case never:
            assert_never(never)


def alike(client: AsyncClient, seconds: float) -> AsyncClient:
    """Make a client of one connection like `client`, that waits so many seconds longer for an answer."""
    if isinstance(client, BoundedCluster):
        longer = {"max_connections": 1, "socket_timeout": client.options["socket_timeout"] + seconds}
        return BoundedCluster(client.patience + seconds, {**client.options, **longer})
    shared = cast(redis.asyncio.Redis, client).connection_pool
    options = {**shared.connection_kwargs}
    if options.get("socket_timeout") is not None:
        options["socket_timeout"] += seconds
    pool = redis.asyncio.ConnectionPool(connection_class=shared.connection_class, max_connections=1, **options)
    return redis.asyncio.Redis.from_pool(pool)


def is_cluster(client: object) -> bool:
    """Tell whether a client of either kind is one of a Cluster."""
    return isinstance(client, redis.asyncio.RedisCluster | redis.RedisCluster)


def _over_pool(kind: _Kind, where: Server | Sentinels, options: dict[str, Any], timeout: float) -> Any:
    match where:
        case Server(url):
            pool = kind.pool(url, timeout=timeout, **options)
        case Sentinels():
            pool = _sentinel_pool(kind, where, options, timeout)
        case never:
            assert_never(never)
    _check(pool.connection_kwargs, pool.connection_class)
    return kind.client(pool)


def _sentinel_pool(kind: _Kind, where: Sentinels, options: dict[str, Any], timeout: float) -> Any:
    given = _common(kind, where.url)
    each = _bounds(timeout / len(where.places))  # they are asked one after the other
    transport = {name: value for name, value in given.items() if name == "ssl" or name.startswith("ssl_")}
    own = {**each, **transport, **dict(where.login), "retry": kind.retry()}
    sentinels = kind.sentinels(where.places, sentinel_kwargs=own)
    return kind.sentinel_pool(where.service, sentinels, **{"timeout": timeout, **options, **given})


def _cluster_options(kind: _Kind, url: str, options: dict[str, Any]) -> dict[str, Any]:
    given = {**_common(kind, url), **options}
    given.pop("db")  # is 0
    return given


def _common(kind: _Kind, url: str) -> dict[str, Any]:
    """Read from a URL what all servers have in common."""
    options = dict(kind.parse(url))
    del options["host"]
    return options | ({"ssl": True} if options.pop("connection_class", None) is kind.tls else {})


def _bounds(timeout: float) -> dict[str, Any]:
    return {"socket_timeout": timeout, "socket_connect_timeout": timeout, "protocol": 2}  # 3 costs each one a HELLO


def _check(options: Mapping[str, Any], connection: Callable[..., Any] | None = None) -> None:
    """Find an option that no connection has now, rather than at the first request."""
    plain = {name: value for name, value in options.items() if name not in ("ssl", "max_connections")}
    make = connection or (redis.asyncio.SSLConnection if "ssl" in options else redis.asyncio.Connection)
    try:
        make(**plain)
    except TypeError as error:
        raise ValueError(f"has an option that a connection does not have: {error}") from None
