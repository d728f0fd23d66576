"""What only Redis can do to a store: forget, restart, hang, hold rubbish, and be shared."""

import asyncio
import os
import signal
import socket
from time import monotonic

import pytest
import redis.asyncio

from policies.model import Fence, Live
from proxy.errors import ConfigError, StoreError, StoreFullError
from proxy.stores.failopen import FailOpen
from proxy.stores.ledger import Ledger
from proxy.stores.redis import RedisStore, connect
from tests.clocks import Clock

KEY = "issue:PROJ-1:abc"


@pytest.fixture
async def make_store(tenant):
    made = []

    def make(url, name=tenant, timeout=2.0, **options):
        made.append(RedisStore(connect(url, timeout=timeout), name, claimed_for=600, **options))
        return made[-1]

    yield make
    for store in made:
        await store.close()


@pytest.fixture
def store(make_store, redis_url):
    return make_store(redis_url)


async def fill(store, entry, key=KEY):
    return await store.write(key, entry, (await store.read(key)).fence)


async def restart(server):
    await asyncio.to_thread(server.stop)
    await asyncio.to_thread(server.start)  # beside the loop, which sees the connections end


# names


async def test_the_names_in_redis_are_those_of_the_contract(store, raw, tenant, make_entry):
    await fill(store, make_entry("issue:PROJ-1"))
    await store.put("lease:a", b"1", 60)
    await store.claim(KEY)
    names = {name.decode() async for name in raw.scan_iter(f"*{tenant}*")}
    ends = {KEY, "ledger", "changes", "shelf:lease:a", f"claim:{KEY}"}
    assert names == {f"tenant:{tenant}:{end}" for end in ends}


async def test_in_a_cluster_the_tenant_is_the_hash_tag_of_all_names(make_store, redis_url, raw, tenant, make_entry):
    store = make_store(redis_url, cluster=True)
    await fill(store, make_entry())
    await store.put("lease:a", b"1", 60)
    names = {name.decode() async for name in raw.scan_iter(f"*{tenant}*")}
    assert names == {f"{{tenant:{tenant}}}:{end}" for end in (KEY, "ledger", "changes", "shelf:lease:a")}


@pytest.mark.parametrize("name", ["a:b", "a{b", "a}", "", "a b"])
async def test_a_tenant_whose_name_could_spell_anothers_keys_is_refused(redis_url, name):
    client = connect(redis_url)
    with pytest.raises(ConfigError, match="tenants"):
        RedisStore(client, name)
    await client.aclose()


async def test_tenants_know_nothing_of_each_other(make_store, redis_url, new_tenant, make_entry):
    one, other = (make_store(redis_url, new_tenant()) for _ in range(2))
    await fill(one, make_entry("a"))
    await fill(other, make_entry("b"))
    await one.invalidate(["*"])
    assert not (await one.read(KEY)).alive
    assert (await other.read(KEY)).alive
    await one.put("lease:a", b"1", 60)
    assert await other.get("lease:a") is None


async def test_two_processes_see_the_same_answers_and_the_same_changes(make_store, redis_url, make_entry):
    one, other = make_store(redis_url), make_store(redis_url)
    await fill(one, make_entry("a"))
    assert (await other.read(KEY)) == (await one.read(KEY))
    await other.invalidate(["a"])
    assert not (await one.read(KEY)).alive


# expiry


async def test_an_entry_is_kept_for_its_own_time(store, raw, tenant, make_entry):
    await fill(store, make_entry(keep=90.5))
    assert 89_000 < await raw.pttl(f"tenant:{tenant}:{KEY}") <= 90_500


async def test_an_expired_entry_is_gone(store, raw, tenant, make_entry):
    await fill(store, make_entry())
    await raw.pexpire(f"tenant:{tenant}:{KEY}", 0)
    assert (await store.read(KEY)).entry is None


async def test_a_new_entry_does_not_inherit_the_time_of_the_old(store, raw, tenant, make_entry):
    await fill(store, make_entry(keep=9_000))
    await fill(store, make_entry(keep=9))
    assert await raw.pttl(f"tenant:{tenant}:{KEY}") <= 9_000


