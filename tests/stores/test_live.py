"""Live queries: what an event must ask about, and that none is ever missed."""

import re
from dataclasses import replace

import pytest
import redis.asyncio

from policies.model import Fence, Live
from proxy.stores.live import Register
from proxy.stores.memory import MemoryStore

KEY = "search:jql:abc"
OTHER = "search:jql:def"
QUERY = Live("search:1f2e", 'project = "PROJ" ORDER BY created', 60.0)


def query(number: int, life: float = 60.0) -> Live:
    return Live(f"search:{number}", f"id = {number}", life)


@pytest.fixture
async def let_time_pass(kind, clock, tenant, raw):
    """Make all registrations older by some seconds: the clock of a real server is not ours to move."""

    async def in_memory(seconds):
        clock.now += seconds

    async def in_redis(seconds):
        texts = await raw.hgetall(f"tenant:{tenant}:queries")
        for tag, text in texts.items():
            older = re.sub(rb"^\d+", lambda found: b"%d" % (int(found[0]) - int(seconds * 1000)), text)
            await raw.hset(f"tenant:{tenant}:queries", tag, older)

    return in_memory if kind == "memory" else in_redis


@pytest.fixture
async def raw(kind, request):
    if kind == "fakeredis":
        yield request.getfixturevalue("fake_client")
        return
    async with redis.asyncio.Redis.from_url(request.getfixturevalue("redis_url")) as client:
        yield client


async def live_in(store, since=None):
    return set((await store.survey(since)).searches)


async def keep(store, entry, live, key=KEY):
    return await store.write(key, entry, (await store.read(key, live)).fence)


# registration


async def test_nothing_is_live_at_first(store):
    survey = await store.survey(None)
    assert (survey.searches, survey.whole) == ((), True)
    assert survey.fence == (await store.read(KEY)).fence


async def test_a_query_is_live_from_its_look_up_on(store):
    await store.read(KEY, QUERY)
    assert await live_in(store) == {QUERY}


@pytest.mark.parametrize("text", ["", " ", "a\nb", "ünï", "\udce9", "1 2 3", "a = 1\x00 OR b = 2", "x" * 100_000])
async def test_any_text_comes_back_as_it_was(store, text):
    odd = Live("search:ö\udce9", text, 0.125)
    await store.read(KEY, odd)
    assert await live_in(store) == {odd}


async def test_many_answers_share_one_query_and_a_look_up_of_a_registered_one_changes_nothing(store):
    fence = (await store.read(KEY, QUERY)).fence
    for key in (KEY, OTHER, KEY):
        assert (await store.read(key, QUERY)).fence == fence
    assert await live_in(store) == {QUERY}


async def test_each_registration_takes_the_next_stamp_and_the_fence_of_its_look_up_is_not_before_it(store, make_entry):
    before = (await store.read(KEY)).fence
    fence = (await store.read(KEY, QUERY)).fence
    assert fence == Fence(before.incarnation, before.stamp + 1)
    assert await store.write(KEY, make_entry(QUERY.tag), fence)


async def test_a_query_is_registered_again_only_in_the_second_half_of_its_time(store, let_time_pass):
    fence = (await store.read(KEY, QUERY)).fence
    await let_time_pass(55)
    await store.read(KEY, QUERY)
    assert await live_in(store, fence) == set()
    await let_time_pass(10)
    await store.read(KEY, QUERY)
    assert await live_in(store, fence) == {QUERY}
    assert await live_in(store) == {QUERY}


async def test_a_query_that_will_be_of_use_for_longer_is_registered_again(store):
    fence = (await store.read(KEY, query(1, life=10))).fence
    await store.read(KEY, query(1, life=20))
    assert await live_in(store, fence) == {query(1, life=20)}


async def test_to_register_again_does_not_make_answers_old(store, make_entry, let_time_pass):
    await keep(store, make_entry(QUERY.tag), QUERY)
    await let_time_pass(65)
    assert (await store.read(KEY, QUERY)).alive


