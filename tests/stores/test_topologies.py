"""The same store over a Sentinel's master and over a Cluster, with TLS and logins, and what their URLs may say."""

import asyncio
import ssl
from contextlib import AsyncExitStack

import pytest
import trustme
from redis.crc import key_slot

from proxy.errors import ConfigError
from proxy.redis_figures import RedisFigures
from proxy.service import (
    AsyncCacheService,
    CacheService,
    create_async_redis_client,
    create_redis_client,
    ping_redis,
)
from proxy.stores.clients import is_cluster
from proxy.stores.redis import RedisStore, connect
from proxy.stores.topology import Cluster, Sentinels, Server, topology
from tests.faults.redises import Front, Node, clustered, watched

KEY = "issue:PROJ-1:abc"
LOGIN, USER, PASSWORD = "jira:p%40ss%2F%3A%3F%23%25%20w%C3%BC@", "jira", "p@ss/:?#% wü"


# what URLs say


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://:p%40ss@h:1/2", Server("redis://:p%40ss@h:1/2")),
        ("unix:///run/redis.sock", Server("unix:///run/redis.sock")),
        (
            "redis+sentinel://me:p%40ss@h,[::1]:26380/mymaster",
            Sentinels((("h", 26379), ("::1", 26380)), "mymaster", "redis://me:p%40ss@localhost/0", ()),
        ),
        (
            "rediss+sentinel://h:1/mymaster/3?sentinel_password=s%20s&ssl_ca_certs=/ca.pem",
            Sentinels((("h", 1),), "mymaster", "rediss://localhost/3?ssl_ca_certs=%2Fca.pem", (("password", "s s"),)),
        ),
        ("redis+cluster://h,g:7000", Cluster((("h", 6379), ("g", 7000)), "redis://localhost/0")),
        ("rediss+cluster://:x@h/0", Cluster((("h", 6379),), "rediss://:x@localhost/0")),
    ],
)
def test_a_url_tells_where_redis_is(url, expected):
    assert topology(url) == expected


@pytest.mark.parametrize(
    "url", ["redis://h?nonsense=1", "redis+sentinel://h/m?nonsense=1", "redis+cluster://h?nonsense=1"]
)
async def test_an_option_that_there_is_not_stops_the_start(url):
    with pytest.raises(ConfigError, match=r"store\.url: has an option that a connection does not have: .*nonsense"):
        connect(url)


@pytest.mark.parametrize("scheme", ["redis", "redis+sentinel", "redis+cluster"])
async def test_to_make_a_client_touches_no_network_whatever_the_topology(scheme):
    client = connect(f"{scheme}://256.256.256.256:1/{'mymaster' if 'sentinel' in scheme else ''}")
    await client.aclose()


# what is behind them


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
async def stack():
    async with AsyncExitStack() as exits:
        yield exits