@pytest.mark.parametrize("deed", ["put", "add"])
async def test_values_on_the_shelf_are_kept_for_their_time(store, raw, tenant, deed):
    await getattr(store, deed)("lease:a", b"1", 30.0)
    assert 29_000 < await raw.pttl(f"tenant:{tenant}:shelf:lease:a") <= 30_000


async def test_the_ledger_never_expires(store, raw, tenant):
    await store.invalidate(["a"])
    assert await raw.ttl(f"tenant:{tenant}:ledger") == -1


# the ledger


async def test_the_ledger_holds_no_more_tags_than_its_limit(make_store, redis_url, raw, tenant):
    store = make_store(redis_url, ledger_limit=5)
    for number in range(30):
        await store.invalidate([f"a{number}", f"b{number}", f"c{number}"])
    assert await raw.zcard(f"tenant:{tenant}:ledger") == 5 + 8


async def test_it_keeps_the_same_rule_as_the_ledger_in_memory(make_store, redis_url, make_entry):
    """The same fifty changes under the same small limit, judged by both at every step."""
    store, ledger, fences = make_store(redis_url, ledger_limit=3), Ledger(1, 3), []
    for step in range(50):
        fences.append(((await store.read(KEY)).fence, ledger.fence))
        tags = [f"t{(step * factor) % 7}" for factor in (1, 3)][: 1 + step % 2]
        await store.invalidate(tags)
        ledger.invalidate(tags)
        for number, (theirs, ours) in enumerate(fences):
            entry = make_entry(f"t{step % 5}", keep=0.001)
            alive = await store.write(f"k{number}", entry, theirs)
            assert alive == ledger.is_true(ours, entry.tags), (step, number)


async def test_a_flushed_redis_has_a_new_history_and_the_past_is_dead(redis_server, make_store, raw, make_entry):
    store = make_store(redis_server.url)
    fence = (await store.read(KEY)).fence
    async with redis.asyncio.Redis.from_url(redis_server.url) as client:
        await client.flushall()
    assert not await store.write(KEY, make_entry(), fence)
    assert (await store.read(KEY)).fence.incarnation != fence.incarnation
    assert not (await store.read(KEY)).alive


async def test_a_ledger_that_was_evicted_kills_what_it_judged(store, raw, tenant, make_entry):
    await fill(store, make_entry())
    await raw.delete(f"tenant:{tenant}:ledger")
    found = await store.read(KEY)
    assert (found.entry is not None, found.alive) == (True, False)


@pytest.mark.parametrize(
    "member", [b"\xffincarnation", b"\xffstamp", b"\xfffloor", b"\xffrun", b"\xffswept", b"\xfflive", b"\xffweight"]
)
async def test_a_ledger_that_lost_a_part_is_lost(store, raw, tenant, make_entry, member):
    await fill(store, make_entry())
    await raw.zrem(f"tenant:{tenant}:ledger", member)
    assert not (await store.read(KEY)).alive
    assert await fill(store, make_entry())


async def test_something_else_in_the_ledgers_place_is_replaced_by_a_new_ledger(store, raw, tenant, make_entry):
    await fill(store, make_entry())
    await raw.set(f"tenant:{tenant}:ledger", b"rubbish")
    assert not (await store.read(KEY)).alive
    assert await fill(store, make_entry())


async def test_a_restart_kills_the_past_even_where_redis_kept_its_data(redis_server, make_store, make_entry):
    """The last changes before a crash may not have reached the disk, nor the replica that takes over."""
    store = make_store(redis_server.url)
    await fill(store, make_entry())
    async with redis.asyncio.Redis.from_url(redis_server.url) as client:
        await client.save()
    await store.invalidate(["*"])
    fence = (await store.read(KEY)).fence
    await restart(redis_server)
    found = await store.read(KEY)
    assert (found.entry is not None, found.alive) == (True, False), "the entry survived, its truth did not"
    assert found.fence.incarnation != fence.incarnation
    assert await fill(store, make_entry())
    assert (await store.read(KEY)).alive


# scripts


