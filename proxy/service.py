"""The cache as a library: the same store, and the same rule of what is old, as the proxy's. See docs/library.md."""

from proxy.errors import StoreError
from proxy.library.blocking import CacheService
from proxy.library.clients import (
    close_async_redis_client,
    close_redis_client,
    create_async_redis_client,
    create_redis_client,
    get_async_redis_client,
    get_redis_client,
    get_redis_url,
    ping_async_redis,
    ping_redis,
)
from proxy.library.lifetimes import default_policies
from proxy.library.memory import Memory
from proxy.library.nonblocking import AsyncCacheService
from proxy.library.sessions import OneTimeTokens, Sessions
from proxy.library.tally import Stats

__all__ = [
    "AsyncCacheService",
    "CacheService",
    "Memory",
    "OneTimeTokens",
    "Sessions",
    "Stats",
    "StoreError",
    "close_async_redis_client",
    "close_redis_client",
    "create_async_redis_client",
    "create_redis_client",
    "default_policies",
    "get_async_redis_client",
    "get_redis_client",
    "get_redis_url",
    "ping_async_redis",
    "ping_redis",
]
