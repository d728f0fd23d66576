"""An invalidation that is repeated later, by whichever process is up then."""

import pytest

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