async def test_flushed_scripts_are_loaded_again(redis_server, make_store, make_entry):
    store = make_store(redis_server.url)
    async with redis.asyncio.Redis.from_url(redis_server.url) as client:
        for _ in range(2):
            assert await fill(store, make_entry("a"))
            await client.script_flush()
            assert (await store.read(KEY)).alive
            await client.script_flush()
            await store.invalidate(["a"])
            assert await store.claim(KEY)
            await client.script_flush()
            await store.landed(KEY)


async def test_each_of_the_three_operations_is_one_command(redis_server, make_store, make_entry):
    store = make_store(redis_server.url)
    fence = (await store.read(KEY)).fence
    await store.write(KEY, make_entry(), fence)
    await store.invalidate(["a"])
    async with redis.asyncio.Redis.from_url(redis_server.url) as client:
        await client.config_resetstat()
        await store.read(KEY)
        await store.write(KEY, make_entry(), fence)
        await store.invalidate(["a"])
        stats = await client.info("commandstats")
    assert stats["cmdstat_evalsha"]["calls"] == 3
    assert "cmdstat_eval" not in stats


# rubbish


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw, name: raw.set(name, b"not ours"),
        lambda raw, name: raw.zadd(name, {"a": 1}),
        lambda raw, name: raw.hset(name, "other", "fields"),
    ],
    ids=["string", "sorted set", "other hash"],
)
async def test_a_foreign_value_in_an_entrys_place_is_absent_and_replaced(store, raw, tenant, make_entry, damage):
    name = f"tenant:{tenant}:{KEY}"
    await damage(raw, name)
    assert (await store.read(KEY)).entry is None
    assert await fill(store, make_entry())
    assert (await store.read(KEY)).alive


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("head", b""),
        ("head", b"{}"),
        ("head", b"[200]"),
        ("head", b"null"),
        ("head", b"\xff\xfe"),
        ("head", b"[" * 100_000),
        ("head", b'[Infinity,[],"identity","e",[1,2,3,4],null]'),
        ("head", b'[200,[1],"identity","e",[1,2,3,4],null]'),
        ("head", b'[200,[],"identity","e",[1,2,null,4],null]'),
        ("head", b'[200,[],"identity","e",[1,2,3,4],[1]]'),
        ("tags", b"no end"),
        ("tags", b"\xff\n"),
    ],
)
async def test_a_damaged_entry_is_absent_and_counted(make_store, redis_url, raw, tenant, make_entry, *, field, value):
    unreadable = []
    store = make_store(redis_url, on_unreadable=lambda: unreadable.append(1))
    await fill(store, make_entry())
    await raw.hset(f"tenant:{tenant}:{KEY}", field, value)
    found = await store.read(KEY)
    assert (found.entry, found.alive, unreadable) == (None, False, [1])


@pytest.mark.parametrize("field", ["incarnation", "stamp"])
@pytest.mark.parametrize("value", [b"", b"x", b"nan", b"-1"])
async def test_an_entry_whose_fence_is_damaged_is_dead(store, raw, tenant, make_entry, *, field, value):
    await fill(store, make_entry())
    await raw.hset(f"tenant:{tenant}:{KEY}", field, value)
    assert not (await store.read(KEY)).alive
    assert await fill(store, make_entry())
    assert (await store.read(KEY)).alive


@pytest.mark.parametrize("field", ["tags", "head", "body"])
async def test_an_entry_that_lacks_a_field_is_absent(store, raw, tenant, make_entry, field):
    await fill(store, make_entry())
    await raw.hdel(f"tenant:{tenant}:{KEY}", field)
    found = await store.read(KEY)
    assert (found.entry, found.alive) == (None, False)


# failures


async def every_operation_fails(store, entry, fence):
    operations = [
        store.read(KEY),
        store.write(KEY, entry, fence),
        store.invalidate(["a"]),
        store.get("a"),
        store.put("a", b"", 1),
        store.add("a", b"", 1),
        store.drop("a"),
        store.claim(KEY),
        store.wait(KEY, 5),
    ]
    return [isinstance(e, StoreError) for e in await asyncio.gather(*operations, return_exceptions=True)]


async def test_a_redis_that_refuses_connections_is_found_out_at_the_first_use(make_store, make_entry):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: nobody else can take the port meanwhile
        store = make_store(f"redis://127.0.0.1:{taken.getsockname()[1]}/0", timeout=0.1)
        fence = Fence(1, 1)
        assert all(await every_operation_fails(store, make_entry(), fence))
        with pytest.raises(StoreError, match=r"^read: "):
            await store.read(KEY)


