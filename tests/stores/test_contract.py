"""What every store does, whatever it is made of."""

import asyncio
from collections.abc import Callable

import pytest

from policies.model import EVERYTHING, Fence

KEY = "issue:PROJ-1:abc"
NASTY = bytes(range(256)) * 3 + b"\r\n$5\r\n\xff\xfe\x00"


async def fill(store, entry, key=KEY) -> bool:
    return await store.write(key, entry, (await store.read(key)).fence)


async def test_an_empty_store_knows_nothing_but_the_fence(store):
    found = await store.read(KEY)
    assert (found.entry, found.alive) == (None, False)
    assert isinstance(found.fence, Fence)


async def test_what_was_kept_comes_back_alive_and_unchanged(store, make_entry):
    entry = make_entry("issue:PROJ-1", "issues", cost=0.125, status=404, etag='"ü"')
    assert await fill(store, entry)
    found = await store.read(KEY)
    assert (found.entry, found.alive) == (entry, True)


@pytest.mark.parametrize("body", [b"", b"\x00", NASTY, NASTY * 2000], ids=["empty", "nul", "nasty", "1.5 MB"])
async def test_bodies_are_any_bytes(new_store, make_entry, body, kind):
    store = new_store()
    if kind == "memory":
        body = body[:500_000]  # its room is 1 MB
    await fill(store, make_entry(body=body, coding="gzip"))
    assert (await store.read(KEY)).entry.body == body


async def test_headers_keep_their_order_their_doubles_and_bytes_that_are_no_utf8(store, make_entry):
    headers = (("x-b", "1"), ("x-a", "ä\t"), ("x-b", "2"), ("x-c", "\udce9"), ("x-d", "line\nbreak"))
    await fill(store, make_entry(headers=headers))
    assert (await store.read(KEY)).entry.headers == headers


async def test_an_invalidated_tag_makes_its_entries_old_and_leaves_them_as_a_fallback(store, make_entry):
    entry = make_entry("issue:PROJ-1")
    await fill(store, entry)
    await store.invalidate(["issue:PROJ-1"])
    found = await store.read(KEY)
    assert (found.entry, found.alive) == (entry, False)


async def test_an_invalidation_leaves_entries_without_the_tag_alone(store, make_entry):
    await fill(store, make_entry("issue:PROJ-1"))
    await store.invalidate(["issue:PROJ-10", "issue:PROJ", "PROJ-1", ""])
    assert (await store.read(KEY)).alive


@pytest.mark.parametrize("hit", ["issue:A\nB", "issue:A", "B"])
async def test_a_tag_with_a_line_break_is_hit_whole_and_by_its_parts(store, make_entry, hit):
    await fill(store, make_entry("issue:A\nB"))
    await store.invalidate([hit])
    assert not (await store.read(KEY)).alive


@pytest.mark.parametrize("what", ["an invalidation", "another answer in its place"])
async def test_whoever_has_glanced_is_told_by_the_moment_to_look_again(store, make_entry, what):
    await fill(store, make_entry("issue:PROJ-1"))
    await store.read(KEY)
    found, moment = store.glance(KEY), store.moment()
    await fill(store, make_entry("issue:PROJ-2"), "issue:PROJ-2:abc")
    assert (found and found.fence) is moment is store.moment()
    if what == "an invalidation":
        await store.invalidate(["issue:PROJ-1"])
    else:
        await fill(store, make_entry("issue:PROJ-1", stored=1_700_000_001.0))
    await store.read(KEY)
    assert moment is None or store.moment() is not moment


async def test_one_tag_makes_everything_old(store, make_entry):
    await fill(store, make_entry())
    await store.invalidate({EVERYTHING})
    assert not (await store.read(KEY)).alive


async def test_an_invalidation_of_nothing_makes_nothing_old(store, make_entry):
    await fill(store, make_entry("a"))
    await store.invalidate(())
    assert (await store.read(KEY)).alive


async def test_a_fill_that_overlaps_an_invalidation_is_dead_on_arrival(store, make_entry):
    fence = (await store.read(KEY)).fence
    await store.invalidate(["issue:PROJ-1"])
    assert not await store.write(KEY, make_entry("issue:PROJ-1"), fence)
    assert not (await store.read(KEY)).alive


async def test_a_fill_after_an_invalidation_is_alive_again(store, make_entry):
    await fill(store, make_entry("a", body=b"old"))
    await store.invalidate(["a"])
    assert await fill(store, make_entry("a", body=b"new"))
    found = await store.read(KEY)
    assert (found.entry.body, found.alive) == (b"new", True)


async def test_a_dead_answer_is_never_put_in_the_place_of_a_live_one(store, make_entry):
    before = (await store.read(KEY)).fence
    await store.invalidate(["a"])
    await fill(store, make_entry("a", body=b"live"))
    assert not await store.write(KEY, make_entry("a", body=b"dead"), before)
    found = await store.read(KEY)
    assert (found.entry.body, found.alive) == (b"live", True)


async def test_a_dead_answer_is_kept_where_nothing_is_alive(store, make_entry):
    before = (await store.read(KEY)).fence
    await fill(store, make_entry("a", body=b"first"))
    await store.invalidate(["a"])
    await store.write(KEY, make_entry("a", body=b"second"), before)
    found = await store.read(KEY)
    assert (found.entry.body, found.alive) == (b"second", False)


async def test_a_true_answer_from_behind_an_older_fence_does_not_replace_a_newer_one(store, make_entry):
    before = (await store.read(KEY)).fence
    await store.invalidate(["unrelated"])
    await fill(store, make_entry("a", body=b"newer", stored=1_700_000_001.0))
    assert await store.write(KEY, make_entry("a", body=b"older"), before), "it is true all the same"
    assert (await store.read(KEY)).entry.body == b"newer"


