"""Look-ups, trips, fills, changes, trims, losses and failovers in any order, over real stores.

Two promises are checked. An entry that a ledger without limits and losses would call old is never returned as alive.
And nobody's answer is older than a change that was acknowledged before they asked. Stores that are broken on purpose
show that the machine would notice.
"""

import asyncio
import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
import redis.asyncio
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from policies.model import EVERYTHING, Entry, Fence
from proxy.errors import StoreError
from proxy.stores.failopen import FailOpen
from proxy.stores.ledger import Ledger, new_incarnation
from proxy.stores.memory import MemoryStore
from proxy.stores.redis import RedisStore, connect
from proxy.stores.scripts import Script

ISSUES = 2
SHOWS = {"issue:0": (0,), "search:jql": (0, 1)}  # the issues that the answer under a key shows
LEDGER_LIMIT = 2

keys = st.sampled_from(sorted(SHOWS))
issues = st.integers(0, ISSUES - 1)
picks = st.integers(0, 5)


# The kinds of store, each with the ways in which it can lose what it knew.


class InMemory:
    """A store that loses its ledger only together with its process."""

    breaks, replicated = False, False

    def __init__(self, kind: type[MemoryStore] = MemoryStore, ledger: type[Ledger] = Ledger) -> None:
        self._new_ledger = lambda: ledger(new_incarnation(), LEDGER_LIMIT)
        self._memory = kind(max_bytes=1_000_000, clock=lambda: 0.0)
        self._memory._ledger = self._new_ledger()
        self.store = self._memory

    async def lose_ledger(self):
        self._memory._ledger = self._new_ledger()

    async def fail_over(self):
        await self.lose_ledger()

    async def close(self):
        await self.store.close()


class BreakingMemory(InMemory):
    """A fail-open wrapper around a store that can be turned off and on."""

    breaks = True

    def __init__(self, kind: type[FailOpen] = FailOpen) -> None:
        super().__init__(Breakable)
        self._now = 0.0
        self.store = kind(self._memory, clock=lambda: self._now, on_error=lambda _: None, pause=1.0)

    async def turn(self):
        self._memory.broken = not self._memory.broken
        self._now += 1.0


class Breakable(MemoryStore):
    broken = False

    def _check(self):
        if self.broken:
            raise StoreError("turned off")

    async def read(self, key, live=None):
        self._check()
        return await super().read(key, live)

    async def write(self, key, entry, fence):
        self._check()
        return await super().write(key, entry, fence)

    async def invalidate(self, tags, surveyed=None):
        self._check()
        await super().invalidate(tags, surveyed)


class InRedis:
    """A Redis whose ledger may be evicted, and that may fail over to a replica which lags behind."""

    breaks, replicated = False, True

    def __init__(self, url: str, tenant: str, kind: type[RedisStore] = RedisStore) -> None:
        self.store = kind(connect(url, timeout=5.0), tenant, ledger_limit=LEDGER_LIMIT)
        self._raw = redis.asyncio.Redis.from_url(url)
        self._ledger = f"tenant:{tenant}:ledger"
        self._replica: bytes | None = None

    async def lose_ledger(self):
        await self._raw.delete(self._ledger)

    async def copy(self):
        self._replica = await self._raw.dump(self._ledger)

    async def fail_over(self):
        await self.lose_ledger()
        if self._replica:
            await self._raw.restore(self._ledger, 0, self._replica, replace=True)
            await self._raw.zadd(self._ledger, {b"\xffrun": -12345})

    async def close(self):
        await self._raw.aclose()
        await self.store.close()


# The machine.


@dataclass
class Passenger:
    must_show: list[int]  # versions acknowledged when the question was asked
    fence: Fence


@dataclass
class Trip:
    key: str
    fence: Fence
    history: int  # of the model's ledger, as is `moment`
    moment: int
    seen: list[int] | None = None  # versions in Jira's answer
    passengers: list[Passenger] = field(default_factory=list)


