"""One trip for a question among several processes: two clients of one Redis stand for two processes."""

import asyncio
from time import monotonic

import pytest

from proxy.errors import StoreError
from proxy.stores.redis import RedisStore, connect
from proxy.stores.wakeups import Wakeups

KEY = "issue:PROJ-1:abc"
FOREVER = 30.0


@pytest.fixture
async def processes(redis_url, tenant):
    stores = [RedisStore(connect(redis_url, timeout=2.0), tenant, claimed_for=60) for _ in range(3)]
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
    assert sorted(await asyncio.gather(*(process.claim(KEY) for process in processes))) == [False, False, True]


async def test_claims_of_other_questions_are_free(processes):
    assert await processes[0].claim(KEY)
    assert await processes[1].claim("issue:PROJ-2:abc")


@pytest.mark.usefixtures("deaf")
async def test_all_who_wait_are_woken_when_the_trip_lands(processes):
    leader, *others = processes
    await leader.claim(KEY)
    tasks = [await waiting(process) for process in (*others, *others)]
    await leader.landed(KEY)
    await asyncio.wait_for(asyncio.gather(*tasks), 5)


@pytest.mark.usefixtures("deaf")
async def test_a_landing_wakes_only_those_who_wait_for_it(processes):
    leader, other, third = processes
    await leader.claim(KEY)
    await leader.claim("issue:PROJ-2:abc")
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
    await leader.claim(KEY)
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
    await leader.claim(KEY)
    tasks = [await waiting(process) for process in others]
    assert await leader.write(KEY, make_entry("a"), (await leader.read(KEY)).fence, landing=KEY)
    await asyncio.wait_for(asyncio.gather(*tasks), 5)


async def test_a_trip_whose_answer_is_not_true_has_not_landed_with_it(processes, make_entry):
    leader, other, _ = processes
    await leader.claim(KEY)
    before = (await leader.read(KEY)).fence
    await other.invalidate(["a"])
    assert not await leader.write(KEY, make_entry("a"), before, landing=KEY)
    assert not await other.claim(KEY)
    await leader.landed(KEY)
    assert await other.claim(KEY)


async def test_a_claim_just_after_an_answer_was_brought_is_refused_so_that_one_looks_again(
    processes, raw, tenant, make_entry
):
    leader, late, third = processes
    await leader.claim(KEY)
    await leader.write(KEY, make_entry("a"), (await leader.read(KEY)).fence, landing=KEY)
    assert not await late.claim(KEY)
    await asyncio.wait_for(late.wait(KEY, FOREVER), 5)  # there is nothing to wait for
    assert 0 < await raw.pttl(f"tenant:{tenant}:claim:{KEY}") <= 1_000
    await raw.pexpire(f"tenant:{tenant}:claim:{KEY}", 0)
    assert await third.claim(KEY)


async def test_a_trip_that_brought_its_answer_elsewhere_is_seen_to_have_landed(processes, raw, tenant):
    """Under another key, say, because only the answer told whose it is."""
    leader, late, _ = processes
    await leader.claim(KEY)
    await leader.landed(KEY, brought=True)
    assert not await late.claim(KEY)
    assert 0 < await raw.pttl(f"tenant:{tenant}:claim:{KEY}") <= 1_000


async def test_a_claim_that_lapsed_wakes_those_who_wait_and_may_be_made_again(processes, raw, tenant, monkeypatch):
    leader, other, _ = processes
    monkeypatch.setattr("proxy.stores.redis.LOOK_EVERY", 0.01)
    await leader.claim(KEY)
    task = await waiting(other)
    await raw.pexpire(f"tenant:{tenant}:claim:{KEY}", 0)
    await asyncio.wait_for(task, 5)
    assert await other.claim(KEY)


async def test_a_claim_lapses_after_its_time(processes, raw, tenant):
    await processes[0].claim(KEY)
    assert 55_000 < await raw.pttl(f"tenant:{tenant}:claim:{KEY}") <= 60_000


async def test_a_late_landing_does_not_end_the_claim_of_another(processes, raw, tenant):
    late, other, third = processes
    await late.claim(KEY)
    await raw.delete(f"tenant:{tenant}:claim:{KEY}")
    await other.claim(KEY)
    await late.landed(KEY)
    assert not await third.claim(KEY)


