"""What only a real Redis shows: trips, expiry, sharing, failing."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor

import fakeredis
import pytest
import redis
import redis.asyncio

from proxy.library.keys import Keys
from proxy.library.scripts import script
from proxy.service import (
    AsyncCacheService,
    CacheService,
    StoreError,
    create_async_redis_client,
    create_redis_client,
)
from proxy.stores.redis import RedisStore


@pytest.fixture
def blocking(redis_url):
    client = create_redis_client(redis_url, timeout=5.0)
    yield client
    client.close()


@pytest.fixture
async def asynchronous(redis_url):
    client = create_async_redis_client(redis_url, timeout=5.0)
    yield client
    await client.aclose()


@pytest.fixture
def namespace(tenant):
    return f"tenant:{tenant}"


@pytest.fixture
def cache(blocking, namespace):
    return CacheService(blocking, namespace)


@pytest.fixture
def async_cache(asynchronous, namespace):
    return AsyncCacheService(asynchronous, namespace)


@pytest.fixture
def sent(monkeypatch):
    """What connections of either kind send; each element is one trip."""
    trips = []
    blocking = redis.connection.AbstractConnection.send_packed_command
    awaiting = redis.asyncio.connection.AbstractConnection.send_packed_command

    def send(self, command, *args, **kwargs):
        trips.append(command)
        return blocking(self, command, *args, **kwargs)

    async def send_async(self, command, *args, **kwargs):
        trips.append(command)
        return await awaiting(self, command, *args, **kwargs)

    monkeypatch.setattr(redis.connection.AbstractConnection, "send_packed_command", send)
    monkeypatch.setattr(redis.asyncio.connection.AbstractConnection, "send_packed_command", send_async)
    return trips


# trips

MANY = {f"issue:{number}": {"n": number} for number in range(1000)}

BATCHES = {
    "set_many": (lambda cache: cache.set_many(MANY, 60), 1),
    "set_many with tags": (lambda cache: cache.set_many(MANY, 60, ["t"]), 1),
    "get_many": (lambda cache: cache.get_many(MANY), 1),
    "delete_many": (lambda cache: cache.delete_many(MANY), 1),
    "increment with ttl": (lambda cache: cache.increment("n", ttl=60), 1),
    "set_many of nothing": (lambda cache: cache.set_many({}), 0),
    "get_many of nothing": (lambda cache: cache.get_many([]), 0),
    "delete_many of nothing": (lambda cache: cache.delete_many([]), 0),
    "invalidate nothing": (lambda cache: cache.invalidate([]), 0),
    "set": (lambda cache: cache.set("a", 1), 1),
    "get": (lambda cache: cache.get("a"), 1),
    "get_ttl": (lambda cache: cache.get_ttl("a"), 1),
    "invalidate": (lambda cache: cache.invalidate(["t"]), 1),
}


@pytest.mark.parametrize(("batch", "trips"), BATCHES.values(), ids=BATCHES.keys())
async def test_how_many_trips_an_operation_costs(cache, async_cache, sent, batch, trips):
    for service in (cache, async_cache):
        for tags in ((), ("warm",)):  # connections stand, and the server knows the scripts
            done = service.set("warm", 1, tags=tags), service.invalidate(["warm"])
            [await one for one in done if asyncio.iscoroutine(one)]
        del sent[:]
        answer = batch(service)
        if asyncio.iscoroutine(answer):
            await answer
        assert len(sent) == trips


def test_values_with_tags_cost_one_look_at_the_ledger_however_many_there_are(cache, sent):
    cache.set_many(MANY, 60, ["t"])
    cache.get("issue:1")
    del sent[:]
    assert cache.get_many(MANY) == MANY
    assert len(sent) == 2


def test_keys_is_never_used_and_clearing_unlinks(cache, blocking):
    cache.set_many(MANY, 60)
    before = blocking.info("commandstats")
    assert cache.clear_namespace() == 1000
    after = blocking.info("commandstats")
    assert "cmdstat_keys" not in after
    assert after["cmdstat_unlink"]["calls"] > before.get("cmdstat_unlink", {"calls": 0})["calls"]
    assert after["cmdstat_scan"]["calls"] > before.get("cmdstat_scan", {"calls": 0})["calls"]


# what stands in Redis


def test_plain_values_are_json_under_their_namespace(cache, blocking, namespace):
    cache.set("issue:PROJ-1", {"a": ["ü"]}, ttl=90)
    cache.set("text", "x")
    cache.increment("n", 7)
    assert blocking.get(f"{namespace}:issue:PROJ-1") == '{"a":["ü"]}'.encode()
    assert blocking.get(f"{namespace}:text") == b'"x"'
    assert blocking.get(f"{namespace}:n") == b"7"
    assert 89_000 < blocking.pttl(f"{namespace}:issue:PROJ-1") <= 90_000
    assert len(blocking.keys(f"{namespace}:*")) == 3, "without tags there is no ledger"


def test_values_and_counts_expire(cache, blocking, namespace):
    cache.set("a", 1)
    cache.set("b", 1, tags=["t"])
    cache.increment("n", 5, ttl=60)
    for key in "abn":
        blocking.pexpire(f"{namespace}:{key}", 0)
    assert cache.get_many("abn") == {}
    assert [cache.get_ttl(key) for key in "abn"] == [-2, -2, -2]
    assert cache.increment("n", ttl=60) == 1


def test_the_ttl_of_a_value_is_rounded_up_so_that_what_is_there_never_has_none_left(cache):
    cache.set("a", 1, ttl=0.9)
    assert cache.get_ttl("a") == 1


async def test_both_shells_see_the_same_values(cache, async_cache):
    cache.set("a", {"x": 1})
    cache.set("b", {"x": 2}, tags=["t"])
    assert await async_cache.get_many(["a", "b"]) == {"a": {"x": 1}, "b": {"x": 2}}
    await async_cache.invalidate(["t"])
    assert cache.get_many(["a", "b"]) == {"a": {"x": 1}}


def test_a_client_that_decodes_responses_serves_as_well(redis_url, namespace):
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        cache = CacheService(client, namespace)
        cache.set("a", {"x": "ü"}, tags=["issue:ü"])
        cache.set("b", "ü")
        assert cache.get_many(["a", "b"]) == {"a": {"x": "ü"}, "b": "ü"}
        cache.invalidate(["issue:ü"])
        assert cache.get("a") is None
        assert cache.take("b") == "ü"
        assert cache.clear_namespace() == 1
        assert client.ping(), "an injected client is not closed"


def test_plain_values_need_neither_scripts_nor_info():
    cache = CacheService(fakeredis.FakeRedis(decode_responses=True), "tenant:123", 3600)
    assert cache.set("a", [1])
    assert cache.get("a") == [1]
    assert cache.increment("n") == 1
    assert cache.get_ttl("a") == 3600
    assert cache.clear_namespace() == 2


def test_an_answer_of_the_proxy_is_no_value(cache, blocking, namespace):
    blocking.hset(f"{namespace}:issue:PROJ-1:abc", "body", "x")
    assert cache.get("issue:PROJ-1:abc") is None
    assert cache.exists("issue:PROJ-1:abc") is False
    assert cache.get_ttl("issue:PROJ-1:abc") == -2
    assert cache.clear_namespace() == 1


async def test_a_flushed_ledger_kills_what_has_tags(redis_server):
    with create_redis_client(redis_server.url) as client:
        cache = CacheService(client)
        cache.set("a", 1, tags=["t"])
        client.delete("tenant:default:ledger")
        assert cache.get("a") is None
        client.script_flush()
        cache.set("a", 2, tags=["t"])
        assert cache.get("a") == 2


def test_the_ledger_is_the_proxys_own(tenant):
    store = RedisStore(redis.asyncio.Redis(), tenant)
    assert Keys(f"tenant:{tenant}").ledger == store._names
    assert script("invalidate") == store._scripts["invalidate"]


# at once


async def test_fifty_tasks_count_right(async_cache):
    await asyncio.gather(*(async_cache.increment("n", 2, ttl=60) for _ in range(500)))
    await asyncio.gather(*(async_cache.decrement("n") for _ in range(500)))
    assert await async_cache.get("n") == 500


def test_fifty_threads_count_right(cache):
    def count(_):
        for _ in range(10):
            cache.increment("n")
        return cache.get("n")

    with ThreadPoolExecutor(50) as threads:
        list(threads.map(count, range(50)))
    assert cache.get("n") == 500
    assert cache.stats().hits == 51


# failing


@pytest.fixture
def nowhere():
    with create_redis_client("redis://127.0.0.1:1/0", timeout=0.2) as client:
        yield client


MISSES = {
    "get": (lambda cache: cache.get("a"), None),
    "take": (lambda cache: cache.take("a"), None),
    "get_many": (lambda cache: cache.get_many(["a"]), {}),
    "exists": (lambda cache: cache.exists("a"), False),
    "get_ttl": (lambda cache: cache.get_ttl("a"), -2),
    "set": (lambda cache: cache.set("a", 1), False),
    "set with tags": (lambda cache: cache.set("a", 1, tags=["t"]), False),
    "set_many": (lambda cache: cache.set_many({"a": 1, "b": 2}), False),
    "delete": (lambda cache: cache.delete("a"), 0),
    "delete_many": (lambda cache: cache.delete_many(["a"]), 0),
    "increment": (lambda cache: cache.increment("a"), 0),
    "decrement": (lambda cache: cache.decrement("a"), 0),
    "expire": (lambda cache: cache.expire("a", 1), False),
    "clear_namespace": (lambda cache: cache.clear_namespace(), 0),
    "invalidate": (lambda cache: cache.invalidate(["t"]), False),
    "get_or_load": (lambda cache: cache.get_or_load("a", lambda: "loaded"), "loaded"),
    "get_or_load with tags": (lambda cache: cache.get_or_load("a", lambda: "loaded", tags=["t"]), "loaded"),
}


@pytest.mark.parametrize(("operation", "answer"), MISSES.values(), ids=MISSES.keys())
def test_where_redis_fails_nothing_is_found_and_nothing_kept(nowhere, operation, answer):
    cache = CacheService(nowhere)
    assert operation(cache) == answer
    assert type(operation(cache)) is type(answer)
    assert cache.stats().errors == 3, "twice the operation, once the stats: one attempt each"
    assert (cache.stats().evictions, cache.stats().memory_bytes) == (None, None)


@pytest.mark.parametrize("operation", [operation for operation, _ in MISSES.values()], ids=MISSES.keys())
def test_failures_are_raised_where_that_is_wanted(nowhere, operation):
    with pytest.raises(StoreError):
        operation(CacheService(nowhere, on_error="raise"))


async def test_the_shell_for_asyncio_fails_in_the_same_way():
    async with create_async_redis_client("redis://127.0.0.1:1/0", timeout=0.2) as client:
        cache = AsyncCacheService(client)

        async def load():
            return "loaded"

        assert await cache.get("a") is None
        assert await cache.set_many({"a": 1, "b": 2}) is False
        assert await cache.get_or_load("a", load, tags=["t"]) == "loaded"
        with pytest.raises(StoreError):
            await AsyncCacheService(client, on_error="raise").get("a")


def test_a_fence_of_a_redis_that_fails_keeps_nothing_later(nowhere, cache):
    fence = CacheService(nowhere).fence()
    assert cache.set("a", 1, tags=["t"], fence=fence) is False
    assert cache.get("a") is None


def test_mistakes_of_the_caller_are_raised_even_where_redis_fails(nowhere):
    with pytest.raises(TypeError, match="a: JSON"):
        CacheService(nowhere).set("a", object())
    with pytest.raises(TypeError, match="a: JSON"):
        CacheService(nowhere).get_or_load("a", object)


def test_failures_are_logged_once_a_minute(nowhere, caplog, clock):
    cache = CacheService(nowhere, clock=clock)
    with caplog.at_level(logging.WARNING, "proxy.library"):
        for _ in range(10):
            cache.get("a")
        clock.now += 59
        cache.get("a")
        assert len(caplog.records) == 1
        assert "more" not in caplog.records[0].getMessage()
        clock.now += 1
        cache.get("a")
    assert len(caplog.records) == 2
    assert "10 times more" in caplog.records[1].getMessage()
    assert cache.stats().errors == 13


def test_a_refusal_of_redis_is_a_failure_too(redis_server):
    with create_redis_client(redis_server.url) as client:
        cache = CacheService(client)
        cache.set("a", 1)
        client.config_set("maxmemory", 1)
        assert cache.set("b", 1) is False
        assert cache.get("a") == 1


def test_a_redis_that_takes_no_writes_vouches_for_nothing(redis_server):
    with create_redis_client(redis_server.url) as client:
        cache = CacheService(client)
        cache.set("a", 1, tags=["t"])
        client.config_set("min-replicas-to-write", 1)
        cache.invalidate(["t"])
        assert cache.get("a") is None
        client.config_set("min-replicas-to-write", 0)
        assert cache.get("a") == 1, "what was not recorded is the caller's to repeat"


def test_a_service_works_again_as_soon_as_redis_does(redis_server):
    with create_redis_client(redis_server.url) as client:
        cache = CacheService(client)
        cache.set("a", 1)
        redis_server.stop()
        assert cache.get("a") is None
        redis_server.start()
        assert cache.set("a", 2) is True
        assert cache.get("a") == 2
