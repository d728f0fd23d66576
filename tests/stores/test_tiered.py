"""Answers near at hand: served while what makes them old can be heard, and not a moment longer than allowed."""

import asyncio
import contextlib
import os
import signal

import pytest
import redis.asyncio

from policies.model import EVERYTHING, Fence, Live
from proxy.errors import StoreError
from proxy.stores.hearing import Hearing
from proxy.stores.near import Near
from proxy.stores.redis import RedisStore, connect
from proxy.stores.tail import IDLE
from proxy.stores.tasks import stop
from proxy.stores.tiered import Tiered

KEY = "issue:PROJ-1:abc"
UNIX = 1_700_000_000.0


class Counting(RedisStore):
    """A far store that counts the look-ups that reach it."""

    reads = 0

    async def read(self, *asked):
        self.reads += 1
        return await super().read(*asked)


class Instance(Tiered):
    """A process of its own, whose look-ups tell where their answer came from."""

    def __init__(self, url, tenant, clock, *, max_lag=1.0, **options):
        far = Counting(connect(url, timeout=2.0), tenant, **options)
        super().__init__(far, max_bytes=1_000_000, max_lag=max_lag, clock=clock, unix=lambda: UNIX)

    async def fill(self, entry, key=KEY):
        return await self.write(key, entry, (await self.read(key)).fence)

    async def is_near(self, key=KEY):
        before = self._far.reads
        return (await self.read(key)).alive and self._far.reads == before

    async def until(self, condition):
        """Let the tail run until something is so. It fails by never being so."""
        async with asyncio.timeout(5):
            while not await condition():  # noqa: ASYNC110 - what is waited for happens in Redis, which tells nobody
                await asyncio.sleep(0.002)

    async def until_heard(self):
        """Until everything that has happened so far was heard."""
        now = (await self._far.read("")).fence

        async def heard():
            self._tail.follow()
            return self._near.heard and self._near.heard == now and self._tail._is_current()

        await self.until(heard)


@pytest.fixture
async def start(redis_url, tenant, clock):
    started = []

    def start(url=redis_url, **options):
        started.append(Instance(url, tenant, clock, **options))
        return started[-1]

    yield start
    for instance in started:
        await instance.close()


@pytest.fixture
async def one(start):
    instance = start()
    await instance.until_heard()
    return instance


@pytest.fixture
async def other(start):
    instance = start()
    await instance.until_heard()
    return instance


# serving


async def test_the_first_look_up_starts_to_listen_and_goes_to_redis(start, make_entry):
    instance = start()
    assert not (await instance.read(KEY)).alive
    await instance.until_heard()
    await instance.fill(make_entry())
    assert await instance.is_near()


async def test_what_this_process_kept_and_what_it_found_is_near(one, other, make_entry):
    entry = make_entry("a")
    await one.fill(entry)
    assert await one.is_near()
    assert not await other.is_near(), "the first look-up brings it"
    assert await other.is_near()
    assert (await other.read(KEY)).entry == entry


async def test_the_fence_of_what_is_near_is_the_moment_that_was_heard(one, other, make_entry):
    await one.fill(make_entry("a"))
    heard = one._near.heard
    await other.invalidate(["unrelated"])
    found = one._near.find(KEY)
    assert found.fence in (heard, Fence(heard.incarnation, heard.stamp + 1))
    await one.until_heard()
    assert one._near.find(KEY).fence == Fence(heard.incarnation, heard.stamp + 1)


async def test_what_is_no_longer_fresh_is_not_near(one, make_entry):
    await one.fill(make_entry(stored=UNIX - 100, ttl=99.0))
    assert not await one.is_near()
    assert (await one.read(KEY)).alive


async def test_what_is_dead_on_arrival_is_not_near(one, make_entry):
    fence = (await one.read(KEY)).fence
    await one.invalidate(["a"])
    assert not await one.write(KEY, make_entry("a"), fence)
    assert not (await one.read(KEY)).alive


async def test_a_query_whose_answer_is_near_stays_registered_or_is_not_near(start, make_entry):
    instance, live = start(live_limit=1), Live("search:1", "", 60.0)
    await instance.until_heard()
    await instance.write(KEY, make_entry(live.tag), (await instance.read(KEY, live)).fence)
    assert await instance.is_near()
    await instance._far.read("other", Live("search:2", "", 60.0))
    await instance.until_heard()
    assert not (await instance.read(KEY)).alive


# changes


async def test_what_this_process_invalidates_it_does_not_serve_afterwards(one, make_entry):
    for number in range(20):
        await one.fill(make_entry("a", stored=UNIX + number))
        assert (await one.read(KEY)).alive
        await one.invalidate(["a"])
        assert not (await one.read(KEY)).alive


async def test_what_another_process_invalidates_is_heard(one, other, make_entry):
    await one.fill(make_entry("a"))
    assert await one.is_near()
    await other.invalidate(["a"])

    async def gone():
        return not (await one.read(KEY)).alive

    await one.until(gone)


