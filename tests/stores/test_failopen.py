"""What becomes of each operation while the store behind is down, and after."""

import asyncio
from collections.abc import Callable

import pytest

from policies.model import EVERYTHING, Lookup
from proxy.errors import StoreError, StoreFullError
from proxy.stores.allowance import allowed, bound
from proxy.stores.failopen import NAMES_OWED, FailOpen, State
from proxy.stores.memory import MemoryStore

KEY = "issue:PROJ-1:abc"
NOTHING = Lookup(None, alive=False, fence=None)


class Fragile:
    """A memory store that fails on demand, and lists what was asked of it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.inner = MemoryStore(max_bytes=100_000, clock=clock)
        self.broken: set[str] = set()
        self.asked: list[str] = []
        self.gate: asyncio.Event | None = None

    def __getattr__(self, name):
        async def operation(*arguments, **named):
            self.asked.append(name)
            if self.gate:
                await self.gate.wait()
            if {name, "all"} & self.broken:
                raise StoreError(f"{name}: broken")
            return await getattr(self.inner, name)(*arguments, **named)

        return operation

    def __repr__(self):
        return "<Fragile>"


@pytest.fixture
def backend(clock):
    return Fragile(clock)


@pytest.fixture
def errors():
    return []


@pytest.fixture
def store(backend, clock, errors):
    return FailOpen(backend, clock=clock, on_error=errors.append, pause=5.0, doubt=0.0)


@pytest.fixture
def doubter(backend, clock, errors):
    """A store that is not believed at once when it is back."""
    return FailOpen(backend, clock=clock, on_error=errors.append, pause=5.0, doubt=10.0)


@pytest.fixture
async def kept(store, make_entry):
    """An entry that is in the store, alive."""
    entry = make_entry("issue:PROJ-1")
    await store.write(KEY, entry, (await store.read(KEY)).fence)
    return entry


async def fail_to_invalidate(store, backend, tags=("issue:PROJ-1",)):
    backend.broken.add("invalidate")
    with pytest.raises(StoreError):
        await store.invalidate(tags)
    backend.broken.clear()


async def test_what_could_not_be_postponed_is_owed(store, backend, clock, kept):
    backend.broken.add("postpone")
    with pytest.raises(StoreError):
        await store.postpone(["indexed:PROJ-1"], [2.0])
    backend.broken.clear()
    assert store.state is State.OWING
    clock.now += 5.0
    assert not (await store.read(KEY)).alive
    assert store.state is State.OK


async def test_a_store_that_works_is_passed_through(store, kept, errors):
    found = await store.read(KEY)
    assert (found.entry, found.alive) == (kept, True)
    await store.put("a", b"1", 60)
    assert await store.get("a") == b"1"
    assert not await store.add("a", b"2", 60)
    await store.drop("a")
    assert await store.get("a") is None
    assert await store.claim(KEY)
    await store.landed(KEY)
    await store.wait(KEY, 1)
    await store.invalidate(["issue:PROJ-1"])
    assert not (await store.read(KEY)).alive
    assert (store.state, errors) == (State.OK, [])


SAFE_SIDE = [
    ("read", (KEY,), NOTHING),
    ("write", (KEY, None, None), False),
    ("get", ("a",), None),
    ("put", ("a", b"", 1), None),
    ("add", ("a", b"", 1), True),
    ("drop", ("a",), None),
    ("claim", (KEY,), True),
    ("landed", (KEY,), None),
    ("wait", (KEY, 1), None),
]


@pytest.mark.parametrize(("operation", "arguments", "safe"), SAFE_SIDE, ids=[row[0] for row in SAFE_SIDE])
async def test_what_fails_errs_to_the_safe_side_is_counted_and_opens_the_breaker(
    store, backend, errors, *, operation, arguments, safe
):
    backend.broken.add(operation)
    assert await getattr(store, operation)(*arguments) == safe
    assert errors == [operation]
    assert store.state is not State.OK
    assert await getattr(store, operation)(*arguments) == safe
    assert backend.asked == [operation], "not asked again while the breaker is open"
    assert errors == [operation]


async def test_after_the_pause_one_operation_tries_and_the_others_do_not_wait_for_it(store, backend, clock):
    backend.broken.add("all")
    await store.read(KEY)
    clock.now += 5
    backend.asked.clear()
    backend.gate = asyncio.Event()
    first = asyncio.create_task(store.read(KEY))
    await asyncio.sleep(0)
    assert [await store.read(KEY) for _ in range(3)] == [NOTHING] * 3
    assert backend.asked == ["read"]
    backend.gate.set()
    assert await first == NOTHING


async def test_a_success_after_the_pause_closes_the_breaker(store, backend, kept, clock):
    backend.broken.add("all")
    await store.read(KEY)
    backend.broken.clear()
    clock.now += 4.9
    assert await store.read(KEY) == NOTHING
    assert store.state is State.OPEN
    clock.now += 0.1
    assert (await store.read(KEY)).alive, "nothing was invalidated meanwhile, so nothing is old"
    assert store.state is State.OK


async def test_a_failure_after_the_pause_opens_it_again(store, backend, clock, errors):
    backend.broken.add("all")
    for _ in range(3):
        await store.read(KEY)
        clock.now += 5
    assert errors == ["read"] * 3


async def test_an_invalidation_that_cannot_be_recorded_is_told_counted_and_owed(store, backend, errors):
    backend.broken.add("all")
    with pytest.raises(StoreError, match="invalidate"):
        await store.invalidate(["a"])
    assert (store.state, errors) == (State.OWING, ["invalidate"])


@pytest.mark.usefixtures("kept")
async def test_nothing_is_served_or_kept_while_an_invalidation_is_owed(store, backend, make_entry):
    fence = (await store.read(KEY)).fence
    await fail_to_invalidate(store, backend)
    assert await store.read(KEY) == NOTHING
    assert not await store.write("other", make_entry(), fence)


@pytest.mark.usefixtures("kept")
async def test_a_debt_is_paid_by_making_the_whole_tenant_old(store, backend, clock, make_entry):
    fence = (await store.read(KEY)).fence
    await store.write("other", make_entry("unrelated"), fence)
    await fail_to_invalidate(store, backend)
    clock.now += 5
    assert not (await store.read(KEY)).alive
    assert not (await store.read("other")).alive
    assert store.state is State.OK
    assert not await store.write(KEY, make_entry(), fence), "and what was under way is dead on arrival"
    assert await store.write(KEY, make_entry(), (await store.read(KEY)).fence)


@pytest.mark.parametrize(("operation", "arguments"), [row[:2] for row in SAFE_SIDE], ids=[row[0] for row in SAFE_SIDE])
async def test_whatever_comes_first_pays_before_it_does_anything(store, backend, clock, operation, arguments):
    await fail_to_invalidate(store, backend)
    clock.now += 5
    backend.asked.clear()
    backend.broken.add(operation)
    await getattr(store, operation)(*arguments)
    assert backend.asked == ["invalidate", operation]


@pytest.mark.usefixtures("kept")
async def test_a_debt_that_cannot_be_paid_yet_stays(store, backend, clock):
    await fail_to_invalidate(store, backend)
    for _ in range(3):
        backend.broken.add("invalidate")
        clock.now += 5
        assert await store.read(KEY) == NOTHING
        assert store.state is State.OWING


async def test_an_invalidation_is_tried_even_while_the_breaker_is_open(store, backend, kept):
    backend.broken.add("read")
    await store.read(KEY)
    assert store.state is State.OPEN
    await store.invalidate(["issue:PROJ-1"])
    assert store.state is State.OK
    backend.broken.clear()
    found = await store.read(KEY)
    assert (found.entry, found.alive) == (kept, False)


async def test_a_recorded_invalidation_does_not_pay_for_one_that_was_not(store, backend, kept):
    await fail_to_invalidate(store, backend)
    await store.invalidate(["unrelated"])
    assert store.state is State.OWING
    found = await store.read(KEY)
    assert (found.entry, found.alive) == (kept, False)


async def test_an_invalidation_that_fails_while_the_debt_is_being_paid_stays_owed(store, backend, clock):
    """1. A debt is being paid. 2. Meanwhile another invalidation fails. 3. The payment succeeds."""
    await fail_to_invalidate(store, backend)
    clock.now += 5
    paying = asyncio.Event()
    recorded = backend.inner.invalidate

    async def pay_slowly(tags, surveyed=None):
        if EVERYTHING in tags:
            await paying.wait()
        else:
            raise StoreError("broken")
        await recorded(tags)

    backend.inner.invalidate = pay_slowly
    payer = asyncio.create_task(store.read(KEY))
    await asyncio.sleep(0)
    with pytest.raises(StoreError):
        await store.invalidate(["b"])
    paying.set()
    assert await payer == NOTHING
    assert store.state is State.OWING


async def test_an_invalidation_that_is_cancelled_in_the_middle_is_owed(store, backend):
    backend.gate = asyncio.Event()
    task = asyncio.create_task(store.invalidate(["a"]))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert store.state is State.OWING


@pytest.mark.usefixtures("kept")
async def test_a_read_that_was_under_way_when_an_invalidation_failed_shows_nothing(store, backend):
    backend.gate = asyncio.Event()
    reader = asyncio.create_task(store.read(KEY))
    await asyncio.sleep(0)
    gate, backend.gate = backend.gate, None
    await fail_to_invalidate(store, backend)
    gate.set()
    assert await reader == NOTHING


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_lease_that_could_not_be_dropped_is_dropped_before_anything_is_served(
    store, backend, clock, *, cancelled
):
    await store.put("lease:a", b"1", 600)
    if cancelled:
        backend.gate = asyncio.Event()
        task = asyncio.create_task(store.drop("lease:a"))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        backend.gate = None
    else:
        backend.broken.add("all")
        await store.drop("lease:a")
        backend.broken.clear()
    assert store.state is State.OWING
    clock.now += 5
    assert await store.get("lease:a") is None
    assert store.state is State.OK


async def test_a_landing_that_was_not_told_is_told_later_and_nothing_is_withheld_for_it(store, backend, clock, kept):
    assert await store.claim(KEY)
    backend.broken.add("landed")
    await store.landed(KEY)
    backend.broken.clear()
    backend.asked.clear()
    clock.now += 5
    assert (await store.read(KEY)).alive
    assert (await store.read(KEY)).alive
    assert backend.asked == ["landed", "read", "read"]


async def test_a_claim_that_a_look_up_may_have_made_is_given_up_later(store, backend, clock):
    backend.broken.add("read")
    assert await store.read(KEY, claim="a trip") == NOTHING
    assert await store.read(KEY, claim="another trip") == NOTHING  # which was not looked up at all
    backend.broken.clear()
    backend.asked.clear()
    clock.now += 5
    await store.read(KEY, claim="a trip")
    await store.read(KEY)
    assert backend.asked == ["landed", "read", "read"]


async def test_a_look_up_that_claims_nothing_leaves_nothing_to_give_up(store, backend, clock):
    backend.broken.add("read")
    assert await store.read(KEY) == NOTHING
    backend.broken.clear()
    backend.asked.clear()
    clock.now += 5
    await store.read(KEY)
    assert backend.asked == ["read"]


async def test_the_names_owed_for_dropping_are_bounded(store, backend):
    backend.broken.add("all")
    for number in range(NAMES_OWED + 100):
        await store.drop(f"lease:{number}")
    assert len(store._drops_owed) == NAMES_OWED


async def test_nobody_waits_for_a_landing_that_a_failing_store_may_not_tell_of(store, backend):
    backend.gate = asyncio.Event()  # is never set: nobody lands
    waiting = asyncio.create_task(store.wait(KEY, 600))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done()
    backend.gate = None
    backend.broken.add("put")
    await store.put("a", b"1", 60)
    await waiting
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_who_repeats_comes_again_as_soon_as_the_store_may_be_asked_and_pays(store, backend, clock):
    assert await store.repeat() is None
    backend.broken.add("repeat")
    assert await store.repeat() == 5.0
    clock.now += 2.0
    assert await store.repeat() == 3.0
    backend.broken.clear()
    await fail_to_invalidate(store, backend)
    clock.now += 5.0
    assert await store.repeat() is None
    assert store.state is State.OK


async def fail(store, backend, operation="read"):
    backend.broken.add("all")
    await getattr(store, operation)(KEY)
    backend.broken.clear()


async def test_what_it_has_is_not_believed_before_the_other_processes_have_paid_their_debts(
    doubter, backend, clock, make_entry
):
    """1. The store is gone. 2. Another process cannot record a change. 3. It is back, and not paid yet."""
    entry = make_entry("issue:PROJ-1")
    fence = (await doubter.read(KEY)).fence
    assert await doubter.write(KEY, entry, fence)
    await fail(doubter, backend)
    clock.now += 5
    assert await doubter.read(KEY) == Lookup(entry, alive=False, fence=fence), "still of use when Jira fails"
    assert doubter.state is State.DOUBTED
    assert not await doubter.write(KEY, entry, fence), "whoever boarded late asks again"
    clock.now += 9.9
    assert not (await doubter.read(KEY)).alive
    clock.now += 0.1
    assert (await doubter.read(KEY)).alive
    assert doubter.state is State.OK


async def test_the_doubt_begins_anew_when_it_fails_anew(doubter, backend, clock, make_entry):
    await doubter.write(KEY, make_entry(), (await doubter.read(KEY)).fence)
    for _ in range(3):
        await fail(doubter, backend)
        clock.now += 5
        assert not (await doubter.read(KEY)).alive
        clock.now += 6
        assert not (await doubter.read(KEY)).alive


async def test_a_store_that_is_full_is_still_read(doubter, backend, errors, make_entry):
    entry = make_entry()
    fence = (await doubter.read(KEY)).fence
    await doubter.write(KEY, entry, fence)

    async def refuse(*_):
        raise StoreFullError("write: no room")

    backend.inner.write = refuse
    assert not await doubter.write("other", entry, fence)
    assert errors == ["write"]
    assert (await doubter.read(KEY)).alive
    assert doubter.state is State.OK


async def test_an_invalidation_is_tried_twice(store, backend):
    """The connection that it went out on may have been broken since its last use."""
    recorded, tries = backend.inner.invalidate, []

    async def once_in_vain(tags, surveyed=None):
        tries.append(tags)
        if len(tries) == 1:
            raise StoreError("connection reset")
        await recorded(tags)

    backend.inner.invalidate = once_in_vain
    await store.invalidate(["a"])
    assert (tries, store.state) == ([["a"], ["a"]], State.OK)


async def test_an_invalidation_has_its_own_time_whatever_the_request_has_spent(store, backend):
    left = []

    async def tell(tags, surveyed=None):
        left.append(bound(5.0))

    backend.inner.invalidate = tell
    with allowed(0.0):
        assert bound(5.0) == 0.0
        await store.invalidate(["a"])
    assert left == [5.0]


async def test_closing_closes_what_is_behind(store, backend):
    await store.close()
    assert backend.asked == ["close"]


async def test_its_state_fits_in_a_line(store, backend):
    assert repr(store) == "<FailOpen ok <Fragile>>"
    assert store.state == "ok"
    assert backend.asked == []