class Coherence(RuleBasedStateMachine):
    """Jira, its clients and a cache between them."""

    new_backend: Callable[[], InMemory | InRedis]

    def __init__(self):
        super().__init__()
        self.runner = asyncio.Runner()
        self.backend = self.run(self._make())
        self.jira, self.acknowledged = [0] * ISSUES, [0] * ISSUES
        self.unacknowledged: list[tuple[int, int]] = []
        self.trips: list[Trip] = []
        self.history, self.moment, self.changed = 0, 0, {}  # a ledger that never forgets
        self.filled: list[Trip] = []  # what each entry's etag points to

    async def _make(self):
        return self.new_backend()

    def run(self, work):
        return self.runner.run(work)

    def teardown(self):
        self.run(self.backend.close())
        self.runner.close()

    # what clients and Jira do

    @rule(key=keys)
    def somebody_asks(self, key):
        self.look_up(key, list(self.acknowledged))

    @precondition(lambda self: any(trip.seen is None for trip in self.trips))
    @rule()
    def jira_answers(self):
        for trip in self.trips:
            if trip.seen is None:
                trip.seen = list(self.jira)

    @precondition(lambda self: any(trip.seen is not None for trip in self.trips))
    @rule(pick=picks)
    def a_trip_lands(self, pick):
        returned = [trip for trip in self.trips if trip.seen is not None]
        trip = returned[pick % len(returned)]
        self.trips.remove(trip)
        self.filled.append(trip)
        entry = self.entry_of(trip, etag=str(len(self.filled) - 1))
        alive = self.run(self.backend.store.write(trip.key, entry, trip.fence))
        for passenger in trip.passengers:
            if alive or passenger.fence == trip.fence:
                self.judge(entry, passenger.must_show)
            else:
                self.look_up(trip.key, passenger.must_show)

    @rule(issue=issues)
    def an_issue_changes(self, issue):
        self.jira[issue] += 1
        self.unacknowledged.append((issue, self.jira[issue]))

    @rule(issue=issues)
    def an_issue_is_written(self, issue):
        self.an_issue_changes(issue)
        self.a_change_is_acknowledged(len(self.unacknowledged) - 1)

    @precondition(lambda self: self.unacknowledged)
    @rule(pick=picks)
    def a_change_is_acknowledged(self, pick):
        issue, version = self.unacknowledged.pop(pick % len(self.unacknowledged))
        self.invalidate({f"issue:{issue}"})
        self.acknowledged[issue] = max(self.acknowledged[issue], version)

    @rule(number=st.sampled_from([1, 2 * LEDGER_LIMIT]))
    def others_fill_the_ledger(self, number):
        self.invalidate({f"elsewhere:{n}" for n in range(number)})

    # what befalls the store

    @rule(what=st.sampled_from(["purge", "loss", "failover"]))
    def something_rare_happens(self, what):
        match what:
            case "purge":
                self.invalidate({EVERYTHING})
            case "loss":
                self.run(self.backend.lose_ledger())
                self.history += 1
            case "failover":
                self.run(self.backend.fail_over())
                self.history += 1

    @precondition(lambda self: self.backend.replicated)
    @rule()
    def the_replica_catches_up(self):
        self.run(self.backend.copy())

    @precondition(lambda self: self.backend.breaks)
    @rule()
    def the_store_breaks_or_is_mended(self):
        self.run(self.backend.turn())

    @precondition(lambda self: self.backend.breaks)
    @rule(issue=issues)
    def an_issue_is_written_during_an_outage(self, issue):
        self.run(self.backend.turn())
        self.an_issue_is_written(issue)
        self.run(self.backend.turn())

    # how it is done and judged

    def look_up(self, key, must_show):
        found = self.run(self.backend.store.read(key))
        if found.alive:
            self.check_truth(self.filled[int(found.entry.etag)], found.entry)
            self.judge(found.entry, must_show)
        elif found.fence:
            self.board(key, Passenger(must_show, found.fence))

    def board(self, key, passenger):
        trip = next((trip for trip in self.trips if trip.key == key), None)
        if trip is None:
            trip = Trip(key, passenger.fence, self.history, self.moment)
            self.trips.append(trip)
        trip.passengers.append(passenger)

    def invalidate(self, tags):
        with contextlib.suppress(StoreError):  # as in a write, whose client is answered all the same
            self.run(self.backend.store.invalidate(tags))
        self.moment += 1
        self.changed.update(dict.fromkeys(tags, self.moment))

    def entry_of(self, trip, etag):
        tags = (*(f"issue:{issue}" for issue in SHOWS[trip.key]), EVERYTHING)
        body = json.dumps(trip.seen).encode()
        return Entry(200, (), body, "identity", etag, tags, stored=0.0, ttl=60.0, keep=60.0)

    def check_truth(self, trip, entry):
        assert entry == replace(self.entry_of(trip, entry.etag)), "the entry is not what was kept"
        assert trip.history == self.history, "alive after the ledger that knew of it was lost"
        assert all(self.changed.get(tag, 0) <= trip.moment for tag in entry.tags), "alive after a tag was invalidated"

    def judge(self, entry, must_show):
        shown = SHOWS[self.filled[int(entry.etag)].key]
        seen = json.loads(entry.body)
        assert all(seen[issue] >= must_show[issue] for issue in shown), "older than an acknowledged change"