async def test_a_redis_that_hangs_is_given_up_within_the_timeout(redis_server, make_store, make_entry):
    store = make_store(redis_server.url, timeout=0.1)
    fence = (await store.read(KEY)).fence
    await store.claim("other")
    os.kill(redis_server.process.pid, signal.SIGSTOP)
    try:
        begun = monotonic()
        assert all(await every_operation_fails(store, make_entry(), fence))
        with pytest.raises(StoreError, match=r"^landed: "):
            await store.landed("other")
        assert monotonic() - begun < 1.5
    finally:
        os.kill(redis_server.process.pid, signal.SIGCONT)
    assert (await store.read(KEY)).fence == fence, "and used again when it is back"


async def test_a_claim_that_was_granted_unheard_is_given_up(redis_server, make_store):
    store = make_store(redis_server.url, timeout=0.1)
    await store.read(KEY)
    os.kill(redis_server.process.pid, signal.SIGSTOP)
    with pytest.raises(StoreError, match=r"^claim: "):
        await store.claim(KEY)
    os.kill(redis_server.process.pid, signal.SIGCONT)
    other = make_store(redis_server.url)
    assert not await other.claim(KEY), "Redis read it when it woke up"
    await make_store(redis_server.url).landed(KEY)
    assert not await other.claim(KEY), "nobody else can give it up"
    store._client.patience = 2.0
    await store.landed(KEY)
    assert await other.claim(KEY)


async def test_a_claim_that_a_look_up_was_granted_unheard_is_given_up(redis_server, make_store):
    patient, clock = make_store(redis_server.url), Clock()
    store = FailOpen(make_store(redis_server.url, timeout=0.1), clock=clock, on_error=lambda _: None)
    await store.read(KEY)
    os.kill(redis_server.process.pid, signal.SIGSTOP)
    assert (await store.read(KEY, claim=KEY)).fence is None
    os.kill(redis_server.process.pid, signal.SIGCONT)
    assert not await patient.claim(KEY), "Redis read it when it woke up"
    store._backend._client.patience = 2.0
    clock.now += 5
    await store.get("anything")
    assert await patient.claim(KEY)


async def test_a_restarted_redis_is_used_again_without_an_error(redis_server, make_store):
    store = make_store(redis_server.url)
    await asyncio.gather(*(store.read(KEY) for _ in range(10)))
    await restart(redis_server)
    await asyncio.gather(*(store.read(KEY) for _ in range(10)))


async def test_a_redis_without_room_keeps_nothing_new_and_still_records_what_is_old(
    redis_server, make_store, make_entry
):
    store = make_store(redis_server.url)
    await fill(store, make_entry("a"))
    await fill(store, make_entry("b"), "other")
    async with redis.asyncio.Redis.from_url(redis_server.url) as client:
        await client.config_set("maxmemory", "1")
        with pytest.raises(StoreFullError, match=r"^write: "):
            await fill(store, make_entry("a"), "third")
        assert (await store.read(KEY)).alive
        await store.invalidate(["a"])
        await store.postpone(["b"], [0.001])
        await store._run("sweep")
    assert not (await store.read(KEY)).alive
    while (await store.repeat()) is not None:
        pass
    assert not (await store.read("other")).alive


@pytest.mark.parametrize(
    ("trouble", "relief"),
    [
        ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"),
        ("CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0"),
    ],
)
async def test_a_redis_that_takes_no_writes_vouches_for_nothing(redis_server, make_store, make_entry, trouble, relief):
    store = make_store(redis_server.url)
    ear = store.ear()
    await fill(store, make_entry("a"))
    async with redis.asyncio.Redis.from_url(redis_server.url) as client:
        await client.execute_command(*trouble.split())
        # Another process may have tried this in vain, which nobody would know.
        with pytest.raises(StoreError, match=r"^invalidate: "):
            await store.invalidate(["a"])
        with pytest.raises(StoreError, match=r"^read: "):
            await store.read(KEY)
        with pytest.raises(StoreError, match=r"^hear: "):
            await ear.hear(None)
        await client.execute_command(*relief.split())
    assert (await store.read(KEY)).entry is not None


