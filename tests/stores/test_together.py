"""Questions go together, and nobody is told what was seen before they asked."""

import asyncio

import pytest

from proxy.stores.together import MOST, TRIPS, Together

KEY = "issue:PROJ-1:abc"


class Store:
    """What is asked about: each trip takes until it is released, and sees what is there when it begins."""

    def __init__(self):
        self.holds = "old"
        self.trips = []
        self.taken = []

    async def answer(self, questions):
        seen, release = self.holds, asyncio.get_running_loop().create_future()
        self.trips.append(release)
        self.taken.append(list(questions))
        await release
        return [f"{question} {seen}" for question in questions]


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def together(store):
    return Together(store.answer)


@pytest.fixture
def ask(together):
    """Begin to ask, and come as far as that goes without the store."""

    async def begin(*questions):
        tasks = [asyncio.create_task(together.ask(question)) for question in questions or (KEY,)]
        await turns()
        return tasks

    return begin


async def turns():
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_is_asked_at_once_takes_one_trip_and_equal_questions_are_one(ask, store):
    asked = await ask("a", "b", "a", "c")
    assert store.taken == [["a", "b", "c"]]
    store.trips[0].set_result(None)
    assert await asyncio.gather(*asked) == ["a old", "b old", "a old", "c old"]


async def test_a_question_is_not_answered_by_a_trip_that_began_before_it(ask, store):
    """1. a trip sees the old state  2. a change is acknowledged  3. somebody asks  4. the trip returns."""
    [first] = await ask()
    store.holds = "new"
    [second] = await ask()
    store.trips[0].set_result(None)
    assert await first == f"{KEY} old"
    assert not second.done()
    store.trips[1].set_result(None)
    assert await second == f"{KEY} new"


async def test_when_all_trips_are_under_way_those_who_ask_share_the_next_one(ask, store):
    first = [(await ask(KEY))[0] for _ in range(TRIPS)]
    later = [(await ask(KEY, "other")) for _ in range(30)]
    store.holds = "new"
    assert len(store.trips) == TRIPS
    store.trips[0].set_result(None)
    await turns()
    assert store.taken[TRIPS:] == [[KEY, "other"]]
    for trip in store.trips[1:]:
        trip.set_result(None)
    assert await asyncio.gather(*first) == [f"{KEY} old"] * TRIPS
    for pair in later:
        assert await asyncio.gather(*pair) == [f"{KEY} new", "other new"]


async def test_a_trip_takes_only_so_many(ask, store):
    asked = await ask(*range(MOST + 1))
    assert [len(taken) for taken in store.taken] == [MOST, 1]
    for trip in store.trips:
        trip.set_result(None)
    assert (await asyncio.gather(*asked))[-1] == f"{MOST} old"


async def test_different_trips_do_not_wait_for_each_other(ask, store):
    [first], [second] = await ask("a"), await ask("b")
    store.trips[1].set_result(None)
    assert await second == "b old"
    assert not first.done()
    store.trips[0].set_result(None)
    await first


async def test_what_is_over_leaves_nothing_behind(ask, store, together):
    asked = [*await ask("a", "b"), *await ask("a")]
    assert repr(together) == "<Together 2 trips, 0 waiting>"
    for trip in store.trips:
        trip.set_result(None)
    await asyncio.gather(*asked)
    await turns()
    assert repr(together) == "<Together 0 trips, 0 waiting>"


async def test_who_leaves_does_not_take_the_others_down(ask, store):
    first, second, third = await ask(KEY, KEY, "other")
    first.cancel()
    third.cancel()
    await turns()
    store.trips[0].set_result(None)
    assert await second == f"{KEY} old"


async def test_a_failure_is_told_to_all_on_the_trip_and_to_nobody_after_them(ask, store):
    asked = await ask("a", "b")
    store.trips[0].set_exception(OSError("gone"))
    assert [type(each) for each in await asyncio.gather(*asked, return_exceptions=True)] == [OSError] * 2
    [later] = await ask("a")
    store.trips[1].set_result(None)
    assert await later == "a old"


async def test_who_waits_for_a_trip_that_is_cancelled_is_told(ask, store, together):
    asked = await ask("a", "b")
    store.trips[0].cancel()
    told = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(each) for each in told] == [asyncio.CancelledError] * 2
    await turns()
    assert repr(together) == "<Together 0 trips, 0 waiting>"
