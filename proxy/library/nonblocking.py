"""The cache for asyncio: CacheService, awaited."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Any, TypeVar, assert_never

from policies.model import Fence, Policy
from proxy.library.backends import AsyncMemoryBackend, AsyncRedisBackend
from proxy.library.clients import MEMORY, get_async_redis_client, get_redis_url, names_cluster
from proxy.library.driver import drive_async
from proxy.library.loads import Wanted
from proxy.library.memory import Memory
from proxy.library.operations import Operations
from proxy.library.steps import Commands, Load, Run, Step, Steps, Wait
from proxy.library.tally import Stats
from proxy.library.trouble import OnError
from proxy.stores.clients import AsyncClient, is_cluster

T = TypeVar("T")


class AsyncCacheService:
    """JSON values under `{namespace}:{key}`, for asyncio: CacheService with the same methods, to be awaited.

    One service may be used from several event loops, one after the other: each has a shared client of its own. `client`
    belongs to one loop.
    """

    def __init__(
        self,
        client: AsyncClient | Memory | None = None,
        namespace: str = "tenant:default",
        default_ttl: float | None = 3600,
        *,
        url: str | None = None,
        policies: Mapping[str, Policy] | None = None,
        on_error: OnError = "miss",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        where = url or get_redis_url()
        self._backend = _backend(client, where)
        cluster = is_cluster(client) if client is not None else names_cluster(where)
        self._operations = Operations(namespace, default_ttl, policies, on_error, clock, cluster=cluster)

    async def set(
        self, key: str, value: Any, ttl: float | None = None, tags: Collection[str] = (), *, fence: Fence | None = None
    ) -> bool:
        return await self._run(self._operations.writes.set_many({key: value}, ttl, tags, fence))

    async def set_many(
        self,
        values: Mapping[str, Any],
        ttl: float | None = None,
        tags: Collection[str] = (),
        *,
        fence: Fence | None = None,
    ) -> bool:
        return await self._run(self._operations.writes.set_many(values, ttl, tags, fence))

    async def get(self, key: str) -> Any:
        return await self._run(self._operations.reads.get(key))

    async def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        return await self._run(self._operations.reads.get_many(keys))

    async def exists(self, key: str) -> bool:
        return await self._run(self._operations.reads.exists(key))

    async def take(self, key: str) -> Any:
        return await self._run(self._operations.reads.take(key))

    async def delete(self, key: str) -> int:
        return await self._run(self._operations.writes.delete_many([key]))

    async def delete_many(self, keys: Iterable[str]) -> int:
        return await self._run(self._operations.writes.delete_many(keys))

    async def increment(self, key: str, amount: int = 1, *, ttl: float | None = None) -> int:
        return await self._run(self._operations.writes.increment(key, amount, ttl))

    async def decrement(self, key: str, amount: int = 1, *, ttl: float | None = None) -> int:
        return await self._run(self._operations.writes.increment(key, -amount, ttl))

    async def get_ttl(self, key: str) -> int:
        return await self._run(self._operations.reads.get_ttl(key))

    async def expire(self, key: str, ttl: float) -> bool:
        return await self._run(self._operations.writes.expire(key, ttl))

    async def clear_namespace(self) -> int:
        return await self._run(self._operations.writes.clear_namespace())

    async def fence(self) -> Fence:
        return await self._run(self._operations.ledger.fence())

    async def invalidate(self, tags: Collection[str]) -> bool:
        return await self._run(self._operations.ledger.invalidate(tags))

    async def get_or_load(
        self, key: str, loader: Callable[[], Awaitable[T]], ttl: float | None = None, tags: Collection[str] = ()
    ) -> T:
        value: T = await self._run(self._operations.loads.get_or_load(Wanted(key, loader, ttl, tags)))
        return value

    async def stats(self) -> Stats:
        return self._operations.tally.stats(await self._run(self._operations.reads.info()))

    async def _run(self, steps: Steps[T]) -> T:
        return await drive_async(steps, self._take)

    async def _take(self, step: Step) -> Any:
        match step:
            case Commands() | Run():
                return await self._backend.take(step)
            case Load(loader):
                return await loader()
            case Wait(landing):
                return await asyncio.shield(asyncio.wrap_future(landing))
            case never:
                assert_never(never)


def _backend(client: AsyncClient | Memory | None, url: str) -> AsyncRedisBackend | AsyncMemoryBackend:
    if client is None and url.startswith(MEMORY):
        client = Memory()
    if isinstance(client, Memory):
        return AsyncMemoryBackend(client)
    return AsyncRedisBackend(lambda: get_async_redis_client(url) if client is None else client)