async def test_a_change_wakes_the_tail_and_is_not_found_by_a_look_now_and_then(start, other, make_entry):
    one = start(max_lag=3_000.0)  # looks of its own every thousand seconds
    await one.until_heard()
    await one.fill(make_entry("a"))
    await other.invalidate(["a"])
    await one.until_heard()
    assert not (await one.read(KEY)).alive


async def test_what_is_forgotten_by_one_is_forgotten_by_all(one, other, make_entry):
    await one.fill(make_entry())
    assert await other.forget("issue:*") == 1
    assert (await other.read(KEY)).entry is None
    await one.until_heard()
    assert (await one.read(KEY)).entry is None


async def test_an_invalidation_of_an_unknown_outcome_leaves_nothing_near_until_it_is_heard(one, make_entry):
    await one.fill(make_entry("a"))
    far_invalidate = one._far.invalidate

    async def recorded_but_broken(tags, surveyed=None):
        await far_invalidate(tags, surveyed)
        raise StoreError("the answer was lost")

    one._far.invalidate = recorded_but_broken
    with pytest.raises(StoreError):
        await one.invalidate(["a"])
    assert not (await one.read(KEY)).alive


async def test_a_recorded_invalidation_stands_though_it_cannot_be_heard(one, make_entry):
    """Read your writes: what is near may not be served until the tail has heard it."""
    await one.fill(make_entry("a"))
    await stop(one._tail._task)
    one._tail._task = asyncio.get_running_loop().create_future()

    async def deaf(since):
        raise StoreError("hear: broken")

    hear, one._tail._ear.hear = one._tail._ear.hear, deaf
    await one.invalidate(["b"])
    assert not await one.is_near()
    one._tail._ear.hear = hear
    await one._tail.settle()
    assert await one.is_near()


async def test_a_hearing_that_began_before_a_change_does_not_clear_it(one, make_entry):
    """1. A hearing is asked for. 2. This process changes something. 3. The hearing, without the change, arrives."""
    await stop(one._tail._task)
    one._tail._task = asyncio.get_running_loop().create_future()
    await one.fill(make_entry("a"))
    asked, answered, hear = asyncio.Event(), asyncio.Event(), one._tail._ear.hear

    async def slow(since):
        hearing = await hear(since)
        asked.set()
        await answered.wait()
        return hearing

    one._tail._ear.hear = slow
    hearing = asyncio.create_task(one._tail._clear(one._tail._doubts + 1))
    await asked.wait()
    await one._far.invalidate(["a"])
    one._tail.doubt()
    settling = asyncio.create_task(one._tail.settle())
    await asyncio.sleep(0)
    answered.set()
    await hearing
    assert not (await one.read(KEY)).alive
    await settling
    assert not (await one.read(KEY)).alive


# deafness


async def deafen(instance):
    """Let every attempt to hear fail from now on."""

    async def deaf(*arguments):
        raise StoreError("deaf")

    instance._tail._ear.hear = instance._tail._ear.wait = deaf


async def test_who_cannot_hear_serves_nothing_near_after_max_lag(one, other, clock, make_entry):
    await one.fill(make_entry("a"))
    await deafen(one)
    clock.now += 1.0
    assert await one.is_near(), "just within"
    await other.invalidate(["a"])
    clock.now += 0.001
    assert not (await one.read(KEY)).alive


async def test_an_instance_whose_listening_connection_is_killed_listens_again(redis_server, start, make_entry):
    one, other = start(redis_server.url), start(redis_server.url)
    await one.until_heard()
    await one.fill(make_entry("a"))
    async with redis.asyncio.Redis.from_url(redis_server.url) as client:

        async def killed():
            listening = [c for c in await client.client_list() if c["cmd"].startswith("xread")]
            for connection in listening:
                await client.client_kill(connection["addr"])
            return listening

        await one.until(killed)
    await other.invalidate(["a"])
    await one.until_heard()
    assert not (await one.read(KEY)).alive


async def test_a_redis_that_hangs_ends_what_is_near_and_its_return_brings_it_back(
    redis_server, start, clock, make_entry
):
    one = start(redis_server.url)
    one._far._client.connection_pool.connection_kwargs["socket_timeout"] = 0.1
    await one.until_heard()
    await one.fill(make_entry("a"))
    os.kill(redis_server.process.pid, signal.SIGSTOP)
    try:
        assert await one.is_near()
        clock.now += 1.001
        with pytest.raises(StoreError):
            await one.read(KEY)
    finally:
        os.kill(redis_server.process.pid, signal.SIGCONT)

    async def near_again():
        with contextlib.suppress(StoreError):
            return await one.is_near()

    await one.until(near_again)


async def test_a_restarted_redis_has_another_history_and_nothing_is_near(redis_server, start, clock, make_entry):
    one = start(redis_server.url)
    await one.until_heard()
    await one.fill(make_entry("a"))
    incarnation = one._near.heard.incarnation
    await asyncio.to_thread(redis_server.stop)
    await asyncio.to_thread(redis_server.start)

    async def heard_anew():
        one._tail.follow()
        return one._near.heard.incarnation != incarnation

    await one.until(heard_anew)
    assert not (await one.read(KEY)).alive


