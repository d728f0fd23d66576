"""Equal look-ups share, and nobody is told what was seen before they asked."""

import asyncio

import pytest

from proxy.stores.shared import Shared

KEY = "issue:PROJ-1:abc"


class Store:
    """What is looked at: each look takes until it is released, and sees what is there when it begins."""

    def __init__(self):
        self.holds = "old"
        self.looks = []

    async def look(self):
        seen, release = self.holds, asyncio.get_running_loop().create_future()
        self.looks.append(release)
        await release
        return seen


@pytest.fixture
def shared():
    return Shared()


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def ask(shared, store):
    """Begin to ask, and come as far as that goes without the store."""

    async def begin(what=KEY):
        task = asyncio.create_task(shared.look(what, store.look))
        await turns()
        return task

    return begin


async def turns():
    for _ in range(5):
        await asyncio.sleep(0)


async def test_those_who_ask_during_a_look_share_the_next_one(ask, store):
    first = await ask()
    later = [await ask() for _ in range(30)]
    store.holds = "new"
    store.looks[0].set_result(None)
    assert await first == "old"
    await turns()
    store.looks[1].set_result(None)
    assert await asyncio.gather(*later) == ["new"] * 30
    assert len(store.looks) == 2


async def test_a_question_is_not_answered_by_a_look_that_began_before_it(ask, store):
    """1. a look sees the old state  2. a change is acknowledged  3. somebody asks  4. the look returns."""
    first = await ask()
    store.holds = "new"
    second = await ask()
    store.looks[0].set_result(None)
    assert await first == "old"
    assert not second.done()
    store.looks[1].set_result(None)
    assert await second == "new"


async def test_different_questions_do_not_wait_for_each_other(ask, store):
    other = "issue:PROJ-2:abc"
    first, second = await ask(KEY), await ask(other)
    store.looks[1].set_result(None)
    assert await second == "old"
    assert not first.done()
    store.looks[0].set_result(None)
    await first


async def test_a_question_that_is_over_leaves_nothing_behind(ask, store, shared):
    first, second = await ask(), await ask()
    for number in range(2):
        store.looks[number].set_result(None)
        await turns()
    assert await first == await second == "old"
    assert repr(shared) == "<Shared 0 under way, 0 to follow>"


async def test_who_leaves_does_not_take_the_others_down(ask, store):
    first, second, third = await ask(), await ask(), await ask()
    first.cancel()
    second.cancel()
    await turns()
    store.looks[1].set_result(None)
    assert await third == "old"


async def test_a_failure_is_told_to_all_who_shared_the_look_and_to_nobody_after_them(ask, store):
    first, second, third = await ask(), await ask(), await ask()
    store.looks[0].set_result(None)
    await first
    await turns()
    store.looks[1].set_exception(OSError("gone"))
    assert [type(each) for each in await asyncio.gather(second, third, return_exceptions=True)] == [OSError] * 2
    fourth = await ask()
    store.looks[2].set_result(None)
    assert await fourth == "old"
