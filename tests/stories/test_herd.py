"""Equal questions at the same time are one question to Jira."""

import asyncio

import pytest

ISSUE = "/rest/api/2/issue/PROJ-1"


async def ask(proxies, origin, times):
    """Let `times` callers ask each proxy, and Jira answer once they all have."""
    origin.open.clear()
    origin.arrived.clear()
    tasks = [asyncio.create_task(proxy.get(ISSUE)) for _ in range(times) for proxy in proxies]
    await origin.arrived.wait()
    for proxy in proxies:  # they have all been heard, for this connection came after theirs
        await proxy.get("/-/live", user=None)
    origin.open.set()
    return await asyncio.gather(*tasks)


async def test_a_hundred_equal_misses_make_one_call(proxy, origin):
    origin.issue("PROJ-1", "wanted")
    answers = await ask([proxy], origin, 100)
    assert origin.calls() == 1
    assert {answer.json()["fields"]["summary"] for answer in answers} == {"wanted"}
    assert sum("collapsed" in answer.headers["Cache-Status"] for answer in answers) == 99


async def test_a_hundred_equal_misses_of_different_users_make_one_call_each(proxy, origin):
    origin.issue("PROJ-1", "wanted")
    origin.open.clear()
    tasks = [asyncio.create_task(proxy.get(ISSUE, user)) for _ in range(50) for user in ("alice", "bob")]
    while origin.calls() < 2:
        origin.arrived.clear()
        await origin.arrived.wait()
    await proxy.get("/-/live", user=None)
    origin.open.set()
    answers = await asyncio.gather(*tasks)
    assert origin.calls() == 2
    assert [answer.json()["fields"]["watches"]["isWatching"] for answer in answers] == [True, False] * 50


async def test_three_processes_that_share_a_redis_make_one_call(new_process, origin, redis_url, tenant):
    origin.issue("PROJ-1", "wanted")
    settings = {"store": {"url": redis_url}, "tenants": {tenant: {"upstream": origin.url}}}
    proxies = await asyncio.gather(*(new_process(**settings) for _ in range(3)))
    answers = await ask(proxies, origin, 34)
    assert origin.calls() == 1
    assert {answer.json()["fields"]["summary"] for answer in answers} == {"wanted"}


async def test_what_another_process_brought_is_looked_up_once_for_all_who_waited(new_proxy, origin, redis_url, tenant):
    origin.issue("PROJ-1", "wanted")
    settings = {"store": {"url": redis_url}, "tenants": {tenant: {"upstream": origin.url}}}
    one, other = await new_proxy(**settings), await new_proxy(**settings)
    await other.get("/rest/api/2/issue/PROJ-9")  # alice's lease is known
    looks = counted(other.running.app.stores[tenant])
    origin.open.clear()
    origin.arrived.clear()
    first = asyncio.create_task(one.get(ISSUE))
    await origin.arrived.wait()
    tasks = [asyncio.create_task(other.get(ISSUE)) for _ in range(20)]
    while len(looks) < 20:  # noqa: ASYNC110 - their look-ups are on the way
        await asyncio.sleep(0.01)
    await other.get("/-/live", user=None)
    origin.open.set()
    answers = await asyncio.gather(first, *tasks)
    assert origin.calls(path=ISSUE) == 1
    assert {answer.json()["fields"]["summary"] for answer in answers} == {"wanted"}
    assert len(looks) < 30  # one for each question, and one for all of them; a late one may have looked again


def counted(store) -> list[str]:
    """Count the look-ups from here on."""
    looks, read = [], store.read

    def reading(key, *rest, **options):
        looks.append(key)
        return read(key, *rest, **options)

    store.read = reading
    return looks


async def test_a_process_that_dies_on_its_trip_does_not_take_the_others_down(new_process, origin, redis_url, tenant):
    origin.issue("PROJ-1", "wanted")
    settings = {"store": {"url": redis_url}, "tenants": {tenant: {"upstream": origin.url}}}
    dying, other = await asyncio.gather(*(new_process(**settings) for _ in range(2)))
    origin.open.clear()
    lost = asyncio.create_task(dying.get(ISSUE))
    await origin.arrived.wait()
    dying.process.kill()
    await asyncio.gather(lost, return_exceptions=True)
    origin.open.set()
    assert (await other.get(ISSUE)).status == 200


async def test_a_leader_that_leaves_does_not_take_the_others_down(proxy, origin):
    origin.issue("PROJ-1", "wanted")
    origin.open.clear()
    leader = asyncio.create_task(proxy.get(ISSUE))
    await origin.arrived.wait()
    others = [asyncio.create_task(proxy.get(ISSUE)) for _ in range(10)]
    await proxy.get("/-/live", user=None)
    leader.cancel()
    await asyncio.gather(leader, return_exceptions=True)
    await proxy.get("/-/live", user=None)
    origin.open.set()
    assert {answer.status for answer in await asyncio.gather(*others)} == {200}
    assert origin.calls() == 1


async def test_a_herd_that_meets_a_broken_jira_does_not_ask_it_one_by_one(proxy, origin):
    def broken(request):
        request.transport.abort()

    origin.on("GET", ISSUE, broken)
    answers = await ask([proxy], origin, 50)
    assert {answer.status for answer in answers} == {502}
    assert origin.calls() <= 6  # the trip and one more, each of which is tried three times


@pytest.mark.parametrize("scope", ["credential", "tenant"])
async def test_a_herd_with_a_wrong_password_shares_only_its_own_refusal(new_proxy, origin, scope):
    proxy = await new_proxy(policies={"issue": {"scope": scope}})
    origin.issue("PROJ-1", "wanted")
    await proxy.get("/rest/api/2/issue/PROJ-9")
    origin.open.clear()
    good = [asyncio.create_task(proxy.get(ISSUE)) for _ in range(10)]
    bad = [asyncio.create_task(proxy.get(ISSUE, password="wrong")) for _ in range(10)]
    await origin.arrived.wait()
    await proxy.get("/-/live", user=None)
    origin.open.set()
    assert {answer.status for answer in await asyncio.gather(*good)} == {200}
    assert {answer.status for answer in await asyncio.gather(*bad)} == {404}
