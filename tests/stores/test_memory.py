"""What only the memory store does: room, expiry, and its own incarnation."""

import random

import pytest

from policies.model import Fence
from proxy.stores.lru import Lru
from proxy.stores.memory import SHELF_BYTES, MemoryStore, size_of


@pytest.fixture
def roomy(clock):
    return MemoryStore(max_bytes=100_000, clock=clock, entropy=lambda: 7)


async def keep(store, key, entry):
    return await store.write(key, entry, (await store.read("")).fence)


async def test_an_entry_weighs_its_body_and_its_strings(make_entry):
    light = size_of("key", make_entry())
    assert size_of("key", make_entry(body=b"{}" + b"x" * 1000)) == light + 1000
    assert size_of("longer key", make_entry()) == light + len("longer ")
    assert size_of("key", make_entry("a-tag")) > light + len("a-tag")


async def test_the_weight_is_at_all_times_the_sum_of_what_is_kept(clock, make_entry):
    store, dice = MemoryStore(max_bytes=20_000, clock=clock), random.Random(7)
    for _ in range(2000):
        key = f"issue:{dice.randrange(30)}"
        entry = make_entry(key, body=b"x" * dice.choice([0, 10, 900, 5_000, 30_000]), keep=dice.choice([0, 1, 50]))
        await keep(store, key, entry)
        await store.read(f"issue:{dice.randrange(30)}")
        clock.now += dice.random()
        kept = store._answers._items
        assert store.weight == sum(size_of(key, item.value.entry) for key, item in kept.items()) <= 20_000
        assert len(store) == len(kept)
    assert store.evictions > 100


async def test_the_least_recently_used_entry_makes_room(clock, make_entry):
    size = size_of("a", make_entry())
    store = MemoryStore(max_bytes=3 * size, clock=clock)
    for key in "abc":
        await keep(store, key, make_entry())
    await store.read("a")
    await keep(store, "d", make_entry())
    assert [(await store.read(key)).entry is not None for key in "abcd"] == [True, False, True, True]
    assert store.evictions == 1


async def test_an_entry_larger_than_all_room_is_not_kept_and_costs_the_others_nothing(roomy, make_entry):
    await keep(roomy, "small", make_entry())
    assert await keep(roomy, "large", make_entry(body=b"x" * 100_000))
    assert (await roomy.read("large")).entry is None
    assert (await roomy.read("small")).alive


async def test_a_body_that_outgrows_all_room_takes_its_predecessor_with_it(roomy, make_entry):
    await keep(roomy, "a", make_entry())
    await keep(roomy, "a", make_entry(body=b"x" * 100_000))
    assert (await roomy.read("a")).entry is None
    assert roomy.weight == 0


async def test_an_entry_is_gone_when_its_time_is_over(roomy, clock, make_entry):
    await keep(roomy, "a", make_entry(keep=10.0))
    clock.now += 9.999
    assert (await roomy.read("a")).alive
    clock.now += 0.001
    assert (await roomy.read("a")).entry is None
    assert roomy.weight == 0


async def test_an_expired_entry_does_not_hold_its_place_against_a_dead_one(roomy, clock, make_entry):
    before = (await roomy.read("a")).fence
    await roomy.invalidate(["a"])
    await keep(roomy, "k", make_entry("a", keep=10.0))
    clock.now += 10
    await roomy.write("k", make_entry("a", body=b"dead"), before)
    assert (await roomy.read("k")).entry.body == b"dead"


async def test_values_on_the_shelf_expire_and_can_be_added_again(roomy, clock):
    await roomy.put("lease:a", b"1", 10.0)
    assert await roomy.add("delivery:1", b"1", 10.0)
    clock.now += 10
    assert await roomy.get("lease:a") is None
    assert await roomy.add("delivery:1", b"2", 10.0)


async def test_large_answers_do_not_push_out_what_is_on_the_shelf(roomy, make_entry):
    await roomy.put("lease:a", b"1", 10.0)
    for number in range(100):
        await keep(roomy, str(number), make_entry(body=b"x" * 10_000))
    assert await roomy.get("lease:a") == b"1"


async def test_the_shelf_is_bounded_too(roomy):
    for number in range(100):
        await roomy.put(str(number), b"x" * (SHELF_BYTES // 50), 10.0)
    assert await roomy.get("99") is not None
    assert await roomy.get("0") is None
    assert roomy._shelf.weight <= SHELF_BYTES


async def test_the_incarnation_is_drawn_once_for_each_store(clock):
    drawn = iter([11, 12])
    stores = [MemoryStore(max_bytes=1, clock=clock, entropy=lambda: next(drawn)) for _ in range(2)]
    assert [(await store.read("a")).fence for store in stores] == [Fence(11, 0), Fence(12, 0)]


async def test_two_stores_do_not_draw_the_same_incarnation_by_themselves(clock):
    fences = [(await MemoryStore(max_bytes=1, clock=clock).read("a")).fence for _ in range(100)]
    assert len(set(fences)) == 100


async def test_a_closed_store_weighs_nothing(roomy, make_entry):
    await keep(roomy, "a", make_entry())
    await roomy.close()
    assert (roomy.weight, len(roomy)) == (0, 0)


def test_the_states_of_a_store_fit_in_a_line(roomy, clock):
    assert repr(roomy) == "<MemoryStore <Lru 0 items, 0 of 100000 bytes> <Ledger 7 at 0, floor 0, 0 tags>>"
    assert repr(Lru(5, clock)) == "<Lru 0 items, 0 of 5 bytes>"


async def test_of_too_many_echoes_it_is_remembered_when_they_are_due_and_all_is_made_old_then(make_entry):
    now = [1000.0]
    store = MemoryStore(max_bytes=10**6, clock=lambda: now[0], echo_limit=100)
    for number in range(300):
        await store.postpone([f"indexed:P-{number}"], [2.0, 10.0, 30.0])
    assert len(store._echoes) + len(store._floods) <= 103
    for waited in (2, 10, 30):
        now[0] = 1000.0 + waited - 0.5
        await store.repeat()
        fence = (await store.read("k")).fence
        await store.write("k", make_entry("project:OTHER"), fence)
        assert (await store.read("k")).alive
        now[0] += 0.5
        await store.repeat()
        assert not (await store.read("k")).alive
    assert await store.repeat() is None
