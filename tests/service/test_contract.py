"""What the service does, in either shell and over every backend."""

import asyncio
import datetime as dt
import uuid
from dataclasses import dataclass

import pytest

from proxy.library.steps import Commands
from proxy.service import StoreError, default_policies

VALUES = [
    {"key": "PROJ-1", "fields": {"summary": "ä \u2028 😀", "labels": []}},
    [1, 2.5, None, True, "x"],
    "text",
    "",
    "12",
    "null",
    '{"not": "parsed"}',
    0,
    -1,
    2**53,
    1.5,
    True,
    False,
    {},
    [],
    [None],
]


# values


@pytest.mark.parametrize("value", VALUES, ids=repr)
async def test_a_value_comes_back_as_it_was(cache, value):
    assert await cache.set("a", value) is True
    found = await cache.get("a")
    assert (found, type(found)) == (value, type(value))


async def test_what_is_absent_is_none(cache):
    assert await cache.get("a") is None


async def test_a_kept_none_exists(cache):
    await cache.set("a", None)
    assert await cache.get("a") is None
    assert await cache.exists("a") is True
    assert await cache.get_many(["a", "b"]) == {"a": None}


@dataclass
class Thing:
    x: int = 1


CYCLE: list = []
CYCLE.append(CYCLE)

UNSAYABLE = {
    "object": object(),
    "set": {1},
    "bytes": b"a",
    "number as a key": {1: 2},
    "NaN": float("nan"),
    "infinity, deep": {"a": [None, (1.0, float("inf"))]},
    "too large": 2**64,
    "lone surrogate": "\ud800",
    "time": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    "dataclass": Thing(),
    "cycle": CYCLE,
}


@pytest.mark.parametrize("value", UNSAYABLE.values(), ids=UNSAYABLE.keys())
async def test_what_json_cannot_hold_is_a_type_error_that_names_the_key(cache, value):
    with pytest.raises(TypeError, match="issue:PROJ-1"):
        await cache.set("issue:PROJ-1", value)
    with pytest.raises(TypeError, match="issue:PROJ-2"):
        await cache.set_many({"issue:PROJ-1": 1, "issue:PROJ-2": value})
    assert await cache.get_many(["issue:PROJ-1", "issue:PROJ-2"]) == {}, "nothing of a bad batch is kept"


async def test_a_uuid_comes_back_as_its_text(cache):
    await cache.set("a", uuid.UUID(int=1))
    assert await cache.get("a") == "00000000-0000-0000-0000-000000000001"


async def test_setting_again_replaces_value_and_ttl(cache):
    await cache.set("a", 1, ttl=100)
    await cache.set("a", "b", ttl=200)
    assert await cache.get("a") == "b"
    assert 100 < await cache.get_ttl("a") <= 200


async def test_a_key_is_not_empty(cache):
    with pytest.raises(ValueError, match="one letter"):
        await cache.get("")


@pytest.mark.parametrize("key", ["ledger", "changes", "live", "queries", "echoes", "shelf:a", "claim:a"])
async def test_keys_under_which_the_cache_itself_keeps_something_are_refused(cache, key):
    for operation in (cache.get(key), cache.set(key, 1), cache.delete(key), cache.increment(key), cache.take(key)):
        with pytest.raises(ValueError, match="itself"):
            await operation


@pytest.mark.parametrize("key", [None, 1, b"a"])
async def test_a_key_is_text(cache, key):
    with pytest.raises(TypeError, match="is text"):
        await cache.get(key)


@pytest.mark.parametrize("key", ["issue:PROJ-1", "a b", "ü", "*", "[a]", "line\nbreak", "x" * 2000, "ledger:2026"])
async def test_keys_may_be_any_other_text(cache, key):
    await cache.set(key, 1)
    assert await cache.get(key) == 1
    assert await cache.clear_namespace() == 1


# one by one


async def test_exists_and_delete(cache):
    assert await cache.exists("a") is False
    assert await cache.delete("a") == 0
    await cache.set("a", 1)
    assert await cache.exists("a") is True
    assert await cache.delete("a") == 1
    assert await cache.get("a") is None


async def test_what_is_taken_is_gone(cache):
    await cache.set("a", {"x": 1})
    assert await cache.take("a") == {"x": 1}
    assert await cache.take("a") is None


async def test_what_is_old_cannot_be_taken(cache):
    await cache.set("a", 1, tags=["t"])
    await cache.set("b", 1, tags=["u"])
    await cache.invalidate(["t"])
    assert await cache.take("a") is None
    assert await cache.take("b") == 1


# many at once


async def test_get_many_returns_what_exists(cache):
    await cache.set_many({"a": 1, "b": [2]})
    assert await cache.get_many(["a", "c", "b", "a"]) == {"a": 1, "b": [2]}


