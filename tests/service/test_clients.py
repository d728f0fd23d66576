"""Where Redis is, and clients of it: made, shared, asked, closed."""

import asyncio

import pytest
import redis

from proxy.service import (
    AsyncCacheService,
    CacheService,
    Memory,
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

URLS = {
    "redis://localhost:6379/0": {},
    "redis://here:7000/3": {"REDIS_HOST": "here", "REDIS_PORT": "7000", "REDIS_DB": "3"},
    "redis://localhost:7000/0": {"REDIS_PORT": "7000"},
    "redis://:p%40ss%3A%2F%3F%23%25%20w@localhost:6379/0": {"REDIS_PASSWORD": "p@ss:/?#% w"},
    "rediss://elsewhere": {"REDIS_URL": "rediss://elsewhere", "REDIS_HOST": "here"},
    "redis://here:6379/0": {"REDIS_URL": "", "REDIS_HOST": "here", "REDIS_PASSWORD": ""},
}


@pytest.mark.parametrize(("url", "environ"), URLS.items(), ids=URLS.keys())
def test_the_environment_tells_where_redis_is(url, environ, monkeypatch):
    assert get_redis_url(environ) == url
    for name in ("REDIS_URL", "REDIS_HOST", "REDIS_PORT", "REDIS_PASSWORD", "REDIS_DB"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert get_redis_url() == url


@pytest.mark.parametrize("password", ["p@ss:/?#% w", "ü", "a+b", "%41", "::@@//"])
@pytest.mark.parametrize("create", [create_redis_client, create_async_redis_client])
def test_a_password_arrives_as_it_is(create, password):
    pool = create(get_redis_url({"REDIS_PASSWORD": password})).connection_pool
    assert pool.connection_kwargs["password"] == password


@pytest.mark.parametrize("create", [create_redis_client, create_async_redis_client])
def test_everything_about_a_client_is_bounded(create):
    pool = create("redis://here", 7, timeout=0.5, health_check_interval=9).connection_pool
    told = pool.connection_kwargs
    assert (pool.max_connections, pool.timeout) == (7, 0.5)
    assert (told["socket_timeout"], told["socket_connect_timeout"], told["health_check_interval"]) == (0.5, 0.5, 9)
    assert create("redis://here").connection_pool.max_connections == 50


@pytest.mark.parametrize("create", [create_redis_client, create_async_redis_client])
@pytest.mark.parametrize("url", ["memory://", "localhost:6379", "http://localhost"])
def test_a_url_that_leads_to_no_redis_is_refused(create, url):
    with pytest.raises(ValueError, match="redis://"):
        create(url)


def test_the_blocking_client_is_shared_until_it_is_closed(redis_url, monkeypatch, tenant):
    monkeypatch.setenv("REDIS_URL", redis_url)
    first = get_redis_client()
    assert get_redis_client() is get_redis_client(redis_url) is first
    assert ping_redis()
    cache = CacheService(namespace=f"tenant:{tenant}")
    cache.set("a", 1)
    close_redis_client()
    assert cache.get("a") == 1, "a service opens what it needs anew"
    assert get_redis_client() is not first
    close_redis_client()


def test_each_event_loop_has_a_client_of_its_own(redis_url, monkeypatch, tenant):
    monkeypatch.setenv("REDIS_URL", redis_url)
    cache = AsyncCacheService(namespace=f"tenant:{tenant}")

    async def use():
        assert get_async_redis_client() is get_async_redis_client(redis_url)
        assert await ping_async_redis()
        count = await cache.increment("n")
        client = get_async_redis_client()
        await close_async_redis_client()
        assert get_async_redis_client() is not client
        await close_async_redis_client()
        return count

    assert [asyncio.run(use()) for _ in range(2)] == [1, 2]


async def test_a_redis_that_is_not_there_does_not_answer():
    with create_redis_client("redis://127.0.0.1:1", timeout=0.2) as client:
        assert ping_redis(client) is False
    async with create_async_redis_client("redis://127.0.0.1:1", timeout=0.2) as client:
        assert await ping_async_redis(client) is False


def test_the_pool_bounds_how_many_connections_there_are(redis_url):
    with create_redis_client(redis_url, 1, timeout=0.05) as client:
        held = client.connection_pool.get_connection()
        with pytest.raises(redis.ConnectionError):
            client.ping()
        assert CacheService(client).get("a") is None
        client.connection_pool.release(held)
        assert ping_redis(client)


def test_memory_is_each_services_own_unless_it_is_given_to_several():
    one, other = CacheService(url="memory://"), CacheService(url="memory://")
    one.set("a", 1)
    assert other.get("a") is None
    shared = Memory()
    CacheService(shared).set("a", 1)
    assert CacheService(shared).get("a") == 1


def test_memory_is_bounded_and_forgets_what_was_used_longest_ago(clock):
    cache = CacheService(Memory(max_bytes=10_000, clock=clock))
    for number in range(20):
        cache.set(f"a{number}", "x" * 1000)
        cache.get("a0")
    assert cache.get("a0") == "x" * 1000
    assert cache.get("a1") is None
    stats = cache.stats()
    assert stats.evictions > 5
    assert stats.memory_bytes <= 10_000
    clock.now += 10
    assert cache.stats().eviction_rate == stats.evictions / 10


def test_memory_forgets_what_has_ended(clock):
    cache = CacheService(Memory(clock=clock))
    cache.set("a", 1, ttl=10)
    cache.set("b", 1, ttl=10, tags=["t"])
    cache.increment("n", ttl=10)
    clock.now += 9.5
    assert [cache.get_ttl(key) for key in "abn"] == [1, 1, 1]
    assert cache.increment("n", ttl=10) == 2
    clock.now += 0.5
    assert cache.get_many("abn") == {}
    assert [cache.get_ttl(key) for key in "abn"] == [-2, -2, -2]
    assert cache.increment("n") == 1
    assert cache.clear_namespace() == 1
