"""One trip for a question among several processes: two clients of one Redis stand for two processes."""

import asyncio
from time import monotonic

import pytest

from proxy.stores.redis import RedisStore, connect
from proxy.stores.wakeups import Wakeups

KEY = "issue:PROJ-1:abc"
FOREVER = 30.0


@pytest.fixture
async def processes(redis_url, tenant):
    stores = [RedisStore(connect(redis_url, timeout=2.0), tenant) for _ in range(3)]
    yield stores
    for store in stores:
        await store.close()


@pytest.fixture
def deaf(monkeypatch):
    """Nobody looks for itself: only what is heard wakes."""
    monkeypatch.setattr("proxy.stores.redis.LOOK_EVERY", FOREVER)


async def waiting(store, key=KEY):
    """Start to wait, and return the task when it has listened and looked and is asleep."""
    looked, get = asyncio.Event(), store._client.get

    async def look(name):
        answer = await get(name)
        looked.set()
        return answer

    store._client.get = look
    task = asyncio.create_task(store.wait(key, FOREVER))
    await looked.wait()
    return task


async def test_one_process_gets_the_claim(processes):
    assert sorted(await asyncio.gather(*(process.claim(KEY, 60) for process in processes))) == [False, False, True]


async def test_claims_of_other_questions_are_free(processes):
    assert await processes[0].claim(KEY, 60)
    assert await processes[1].claim("issue:PROJ-2:abc", 60)


@pytest.mark.usefixtures("deaf")
async def test_all_who_wait_are_woken_when_the_trip_lands(processes):
    leader, *others = processes
    await leader.claim(KEY, 60)
    tasks = [await waiting(process) for process in (*others, *others)]
    await leader.landed(KEY)
    await asyncio.wait_for(asyncio.gather(*tasks), 5)


@pytest.mark.usefixtures("deaf")
async def test_a_landing_wakes_only_those_who_wait_for_it(processes):
    leader, other, third = processes
    await leader.claim(KEY, 60)
    await leader.claim("issue:PROJ-2:abc", 60)
    one, two = await waiting(other), await waiting(third, "issue:PROJ-2:abc")
    await leader.landed(KEY)
    await asyncio.wait_for(one, 5)
    assert not two.done()
    await leader.landed("issue:PROJ-2:abc")
    await asyncio.wait_for(two, 5)


@pytest.mark.usefixtures("deaf")
async def test_a_landing_between_the_look_and_the_sleep_is_not_missed(processes):
    """The trip lands while the waiter's look, which still finds the claim, is on its way back."""
    leader, other, _ = processes
    await leader.claim(KEY, 60)
    get = other._client.get

    async def look_then_land(name):
        answer = await get(name)
        if answer:
            await leader.landed(KEY)
        return answer

    other._client.get = look_then_land
    await asyncio.wait_for(other.wait(KEY, FOREVER), 5)


@pytest.mark.usefixtures("deaf")
async def test_a_true_answer_wakes_all_who_wait_when_it_is_kept(processes, make_entry):
    leader, *others = processes
    await leader.claim(KEY, 60)
    tasks = [await waiting(process) for process in others]
    assert await leader.write(KEY, make_entry("a"), (await leader.read(KEY)).fence, landing=KEY)
    await asyncio.wait_for(asyncio.gather(*tasks), 5)


async def test_a_trip_whose_answer_is_not_true_has_not_landed_with_it(processes, make_entry):
    leader, other, _ = processes
    await leader.claim(KEY, 60)
    before = (await leader.read(KEY)).fence
    await other.invalidate(["a"])
    assert not await leader.write(KEY, make_entry("a"), before, landing=KEY)
    assert not await other.claim(KEY, 60)
    await leader.landed(KEY)
    assert await other.claim(KEY, 60)


async def test_a_claim_just_after_an_answer_was_brought_is_refused_so_that_one_looks_again(
    processes, raw, tenant, make_entry
):
    leader, late, third = processes
    await leader.claim(KEY, 60)
    await leader.write(KEY, make_entry("a"), (await leader.read(KEY)).fence, landing=KEY)
    assert not await late.claim(KEY, 60)
    await asyncio.wait_for(late.wait(KEY, FOREVER), 5)  # there is nothing to wait for
    assert 0 < await raw.pttl(f"tenant:{tenant}:claim:{KEY}") <= 1_000
    await raw.pexpire(f"tenant:{tenant}:claim:{KEY}", 0)
    assert await third.claim(KEY, 60)


async def test_a_claim_that_lapsed_wakes_those_who_wait_and_may_be_made_again(processes, raw, tenant, monkeypatch):
    leader, other, _ = processes
    monkeypatch.setattr("proxy.stores.redis.LOOK_EVERY", 0.01)
    await leader.claim(KEY, 60)
    task = await waiting(other)
    await raw.pexpire(f"tenant:{tenant}:claim:{KEY}", 0)
    await asyncio.wait_for(task, 5)
    assert await other.claim(KEY, 60)


async def test_a_claim_lapses_after_its_time(processes, raw, tenant):
    await processes[0].claim(KEY, 12.5)
    assert 11_000 < await raw.pttl(f"tenant:{tenant}:claim:{KEY}") <= 12_500


async def test_a_late_landing_does_not_end_the_claim_of_another(processes, raw, tenant):
    late, other, third = processes
    await late.claim(KEY, 60)
    await raw.delete(f"tenant:{tenant}:claim:{KEY}")
    await other.claim(KEY, 60)
    await late.landed(KEY)
    assert not await third.claim(KEY, 60)


async def test_waiting_ends_with_its_bound(processes):
    leader, other, _ = processes
    await leader.claim(KEY, 60)
    begun = monotonic()
    await other.wait(KEY, 0.05)
    assert 0.04 < monotonic() - begun < 1.0


async def test_a_cancelled_waiter_leaves_nothing_behind_and_the_others_waiting(processes):
    leader, other, _ = processes
    await leader.claim(KEY, 60)
    first, second = await waiting(other), await waiting(other)
    first.cancel()
    await asyncio.wait({first})
    assert not second.done()
    await leader.landed(KEY)
    await asyncio.wait_for(second, 5)
    assert not other._wakeups._waiting


async def test_a_broken_subscription_is_made_again(processes, redis_url):
    leader, other, _ = processes
    await leader.claim(KEY, 60)
    task = await waiting(other)
    other._wakeups._listener.cancel()  # as the end of its connection would
    await asyncio.wait({other._wakeups._listener})
    again = await waiting(other)
    await leader.landed(KEY)
    await asyncio.wait_for(asyncio.gather(task, again), 5)


async def test_all_tenants_of_a_process_share_one_subscription(redis_url, new_tenant, raw):
    client = connect(redis_url, timeout=2.0)
    wakeups = Wakeups(client)
    stores = [RedisStore(client, new_tenant(), wakeups=wakeups) for _ in range(3)]
    (before,) = [count for _, count in await raw.pubsub_numsub("jira-cache:landed")]
    for store in stores:
        await store.claim(KEY, 60)
    tasks = [await waiting(store) for store in stores]
    (after,) = [count for _, count in await raw.pubsub_numsub("jira-cache:landed")]
    assert after - before == 1
    assert repr(wakeups) == "<Wakeups on, 3 waiting>"
    await asyncio.gather(*(store.landed(KEY) for store in stores))
    await asyncio.wait_for(asyncio.gather(*tasks), 5)
    for store in stores:
        await store.close()
