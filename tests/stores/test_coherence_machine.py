"""Look-ups, trips, fills, changes, trims, losses and failovers in any order, over real stores.

Two promises are checked. An entry that a ledger without limits and losses would call old is never returned as alive.
And nobody's answer is older than a change that was acknowledged before they asked: an issue shows at least the version
of the change, a query at least whether the issue matches it then. Stores that are broken on purpose show that the
machine would notice.
"""

import asyncio
import contextlib
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
import redis.asyncio
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from policies.model import EVERYTHING, Entry, Fence, Live
from policies.tags import Tags
from proxy.errors import StoreError
from proxy.stores.failopen import FailOpen
from proxy.stores.ledger import Ledger, new_incarnation
from proxy.stores.live import Register
from proxy.stores.memory import MemoryStore
from proxy.stores.redis import RedisStore, connect
from proxy.stores.scripts import Script
from proxy.stores.tiered import Tiered

ISSUES, QUERIES = 2, 2
LEDGER_LIMIT = 4
NEVER = Fence(-1, 0)  # of no history, so that whoever surveyed then has seen nothing

KEYS = ["issue:0", *(f"query:{query}" for query in range(QUERIES))]
RARE = ["purge", "loss", "partial loss", "failover"]

keys = st.sampled_from(KEYS)
issues = st.integers(0, ISSUES - 1)
picks = st.integers(0, 5)


def matches(query: int, issue: int, version: int) -> bool:
    """Tell whether an issue is in a query's answer: every version of it is in some and not in others."""
    return (version + query + issue) % 3 != 0


def query_of(name: str) -> int | None:
    """The number in the key or the tag of a query."""
    kind, number = name.split(":")
    return int(number) if kind == "query" else None


# The kinds of store, each with the ways in which it can lose what it knew.


class InMemory:
    """A store that loses its ledger only together with its process."""

    breaks, replicated = False, False

    def __init__(
        self, kind: type[MemoryStore] = MemoryStore, ledger: type[Ledger] = Ledger, live_limit: int = QUERIES
    ) -> None:
        self._new_ledger = lambda: ledger(new_incarnation(), LEDGER_LIMIT)
        self._live_limit = live_limit
        self._memory = kind(max_bytes=1_000_000, clock=lambda: 0.0, live_limit=live_limit)
        self._memory._ledger = self._new_ledger()
        self.store = self._memory

    async def lose_ledger(self):
        self._memory._ledger = self._new_ledger()
        self._memory._queries = Register(self._live_limit)

    async def lose_register(self):
        """Never happens: it is lost with the ledger."""

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


class Cramped(InMemory):
    """A store that forgets a query whenever it hears of another."""

    def __init__(self) -> None:
        super().__init__(live_limit=1)


class Breakable(MemoryStore):
    broken = False

    def _check(self):
        if self.broken:
            raise StoreError("turned off")

    async def read(self, key, live=None, lock=b"", claim=""):
        self._check()
        return await super().read(key, live)

    async def write(self, key, entry, fence, lock=b"", landing=""):
        self._check()
        return await super().write(key, entry, fence)

    async def invalidate(self, tags, surveyed=None):
        self._check()
        await super().invalidate(tags, surveyed)

    async def survey(self, since):
        self._check()
        return await super().survey(since)


class InRedis:
    """A Redis whose ledger may be evicted, and that may fail over to a replica which lags behind."""

    breaks, replicated = False, True

    def __init__(self, url: str, tenant: str, kind: type[RedisStore] = RedisStore) -> None:
        self.store = kind(connect(url, timeout=5.0), tenant, ledger_limit=LEDGER_LIMIT, live_limit=QUERIES)
        self._raw = redis.asyncio.Redis.from_url(url)
        self._ledger, self._live = f"tenant:{tenant}:ledger", f"tenant:{tenant}:live"
        self._replica: bytes | None = None

    async def lose_ledger(self):
        await self._raw.delete(self._ledger)

    async def lose_register(self):
        await self._raw.delete(self._live)

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