async def test_a_server_that_does_not_say_which_run_it_is_is_not_used(redis_server, make_store):
    async with redis.asyncio.Redis.from_url(redis_server.url) as client:
        await client.execute_command("ACL", "SETUSER", "default", "-info")
    with pytest.raises(StoreError):
        await make_store(redis_server.url).read(KEY)


async def test_more_requests_than_connections_wait_for_their_turn(redis_url, tenant):
    store = RedisStore(connect(redis_url, max_connections=2, timeout=2.0), tenant)
    found = await asyncio.gather(*(store.read(KEY) for _ in range(100)))
    assert len(set(found)) == 1
    await store.close()


async def test_closing_a_store_that_cannot_be_reached_is_silent(redis_server, make_store):
    store = make_store(redis_server.url)
    await store.read(KEY)
    redis_server.stop()
    await store.close()


@pytest.mark.parametrize("url", ["http://127.0.0.1", "127.0.0.1:6379", "redis://127.0.0.1:port/0", ""])
def test_a_url_that_is_none_stops_the_start(url):
    with pytest.raises(ConfigError, match=r"store\.url"):
        connect(url)


async def test_to_connect_touches_no_network():
    client = connect("redis://256.256.256.256:1/0")
    await client.aclose()


def test_the_state_of_a_store_fits_in_a_line(store, tenant):
    assert repr(store) == f"<RedisStore tenant:{tenant}:>"


# look-ups at once


@pytest.fixture
async def trips(redis_server):
    """Tell how many look-ups, writes and the like a Redis was asked for since the last time."""
    async with redis.asyncio.Redis.from_url(redis_server.url) as client:

        async def count():
            stats = await client.info("commandstats")
            await client.config_resetstat()
            return stats.get("cmdstat_evalsha", {"calls": 0})["calls"]

        yield count


async def test_look_ups_that_are_made_at_once_take_one_trip(redis_server, make_store, make_entry, trips):
    store = make_store(redis_server.url)
    keys = [f"issue:PROJ-{number}:abc" for number in range(20)]
    for number, key in enumerate(keys):
        await fill(store, make_entry(f"issue:{number}", body=b"%d" % number), key)
    await store.invalidate(["issue:3"])
    await trips()
    found = await asyncio.gather(*(store.read(key) for key in [*keys, *keys, "issue:PROJ-20:abc"]))
    assert await trips() == 1
    assert [each.entry and each.entry.body for each in found] == [b"%d" % number for number in range(20)] * 2 + [None]
    assert [each.alive for each in found[:20]] == [number != 3 for number in range(20)]


async def test_what_is_large_is_looked_up_alone_when_others_are_at_once(redis_server, make_store, make_entry, trips):
    store, large = make_store(redis_server.url), b"x" * 100_000
    await fill(store, make_entry(body=large), "large")
    await fill(store, make_entry(body=b"small"), "small")
    await trips()
    assert (await store.read("large")).entry.body == large
    assert await trips() == 1
    found = await asyncio.gather(store.read("large"), store.read("small"), store.read("none"))
    assert await trips() == 2
    assert [each.entry and each.entry.body for each in found] == [large, b"small", None]


async def test_who_only_looks_does_not_suffer_from_a_query_there_is_no_room_for(redis_server, make_store, make_entry):
    store = make_store(redis_server.url)
    await fill(store, make_entry())
    async with redis.asyncio.Redis.from_url(redis_server.url) as client:
        await client.config_set("maxmemory", "1")
        live = Live("search:1", "project = PROJ", 60)
        looks = store.read(KEY), store.read("other", live)
        found, refused = await asyncio.gather(*looks, return_exceptions=True)
    assert found.alive
    assert isinstance(refused, StoreFullError)


async def test_who_names_a_query_does_not_share_with_who_does_not(store):
    """Else it might not be registered, and a change that concerns it would not reach its answer."""
    live = Live("search:1", "project = PROJ", 60)
    await asyncio.gather(store.read(KEY), store.read(KEY), store.read(KEY, live))
    assert (await store.survey(None)).searches == (live,)
