"""Sign-in sessions and one-time tokens."""

import asyncio

import pytest

from proxy.service import AsyncCacheService, Memory, OneTimeTokens, Sessions, StoreError, create_async_redis_client


@pytest.fixture(params=["memory", "redis"])
async def client(request, clock):
    if request.param == "memory":
        yield Memory(clock=clock)
        return
    async with create_async_redis_client(request.getfixturevalue("redis_url"), timeout=5.0) as made:
        yield made


@pytest.fixture
def cache(client, tenant):
    return AsyncCacheService(client, f"tenant:{tenant}", on_error="raise")


@pytest.fixture
def of_memory(clock):
    return AsyncCacheService(Memory(clock=clock), on_error="raise")


async def test_a_session_is_found_until_it_is_ended(cache):
    sessions = Sessions(cache)
    identifier = await sessions.begin({"user": "alice"})
    other = await sessions.begin({"user": "bob"})
    assert await sessions.find(identifier) == {"user": "alice"}
    await sessions.end(identifier)
    assert await sessions.find(identifier) is None
    assert await sessions.find(other) == {"user": "bob"}


@pytest.mark.parametrize("identifier", ["", "made up", "session", "*"])
async def test_what_is_no_session_is_not_found(cache, identifier):
    await Sessions(cache).begin("alice")
    assert await Sessions(cache).find(identifier) is None


async def test_a_session_ends_half_an_hour_after_it_was_last_seen(of_memory, clock):
    sessions = Sessions(of_memory)
    identifier = await sessions.begin("alice")
    for _ in range(3):
        clock.now += 29 * 60
        assert await sessions.find(identifier) == "alice"
    clock.now += 30 * 60
    assert await sessions.find(identifier) is None


async def test_a_token_is_good_for_one_use_however_many_try_at_once(cache):
    tokens = OneTimeTokens(cache)
    token = await tokens.issue("alice")
    told = await asyncio.gather(*(tokens.redeem(token) for _ in range(20)))
    assert sorted(told, key=str) == [*[None] * 19, "alice"]


async def test_a_token_is_good_for_a_quarter_of_an_hour(of_memory, clock):
    tokens = OneTimeTokens(of_memory)
    early, late = await tokens.issue("alice"), await tokens.issue("alice")
    clock.now += 15 * 60 - 1
    assert await tokens.redeem(early) == "alice"
    clock.now += 1
    assert await tokens.redeem(late) is None


async def test_a_token_is_no_session_and_a_session_no_token(cache):
    token, session = await OneTimeTokens(cache).issue("alice"), await Sessions(cache).begin("alice")
    assert await Sessions(cache).find(token) is None
    assert await OneTimeTokens(cache).redeem(session) is None


async def test_what_lets_somebody_in_cannot_be_read_back_from_redis(redis_url, tenant):
    async with create_async_redis_client(redis_url) as client:
        cache = AsyncCacheService(client, f"tenant:{tenant}", on_error="raise")
        secrets = [await OneTimeTokens(cache).issue("alice"), await Sessions(cache).begin("alice")]
        names = b" ".join([name async for name in client.scan_iter(f"tenant:{tenant}:*")]).decode()
        assert names.count(f"tenant:{tenant}:") == 2
        assert not any(secret in names for secret in secrets)


async def test_nobody_is_told_that_they_signed_out_while_redis_could_not_hear_of_it():
    async with create_async_redis_client("redis://127.0.0.1:1/0", timeout=0.2) as client:
        sessions = Sessions(AsyncCacheService(client, on_error="raise"))
        for operation in (sessions.begin("alice"), sessions.find("x"), sessions.end("x")):
            with pytest.raises(StoreError):
                await operation