async def test_a_stream_that_is_gone_loses_nothing(one, other, make_entry, redis_url, tenant):
    """The stream only wakes: what was missed is in the ledger."""
    await one.fill(make_entry("a"))
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        await other.invalidate(["a"])
        await client.delete(f"tenant:{tenant}:changes")
    await one.until_heard()
    assert not (await one.read(KEY)).alive


async def test_who_is_not_asked_stops_listening_and_starts_again_when_asked(start, clock, make_entry):
    one = start(max_lag=0.01)
    await one.until_heard()
    await one.fill(make_entry("a"))
    clock.now += IDLE + 1

    async def off():
        return not one._tail._is_on

    await one.until(off)
    assert not await one.is_near()
    await one.until_heard()
    assert await one.is_near()


async def test_a_failing_tail_does_not_spin(one):
    asked = 0

    async def failing(since):
        nonlocal asked
        asked += 1
        raise StoreError("deaf")

    one._tail._ear.hear = failing
    for _ in range(1000):
        await asyncio.sleep(0)
    assert asked <= 1


# what is near, without any network


def hearing(stamp, *invalidated, incarnation=1, floor=0):
    return Hearing(Fence(incarnation, stamp), floor, b"0-0", invalidated)


@pytest.fixture
def near(clock):
    near = Near(10_000, clock, lambda: UNIX)
    near.learn(hearing(5))
    return near


def test_nothing_is_near_before_anything_was_heard(clock, make_entry):
    near = Near(10_000, clock, lambda: UNIX)
    near.admit(KEY, make_entry(), Fence(1, 5))
    assert (near.find(KEY), near.heard) == (None, None)


@pytest.mark.parametrize(
    ("then", "stays"),
    [
        (hearing(6), True),
        (hearing(6, ("b", 6)), True),
        (hearing(6, ("a", 6)), False),
        (hearing(6, (EVERYTHING, 6)), False),
        (hearing(7, floor=5), True),
        (hearing(7, floor=6), False),
        (hearing(5, incarnation=2), False),
        (hearing(9, incarnation=2), False),
    ],
    ids=repr,
)
@pytest.mark.parametrize("looked_at", [False, True])
def test_what_is_heard_decides(near, make_entry, then, stays, looked_at):
    near.admit(KEY, make_entry("a"), Fence(1, 5))
    if looked_at:
        assert near.find(KEY).alive
    near.learn(then)
    assert (near.find(KEY) is not None) == stays
    assert near.heard == then.fence


def test_what_was_true_before_listening_began_is_not_known_to_be(near, make_entry):
    near.admit(KEY, make_entry("a"), Fence(1, 4))
    assert near.find(KEY) is None


def test_what_was_true_later_than_heard_is_near_with_the_older_fence(near, make_entry):
    near.admit(KEY, make_entry("a"), Fence(1, 8))
    assert near.find(KEY).fence == Fence(1, 5)
    near.learn(hearing(8, ("a", 7)))
    assert near.find(KEY).fence == Fence(1, 8)
    near.learn(hearing(9, ("a", 9)))
    assert near.find(KEY) is None


def test_a_look_up_that_returns_late_does_not_replace_what_jira_said_later(near, make_entry):
    near.admit(KEY, make_entry(body=b"new", stored=UNIX + 1), Fence(1, 5))
    near.admit(KEY, make_entry(body=b"old", stored=UNIX), Fence(1, 5))
    assert near.find(KEY).entry.body == b"new"


def test_what_is_dead_makes_room_for_whatever_comes(near, make_entry):
    near.admit(KEY, make_entry("a", stored=UNIX + 1), Fence(1, 5))
    near.learn(hearing(6, ("a", 6)))
    near.admit(KEY, make_entry("a", body=b"other", stored=UNIX), Fence(1, 6))
    assert near.find(KEY).entry.body == b"other"


def test_what_may_have_to_be_fetched_early_is_not_near(near, clock, make_entry):
    near.admit(KEY, make_entry(stored=UNIX, ttl=60, cost=1.0), Fence(1, 5))
    clock.now += 53
    assert near.find(KEY)
    clock.now += 1  # a little less than seven times its cost is left
    assert near.find(KEY) is None
    near.admit(KEY, make_entry(stored=UNIX - 54, ttl=60, cost=1.0), Fence(1, 5))
    assert near.find(KEY) is None
    near.admit(KEY, make_entry(stored=UNIX - 54, ttl=60, cost=0.1), Fence(1, 5))
    assert near.find(KEY)


def test_what_is_near_is_bounded(clock, make_entry):
    near = Near(10_000, clock, lambda: UNIX)
    near.learn(hearing(5))
    for number in range(100):
        near.admit(str(number), make_entry(body=b"x" * 1000), Fence(1, 5))
    assert near._answers.weight <= 10_000
    assert near.find("99")


async def test_states_fit_in_a_line(start, tenant):
    one = start()
    assert repr(one) == (
        f"<Tiered <Near <Lru 0 items, 0 of 1000000 bytes> None> <Tail off, behind> <RedisStore tenant:{tenant}:>>"
    )