async def test_of_two_true_answers_from_behind_the_same_fence_the_last_stays(store, make_entry):
    fence = (await store.read(KEY)).fence
    await store.write(KEY, make_entry(body=b"1"), fence)
    await store.write(KEY, make_entry(body=b"2"), fence)
    assert (await store.read(KEY)).entry.body == b"2"


async def test_a_fence_of_another_history_is_worth_nothing(store, make_entry):
    fence = (await store.read(KEY)).fence
    assert not await store.write(KEY, make_entry(), Fence(fence.incarnation ^ 1, fence.stamp + 1000))
    assert not (await store.read(KEY)).alive


async def test_invalidations_move_the_fence_and_reads_and_writes_do_not(store, make_entry):
    first = (await store.read(KEY)).fence
    await fill(store, make_entry())
    assert (await store.read(KEY)).fence == first
    await store.invalidate(["a"])
    second = (await store.read(KEY)).fence
    assert (second.incarnation, second.stamp) == (first.incarnation, first.stamp + 1)


async def test_what_the_ledger_forgets_cannot_come_back_to_life(new_store, make_entry):
    store = new_store(ledger_limit=3)
    await fill(store, make_entry("a"))
    fence = (await store.read(KEY)).fence
    await store.invalidate(["a"])
    await store.invalidate(["b", "c", "d", "e"])
    assert not (await store.read(KEY)).alive
    assert not await store.write(KEY, make_entry("a"), fence)


async def test_trimming_makes_old_only_what_was_fetched_before_the_forgotten_stamps(new_store, make_entry, kind):
    if kind == "tiered":
        pytest.skip("what is near was seen to outlive stamp 2 before it was forgotten")
    store = new_store(ledger_limit=2)
    await store.invalidate(["a"])
    await fill(store, make_entry("z"))
    await store.invalidate(["b", "c"])
    assert (await store.read(KEY)).alive, "stamp 1 was forgotten and this was fetched at stamp 1"
    await store.invalidate(["d"])
    assert not (await store.read(KEY)).alive, "one of stamp 2 was forgotten, and nobody knows which"


async def test_a_tag_invalidated_again_is_the_last_to_be_forgotten(new_store, make_entry):
    store = new_store(ledger_limit=2)
    await store.invalidate(["a"])
    await store.invalidate(["b"])
    await store.invalidate(["a"])
    await fill(store, make_entry("z"))
    await store.invalidate(["c"])  # forgets b, at stamp 2
    assert (await store.read(KEY)).alive


async def test_two_thousand_tags_of_an_entry_and_five_thousand_of_an_invalidation_are_all_heeded(store, make_entry):
    tags = [f"issue:PROJ-{number}" for number in range(2000)]
    await fill(store, make_entry(*tags))
    assert (await store.read(KEY)).alive
    await store.invalidate([f"issue:OTHER-{number}" for number in range(5000)])
    assert (await store.read(KEY)).alive
    await store.invalidate([f"issue:OTHER-{number}" for number in range(4999)] + [tags[1999]])
    assert not (await store.read(KEY)).alive


@pytest.mark.parametrize(
    "tag", ["issue:\udcff", "issue:a\nb", "ünï", "x" * 5000, "\x00", "ledger", "%s %d", "issue:\r\n"]
)
async def test_odd_tags_are_tags_too(store, make_entry, tag):
    await fill(store, make_entry(tag))
    assert (await store.read(KEY)).alive
    await store.invalidate([tag])
    assert not (await store.read(KEY)).alive


async def test_keys_do_not_know_of_each_other(store, make_entry):
    await fill(store, make_entry(body=b"1"), key="issue:PROJ-1:abc")
    await fill(store, make_entry(body=b"2"), key="issue:PROJ-1:abd")
    assert (await store.read("issue:PROJ-1:abc")).entry.body == b"1"


async def test_an_entry_of_no_use_is_not_kept_but_judged(store, make_entry):
    fence = (await store.read(KEY)).fence
    assert await store.write(KEY, make_entry(keep=0.0), fence)
    await asyncio.sleep(0.005)  # Redis keeps for a millisecond at least
    assert (await store.read(KEY)).entry is None


async def test_a_value_on_the_shelf_is_found_until_it_is_dropped(store):
    assert await store.get("lease:a") is None
    await store.put("lease:a", NASTY, 60)
    assert await store.get("lease:a") == NASTY
    await store.put("lease:a", b"other", 60)
    assert await store.get("lease:a") == b"other"
    await store.drop("lease:a")
    await store.drop("lease:a")
    assert await store.get("lease:a") is None


async def test_only_the_first_to_add_a_value_puts_it(store):
    assert await store.add("delivery:1", b"first", 60)
    assert not await store.add("delivery:1", b"second", 60)
    assert await store.get("delivery:1") == b"first"


@pytest.mark.parametrize("name", ["ledger", KEY, "", "shelf:a", f"claim:{KEY}"])
async def test_the_shelf_the_ledger_the_claims_and_the_entries_do_not_collide(store, make_entry, name):
    await fill(store, make_entry())
    await store.claim(KEY)
    await store.put(name, b"value", 60)
    assert (await store.read(KEY)).alive
    assert await store.get(name) == b"value"


async def test_a_trip_can_be_claimed_and_landed_and_claimed_again(store):
    assert await store.claim(KEY)
    await store.landed(KEY)
    await store.wait(KEY, 60)
    assert await store.claim(KEY)


async def test_to_land_or_wait_for_what_nobody_claimed_is_nothing(store):
    await store.landed(KEY)
    await store.wait(KEY, 60)


async def test_closing_twice_is_closing(new_store: Callable):
    store = new_store()
    await store.read(KEY)
    await store.close()
    await store.close()
