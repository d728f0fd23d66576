"""What /metrics says of the Redis behind the proxy."""

import re

import pytest

from proxy.service import CacheService, create_redis_client

NAMES = {"memory_bytes", "evictions_total", "hits_total", "misses_total"}


@pytest.fixture
def scrape(session):
    async def read(proxy) -> dict[str, float]:
        async with session.get(f"http://{proxy.running.admin}/metrics") as response:
            assert response.status == 200
            text = await response.text()
        return {name: float(value) for name, value in re.findall(r"^jira_cache_redis_(\w+) (\S+)$", text, re.MULTILINE)}

    return read


async def test_the_metrics_show_the_memory_and_evictions_of_redis_as_of_the_scrape(new_proxy, redis_server, scrape):
    proxy = await new_proxy(store={"url": redis_server.url})
    before = await scrape(proxy)
    assert before.keys() == NAMES
    with create_redis_client(redis_server.url) as client:
        cache = CacheService(client, "tenant:other")
        cache.set_many({f"a{number}": "x" * 1000 for number in range(2000)})
        assert (await scrape(proxy))["memory_bytes"] > before["memory_bytes"] + 2_000_000
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("maxmemory", int(before["memory_bytes"]) + 500_000)
        cache.set("one more", 1)
        stats = cache.stats()
    after = await scrape(proxy)
    assert after["evictions_total"] > before["evictions_total"] == 0
    assert stats.evictions > 100
    assert stats.eviction_rate > 0


async def test_a_redis_that_does_not_answer_takes_only_its_own_figures_away(new_proxy, redis_server, scrape):
    proxy = await new_proxy(store={"url": redis_server.url})
    assert await scrape(proxy)
    redis_server.stop()
    assert await scrape(proxy) == {}


async def test_without_redis_there_are_no_figures_of_it(proxy, scrape):
    assert await scrape(proxy) == {}
