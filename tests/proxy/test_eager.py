import asyncio
from contextvars import ContextVar

import pytest

from proxy.eager import started

WORD = ContextVar("WORD", default="")


@pytest.fixture
def told():
    return []


@pytest.fixture
async def signal():
    return asyncio.get_running_loop().create_future()


async def test_what_is_started_has_come_to_its_first_wait(told, signal):
    async def work():
        told.append("begun")
        told.append(await signal)
        return "done"

    task = started(work())
    assert told == ["begun"]
    signal.set_result("gone on")
    assert await task == "done"
    assert told == ["begun", "gone on"]


async def test_it_is_the_same_task_from_its_beginning_to_its_end(told, signal):
    async def work():
        told.append(asyncio.current_task())
        await signal
        told.append(asyncio.current_task())

    starter, task = asyncio.current_task(), started(work())
    assert asyncio.current_task() is starter
    signal.set_result(None)
    await task
    assert told == [task, task]


@pytest.mark.parametrize("waits", [True, False])
async def test_its_error_is_for_who_awaits_it(waits):
    async def work():
        if waits:
            await asyncio.sleep(0)
        raise ValueError("told")

    task = started(work())
    with pytest.raises(ValueError, match="told"):
        await task


async def test_what_never_waits_is_done_all_the_same():
    async def work():
        return "done"

    assert await started(work()) == "done"


@pytest.mark.parametrize("turns", [0, 1, 2])
async def test_a_cancellation_reaches_the_work_where_it_waits(told, signal, turns):
    async def work():
        try:
            await signal
        finally:
            told.append("cleaned up")

    task = started(work())
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert told == ["cleaned up"]


async def test_what_is_over_is_not_begun_again_by_a_cancellation(told):
    async def work():
        told.append("done")

    task = started(work())
    task.cancel()
    await asyncio.wait({task})
    assert told == ["done"]


async def test_its_time_limit_ends_it_and_nobody_else(signal):
    async def work():
        async with asyncio.timeout(0.001):
            await signal

    task = started(work())
    with pytest.raises(TimeoutError):
        await task
    assert not asyncio.current_task().cancelling()


async def test_its_context_is_a_copy_and_stays_with_it(signal):
    async def work():
        WORD.set(WORD.get() + " mine")
        await signal
        return WORD.get()

    WORD.set("ours")
    task = started(work())
    assert WORD.get() == "ours"
    signal.set_result(None)
    assert await task == "ours mine"


async def test_what_it_starts_in_turn_is_a_task_of_its_own(told):
    async def inner():
        told.append(asyncio.current_task())
        await asyncio.sleep(0)

    async def work():
        task = started(inner())
        told.append(asyncio.current_task())
        await task
        return task

    outer = started(work())
    assert told == [await outer, outer]


@pytest.mark.parametrize("turns", [0, 1, 2])
async def test_a_cancellation_reaches_what_the_work_waits_for(told, turns):
    async def work():
        told.append(asyncio.create_task(asyncio.sleep(60)))
        await told[0]

    task = started(work())
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    assert (task.cancelled(), told[0].cancelled()) == (True, True)
