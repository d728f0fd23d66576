"""One trip per question, whoever asks, leaves or fails. The tests say when a trip lands; nothing waits for time."""

import asyncio

import pytest

from policies.model import Fence
from proxy.errors import UpstreamError
from proxy.flights import Flights, Landing, Missed

BEFORE, AFTER = Fence(1, 7), Fence(1, 8)


class Runway:
    """A trip whose landing the test decides on, and a count of how often one departed."""

    def __init__(self):
        self.departures = 0
        self.outcome = asyncio.get_running_loop().create_future()
        self.seal = None

    async def depart(self, seal):
        self.departures += 1
        self.seal = seal
        return await asyncio.shield(self.outcome)


async def boarded(flights, runway, fence=BEFORE, key="q"):
    task = asyncio.ensure_future(flights.board(key, fence, runway.depart))
    await settled()
    return task


async def settled():
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_hundred_equal_questions_make_one_trip():
    flights, runway = Flights(), Runway()
    tasks = [await boarded(flights, runway) for _ in range(100)]
    runway.outcome.set_result(Landing(alive=True))
    arrivals = await asyncio.gather(*tasks)
    assert runway.departures == 1
    assert [arrival.led for arrival in arrivals] == [True] + [False] * 99


async def test_different_questions_make_different_trips():
    flights, runway = Flights(), Runway()
    tasks = [await boarded(flights, runway, key=key) for key in "ab"]
    runway.outcome.set_result(Landing(alive=True))
    await asyncio.gather(*tasks)
    assert runway.departures == 2


async def test_who_asked_after_a_change_does_not_take_an_answer_fetched_before_it():
    flights, runway = Flights(), Runway()
    early, late = await boarded(flights, runway, BEFORE), await boarded(flights, runway, AFTER)
    runway.outcome.set_result(Landing(alive=False))
    assert (await early).led
    with pytest.raises(Missed):
        await late


async def test_who_asked_after_a_change_of_something_else_takes_the_answer():
    flights, runway = Flights(), Runway()
    early, late = await boarded(flights, runway, BEFORE), await boarded(flights, runway, AFTER)
    runway.outcome.set_result(Landing(alive=True))
    assert not (await late).led
    await early


async def test_who_asked_behind_the_same_fence_takes_the_answer_although_it_died_on_the_way():
    flights, runway = Flights(), Runway()
    early, beside = await boarded(flights, runway, BEFORE), await boarded(flights, runway, BEFORE)
    runway.outcome.set_result(Landing(alive=False))
    await early
    assert not (await beside).led


async def test_without_fences_nobody_can_tell_so_the_answer_must_be_alive():
    flights, runway = Flights(), Runway()
    early, late = await boarded(flights, runway, None), await boarded(flights, runway, None)
    runway.outcome.set_result(Landing(alive=False))
    await early
    with pytest.raises(Missed):
        await late


async def test_nobody_boards_a_sealed_trip():
    flights, runway = Flights(), Runway()
    early = await boarded(flights, runway, BEFORE)
    runway.seal()
    late = await boarded(flights, runway, AFTER)
    assert runway.departures == 2
    runway.outcome.set_result(Landing(alive=True))
    assert (await early).led
    assert (await late).led


async def test_a_leader_that_is_cancelled_does_not_take_the_others_down():
    flights, runway = Flights(), Runway()
    leader, follower = await boarded(flights, runway), await boarded(flights, runway)
    leader.cancel()
    await settled()
    assert leader.cancelled()
    runway.outcome.set_result(Landing(alive=True))
    assert not (await follower).led
    assert runway.departures == 1


async def test_a_trip_ends_with_its_last_passenger():
    flights, runway = Flights(), Runway()
    tasks = [await boarded(flights, runway) for _ in range(3)]
    for task in tasks:
        task.cancel()
    await settled()
    assert len(flights) == 0
    assert all(task.cancelled() for task in tasks)


async def test_who_asks_after_the_last_passenger_left_departs_anew():
    flights, runway = Flights(), Runway()
    first = await boarded(flights, runway)
    first.cancel()
    await settled()
    second = await boarded(flights, runway)
    runway.outcome.set_result(Landing(alive=True))
    assert (await second).led
    assert runway.departures == 2


async def test_a_leader_that_fails_leaves_the_others_to_try_once_more():
    flights, runway = Flights(), Runway()
    leader, follower = await boarded(flights, runway), await boarded(flights, runway)
    failure = UpstreamError("broken")
    runway.outcome.set_exception(failure)
    with pytest.raises(UpstreamError):
        await leader
    with pytest.raises(Missed) as missed:
        await follower
    assert missed.value.__cause__ is failure


async def test_a_timeout_is_everybodys_timeout():
    flights, runway = Flights(), Runway()
    tasks = [await boarded(flights, runway) for _ in range(2)]
    runway.outcome.set_exception(UpstreamError("too slow", timeout=True))
    for task in tasks:
        with pytest.raises(UpstreamError):
            await task


async def test_nothing_is_left_of_a_trip_that_landed():
    flights, runway = Flights(), Runway()
    task = await boarded(flights, runway)
    runway.outcome.set_result(Landing(alive=True))
    await task
    assert len(flights) == 0