@pytest.mark.usefixtures("deaf")
async def test_a_late_landing_does_not_wake_who_waits_for_the_trip_of_another(processes, raw, tenant):
    late, other, third = processes
    await late.claim(KEY)
    await raw.delete(f"tenant:{tenant}:claim:{KEY}")
    await other.claim(KEY)
    task = await waiting(third)
    await late.landed(KEY)
    await third.get("nothing")  # what was published before has come by then, on this machine
    assert not task.done()
    await other.landed(KEY)
    await asyncio.wait_for(task, 5)


async def test_waiting_ends_with_its_bound(processes):
    leader, other, _ = processes
    await leader.claim(KEY)
    begun = monotonic()
    await other.wait(KEY, 0.05)
    assert 0.04 < monotonic() - begun < 1.0


async def test_a_cancelled_waiter_leaves_nothing_behind_and_the_others_waiting(processes):
    leader, other, _ = processes
    await leader.claim(KEY)
    first, second = await waiting(other), await waiting(other)
    first.cancel()
    await asyncio.wait({first})
    assert not second.done()
    await leader.landed(KEY)
    await asyncio.wait_for(second, 5)
    assert not other._wakeups._waiting


async def test_a_broken_subscription_is_made_again(processes, redis_url):
    leader, other, _ = processes
    await leader.claim(KEY)
    task = await waiting(other)
    other._wakeups._listener.cancel()  # as the end of its connection would
    await asyncio.wait({other._wakeups._listener})
    again = await waiting(other)
    await leader.landed(KEY)
    await asyncio.wait_for(asyncio.gather(task, again), 5)


async def test_all_tenants_of_a_process_share_one_subscription(redis_url, new_tenant, raw):
    client = connect(redis_url, timeout=2.0)
    wakeups = Wakeups(client)
    stores = [RedisStore(client, new_tenant(), claimed_for=60, wakeups=wakeups) for _ in range(3)]
    (before,) = [count for _, count in await raw.pubsub_numsub("jira-cache:landed")]
    for store in stores:
        await store.claim(KEY)
    tasks = [await waiting(store) for store in stores]
    (after,) = [count for _, count in await raw.pubsub_numsub("jira-cache:landed")]
    assert after - before == 1
    assert repr(wakeups) == "<Wakeups on, 3 waiting>"
    await asyncio.gather(*(store.landed(KEY) for store in stores))
    await asyncio.wait_for(asyncio.gather(*tasks), 5)
    for store in stores:
        await store.close()


# claims with a look-up


@pytest.fixture
def ways(processes):
    """Count how often each process goes to Redis."""
    counts = []
    for process in processes:
        asked, execute = [], process._client.execute_command

        def going(*command, _asked=asked, _execute=execute, **options):
            _asked.append(command[0])
            return _execute(*command, **options)

        process._client.execute_command = going
        counts.append(asked)
    return counts


@pytest.fixture
def patient(monkeypatch):
    """Nobody gives up what was claimed ahead."""
    monkeypatch.setattr("proxy.stores.ahead.KEPT", FOREVER)


@pytest.mark.usefixtures("patient")
async def test_a_look_up_that_finds_nothing_claims_the_trip(processes, ways, raw, tenant):
    leader, other, _ = processes
    await leader.read(KEY, claim=KEY)
    ways[0].clear()
    assert not await other.claim(KEY)
    assert await leader.claim(KEY)
    assert ways[0] == []
    assert 55_000 < await raw.pttl(f"tenant:{tenant}:claim:{KEY}") <= 60_000


@pytest.mark.usefixtures("patient")
async def test_what_was_claimed_with_a_look_up_is_had_once(processes):
    leader, *_ = processes
    await leader.read(KEY, claim=KEY)
    assert await leader.claim(KEY)
    assert not await leader.claim(KEY)
    await leader.landed(KEY)
    assert await leader.claim(KEY)


@pytest.mark.usefixtures("patient")
async def test_a_look_up_does_not_claim_what_another_process_has(processes):
    leader, other, _ = processes
    await leader.claim(KEY)
    await other.read(KEY, claim=KEY)
    assert not await other.claim(KEY)
    await leader.landed(KEY)
    assert await other.claim(KEY)


