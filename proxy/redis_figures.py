"""What the proxy's Redis says of itself, for the metrics: its memory, its evictions and how its look-ups fare.

The figures are the whole server's, for whoever else uses it too: where it evicts, the proxy's answers go as well. Of a
Cluster they are those of all its masters together.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import redis.asyncio
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from redis.exceptions import RedisClusterException, RedisError

from proxy.stores.clients import AsyncClient

_FIGURES: Mapping[str, tuple[type[CounterMetricFamily | GaugeMetricFamily], str, str]] = MappingProxyType({
    "used_memory": (GaugeMetricFamily, "jira_cache_redis_memory_bytes", "Memory that Redis uses."),
    "evicted_keys": (CounterMetricFamily, "jira_cache_redis_evictions", "Keys that had to make room for others."),
    "keyspace_hits": (CounterMetricFamily, "jira_cache_redis_hits", "Look-ups in Redis that found something."),
    "keyspace_misses": (CounterMetricFamily, "jira_cache_redis_misses", "Look-ups in Redis that found nothing."),
})  # fmt: skip
"""What to show of INFO, by its own names."""

_ADDS_UP = (*_FIGURES, "maxmemory", "connected_clients")
"""Of what a Cluster's masters tell, the rest is alike."""

EVERY = 10.0


class RedisFigures(Collector):
    """Shows what the last answer to INFO told; nothing where Redis did not answer."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._told: Mapping[str, Any] = {}

    @property
    def told(self) -> Mapping[str, Any]:
        """What the last answer said, by the names of INFO; empty where there was none."""
        return self._told

    async def ask(self) -> None:
        """Ask for the figures of now."""
        try:
            self._told = await self._ask()
        except (RedisError, RedisClusterException, OSError):
            self._told = {}

    async def keep_asking(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Ask again and again, so that `told` is never much older than EVERY seconds. Never ends."""
        while True:
            await self.ask()
            await sleep(EVERY)

    async def _ask(self) -> Mapping[str, Any]:
        if not isinstance(self._client, redis.asyncio.RedisCluster):
            return await self._client.info()
        await self._client.initialize()
        each = [await self._client.info(target_nodes=node) for node in self._client.get_primaries()]
        return {**each[0], **{figure: sum(told[figure] for told in each) for figure in _ADDS_UP}}

    def collect(self) -> Iterator[Metric]:
        for figure, (family, name, meaning) in _FIGURES.items():
            if figure in self._told:
                yield family(name, meaning, value=self._told[figure])