# surveys


async def test_a_survey_since_a_fence_lists_what_became_live_after_it(store):
    await store.read(KEY, query(1))
    first = await store.survey(None)
    for number in (2, 3):
        await store.read(KEY, query(number))
    second = await store.survey(first.fence)
    assert (set(second.searches), second.whole) == ({query(2), query(3)}, False)
    assert await live_in(store, second.fence) == set()


async def test_a_survey_since_a_fence_of_another_history_lists_everything(store):
    fence = (await store.read(KEY, QUERY)).fence
    survey = await store.survey(Fence(fence.incarnation ^ 1, fence.stamp + 1000))
    assert (survey.searches, survey.whole) == ((QUERY,), True)


async def test_more_queries_than_fit_into_one_step_are_all_listed(store):
    queries = {query(number) for number in range(1_100)}
    for live in queries:
        await store.read(KEY, live)
    assert await live_in(store) == queries


# invalidation by survey


async def test_a_query_that_the_survey_did_not_see_counts_as_hit(store, make_entry):
    await keep(store, make_entry("search:1"), query(1))
    fence = (await store.survey(None)).fence
    await keep(store, make_entry("search:2"), query(2), OTHER)
    await store.invalidate(["issue:PROJ-1"], surveyed=fence)
    assert (await store.read(KEY, query(1))).alive, "it was seen, and not chosen"
    assert not (await store.read(OTHER, query(2))).alive


async def test_a_trip_of_a_query_that_the_survey_did_not_see_is_dead_on_arrival(store, make_entry):
    surveyed = (await store.survey(None)).fence
    fence = (await store.read(KEY, QUERY)).fence
    await store.invalidate([], surveyed=surveyed)
    assert not await store.write(KEY, make_entry(QUERY.tag), fence)


async def test_a_survey_of_another_history_has_seen_nothing(store, make_entry):
    await keep(store, make_entry("search:1"), query(1))
    fence = (await store.survey(None)).fence
    await store.invalidate([], surveyed=Fence(fence.incarnation ^ 1, fence.stamp))
    assert not (await store.read(KEY, query(1))).alive


async def test_an_invalidation_without_a_survey_leaves_queries_alone(store, make_entry):
    await keep(store, make_entry(QUERY.tag), QUERY)
    await store.invalidate(["issue:PROJ-1"])
    assert (await store.read(KEY, QUERY)).alive


# forgetting


async def test_more_queries_than_the_limit_make_the_oldest_forgotten_and_old(new_store, make_entry):
    store = new_store(live_limit=2)
    await keep(store, make_entry("search:1"), query(1))
    fence = (await store.read(OTHER, query(2))).fence
    await store.read(OTHER, query(3))
    assert await live_in(store) == {query(2), query(3)}
    assert not (await store.read(KEY)).alive
    assert await store.write(OTHER, make_entry("search:2"), fence), "what is live is as it was"


async def test_long_queries_make_more_of_the_oldest_forgotten_and_old(new_store, make_entry):
    store = new_store(live_room=3000)
    await keep(store, make_entry("search:1"), query(1))
    for number in (2, 3):
        await store.read(OTHER, query(number))
    assert await live_in(store) == {query(1), query(2), query(3)}
    long = replace(query(4), jql="key = A-1 OR " * 155)
    await store.read(OTHER, long)
    assert await live_in(store) == {query(2), query(3), long}
    assert not (await store.read(KEY)).alive
    longer = replace(query(5), jql="key = A-1 OR " * 200)
    await store.read(OTHER, longer)
    assert await live_in(store) == {longer}


async def test_a_query_that_is_registered_again_weighs_once(new_store, let_time_pass):
    store = new_store(live_room=1000)
    for _ in range(10):
        await store.read(KEY, query(1))
        await store.read(OTHER, query(2))
        await let_time_pass(65)
    assert await live_in(store) == {query(1), query(2)}


