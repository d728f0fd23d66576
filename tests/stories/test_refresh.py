"""A forced answer is newer than its question, and takes the place of the old one for everybody."""

import asyncio

import pytest

pytestmark = pytest.mark.usefixtures("both_ways")

ISSUE = "/rest/api/2/issue/PROJ-1"
REFRESH = {"X-Jira-Cache": "refresh"}


def summary(answer):
    return answer.json()["fields"]["summary"]


async def test_a_trip_that_left_before_a_forced_answer_does_not_take_its_place(proxy, origin):
    """1. a trip reads the old state  2. Jira changes, unannounced  3. a forced answer is kept  4. the trip lands."""
    origin.issue("PROJ-1", "old")
    await proxy.get("/rest/api/2/issue/PROJ-9")  # alice has a lease now
    release = origin.hold_answer(ISSUE)
    early = asyncio.create_task(proxy.get(ISSUE))
    await origin.arrived.wait()
    origin.issue("PROJ-1", "new")
    assert summary(await proxy.get(ISSUE, headers=REFRESH)) == "new"
    release.set()
    assert summary(await early) == "old"
    answer = await proxy.get(ISSUE)
    assert (answer.why, summary(answer)) == ("fresh", "new")


async def test_another_instance_does_not_go_on_serving_what_it_has_near(new_proxy, origin, redis_url, tenant):
    settings = {"store": {"url": redis_url}, "tenants": {tenant: {"upstream": origin.url}}}
    one, other = await new_proxy(**settings), await new_proxy(**settings)
    origin.issue("PROJ-1", "old")
    for _ in range(3):
        assert summary(await one.get(ISSUE)) == summary(await other.get(ISSUE)) == "old"
    origin.issue("PROJ-1", "new")
    await one.get(ISSUE, headers=REFRESH)
    async with asyncio.timeout(10):
        while summary(await other.get(ISSUE)) == "old":  # noqa: ASYNC110 - it hears of it within milliseconds
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("times", [3])
async def test_a_forced_answer_is_kept(proxy, origin, times):
    origin.issue("PROJ-1", "wanted")
    for _ in range(times):
        assert (await proxy.get(ISSUE, headers=REFRESH)).why == "refresh"
    assert (await proxy.get(ISSUE)).why == "fresh"
    assert origin.calls() == times
