"""What can be heard of a tenant's changes: the ledger since a fence, and the stream that says when to look."""

import asyncio

import pytest
import redis.asyncio

from policies.model import Fence, Live
from proxy.errors import StoreError
from proxy.stores.redis import RedisStore, connect

KEY = "issue:PROJ-1:abc"


@pytest.fixture
async def raw(redis_url):
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
async def new_store(redis_url, tenant):
    made = []

    def make(url=redis_url, **options):
        made.append(RedisStore(connect(url, timeout=2.0), tenant, **options))
        return made[-1]

    yield make
    for store in made:
        await store.close()


@pytest.fixture
def store(new_store):
    return new_store()


@pytest.fixture
async def ear(store):
    ear = store.ear()
    yield ear
    await ear.close()


@pytest.fixture
def stream(raw, tenant):
    async def entries():
        return [fields for _, fields in await raw.xrange(f"tenant:{tenant}:changes")]

    return entries


# the stream


async def test_an_invalidation_is_in_the_stream_with_its_stamp_and_all_tags_it_hit(store, stream):
    surveyed = (await store.survey(None)).fence
    await store.read(KEY, Live("search:1", "", 60.0))
    await store.invalidate(["issue:PROJ-1"], surveyed)
    fence = (await store.read(KEY)).fence
    assert (await stream())[-1] == {
        b"incarnation": str(fence.incarnation).encode(),
        b"stamp": str(fence.stamp).encode(),
        b"tags": b"issue:PROJ-1\nsearch:1\n",
    }


async def test_what_is_forgotten_for_a_query_is_in_the_stream_too(new_store, stream):
    store = new_store(live_limit=1)
    for number in range(2):
        await store.read(KEY, Live(f"search:{number}", "", 60.0))
    assert (await stream())[-1][b"tags"] == b"search:0\n"


async def test_a_new_history_is_in_the_stream(store, raw, tenant, stream):
    await store.invalidate(["a"])
    await raw.delete(f"tenant:{tenant}:ledger")
    fence = (await store.read(KEY)).fence
    told = (await stream())[-1]
    assert (int(told[b"incarnation"]), told[b"stamp"], told[b"tags"]) == (fence.incarnation, b"0", b"*\n")


async def test_the_stream_is_bounded(store, raw, tenant):
    for number in range(1_300):
        await store.invalidate([str(number)])
    assert 1_000 <= await raw.xlen(f"tenant:{tenant}:changes") < 1_300


async def test_something_else_in_the_streams_place_hinders_nothing(store, ear, raw, tenant, stream):
    await store.read(KEY)
    await raw.set(f"tenant:{tenant}:changes", b"rubbish")
    fence = (await ear.hear(None)).fence
    await store.invalidate(["a"])
    assert (await ear.hear(fence)).invalidated == (("a", fence.stamp + 1),)
    assert len(await stream()) == 1


# hearing


async def test_one_hears_what_was_invalidated_since_a_fence_each_tag_at_its_last_stamp(store, ear):
    await store.invalidate(["before"])
    first = await ear.hear(None)
    assert (first.fence, first.invalidated) == ((await store.read(KEY)).fence, ())
    for tags in (["a", "b\udce9"], ["c"], ["a"]):
        await store.invalidate(tags)
    heard = await ear.hear(first.fence)
    stamp = first.fence.stamp
    assert heard.invalidated == (("b\udce9", stamp + 1), ("c", stamp + 2), ("a", stamp + 3))
    assert heard.fence == Fence(first.fence.incarnation, stamp + 3)


async def test_of_another_history_one_hears_only_where_it_stands(store, ear):
    await store.invalidate(["a"])
    fence = (await store.read(KEY)).fence
    heard = await ear.hear(Fence(fence.incarnation ^ 1, 0))
    assert (heard.fence, heard.invalidated) == (fence, ())


async def test_what_the_ledger_forgot_is_heard_as_a_floor(new_store):
    store = new_store(ledger_limit=2)
    ear = store.ear()
    fence = (await ear.hear(None)).fence
    for tag in "abc":
        await store.invalidate([tag])
    heard = await ear.hear(fence)
    assert (heard.floor, heard.invalidated) == (1, (("b", 2), ("c", 3)))


async def test_a_sweep_is_heard_as_a_floor(store, ear):
    await store.forget("nothing")
    assert (await ear.hear(None)).floor == 1


async def test_waiting_ends_with_the_next_change(store, ear):
    heard = await ear.hear(None)
    waiting = asyncio.create_task(ear.wait(heard.last, 60))
    await store.invalidate(["a"])
    await asyncio.wait_for(waiting, 10)


async def test_a_change_before_the_wait_ends_it_at_once(store, ear):
    heard = await ear.hear(None)
    await store.invalidate(["a"])
    await asyncio.wait_for(ear.wait(heard.last, 60), 10)


async def test_waiting_in_silence_ends_too(ear):
    heard = await ear.hear(None)
    await ear.wait(heard.last, 0.01)


async def test_waiting_takes_no_connection_from_others(redis_url, tenant):
    store = RedisStore(connect(redis_url, max_connections=1, timeout=0.5), tenant)
    ear = store.ear()
    heard = await ear.hear(None)
    waiting = asyncio.create_task(ear.wait(heard.last, 60))
    await store.invalidate(["a"])
    await asyncio.wait_for(waiting, 10)
    await ear.close()
    await store.close()


async def test_what_cannot_be_heard_is_a_store_error_and_closing_is_silent(redis_server, new_store):
    ear = new_store(redis_server.url).ear()
    heard = await ear.hear(None)
    await ear.wait(heard.last, 0.01)
    await asyncio.to_thread(redis_server.stop)
    with pytest.raises(StoreError, match=r"^hear: "):
        await ear.hear(heard.fence)
    with pytest.raises(StoreError, match=r"^wait for changes: "):
        await ear.wait(heard.last, 0.01)
    await ear.close()