async def test_a_query_that_no_answer_can_need_is_forgotten_when_another_comes(store, make_entry, let_time_pass):
    await keep(store, make_entry("search:1"), query(1))
    await let_time_pass(115)
    await store.read(OTHER, query(2))
    assert await live_in(store) == {query(1), query(2)}
    await let_time_pass(10)
    await store.read(OTHER, query(3))
    assert await live_in(store) == {query(2), query(3)}
    assert not (await store.read(KEY)).alive, "whatever the clock said"


async def test_a_query_that_is_asked_for_again_in_time_is_not_forgotten(store, let_time_pass):
    await store.read(KEY, query(1))
    for _ in range(4):
        await let_time_pass(65)
        await store.read(KEY, query(1))
        await store.read(OTHER, query(2))
    assert await live_in(store) == {query(1), query(2)}


async def test_to_forget_does_not_bring_back_what_the_ledger_trims(new_store, make_entry):
    store = new_store(live_limit=1, ledger_limit=1)
    await keep(store, make_entry("search:0"), query(0))
    for number in range(1, 5):
        await store.read(OTHER, query(number))
    assert not (await store.read(KEY)).alive


def test_the_register_in_memory_says_its_state_in_a_line():
    register = Register(10)
    register.add(QUERY, 1, 0.0)
    assert repr(register) == "<Register 1 queries>"


# what only Redis can lose


@pytest.mark.parametrize("kind", ["redis", "fakeredis", "tiered"], indirect=True)
@pytest.mark.parametrize("lost", [["live"], ["queries"], ["live", "queries"]], ids="+".join)
@pytest.mark.parametrize(
    "deed",
    [
        lambda store: store.survey(None),
        lambda store: store.read(OTHER, query(9)),
        lambda store: store.invalidate([], surveyed=Fence(0, 0)),
    ],
    ids=["survey", "register", "invalidate"],
)
async def test_a_lost_register_kills_whatever_an_event_may_have_missed(store, raw, tenant, make_entry, *, lost, deed):
    fence = (await store.read(KEY, QUERY)).fence
    await store.write(KEY, make_entry(), fence)
    await raw.delete(*(f"tenant:{tenant}:{name}" for name in lost))
    await deed(store)
    found = await store.read(KEY)
    assert (found.entry is not None, found.alive) == (True, False)
    assert found.fence.incarnation != fence.incarnation
    await store.read(KEY, QUERY)
    assert QUERY in await live_in(store)


@pytest.mark.parametrize("kind", ["redis", "fakeredis"], indirect=True)
@pytest.mark.parametrize("name", ["live", "queries"])
async def test_something_else_in_the_registers_place_is_a_loss(store, raw, tenant, name):
    fence = (await store.read(KEY, QUERY)).fence
    await raw.delete(f"tenant:{tenant}:{name}")
    await raw.set(f"tenant:{tenant}:{name}", b"rubbish")
    await store.read(OTHER, query(2))
    survey = await store.survey(None)
    assert survey.searches == (query(2),)
    assert survey.fence.incarnation != fence.incarnation


async def test_a_look_up_of_a_registered_query_writes_nothing(redis_server, tenant):
    from proxy.stores.redis import RedisStore, connect  # noqa: PLC0415

    store = RedisStore(connect(redis_server.url, timeout=2.0), tenant)
    await store.read(KEY, QUERY)
    async with redis.asyncio.Redis.from_url(redis_server.url) as client:
        before = (await client.info("persistence"))["rdb_changes_since_last_save"]
        await store.read(KEY, QUERY)
        assert (await client.info("persistence"))["rdb_changes_since_last_save"] == before
    await store.close()


async def test_forgotten_is_forgotten_in_memory_too(clock):
    store = MemoryStore(max_bytes=1000, clock=clock, live_limit=3)
    for number in range(100):
        await store.read(KEY, query(number))
    assert len(store._queries._queries) == 3
