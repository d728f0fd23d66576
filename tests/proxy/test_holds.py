"""What is known of Jira's limits, in one process and among several."""

import asyncio

import pytest

from policies.throttle import LONGEST
from proxy.holds import Holds
from proxy.stores.memory import MemoryStore
from tests.clocks import Clock


@pytest.fixture
def clock():
    return Clock(1_000_000.0)


@pytest.fixture
def shelf(clock):
    return MemoryStore(max_bytes=10**6, clock=clock)


@pytest.fixture
def new_holds(shelf, clock):
    return lambda: Holds(shelf, clock, lambda: 1.0)


@pytest.fixture
def holds(new_holds):
    return new_holds()


async def test_a_hold_lasts_as_long_as_it_was_told(holds, clock):
    await holds.hold("app bot", 7.0)
    assert holds.left(["app bot", "caller alice"]) == 7.0
    assert holds.left(["caller alice"]) == 0.0
    clock.now += 7
    assert holds.left(["app bot"]) == 0.0


async def test_a_shorter_hold_does_not_end_a_longer_one(holds):
    await holds.hold("app bot", 60.0)
    await holds.hold("app bot", 1.0)
    assert holds.left(["app bot"]) == 60.0


async def test_waits_that_jira_leaves_to_us_grow_until_it_answers(holds, clock):
    for seconds in (1.0, 2.0, 4.0):
        await holds.hold("endpoint x", None)
        assert holds.left(["endpoint x"]) == seconds
        clock.now += seconds
    holds.relax(["endpoint x"])
    await holds.hold("endpoint x", None)
    assert holds.left(["endpoint x"]) == 1.0


async def test_calls_that_are_refused_together_count_once(new_holds, shelf, monkeypatch):
    get = shelf.get

    async def get_by_and_by(name):
        await asyncio.sleep(0)
        return await get(name)

    monkeypatch.setattr(shelf, "get", get_by_and_by)
    holds = new_holds()
    await asyncio.gather(*(holds.hold("endpoint x", None) for _ in range(50)))
    assert holds.left(["endpoint x"]) == 1.0


async def test_what_one_process_was_told_the_others_know_within_a_second(new_holds, clock):
    one, other = new_holds(), new_holds()
    await other.learn()
    await one.hold("app bot", 60.0)
    await other.learn()  # just asked
    assert other.left(["app bot"]) == 0.0
    clock.now += 1
    await other.learn()
    assert other.left(["app bot"]) == 59.0


async def test_what_several_processes_were_told_adds_up(new_holds):
    one, other, third = new_holds(), new_holds(), new_holds()
    await one.hold("app bot", 60.0)
    await other.hold("caller alice", 30.0)
    await third.learn()
    assert (third.left(["app bot"]), third.left(["caller alice"])) == (60.0, 30.0)


async def test_a_clock_that_is_wrong_by_years_holds_nobody_for_years(new_holds, clock, shelf):
    await shelf.put("holds", b'{"app bot": 9e12}', 60.0)
    holds = new_holds()
    await holds.learn()
    assert holds.left(["app bot"]) == LONGEST


@pytest.mark.parametrize("left", [b"", b"nonsense", b"[]", b'{"app bot": "soon"}', b"7", b"null"])
async def test_what_cannot_be_read_is_nothing(holds, shelf, left):
    await shelf.put("holds", left, 60.0)
    await holds.learn()
    assert holds.left(["app bot"]) == 0.0


async def test_of_very_many_holds_the_longest_are_kept(holds):
    for number in range(1500):
        holds._take_in({f"caller {number}": 1_000_001.0 + number})
    assert len(holds._until) == 1000
    assert holds.left(["caller 0"]) == 0.0
    assert holds.left(["caller 1499"]) == 1500.0


async def test_it_tells_how_long_but_not_of_whom(holds):
    await holds.hold("caller alice", 5.0)
    await holds.hold("caller bob", 9.0)
    await holds.hold("issue issue:PROJ-1", 2.0)
    assert holds.longest() == {"caller": 9.0, "issue": 2.0}
