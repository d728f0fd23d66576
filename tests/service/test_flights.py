"""Loads that overlap: with each other, with changes, with those who give up."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from proxy.library.flights import Flights, Landing
from proxy.service import AsyncCacheService, CacheService, Memory, create_async_redis_client


class Loader:
    """A loader for asyncio that the test holds back; `answers` are what it brings, one after the other."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.calls = 0
        self.arrived = asyncio.Event()
        self.open = asyncio.Event()

    async def __call__(self):
        self.calls += 1
        answer = self.answers.pop(0)
        self.arrived.set()
        await self.open.wait()
        if isinstance(answer, Exception):
            raise answer
        return answer


async def settle():
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
def cache():
    return AsyncCacheService(Memory())


async def begun(coroutine) -> asyncio.Task:
    task = asyncio.create_task(coroutine)
    await settle()
    return task


async def test_fifty_tasks_share_one_load(cache):
    loader = Loader({"n": 1})
    tasks = [await begun(cache.get_or_load("a", loader)) for _ in range(50)]
    loader.open.set()
    answers = await asyncio.gather(*tasks)
    assert (loader.calls, answers) == (1, [{"n": 1}] * 50)
    answers[0]["n"] = 2
    assert answers[1] == {"n": 1}, "nobody's copy is another's"


def test_fifty_threads_share_one_load():
    cache, began, open_ = CacheService(Memory()), threading.Event(), threading.Event()
    calls = []

    def load():
        calls.append(1)
        began.set()
        open_.wait(5)
        return "value"

    with ThreadPoolExecutor(50) as threads:
        first = threads.submit(cache.get_or_load, "a", load)
        began.wait(5)
        others = [threads.submit(cache.get_or_load, "a", load) for _ in range(49)]
        open_.set()
        assert {task.result(5) for task in (first, *others)} == {"value"}
    assert calls == [1]


async def test_other_keys_do_not_wait(cache):
    held, free = Loader("held"), Loader("free")
    free.open.set()
    task = await begun(cache.get_or_load("a", held))
    assert await cache.get_or_load("b", free) == "free"
    held.open.set()
    assert await task == "held"


async def test_whoever_asked_after_a_change_does_not_get_what_was_loaded_before_it(cache):
    """1. a load departs  2. something changes  3. we ask  4. the load lands: it is not for us."""
    loader = Loader("old", "new")
    early = await begun(cache.get_or_load("a", loader, tags=["t"]))
    await cache.invalidate(["t"])
    late = [await begun(cache.get_or_load("a", loader, tags=["t"])) for _ in range(10)]
    loader.open.set()
    assert await early == "old"
    assert await asyncio.gather(*late) == ["new"] * 10
    assert loader.calls == 2, "and the late ones share the next load"
    assert await cache.get("a") == "new"


async def test_whoever_asked_before_a_change_may_get_what_was_loaded_before_it(cache):
    loader = Loader("old")
    tasks = [await begun(cache.get_or_load("a", loader, tags=["t"])) for _ in range(2)]
    loader.open.set()
    assert await asyncio.gather(*tasks) == ["old", "old"]


async def test_a_leader_that_is_cancelled_does_not_take_the_others_down(cache):
    loader = Loader("first", "second")
    leader = await begun(cache.get_or_load("a", loader))
    others = [await begun(cache.get_or_load("a", loader)) for _ in range(3)]
    leader.cancel()
    await settle()
    loader.open.set()
    assert await asyncio.gather(*others) == ["second"] * 3
    assert leader.cancelled()
    assert loader.calls == 2


async def test_a_passenger_that_is_cancelled_does_not_take_the_load_down(cache):
    loader = Loader("value")
    leader = await begun(cache.get_or_load("a", loader))
    passenger = await begun(cache.get_or_load("a", loader))
    passenger.cancel()
    await settle()
    loader.open.set()
    assert await leader == "value"
    assert passenger.cancelled()


async def test_what_a_load_raises_is_raised_to_all_who_wait_and_the_next_one_loads_anew(cache):
    loader = Loader(KeyError("gone"), "value")
    tasks = [await begun(cache.get_or_load("a", loader)) for _ in range(3)]
    loader.open.set()
    assert [type(answer) for answer in await asyncio.gather(*tasks, return_exceptions=True)] == [KeyError] * 3
    assert await cache.get_or_load("a", loader) == "value"


def test_a_thread_that_is_interrupted_does_not_take_the_others_down():
    cache = CacheService(Memory())

    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.get_or_load("a", interrupted)
    assert cache.get_or_load("a", lambda: 1) == 1


def test_nobody_joins_a_load_that_has_asked_the_ledger():
    """1. the ledger says: still true  2. something changes  3. we ask  4. the load lands: it is not for us either."""
    flights = Flights()
    first, leads = flights.board("a")
    assert leads
    assert flights.board("a") == (first, False)
    flights.seal(first)
    second, leads = flights.board("a")
    assert leads
    flights.seal(first)
    assert flights.board("a") == (second, False), "an old load's end is not a new load's"
    first.landing.set_result(Landing(b"1", alive=True))


async def test_a_load_that_has_landed_is_over(cache):
    loader = Loader("first", "second")
    loader.open.set()
    assert await cache.get_or_load("a", loader) == "first"
    await cache.delete("a")
    assert await cache.get_or_load("a", loader) == "second"


async def test_where_redis_is_down_those_who_ask_still_share_one_load():
    async with create_async_redis_client("redis://127.0.0.1:1/0", timeout=0.2) as client:
        cache, loader = AsyncCacheService(client), Loader("value")
        leader = asyncio.create_task(cache.get_or_load("a", loader))
        await loader.arrived.wait()
        others = [asyncio.create_task(cache.get_or_load("a", loader)) for _ in range(10)]
        async with asyncio.timeout(5):
            while cache._operations.tally.stats({}).errors < 11:  # noqa: ASYNC110 - the failed look-ups tell that all wait
                await asyncio.sleep(0)
        loader.open.set()
        assert await asyncio.gather(leader, *others) == ["value"] * 11
        assert loader.calls == 1
