"""Whatever is remembered is bounded: a flood of what clients, webhooks or Jira can make up fills no memory.

docs/reliability.md has the table. Bounds by bytes are tested where the bytes are counted.
"""

import pytest

from policies.change import Change, Changed
from policies.jql import Issue
from policies.model import EVERYTHING, Live
from policies.names import Names
from policies.searches import LEAST
from proxy.changes import Changes
from proxy.errors import StoreError
from proxy.leases import Leases
from proxy.recent import Recent
from proxy.stores.failopen import NAMES_OWED, FailOpen
from proxy.stores.ledger import Ledger
from proxy.stores.live import Register
from proxy.stores.memory import MemoryStore
from proxy.watch import Watch
from tests.clocks import Clock

MOST = 100
FLOOD = range(3 * MOST)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(clock):
    return MemoryStore(max_bytes=10**6, clock=clock, live_limit=MOST)


def test_the_ledger_forgets_the_oldest_tags_and_makes_old_what_may_carry_them():
    ledger = Ledger(1, MOST)
    before = ledger.fence
    for number in FLOOD:
        ledger.invalidate([f"issue:P-{number}"])
    assert len(ledger._stamps) == MOST
    assert not ledger.is_true(before, ["issue:P-0"])


def test_live_queries_are_forgotten_and_told_of_so_that_they_are_made_old():
    register = Register(MOST)
    forgotten = [tag for number in FLOOD for tag in register.add(Live(f"search:{number}", "x", 60.0), number, 0.0)]
    assert len(register._queries) == MOST
    assert len(forgotten) == len(FLOOD) - MOST


def test_names_are_forgotten_both_ways():
    names = Names(MOST)
    names.learn((f"issue:{number}", f"issue:P-{number}") for number in FLOOD)
    assert len(names._id_of) == len(names._key_of) == MOST


def test_ids_of_recent_changes_are_the_latest(clock):
    recent = Recent(clock, most=MOST)
    recent.note(f"issue:{number}" for number in FLOOD)
    assert len(recent._changed) == MOST


async def test_leases_are_forgotten_by_the_process_and_kept_by_the_store_as_long_as_it_has_room(
    store, clock, monkeypatch
):
    monkeypatch.setattr("proxy.leases._REMEMBERED", MOST)
    leases = Leases(store, 300.0, clock)
    for number in FLOOD:
        await leases.renew(str(number), "account")
        await leases.find(str(number))
    assert len(leases._known) == MOST
    assert leases.live(await leases.find("0"))


async def test_names_that_have_to_be_dropped_when_the_store_is_back_are_remembered_up_to_a_bound(clock):
    class Down:
        async def drop(self, name):
            raise StoreError("down")

    store = FailOpen(Down(), clock=clock, on_error=lambda _: None)
    for number in range(NAMES_OWED + MOST):
        await store.drop(str(number))
    assert len(store._drops_owed) == NAMES_OWED


async def test_queries_that_were_read_are_forgotten_when_there_are_too_many(store, monkeypatch):
    monkeypatch.setattr("proxy.changes._ROOM", MOST * (LEAST + len("project = P0")))
    changes = Changes(store, Names(), Recent(lambda: 0.0), (), lambda *_: None)
    for number in FLOOD:
        await store.read("k", Live(f"search:{number}", f"project = P{number}", 60.0))
        await changes.record(Change(frozenset(), (Changed(None, Issue("1", "A-1", {})),)), "webhook")
        assert len(changes._reading.index) <= MOST


async def test_delays_of_webhooks_are_those_of_the_last_ones(store, clock):
    watch = Watch(store, None, clock, lambda _: None)
    for _ in range(5000):
        await watch.heard(Change(frozenset({EVERYTHING})), {"timestamp": 999_000})
    assert len(watch._delays) == 1000
