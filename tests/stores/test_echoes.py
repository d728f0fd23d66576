"""An invalidation that is repeated later, by whichever process is up then."""

import pytest

from policies.model import Live

KEY = "search:jql:abc"


async def fill(store, entry) -> None:
    await store.write(KEY, entry, (await store.read(KEY)).fence)


async def alive(store) -> bool:
    return (await store.read(KEY)).alive


async def test_without_echoes_there_is_nothing_to_wait_for(store):
    assert await store.repeat() is None


async def test_an_echo_that_is_due_makes_old_what_was_kept_since(store, make_entry):
    await store.postpone(["indexed:PROJ-1"], [0.001])
    await fill(store, make_entry("indexed:PROJ-1"))
    await until_due(store)
    assert not await alive(store)


async def test_an_echo_that_is_not_due_waits(store, make_entry):
    await fill(store, make_entry("indexed:PROJ-1"))
    await store.postpone(["indexed:PROJ-1"], [30.0, 10.0])
    assert 5 < await store.repeat() <= 10
    assert await alive(store)


async def test_an_echo_leaves_other_tags_alone(store, make_entry):
    await store.postpone(["indexed:PROJ-2"], [0.001])
    await fill(store, make_entry("indexed:PROJ-1"))
    await until_due(store)
    assert await alive(store)


async def test_each_echo_sounds_once(store, make_entry):
    await store.postpone(["indexed:PROJ-1"], [0.001])
    await until_due(store)
    await fill(store, make_entry("indexed:PROJ-1"))
    assert await store.repeat() is None
    assert await alive(store)


async def test_an_echo_also_makes_old_what_is_asked_for_first_after_the_survey(store, make_entry):
    """A search that nobody had asked for when the change came may be answered from an index that does not know it."""
    known, new = (Live(f"search:{name}", f"project = {name}", 60.0) for name in ("known", "new"))
    await store.read(known.tag, known)
    surveyed = (await store.survey(None)).fence
    await store.postpone([], [0.001], surveyed)
    for live in (known, new):
        await store.write(live.tag, make_entry(live.tag), (await store.read(live.tag, live)).fence)
    await until_due(store)
    assert (await store.read(known.tag, known)).alive
    assert not (await store.read(new.tag, new)).alive


async def until_due(store):
    """Repeat until nothing is left, moving the clock where it is ours; a server's own clock moves by itself."""
    clock = getattr(store, "_clock", None)
    while await store.repeat() is not None:
        if clock is not None:
            clock.now += 1


@pytest.mark.parametrize("kind", ["redis"], indirect=True)
async def test_another_process_repeats_what_one_postponed(new_store, make_entry):
    one, other = new_store(), new_store()
    await one.postpone(["indexed:PROJ-1"], [0.001])
    await fill(one, make_entry("indexed:PROJ-1"))
    await until_due(other)
    assert not await alive(one)


@pytest.mark.parametrize("kind", ["redis"], indirect=True)
async def test_the_loss_of_echoes_is_noticed(new_store, make_entry, raw, tenant):
    store = new_store()
    await store.postpone(["indexed:PROJ-1"], [30.0])
    await fill(store, make_entry("indexed:PROJ-1"))
    await raw.delete(f"tenant:{tenant}:echoes")
    await store.repeat()
    assert not await alive(store)
    assert await store.repeat() is None


@pytest.mark.parametrize("kind", ["redis"], indirect=True)
async def test_echoes_outlive_the_history_they_were_noted_in(new_store, make_entry, raw, tenant):
    store = new_store()
    await store.postpone(["indexed:PROJ-1"], [0.05])
    await raw.delete(f"tenant:{tenant}:ledger")
    await fill(store, make_entry("indexed:PROJ-1"))
    assert await alive(store)
    await until_due(store)
    assert not await alive(store)


@pytest.mark.parametrize("kind", ["redis"], indirect=True)
async def test_of_another_history_an_echo_knows_no_query(new_store, make_entry, raw, tenant):
    store, live = new_store(), Live("search:1", "project = PROJ", 60.0)
    await store.postpone([], [0.05], (await store.survey(None)).fence)
    await raw.delete(f"tenant:{tenant}:ledger")
    await store.write(KEY, make_entry(live.tag), (await store.read(KEY, live)).fence)
    assert await alive(store)
    await until_due(store)
    assert not await alive(store)