@pytest.fixture
async def with_tls(stack, authority):
    """Put TLS in front of a port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)

    async def front(port: int) -> int:
        front = Front(port, context)
        stack.push_async_callback(front.close)
        return await front.start()

    return front


async def let_in(node: Node) -> None:
    await node.admin.execute_command("ACL", "SETUSER", USER, "on", f">{PASSWORD}", "~*", "&*", "+@all")


async def sentinels(stack, folder, *, front=None) -> str:
    master, _, sentinel = await stack.enter_async_context(watched(folder, front))
    await let_in(master)
    return f"127.0.0.1:{sentinel.port if front is None else await front(sentinel.port)}/mymaster"


async def cluster(stack, folder, *, front=None) -> str:
    nodes = await stack.enter_async_context(clustered(folder, masters=1 if front else 2, front=front))
    for node in nodes:
        await let_in(node)
        await node.admin.execute_command("ACL", "SETUSER", "default", "off")
    told = [int(slots[2][1]) for slots in await nodes[0].admin.execute_command("CLUSTER", "SLOTS")]
    return ",".join(f"127.0.0.1:{port}" for port in told)


@pytest.fixture(params=["sentinel", "cluster", "sentinel with tls", "cluster with tls"])
async def url(request, stack, tmp_path, with_tls, authority):
    """Where such a Redis is, with a login whose password has every character that a URL could stumble over."""
    kind, _, tls = request.param.partition(" with ")
    place = await {"sentinel": sentinels, "cluster": cluster}[kind](stack, tmp_path, front=with_tls if tls else None)
    if not tls:
        return f"redis+{kind}://{LOGIN}{place}"
    authority.cert_pem.write_to_path(ca := tmp_path / "ca.pem")
    return f"rediss+{kind}://{LOGIN}{place}?ssl_ca_certs={ca}"


async def test_a_store_is_the_same_over_every_topology(url, make_entry):
    client = connect(url, timeout=5.0)
    store = RedisStore(client, "acme", cluster=is_cluster(client), claimed_for=60)
    other = RedisStore(client, "acme", cluster=is_cluster(client), claimed_for=60)
    fence = (await store.read(KEY)).fence
    assert await store.write(KEY, make_entry("a"), fence)
    assert await store.write("issue:PROJ-2:abc", make_entry("b"), fence)
    assert (await store.read(KEY)).alive
    ear = store.ear()
    heard = await ear.hear(fence)
    waiting = asyncio.create_task(ear.wait(heard.last, 5.0))
    await store.invalidate(["a"])
    await waiting
    assert "a" in dict((await ear.hear(heard.fence)).invalidated)
    assert [(await store.read(key)).alive for key in (KEY, "issue:PROJ-2:abc")] == [False, True]
    await store.postpone(["b"], [0.001])
    while await store.repeat() is not None:
        pass
    assert not (await store.read("issue:PROJ-2:abc")).alive
    assert await store.forget("issue:PROJ-*") == 2
    assert (await store.read(KEY)).entry is None
    assert await store.claim(KEY)
    assert not await other.claim(KEY)
    waiting = asyncio.create_task(other.wait(KEY, 60))
    await store.landed(KEY)
    await waiting
    await store.put("lease:a", b"1", 60)
    assert await other.get("lease:a") == b"1"
    figures = RedisFigures(client)
    await figures.ask()
    assert {metric.name for metric in figures.collect()} > {"jira_cache_redis_hits", "jira_cache_redis_memory_bytes"}
    await ear.close()
    await store.close()


async def test_all_names_of_a_tenant_in_a_cluster_share_a_slot(stack, tmp_path, make_entry):
    nodes = await stack.enter_async_context(clustered(tmp_path, masters=2))
    store = RedisStore(connect(f"redis+cluster://127.0.0.1:{nodes[0].port}", timeout=5.0), "acme", cluster=True)
    await store.write(KEY, make_entry("a"), (await store.read(KEY)).fence)
    await store.put("lease:a", b"1", 60)
    names = {name for node in nodes for name in await node.admin.keys("*")}
    assert {key_slot(name) for name in names} == {key_slot(b"tenant:acme")}
    assert {name.rpartition(b"}:")[0] for name in names} == {b"{tenant:acme"}
    await store.close()


async def test_a_hundred_requests_wait_for_their_turn_in_a_cluster(stack, tmp_path):
    nodes = await stack.enter_async_context(clustered(tmp_path, masters=2))
    client = connect(f"redis+cluster://127.0.0.1:{nodes[0].port}", max_connections=2, timeout=5.0)
    store = RedisStore(client, "acme", cluster=True)
    assert len(set(await asyncio.gather(*(store.read(KEY) for _ in range(100))))) == 1
    await store.close()


async def test_the_library_is_the_same_over_every_topology(url):
    nonblocking = create_async_redis_client(url, timeout=5.0)
    one = AsyncCacheService(nonblocking, "tenant:acme", on_error="raise")
    await one.set_many({"a": 1, "b": 2}, tags=["issue:PROJ-1"])
    await one.set("c", 3)
    await asyncio.to_thread(use_from_a_thread, url)
    assert await one.get_many("abcn") == {"c": 3, "n": 1}
    assert (await one.stats()).memory_bytes
    assert await one.clear_namespace() == 4
    assert await one.get_many("abcn") == {}
    await nonblocking.aclose()


def use_from_a_thread(url):
    blocking = create_redis_client(url, timeout=5.0)
    other = CacheService(blocking, "tenant:acme", on_error="raise")
    assert other.get_many("abc") == {"a": 1, "b": 2, "c": 3}
    assert other.increment("n", ttl=60) == 1
    other.invalidate(["issue:PROJ-1"])
    assert ping_redis(blocking)
    blocking.close()


@pytest.mark.parametrize("scheme", ["redis", "redis+sentinel", "redis+cluster"])
def test_a_program_meets_a_redis_that_is_not_there_as_a_miss(scheme):
    url = f"{scheme}://127.0.0.1:1/{'mymaster' if 'sentinel' in scheme else ''}"
    cache = CacheService(url=url)
    assert cache.get("a") is None
    assert cache.set("a", 1) is False
    assert cache.stats().errors == 3


async def test_a_namespace_in_a_cluster_cannot_spell_anothers_slot():
    with pytest.raises(ValueError, match="has no brace"):
        AsyncCacheService(namespace="a}b", url="redis+cluster://h")