def drive(backend: Callable[[], InMemory | InRedis], examples: int, *, phases=tuple(Phase)) -> None:
    machine = type("Machine", (Coherence,), {"new_backend": staticmethod(backend)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            derandomize=True,
            database=None,
            deadline=None,
            phases=phases,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize("backend", [InMemory, BreakingMemory])
def test_no_order_of_events_makes_the_cache_lie(backend):
    drive(backend, 200)


def test_no_order_of_events_makes_a_cache_in_redis_lie(redis_url, new_tenant):
    drive(lambda: InRedis(redis_url, new_tenant()), 60)


# Broken on purpose.


class StampsAtStoreTime:
    async def write(self, key, entry, fence):
        return await super().write(key, entry, (await self.read(key)).fence)


class DoesNotCheckLandings:
    async def write(self, key, entry, fence):
        await super().write(key, entry, fence)
        return True


class IgnoresIncarnations(Ledger):
    def is_true(self, fence, tags):
        return super().is_true(Fence(self.fence.incarnation, fence.stamp), tags)


class TrimsWithoutAFloor(Ledger):
    def _trim(self):
        super()._trim()
        self._floor = 0


class ForgetsItsDebts(FailOpen):
    async def _pay(self):
        self._paid = self._owed


def memory(*mixins: type, ledger: type[Ledger] = Ledger) -> Callable[[], InMemory]:
    return lambda: InMemory(type("Broken", (*mixins, MemoryStore), {}), ledger)


BROKEN_IN_MEMORY = {
    "stamp taken at store time": memory(StampsAtStoreTime),
    "no check at landing": memory(DoesNotCheckLandings),
    "no incarnation check": memory(ledger=IgnoresIncarnations),
    "trimming without a floor": memory(ledger=TrimsWithoutAFloor),
    "debts forgotten": lambda: BreakingMemory(ForgetsItsDebts),
}


@pytest.mark.parametrize("backend", BROKEN_IN_MEMORY.values(), ids=BROKEN_IN_MEMORY)
def test_the_machine_catches_a_broken_memory_store(backend):
    with pytest.raises(AssertionError, match=r"alive after|older than"):
        drive(backend, 1000, phases=[Phase.generate])


def edited(script: str, old: str, new: str) -> type[RedisStore]:
    """Make a store in one of whose scripts `old` reads `new`."""

    class Edited(RedisStore):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            for name in (script,) if script in self._scripts else self._scripts:
                text = self._scripts[name].text
                assert text.count(old) == 1
                self._scripts[name] = Script.of(text.replace(old, new))

    return Edited


BROKEN_IN_REDIS = {
    "no incarnation check": edited("ledger", "incarnation ~= ledger.incarnation or ", ""),
    "trimming without a floor": edited("ledger", "set_special(FLOOR, tonumber(last[2]))", ""),
    "no look at the run id": edited("ledger", "found[4] ~= run", "false"),
    "tags not looked at": edited("ledger", "tonumber(invalidated) > stamp", "false"),
}


@pytest.mark.parametrize("kind", BROKEN_IN_REDIS.values(), ids=BROKEN_IN_REDIS)
def test_the_machine_catches_a_broken_redis_store(redis_url, new_tenant, kind):
    with pytest.raises(AssertionError, match=r"alive after|older than"):
        drive(lambda: InRedis(redis_url, new_tenant(), kind), 1000, phases=[Phase.generate])
