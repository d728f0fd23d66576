"""A claim that was made ahead is had once, or given up."""

import asyncio

import pytest

from proxy.stores.ahead import Ahead

TRIP = "issue:PROJ-1:abc"


@pytest.fixture
def given_up():
    return []


@pytest.fixture
def ahead(given_up, monkeypatch):
    monkeypatch.setattr("proxy.stores.ahead.KEPT", 0.0)

    async def give_up(trip):
        given_up.append(trip)

    return Ahead(give_up)


async def turns():
    for _ in range(10):
        await asyncio.sleep(0)
    await asyncio.get_running_loop().run_in_executor(None, int)  # what is due by now has had its turn
    for _ in range(10):
        await asyncio.sleep(0)


async def test_what_was_granted_and_is_not_taken_is_given_up(ahead, given_up):
    ahead.end(TRIP, ahead.begin(TRIP), granted=True)
    await turns()
    assert given_up == [TRIP]
    assert not await ahead.take(TRIP)


async def test_what_was_taken_is_not_given_up_nor_taken_again(ahead, given_up):
    ahead.end(TRIP, ahead.begin(TRIP), granted=True)
    assert await ahead.take(TRIP)
    assert not await ahead.take(TRIP)
    await turns()
    assert given_up == []


async def test_what_was_taken_may_be_claimed_anew_and_that_is_another_claim(ahead, given_up):
    ahead.end(TRIP, ahead.begin(TRIP), granted=True)
    await ahead.take(TRIP)
    ahead.begin(TRIP)
    await turns()
    assert given_up == []
    assert repr(ahead) == "<Ahead 1 claims>"


async def test_what_was_refused_is_forgotten(ahead, given_up):
    ahead.end(TRIP, ahead.begin(TRIP), granted=False)
    assert not await ahead.take(TRIP)
    assert ahead.begin(TRIP) is not None
    await turns()
    assert given_up == []


async def test_one_look_up_at_a_time_claims_for_a_trip(ahead):
    assert ahead.begin(TRIP) is not None
    assert ahead.begin(TRIP) is None
    assert ahead.begin("another") is not None
    assert ahead.begin("") is None


@pytest.mark.parametrize("granted", [True, False])
async def test_who_comes_before_the_look_up_is_answered_waits_for_it(ahead, granted, monkeypatch):
    monkeypatch.setattr("proxy.stores.ahead.KEPT", 30.0)
    claim = ahead.begin(TRIP)
    first, second = (asyncio.create_task(ahead.take(TRIP)) for _ in range(2))
    await turns()
    assert not first.done()
    ahead.end(TRIP, claim, granted=granted)
    assert sorted(await asyncio.gather(first, second)) == [False, granted]


async def test_who_leaves_while_waiting_leaves_the_claim_to_be_given_up(ahead, given_up):
    claim = ahead.begin(TRIP)
    taking = asyncio.create_task(ahead.take(TRIP))
    await turns()
    taking.cancel()
    await asyncio.wait({taking})
    ahead.end(TRIP, claim, granted=True)
    await turns()
    assert given_up == [TRIP]


async def test_nothing_is_given_up_after_closing(ahead, given_up):
    ahead.end(TRIP, ahead.begin(TRIP), granted=True)
    await ahead.close()
    await turns()
    assert given_up == []
