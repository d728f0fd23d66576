"""What is said to be held in memory is what CPython really spends on it, whatever it is."""

import gc
import os
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from policies.conditional import etag
from policies.headers import replayable
from policies.links import site
from policies.model import EVERYTHING, Entry, Fence
from policies.tags import Tags
from proxy.answers import Renderer
from proxy.stores.hearing import Hearing
from proxy.stores.memory import MemoryStore
from proxy.stores.near import Near

MANY, ROOM = 3000, 10**9
HERE = site("https://jira.corp", "http://proxy")

Keep = Callable[[str, Entry], Awaitable[object]]


def answer(number: int, size: int) -> Entry:
    """Make an answer as Jira's come in: it shares nothing with another one that is not made to be shared."""
    issue = f"issue:PROJ-{number}"
    tags = [issue, f"issue:{number}", EVERYTHING, *(f"user:JIRAUSER{user}" for user in range(16)), f"answer:{issue}"]
    headers = replayable([(f"x-{name}", f"value of {name}") for name in ("content", "cache", "vary")])
    moment, made = 1_700_000_000 + number / 7, etag(b"%d" % number)
    body, packed = os.urandom(size), Tags.of(tags)
    return Entry(200, headers, body, "gzip", made, packed, moment, 60.0, 60 + number / 9, cost=number / 3)


@contextmanager
def spent() -> Iterator[list[int]]:
    """Tell how many bytes more are spent at the end than at the beginning."""
    told: list[int] = []
    gc.collect()
    tracemalloc.start()
    try:
        yield told
        gc.collect()
        told.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()


@pytest.fixture(params=["memory", "near"])
async def holder(request, clock) -> tuple[MemoryStore | Near, Keep]:
    if request.param == "memory":
        store = MemoryStore(max_bytes=ROOM, clock=clock)
        fence = (await store.read("")).fence
        return store, lambda key, entry: store.write(key, entry, fence)
    near, fence = Near(ROOM, clock, lambda: 1_700_000_000.0), Fence(1, 1)
    near.learn(Hearing(fence, 0, b"", ()))

    async def admit(key: str, entry: Entry) -> None:
        near.admit(key, entry, fence)

    return near, admit


@pytest.mark.parametrize("size", [0, 2_700])
async def test_answers_weigh_what_they_take(holder, size):
    store, keep = holder
    with spent() as told:
        for number in range(MANY):
            await keep(f"issue:PROJ-{number}:{number:032x}", answer(number, size))
    assert len(store) == MANY
    assert store.weight == pytest.approx(told[0], rel=0.15)


def test_rendered_bodies_weigh_what_they_take():
    link = b'{"self":"https://jira.corp/rest/api/2/issue/%d"' + b" " * 9_000 + b"}"
    answers = [replace(answer(number, 0), body=link % number, coding="identity") for number in range(MANY)]
    renderer = Renderer(ROOM)
    with spent() as told:
        for each in answers:
            renderer.render(each, HERE, gzip_accepted=False)
    assert len(renderer) == MANY
    assert renderer.weight == pytest.approx(told[0], rel=0.15)
