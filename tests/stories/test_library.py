"""Programs beside the proxy: what they computed dies with its sources, by what the proxy sees of changes."""

import asyncio

import pytest

from proxy.service import AsyncCacheService, CacheService, create_async_redis_client, create_redis_client

pytestmark = pytest.mark.usefixtures("both_ways")

ISSUE = "/rest/api/2/issue/PROJ-1"
UPDATED = {
    "webhookEvent": "jira:issue_updated",
    "issue": {"id": "10001", "key": "PROJ-1", "fields": {"project": {"id": "10000", "key": "PROJ"}}},
}
LINKED = {"webhookEvent": "issuelink_created", "issueLink": {"id": 7, "sourceIssueId": 10001, "destinationIssueId": 2}}


@pytest.fixture
async def proxy(new_proxy, origin, redis_url, tenant):
    origin.issue("PROJ-1", "as it was")
    store = {"url": redis_url, "coherence": "strict"}
    return await new_proxy(store=store, tenants={tenant: {"upstream": origin.url}})


@pytest.fixture
async def caches(redis_url, tenant):
    """Both shells, as a program beside the proxy has them."""
    blocking, asynchronous = create_redis_client(redis_url), create_async_redis_client(redis_url)
    namespace = f"tenant:{tenant}"
    yield CacheService(blocking, namespace), AsyncCacheService(asynchronous, namespace)
    blocking.close()
    await asynchronous.aclose()


@pytest.fixture
def announce(proxy, session, tenant):
    async def post(event):
        async with session.post(f"{proxy.url}/-/webhooks/{tenant}", json=event) as response:
            assert (response.status, (await response.json())["status"]) == (200, "applied")

    return post


@pytest.mark.parametrize("tag", ["issue:PROJ-1", "issue:10001", "project:PROJ:issues", "issues"])
async def test_an_aggregation_dies_when_a_webhook_tells_of_a_change_in_what_it_was_computed_from(caches, announce, tag):
    blocking, asynchronous = caches
    blocking.set("aggregation:velocity:PROJ", 42, tags=[tag])
    blocking.set("aggregation:other", 7, tags=["project:OTHER:issues", "sprint:12"])
    assert await asynchronous.get("aggregation:velocity:PROJ") == 42
    await announce(UPDATED)
    assert blocking.get("aggregation:velocity:PROJ") is None
    assert await asynchronous.get("aggregation:velocity:PROJ") is None
    assert blocking.get("aggregation:other") == 7


async def test_it_dies_as_well_when_a_webhook_names_the_issue_by_the_name_it_was_not_tagged_with(caches, announce):
    blocking, _ = caches
    blocking.set("aggregation:velocity:PROJ", 42, tags=["issue:PROJ-1"])
    await announce(LINKED)
    assert blocking.get("aggregation:velocity:PROJ") is None


async def test_it_dies_when_somebody_writes_through_the_proxy(caches, proxy):
    _, asynchronous = caches
    await asynchronous.set_many({"prediction:1": 1, "prediction:2": 2}, tags=["issue:PROJ-1"])
    answer = await proxy.request("PUT", ISSUE, json={"fields": {"summary": "as it is"}})
    assert answer.status == 204
    assert await asynchronous.get_many(["prediction:1", "prediction:2"]) == {}


async def test_what_is_being_computed_while_a_webhook_arrives_is_not_kept(caches, announce):
    _, cache = caches

    async def compute():
        await announce(UPDATED)
        return "of before"

    assert await cache.get_or_load("aggregation:velocity:PROJ", compute, tags=["issue:PROJ-1"]) == "of before"
    assert await cache.get("aggregation:velocity:PROJ") is None


async def test_an_invalidation_by_a_program_makes_the_proxys_answers_old(caches, proxy, origin):
    blocking, _ = caches
    assert [(await proxy.get(ISSUE)).why for _ in range(2)] == ["miss", "fresh"]
    blocking.set("note", 1)
    assert (await proxy.get(ISSUE)).why == "fresh"
    assert blocking.invalidate(["issue:PROJ-1"])
    assert (await proxy.get(ISSUE)).why == "invalidated"
    assert blocking.get("note") == 1
    assert origin.calls(path=ISSUE) == 2


async def test_a_cleared_namespace_is_a_cold_cache_to_the_proxy_and_no_harm(caches, proxy):
    blocking, _ = caches
    assert [(await proxy.get(ISSUE)).why for _ in range(2)] == ["miss", "fresh"]
    assert blocking.clear_namespace() >= 1
    answers = [await proxy.get(ISSUE) for _ in range(2)]
    assert [answer.why for answer in answers] == ["miss", "fresh"]


async def test_the_proxys_own_copies_hear_of_a_programs_invalidation(new_proxy, origin, redis_url, tenant, caches):
    """By default a proxy answers from copies in its own memory, which follow what is invalidated in Redis."""
    origin.issue("PROJ-1", "as it was")
    store = {"url": redis_url, "max_lag": "30s"}
    proxy = await new_proxy(store=store, tenants={tenant: {"upstream": origin.url}})
    assert [(await proxy.get(ISSUE)).why for _ in range(3)] == ["miss", "fresh", "fresh"]
    caches[0].invalidate(["issue:PROJ-1"])
    async with asyncio.timeout(5):
        while origin.calls(path=ISSUE) == 1:
            await proxy.get(ISSUE)
    assert (await proxy.get(ISSUE)).why == "fresh"