async def test_delete_many_counts_what_there_was(cache):
    await cache.set_many({"a": 1, "b": 2})
    assert await cache.delete_many(["a", "b", "c"]) == 2
    assert await cache.get_many(["a", "b"]) == {}


async def test_batches_may_be_empty_and_of_any_iterable(cache):
    assert await cache.set_many({}) is True
    assert await cache.get_many([]) == {}
    assert await cache.delete_many([]) == 0
    assert await cache.invalidate([]) is True
    await cache.set_many({"a": 1, "b": 2})
    assert await cache.get_many(key for key in "ab") == {"a": 1, "b": 2}
    assert await cache.delete_many(key for key in "ab") == 2


async def test_a_thousand_values_come_back(cache):
    values = {f"issue:{number}": {"n": number} for number in range(1000)}
    assert await cache.set_many(values, ttl=60)
    assert await cache.get_many(values) == values
    assert await cache.set_many(values, ttl=60, tags=["t"])
    assert await cache.get_many(values) == values
    assert await cache.delete_many(values) == 1000


# counting


async def test_counts_begin_at_nothing_and_read_as_numbers(cache):
    assert await cache.increment("n") == 1
    assert await cache.increment("n", 41) == 42
    assert await cache.decrement("n") == 41
    assert await cache.decrement("n", 50) == -9
    assert await cache.get("n") == -9
    assert await cache.get_many(["n"]) == {"n": -9}


async def test_a_number_that_was_set_can_be_counted_on_and_keeps_its_ttl(cache):
    await cache.set("n", 5, ttl=100)
    assert await cache.increment("n") == 6
    assert 90 < await cache.get_ttl("n") <= 100


async def test_a_count_with_a_ttl_gets_it_when_it_begins_and_not_again(cache):
    await cache.increment("n", ttl=100)
    await cache.increment("n", ttl=5000)
    assert 90 < await cache.get_ttl("n") <= 100
    assert await cache.get("n") == 2


@pytest.mark.parametrize("value", ["text", "5", 1.5, [1], None, {"a": 1}, 2**63 - 1])
async def test_what_is_no_whole_number_or_would_overflow_cannot_be_counted(cache, value):
    await cache.set("n", value)
    for options in ({}, {"ttl": 60}):
        with pytest.raises(TypeError, match="n: cannot be counted"):
            await cache.increment("n", **options)
    assert await cache.get("n") == value


async def test_only_whole_amounts_can_be_counted(cache):
    with pytest.raises(TypeError, match="n: cannot be counted"):
        await cache.increment("n", 1.5)


# time


async def test_a_ttl_is_kept_in_seconds(cache):
    await cache.set("a", 1, ttl=90)
    assert 85 < await cache.get_ttl("a") <= 90
    assert await cache.expire("a", 7.5) is True
    assert 5 < await cache.get_ttl("a") <= 8


async def test_the_default_is_for_what_has_no_ttl_of_its_own(new_cache):
    await new_cache().set("a", 1)
    assert 3590 < await new_cache().get_ttl("a") <= 3600
    await new_cache(default_ttl=50).set_many({"a": 1})
    assert 40 < await new_cache().get_ttl("a") <= 50


async def test_without_any_ttl_a_value_has_no_end_and_without_a_value_there_is_no_ttl(new_cache):
    cache = new_cache(default_ttl=None)
    await cache.set("a", 1)
    await cache.set("b", 1, tags=["t"])
    await cache.increment("n")
    assert [await cache.get_ttl(key) for key in ("a", "b", "n", "absent")] == [-1, -1, -1, -2]
    assert await cache.expire("absent", 10) is False


@pytest.mark.parametrize(("key", "ttl"), [
    ("issue:PROJ-1", 300), ("project:PROJ", 3600), ("user:5b10", 3600), ("field:all", 86400), ("search:abc", 120),
    ("aggregation:velocity:PROJ", 300), ("prediction:PROJ-1", 600), ("report:7", 50), ("issues:x", 50),
])  # fmt: skip
async def test_the_first_segment_of_a_key_names_its_type_whose_policy_has_a_ttl(new_cache, key, ttl):
    cache = new_cache(default_ttl=50, policies=default_policies())
    await cache.set(key, 1)
    await cache.set_many({f"{key}:tagged": 1}, tags=["t"])
    for name in (key, f"{key}:tagged"):
        assert ttl - 10 < await cache.get_ttl(name) <= ttl
    await cache.set(key, 1, ttl=7)
    assert await cache.get_ttl(key) <= 7