class Instance(Tiered):
    """A process with answers near, which hears what it changes itself, and of others when it is told to listen."""

    def __init__(self, far: RedisStore) -> None:
        super().__init__(far, max_bytes=1_000_000, max_lag=1.0, clock=lambda: 0.0, unix=lambda: 0.0)

    async def listen(self):
        self._tail._task = self._tail._task or asyncio.get_running_loop().create_future()  # so none is started
        await self._tail._hear()


class InFleet(InRedis):
    """Two processes over one Redis. One makes all changes and need not listen; the other listens before it looks."""

    def __init__(self, url: str, tenant: str, kind: type[Instance] = Instance) -> None:
        super().__init__(url, tenant)
        far = (RedisStore(connect(url, timeout=5.0), tenant, ledger_limit=LEDGER_LIMIT) for _ in range(2))
        self._one, self._other = map(kind, far)
        self._looks, self._far, self.store = 0, self.store, self

    async def read(self, key, live=None, lock=b""):
        self._looks += 1
        if self._looks == 1:
            await self._one.listen()
        if self._looks % 3:
            return await self._one.read(key, live)
        await self._other.listen()
        return await self._other.read(key, live)

    async def write(self, key, entry, fence, lock=b"", landing=""):
        return await (self._one if self._looks % 2 else self._other).write(key, entry, fence)

    async def invalidate(self, tags, surveyed=None):
        await self._one.invalidate(tags, surveyed)

    async def survey(self, since):
        return await self._other.survey(since)

    async def lose_ledger(self):
        await super().lose_ledger()
        await self._one.listen()

    async def fail_over(self):
        await super().fail_over()
        await self._one.listen()

    async def close(self):
        self.store = self._far
        await super().close()
        await self._one.close()
        await self._other.close()


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
        self.known: dict[str, Live] = {}  # to the evaluator, as of its last survey
        self.surveyed = NEVER

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

    @property
    def returned(self):
        return [trip for trip in self.trips if trip.seen is not None]

    @precondition(lambda self: self.returned)
    @rule(pick=picks)
    def a_trip_lands(self, pick):
        trip = self.returned[pick % len(self.returned)]
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
        self.invalidate({f"issue:{issue}", *self.affected(issue, version)}, self.surveyed)
        self.acknowledged[issue] = max(self.acknowledged[issue], version)

    @rule()
    def the_evaluator_surveys(self):
        with contextlib.suppress(StoreError):  # then it goes on with what it knows
            survey = self.run(self.backend.store.survey(self.surveyed))
            known = {live.tag: live for live in survey.searches}
            self.known = known if survey.whole else self.known | known
            self.surveyed = survey.fence

    @rule(number=st.sampled_from([1, 2 * LEDGER_LIMIT]))
    def others_fill_the_ledger(self, number):
        self.invalidate({f"elsewhere:{n}" for n in range(number)})

    # what befalls the store

    @rule(what=st.sampled_from(RARE))
    def something_rare_happens(self, what):
        match what:
            case "purge":
                self.invalidate({EVERYTHING})
            case "loss":
                self.run(self.backend.lose_ledger())
                self.history += 1
            case "partial loss":
                self.run(self.backend.lose_register())
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
        found = self.run(self.backend.store.read(key, self.live_of(key)))
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

    def live_of(self, key):
        return None if query_of(key) is None else Live(key, f"the query of {key}", 60.0)

    def affected(self, issue, version):
        before_and_after = (version - 1, version)
        return {tag for tag in self.known if any(matches(query_of(tag), issue, at) for at in before_and_after)}

    def invalidate(self, tags, surveyed=None):
        with contextlib.suppress(StoreError):  # as in a write, whose client is answered all the same
            self.run(self.backend.store.invalidate(tags, surveyed))
        self.moment += 1
        self.changed.update(dict.fromkeys(tags, self.moment))

    def entry_of(self, trip, etag):
        query = query_of(trip.key)
        shown = [
            f"issue:{issue}"
            for issue, version in enumerate(trip.seen)
            if query is None or matches(query, issue, version)
        ]
        tags = (trip.key, EVERYTHING) if query is None else (trip.key, *shown, EVERYTHING)
        body = json.dumps(trip.seen).encode()
        return Entry(200, (), body, "identity", etag, Tags.of(tags), stored=0.0, ttl=60.0, keep=60.0)

    def check_truth(self, trip, entry):
        assert entry == self.entry_of(trip, entry.etag), "the entry is not what was kept"
        assert trip.history == self.history, "alive after the ledger that knew of it was lost"
        assert all(self.changed.get(tag, 0) <= trip.moment for tag in entry.tags), "alive after a tag was invalidated"

    def judge(self, entry, must_show):
        query, seen = query_of(self.filled[int(entry.etag)].key), json.loads(entry.body)
        if query is None:
            assert seen[0] >= must_show[0], "older than an acknowledged change"
        for issue in range(ISSUES) if query is not None else ():
            wanted = any(matches(query, issue, versions[issue]) for versions in (seen, must_show))
            assert not wanted or seen[issue] >= must_show[issue], "older than an acknowledged change"


