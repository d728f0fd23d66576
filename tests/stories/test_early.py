"""What is about to expire is fetched anew in the background, and whoever has just written gets nothing old by it."""

import asyncio

import pytest
from aiohttp import web

from tests.clocks import Clock

ISSUE = "/rest/api/2/issue/PROJ-1"
TTL = 60.0
ALMOST = TTL - 0.0001  # far less than any answer takes is left
WRITTEN = {"fields": {"summary": "written"}}


@pytest.fixture
def clock():
    return Clock(1_000_000.0)


@pytest.fixture(params=["memory", "redis"])
def store(request):
    return {"url": "memory://" if request.param == "memory" else request.getfixturevalue("redis_url")}


@pytest.fixture
def start(new_proxy, origin, clock, tenant):
    """Start proxies whose draws are all `draw`."""

    async def begin(store, draw, stale="0s"):
        policies = {"issue": {"ttl": f"{TTL:.0f}s", "stale_while_revalidate": stale}}
        tenants = {tenant: {"upstream": origin.url}}
        return await new_proxy(
            clock=clock, world={"draw": lambda: draw}, store=store, policies=policies, tenants=tenants
        )

    return begin


def told(answer):
    return answer.why, answer.json()["fields"]["summary"]


async def in_the_background(proxy):
    """Wait for what nobody waits for."""
    (tenant,) = proxy.running.app.tenants.all
    await tenant.journey.close()


async def test_what_is_about_to_expire_is_fetched_before_it_does(start, store, origin, clock):
    proxy = await start(store, draw=0.0)
    origin.issue("PROJ-1", "before")
    await proxy.get(ISSUE)
    origin.issue("PROJ-1", "after")
    clock.now += ALMOST
    assert told(await proxy.get(ISSUE)) == ("fresh", "before")
    await in_the_background(proxy)
    clock.now += 1
    assert told(await proxy.get(ISSUE)) == ("fresh", "after")
    assert origin.calls() == 2


@pytest.mark.parametrize(("draw", "age"), [(0.9999999, ALMOST), (0.0, TTL * 0.79)])
async def test_it_is_left_to_chance_and_never_done_long_before(start, store, origin, clock, draw, age):
    proxy = await start(store, draw=draw)
    origin.issue("PROJ-1", "wanted")
    await proxy.get(ISSUE)
    clock.now += age
    assert (await proxy.get(ISSUE)).why == "fresh"
    await in_the_background(proxy)
    assert origin.calls() == 1


async def test_however_many_ask_at_the_end_one_trip_is_made(start, store, origin, clock):
    proxy = await start(store, draw=0.0)
    origin.issue("PROJ-1", "wanted")
    await proxy.get(ISSUE)
    clock.now += ALMOST
    origin.open.clear()
    assert {(await proxy.get(ISSUE)).why for _ in range(20)} == {"fresh"}
    origin.open.set()
    await in_the_background(proxy)
    assert origin.calls() == 2


async def test_of_two_instances_one_makes_the_trip(start, redis_url, origin, clock, monkeypatch):
    monkeypatch.setattr("proxy.trip.CLAIMED_FOR", 60.0)
    proxies = [await start({"url": redis_url}, draw=0.0) for _ in range(2)]
    origin.issue("PROJ-1", "wanted")
    await proxies[0].get(ISSUE)
    clock.now += ALMOST
    origin.open.clear()
    origin.arrived.clear()
    assert (await proxies[0].get(ISSUE)).why == "fresh"
    await origin.arrived.wait()
    assert (await proxies[1].get(ISSUE)).why == "fresh"
    origin.open.set()
    for proxy in proxies:
        await in_the_background(proxy)
    assert origin.calls() == 2


async def test_an_instance_takes_what_another_one_has_fetched_early(start, redis_url, origin, clock):
    eager, idle = await start({"url": redis_url}, draw=0.0), await start({"url": redis_url}, draw=1.0)
    origin.issue("PROJ-1", "before")
    await eager.get(ISSUE)
    origin.issue("PROJ-1", "after")
    clock.now += ALMOST
    assert told(await idle.get(ISSUE)) == told(await eager.get(ISSUE)) == ("fresh", "before")
    await in_the_background(eager)
    assert told(await idle.get(ISSUE)) == ("fresh", "after")
    assert origin.calls() == 2


async def test_a_jira_that_fails_leaves_what_is_still_fresh_as_it_is(start, store, origin, clock):
    proxy = await start(store, draw=0.0)
    origin.issue("PROJ-1", "wanted")
    await proxy.get(ISSUE)
    clock.now += ALMOST
    origin.on("GET", ISSUE, lambda asked: web.json_response({}, status=503))
    assert told(await proxy.get(ISSUE)) == ("fresh", "wanted")
    await in_the_background(proxy)
    assert told(await proxy.get(ISSUE)) == ("fresh", "wanted")


@pytest.mark.parametrize(
    ("stale", "age", "why"), [("0s", ALMOST, "fresh"), ("1m", TTL + 30, "stale-revalidate")], ids=["early", "stale"]
)
async def test_who_has_written_is_not_given_what_was_fetched_before(start, store, origin, clock, stale, age, why):
    """1. a hit has a new answer fetched  2. Jira reads the old state  3. a write is answered  4. its writer asks."""
    proxy = await start(store, draw=0.0, stale=stale)
    origin.issue("PROJ-1", "before")
    await proxy.get(ISSUE)
    clock.now += age
    release = origin.hold_answer(ISSUE)
    assert told(await proxy.get(ISSUE)) == (why, "before")
    await origin.arrived.wait()
    assert (await proxy.request("PUT", ISSUE, json=WRITTEN)).status == 204
    asked = asyncio.create_task(proxy.get(ISSUE))
    await proxy.get("/-/live", user=None)  # it was heard, for this connection came after
    release.set()
    assert told(await asked) == ("invalidated", "written")
    await in_the_background(proxy)
    assert told(await proxy.get(ISSUE)) == ("fresh", "written")


@pytest.mark.parametrize(
    ("stale", "age"), [("0s", ALMOST), ("1m", TTL + 30), ("1m", TTL + 0.0001)], ids=["early", "stale", "just"]
)
async def test_a_write_ends_what_would_have_been_served_for_a_while(start, store, origin, clock, stale, age):
    proxy = await start(store, draw=0.0, stale=stale)
    origin.issue("PROJ-1", "before")
    await proxy.get(ISSUE)
    clock.now += age
    await proxy.request("PUT", ISSUE, json=WRITTEN)
    assert told(await proxy.get(ISSUE)) == ("invalidated", "written")