@pytest.mark.parametrize("ttl", [0, -1, float("nan"), float("inf"), 0.0])
async def test_a_ttl_that_is_no_time_is_a_value_error_that_names_the_key(cache, ttl):
    operations = [
        cache.set("issue:1", 1, ttl),
        cache.set_many({"issue:1": 1}, ttl, tags=["t"]),
        cache.expire("issue:1", ttl),
        cache.increment("issue:1", ttl=ttl),
        cache.get_or_load("issue:1", lambda: pytest.fail("loaded all the same"), ttl),
    ]
    for operation in operations:
        with pytest.raises(ValueError, match="issue:1: a TTL"):
            await operation
    assert await cache.exists("issue:1") is False


# namespaces


async def test_tenants_know_nothing_of_each_other(new_cache, tenant):
    one, other = new_cache(f"tenant:{tenant}:1"), new_cache(f"tenant:{tenant}:12")
    await one.set("a", "one", tags=["t"])
    await other.set("a", "other", tags=["t"])
    assert (await one.get("a"), await other.get("a")) == ("one", "other")
    await one.increment("n")
    assert await other.get("n") is None
    await other.invalidate(["t"])
    assert (await one.get("a"), await other.get("a")) == ("one", None)
    assert await one.delete("a") == 1
    assert await other.exists("n") is False


@pytest.mark.parametrize("special", ["1", "*", "1?", "[1]", "\\*", "^-"])
async def test_clearing_a_namespace_touches_no_other(new_cache, tenant, special):
    cleared = new_cache(f"{tenant}:{special}")
    others = [new_cache(f"{tenant}:{name}") for name in ("12", "11", "1x", "2", "1*", "x1")]
    for cache in (cleared, *others):
        await cache.set_many({"a": 1, "issue:b": 2})
    await cleared.set("c", 3, tags=["t"])
    assert await cleared.clear_namespace() == 3
    assert await cleared.get_many(["a", "issue:b", "c"]) == {}
    for cache in others:
        assert await cache.get_many(["a", "issue:b"]) == {"a": 1, "issue:b": 2}
    assert await cleared.clear_namespace() == 0


async def test_clearing_takes_as_many_looks_as_it_needs(cache):
    for part in range(5):
        await cache.set_many({f"{part}:{number}": number for number in range(1000)}, ttl=60)
    assert await cache.clear_namespace() == 5000
    assert await cache.exists("4:999") is False


async def test_what_is_computed_while_the_namespace_is_cleared_is_not_kept(cache):
    await cache.set("other", 1, tags=["t"])
    fence = await cache.fence()
    await cache.clear_namespace()
    assert await cache.set("a", 1, tags=["t"], fence=fence) is False
    assert await cache.get("a") is None


@pytest.mark.parametrize("options", [{"namespace": ""}, {"on_error": "ignore"}])
async def test_a_service_that_makes_no_sense_is_refused(new_cache, options):
    with pytest.raises(ValueError):
        new_cache(**options)


# tags


async def test_a_value_lives_until_one_of_its_tags_is_invalidated(cache):
    await cache.set("velocity", 42, tags=["issue:PROJ-1", "project:PROJ:issues"])
    await cache.invalidate(["issue:PROJ-10", "project:PROJ", "issue"])
    assert await cache.get("velocity") is None, "an issue by another name may be the same one"
    await cache.set("velocity", 42, tags=["project:PROJ:issues"])
    await cache.invalidate(["issue:PROJ-10", "project:PROJ", "issue"])
    assert await cache.get("velocity") == 42
    await cache.invalidate(["project:PROJ:issues"])
    assert await cache.get("velocity") is None
    assert await cache.exists("velocity") is False
    assert await cache.get_ttl("velocity") == -2
    assert await cache.get_many(["velocity"]) == {}


async def test_a_value_without_tags_outlives_every_invalidation(cache):
    await cache.set("a", 1)
    await cache.invalidate(["*"])
    assert await cache.get("a") == 1


async def test_everything_with_tags_is_old_at_once_by_one_tag(cache):
    await cache.set_many({"a": 1, "b": 2}, tags=["t"])
    await cache.invalidate(["*"])
    assert await cache.get_many(["a", "b"]) == {}


async def test_true_and_old_values_may_be_asked_for_together(cache):
    await cache.set("plain", 1)
    await cache.set("old", 2, tags=["t"])
    await cache.set("true", 3, tags=["u"])
    await cache.invalidate(["t"])
    assert await cache.get_many(["old", "absent", "true", "plain"]) == {"true": 3, "plain": 1}


async def test_a_value_that_was_computed_behind_an_earlier_fence_is_not_kept(cache):
    fence = await cache.fence()
    await cache.invalidate(["t"])
    assert await cache.set("a", 1, tags=["t"], fence=fence) is False
    assert await cache.get("a") is None
    assert await cache.set("a", 2, tags=["unrelated"], fence=fence) is True


