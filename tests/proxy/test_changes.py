"""From a change to what is old: what may fail or overtake on the way."""

import asyncio

import pytest

from policies.change import Change, Changed
from policies.jql import issue_view
from policies.model import EVERYTHING, Entry, Live
from policies.names import Names
from policies.tags import Tags
from proxy.changes import Changes
from proxy.errors import StoreError
from proxy.recent import Recent
from proxy.stores.memory import MemoryStore
from tests.clocks import Clock

SETTLE = (2.0, 10.0, 30.0)
DONE = issue_view({"status": {"id": "3", "name": "Done"}, "project": {"key": "PROJ"}}, id="10001", key="PROJ-1")
CREATED = Change(frozenset({"issue:10001", "issue:PROJ-1", "issues"}), (Changed(None, DONE),))
NO_MORE = Live("search:1", "status = Done", 60.0)


class Slow(MemoryStore):
    """A store whose answers to surveys come back when the test says so."""

    def __init__(self, **options):
        super().__init__(max_bytes=10**6, **options)
        self.returns: list[asyncio.Event] = []

    async def survey(self, since):
        survey = await super().survey(since)
        back = asyncio.Event()
        self.returns.append(back)
        await back.wait()
        return survey


def an_entry(live):
    return Entry(200, (), b"{}", "identity", '"e"', Tags.of((live.tag, "searches", EVERYTHING)), 0.0, 60.0, 60.0)


async def fill(store, live):
    await store.write(live.tag, an_entry(live), (await store.read(live.tag, live)).fence)


async def is_alive(store, live):
    return (await store.read(live.tag, live)).alive


@pytest.fixture
def clock():
    return Clock()


def changes_of(store, clock):
    return Changes(store, Names(), Recent(clock), SETTLE, lambda _source, _tags: None)


async def test_what_cannot_be_postponed_is_invalidated_all_the_same(clock):
    class Forgetful(MemoryStore):
        async def postpone(self, *_arguments):
            raise StoreError("postpone: broken")

    store = Forgetful(max_bytes=10**6, clock=clock)
    await fill(store, NO_MORE)
    with pytest.raises(StoreError):
        await changes_of(store, clock).record(CREATED, "webhook")
    assert not await is_alive(store, NO_MORE)


async def test_a_search_that_is_first_asked_for_after_a_change_does_not_keep_what_a_lagging_index_said(clock):
    store = MemoryStore(max_bytes=10**6, clock=clock)
    await changes_of(store, clock).record(CREATED, "webhook")
    await fill(store, NO_MORE)  # Jira's index knows nothing of the change
    clock.now += SETTLE[0]
    await store.repeat()
    assert not await is_alive(store, NO_MORE)
    await fill(store, NO_MORE)
    clock.now += SETTLE[-1]
    await store.repeat()
    await fill(store, NO_MORE)
    await store.repeat()
    assert await is_alive(store, NO_MORE)


async def test_surveys_that_overtake_each_other_lose_no_search(clock):
    """An older list of all searches must not take the place of what a later survey goes on from."""
    store = Slow(clock=clock)
    changes = changes_of(store, clock)
    early = asyncio.create_task(changes.record(CREATED, "webhook"))
    await asyncio.sleep(0)
    await store.read(NO_MORE.tag, NO_MORE)
    later = asyncio.create_task(changes.record(CREATED, "webhook"))
    await asyncio.sleep(0)
    store.returns[1].set()
    await later
    await fill(store, NO_MORE)
    last = asyncio.create_task(changes.record(CREATED, "webhook"))
    await asyncio.sleep(0)
    store.returns[0].set()
    await early
    await fill(store, NO_MORE)
    store.returns[2].set()
    await last
    assert not await is_alive(store, NO_MORE)