def machine_over(backend: Callable[[], InMemory | InRedis]) -> type[Coherence]:
    return type("Machine", (Coherence,), {"new_backend": staticmethod(backend)})


def drive(backend: Callable[[], InMemory | InRedis], examples: int) -> None:
    """Search for a short order of events that breaks a promise."""
    run_state_machine_as_test(
        machine_over(backend),
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


DEEDS: list[tuple[int, Callable[[Coherence, random.Random], object]]] = [
    (60, lambda machine, dice: machine.somebody_asks(key=dice.choice(KEYS))),
    (30, lambda machine, dice: machine.jira_answers()),
    (40, lambda machine, dice: machine.returned and machine.a_trip_lands(pick=dice.randrange(6))),
    (15, lambda machine, dice: machine.an_issue_changes(issue=dice.randrange(ISSUES))),
    (10, lambda machine, dice: machine.an_issue_is_written(issue=dice.randrange(ISSUES))),
    (25, lambda machine, dice: machine.unacknowledged and machine.a_change_is_acknowledged(pick=dice.randrange(6))),
    (20, lambda machine, dice: machine.the_evaluator_surveys()),
    (2, lambda machine, dice: machine.others_fill_the_ledger(number=dice.choice([1, 2 * LEDGER_LIMIT]))),
    (2, lambda machine, dice: machine.backend.replicated and machine.the_replica_catches_up()),
    (2, lambda machine, dice: machine.something_rare_happens(what=dice.choice(RARE))),
    (2, lambda machine, dice: machine.backend.breaks and machine.an_issue_is_written_during_an_outage(issue=0)),
]
"""What happens, and how often, where long histories find more than short ones."""


def wander(backend: Callable[[], InMemory | InRedis], steps: int) -> None:
    """Let things happen at random; begin anew now and then."""
    dice, (often, deeds) = random.Random(7), zip(*DEEDS, strict=True)
    for _ in range(steps // 300):
        with contextlib.ExitStack() as stack:
            machine = machine_over(backend)()
            stack.callback(machine.teardown)
            for deed in dice.choices(deeds, often, k=300):
                deed(machine, dice)


@pytest.mark.parametrize("backend", [InMemory, BreakingMemory, Cramped])
def test_no_order_of_events_makes_the_cache_lie(backend):
    drive(backend, 60)
    wander(backend, 15_000)


def test_no_order_of_events_makes_a_cache_in_redis_lie(redis_url, new_tenant):
    drive(lambda: InRedis(redis_url, new_tenant()), 20)
    wander(lambda: InRedis(redis_url, new_tenant()), 4_500)


def test_no_order_of_events_makes_what_is_near_lie(redis_url, new_tenant):
    drive(lambda: InFleet(redis_url, new_tenant()), 20)
    wander(lambda: InFleet(redis_url, new_tenant()), 4_500)


# Broken on purpose.


class RegistersLate:
    """A query becomes live when its answer is stored, not at its look-up."""

    async def read(self, key, live=None, lock=b""):
        self.lives = {**getattr(self, "lives", {}), key: live}
        return await super().read(key)

    async def write(self, key, entry, fence, lock=b"", landing=""):
        await super().read(key, self.lives[key])
        return await super().write(key, entry, fence)


class IgnoresTheSurvey:
    async def invalidate(self, tags, surveyed=None):
        await super().invalidate(tags)


class ForgetsQueriesQuietly(Register):
    def add(self, live, stamp, now):
        super().add(live, stamp, now)
        return []


class HearsNothingOfItself(Instance):
    async def invalidate(self, tags, surveyed=None):
        await self._far.invalidate(tags, surveyed)


class HearsNoFloors(Instance):
    def __init__(self, far):
        super().__init__(far)
        learn = self._near.learn
        self._near.learn = lambda hearing: learn(replace(hearing, floor=0))


class ForgetfulMemory(Cramped):
    """Forgets a query without making its answers old."""

    def __init__(self):
        super().__init__()
        self._memory._queries = ForgetsQueriesQuietly(1)


class StampsAtStoreTime:
    async def write(self, key, entry, fence, lock=b"", landing=""):
        return await super().write(key, entry, (await self.read(key)).fence)


class DoesNotCheckLandings:
    async def write(self, key, entry, fence, lock=b"", landing=""):
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
    "late registration": memory(RegistersLate),
    "the survey ignored": memory(IgnoresTheSurvey),
    "queries forgotten quietly": ForgetfulMemory,
    "debts forgotten": lambda: BreakingMemory(ForgetsItsDebts),
}


@pytest.mark.parametrize("backend", BROKEN_IN_MEMORY.values(), ids=BROKEN_IN_MEMORY)
def test_the_machine_catches_a_broken_memory_store(backend):
    with pytest.raises(AssertionError, match=r"alive after|older than"):
        wander(backend, 100_000)


def edited(script: str, old: str, new: str) -> type[RedisStore]:
    """Make a store in one of whose scripts `old` reads `new`."""

    class Edited(RedisStore):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            for name in (script,) if script in self._scripts else self._scripts:
                text = self._scripts[name].text
                assert old in text
                self._scripts[name] = Script.of(text.replace(old, new))

    return Edited


BROKEN_IN_REDIS = {
    "late registration": type("Late", (RegistersLate, RedisStore), {}),
    "the survey ignored": edited("invalidate", "ARGV[4]", "false"),
    "a lost register not noticed": edited("live", "is_whole(ledger) and ledger or begin(run_id())", "ledger"),
    "no incarnation check": edited("ledger", "incarnation ~= ledger.incarnation or ", ""),
    "trimming without a floor": edited("ledger", "set_special(FLOOR, tonumber(last[2]))", ""),
    "no look at the run id": edited("ledger", "found[4] ~= run", "false"),
    "tags not looked at": edited("ledger", "tonumber(invalidated) > stamp", "false"),
}


@pytest.mark.parametrize("kind", BROKEN_IN_REDIS.values(), ids=BROKEN_IN_REDIS)
def test_the_machine_catches_a_broken_redis_store(redis_url, new_tenant, kind):
    with pytest.raises(AssertionError, match=r"alive after|older than"):
        wander(lambda: InRedis(redis_url, new_tenant(), kind), 10_000)


@pytest.mark.parametrize("kind", [HearsNothingOfItself, HearsNoFloors])
def test_the_machine_catches_a_process_that_is_deaf_to_some_of_it(redis_url, new_tenant, kind):
    with pytest.raises(AssertionError, match=r"alive after|older than"):
        wander(lambda: InFleet(redis_url, new_tenant(), kind), 10_000)