@pytest.mark.usefixtures("patient")
async def test_a_look_up_does_not_claim_where_a_trip_has_just_landed(processes):
    leader, other, _ = processes
    await leader.claim(KEY)
    await leader.landed(KEY, brought=True)
    await other.read(KEY, claim=KEY)
    assert not await other.claim(KEY)


@pytest.mark.usefixtures("patient")
async def test_nothing_is_claimed_where_there_is_a_true_answer_and_again_where_it_is_old(processes, make_entry):
    one, other, third = processes
    await one.write(KEY, make_entry("a"), (await one.read(KEY)).fence)
    assert (await one.read(KEY, claim=KEY)).alive
    assert await other.claim(KEY)
    await other.landed(KEY)
    await one.invalidate(["a"])
    assert not (await one.read(KEY, claim=KEY)).alive
    assert not await third.claim(KEY)


@pytest.mark.usefixtures("patient")
async def test_look_ups_that_go_together_claim_each_its_own_trip(processes, make_entry):
    one, other, _ = processes
    keys = [f"issue:PROJ-{number}:abc" for number in range(5)]
    large = make_entry("a", body=b"x" * 100_000)
    await one.write(keys[3], large, (await one.read(KEY)).fence)
    await asyncio.gather(*(one.read(key, claim=key if key != keys[1] else "") for key in keys))
    assert [await other.claim(key) for key in keys] == [False, True, False, True, False]
    assert [await one.claim(key) for key in (keys[0], keys[2], keys[4])] == [True] * 3


@pytest.mark.usefixtures("patient")
async def test_of_two_look_ups_at_a_time_the_one_that_is_answered_sooner_may_have_the_claim(processes, monkeypatch):
    """1. a look-up claims  2. another one leaves for the same, and is back first  3. its asker begins the trip."""
    leader, other, _ = processes
    run, held = type(leader)._run, asyncio.Event()

    async def run_late(store, script, *values, **options):
        told = await run(store, script, *values, **options)
        if not held.is_set():
            held.set()
            await release.wait()
        return told

    release = asyncio.Event()
    monkeypatch.setattr(type(leader), "_run", run_late)
    first = asyncio.create_task(leader.read(KEY, claim=KEY))
    await held.wait()
    await leader.read(KEY, claim=KEY)
    having = asyncio.create_task(leader.claim(KEY))
    assert not await other.claim(KEY)
    assert not having.done()
    release.set()
    await first
    assert await having


async def test_what_nobody_goes_for_is_given_up_soon(processes, monkeypatch):
    monkeypatch.setattr("proxy.stores.ahead.KEPT", 0.01)
    leader, other, _ = processes
    look = asyncio.create_task(leader.read(KEY, claim=KEY))
    while not leader._ahead._claims:  # noqa: ASYNC110 - it is on its way
        await asyncio.sleep(0)
    look.cancel()
    await asyncio.wait({look})
    await asyncio.wait_for(other.wait(KEY, FOREVER), 5)
    while not await other.claim(KEY):
        await asyncio.wait_for(other.wait(KEY, FOREVER), 5)
    assert repr(leader._ahead) == "<Ahead 0 claims>"


@pytest.mark.usefixtures("patient")
async def test_a_look_up_that_fails_claims_nothing(processes, monkeypatch):
    leader, *_ = processes
    run = type(leader)._run
    monkeypatch.setattr(type(leader), "_run", failing)
    with pytest.raises(StoreError):
        await leader.read(KEY, claim=KEY)
    monkeypatch.setattr(type(leader), "_run", run)
    assert await leader.claim(KEY)


async def failing(*_, **__):
    raise StoreError("turned off")


@pytest.mark.usefixtures("patient")
async def test_a_redis_without_room_is_looked_into_all_the_same(redis_server, tenant):
    """It may grant a claim, which is small and lapses, but it does not have to."""
    store = RedisStore(connect(redis_server.url, timeout=2.0), tenant, claimed_for=60)
    await store._client.config_set("maxmemory", "1")
    assert not (await store.read(KEY, claim=KEY)).alive
    await store.close()
