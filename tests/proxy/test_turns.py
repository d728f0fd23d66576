"""Turns without a Jira: who is next, and what becomes of those who leave."""

import asyncio

import pytest

from proxy.turns import Turns


class Line:
    """Callers who stand in line one after the other, and the order in which they had their turns."""

    def __init__(self, turns):
        self.turns = turns
        self.had = []
        self.tasks = {}

    async def join(self, name, **how):
        self.tasks[name] = asyncio.create_task(self._wait(name, how))
        await asyncio.sleep(0)

    async def _wait(self, name, how):
        await self.turns.take(name[0], **how)
        self.had.append(name)

    async def serve(self, times):
        for _ in range(times):
            self.turns.leave()
            await asyncio.sleep(0)


@pytest.fixture
async def line():
    turns = Turns(1)
    await turns.take("x")
    return Line(turns)


async def test_only_so_many_have_a_turn():
    turns = Turns(2)
    for _ in range(2):
        await turns.take("a")
    third = asyncio.create_task(turns.take("a"))
    await asyncio.sleep(0)
    assert (turns.taken, len(turns), third.done()) == (2, 1, False)
    turns.leave()
    await third
    assert (turns.taken, len(turns)) == (2, 0)
    turns.leave()
    turns.leave()
    assert turns.taken == 0


async def test_callers_come_in_turn_however_much_one_of_them_asks(line):
    for name in ("a1", "a2", "a3", "b1", "b2", "c1"):
        await line.join(name)
    await line.serve(6)
    assert line.had == ["a1", "b1", "c1", "a2", "b2", "a3"]


async def test_what_nobody_waits_for_comes_last(line):
    await line.join("a1", background=True)
    await line.join("b1")
    await line.join("b2")
    await line.serve(3)
    assert line.had == ["b1", "b2", "a1"]


async def test_who_leaves_the_line_loses_nobody_elses_turn(line):
    for name in ("a1", "a2", "b1"):
        await line.join(name)
    for name in ("a1", "b1"):
        line.tasks[name].cancel()
    await asyncio.gather(line.tasks["a1"], line.tasks["b1"], return_exceptions=True)
    assert len(line.turns) == 1
    await line.serve(1)
    assert line.had == ["a2"]


async def test_who_leaves_just_when_it_is_their_turn_passes_it_on(line):
    await line.join("a1")
    await line.join("b1")
    line.turns.leave()
    line.tasks["a1"].cancel()
    await line.tasks["b1"]
    assert line.had == ["b1"]
    line.turns.leave()
    assert line.turns.taken == 0