async def test_without_a_fence_a_value_is_taken_to_be_as_of_now(cache):
    await cache.invalidate(["t"])
    assert await cache.set("a", 1, tags=["t"]) is True
    assert await cache.get("a") == 1


@pytest.mark.parametrize("tags", ["issue:PROJ-1", [1], [None]])
async def test_a_text_in_the_place_of_tags_is_a_mistake(cache, tags):
    for operation in (cache.set("a", 1, tags=tags), cache.invalidate(tags), cache.get_or_load("a", int, tags=tags)):
        with pytest.raises(TypeError, match="tags are"):
            await operation


# read-through


async def test_what_is_absent_is_loaded_once_and_kept(cache):
    loads = []

    def load():
        loads.append(1)
        return {"n": len(loads)}

    assert await cache.get_or_load("a", load) == {"n": 1}
    assert await cache.get_or_load("a", load, tags=["t"]) == {"n": 1}
    assert await cache.get("a") == {"n": 1}


async def test_the_first_answer_is_as_all_others_will_be(cache):
    assert await cache.get_or_load("a", lambda: (1, 2)) == [1, 2]


async def test_none_can_be_loaded_and_is_then_kept(cache):
    assert await cache.get_or_load("a", lambda: None) is None
    assert await cache.get_or_load("a", lambda: pytest.fail("loaded again")) is None


@pytest.mark.parametrize("tags", [(), ("t",)])
async def test_what_was_loaded_has_the_ttl_that_was_asked_for(cache, tags):
    await cache.get_or_load("a", lambda: 1, 30, tags)
    assert 20 < await cache.get_ttl("a") <= 30


async def test_an_invalidation_during_the_load_leaves_nothing_behind(cache, invalidating):
    assert await cache.get_or_load("a", invalidating(["t"], "old"), tags=["t"]) == "old"
    assert await cache.get("a") is None
    assert await cache.get_or_load("a", lambda: "new", tags=["t"]) == "new"
    assert await cache.get("a") == "new"


@pytest.fixture
def invalidating(cache):
    """Make a loader that invalidates tags before it returns a value: a change while something is computed from it."""

    def make(tags, value):
        def load():
            invalidated = cache.now.invalidate(tags)
            return value if invalidated is True else _after(invalidated, value)

        return load

    return make


async def _after(invalidated, value):
    await invalidated
    return value


async def test_what_a_loader_raises_is_raised_and_nothing_is_kept(cache):
    def fail():
        raise KeyError("no such sprint")

    with pytest.raises(KeyError, match="no such sprint"):
        await cache.get_or_load("a", fail)
    assert await cache.get_or_load("a", lambda: 1) == 1


async def test_what_json_cannot_hold_cannot_be_loaded(cache):
    with pytest.raises(TypeError, match="a: JSON"):
        await cache.get_or_load("a", object)
    assert await cache.get_or_load("a", lambda: 1) == 1


# what it says of itself


async def test_look_ups_are_counted(cache):
    await cache.set_many({"a": 1, "b": 2})
    await cache.get("a")
    await cache.get("c")
    await cache.get_many(["a", "b", "c", "d"])
    stats = await cache.stats()
    assert (stats.hits, stats.misses, stats.errors) == (3, 3, 0)
    assert (stats.hit_rate, stats.miss_rate) == (0.5, 0.5)


async def test_before_the_first_look_up_all_rates_are_zero(cache):
    stats = await cache.stats()
    assert (stats.hit_rate, stats.miss_rate) == (0, 0)


async def test_evictions_and_memory_are_told_as_far_as_the_backend_tells_them(cache, kind):
    await cache.set("a", "x" * 1000)
    stats = await cache.stats()
    if kind == "fakeredis":
        assert (stats.evictions, stats.memory_bytes, stats.eviction_rate) == (None, None, None)
    else:
        assert stats.evictions >= 0
        assert stats.memory_bytes > 1000
        assert stats.eviction_rate >= 0


@pytest.mark.parametrize("broken", [b"{not json", b"\x01", b"\x011 2\n", b"\x01a b c\n{}", b"\xff"])
async def test_a_value_that_somebody_else_broke_is_absent_and_counted(new_cache, client, kind, tenant, broken):
    name = f"tenant:{tenant}:a"
    written = client.take(Commands((("SET", name, broken),))) if kind == "memory" else client.set(name, broken)
    if asyncio.iscoroutine(written):
        await written
    cache = new_cache()
    await cache.set("b", 1)
    assert await cache.get_many(["a", "b"]) == {"b": 1}
    assert (await cache.stats()).errors == 1
    with pytest.raises(StoreError, match="a: is not a value"):
        await new_cache(on_error="raise").get("a")
