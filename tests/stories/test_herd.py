"""Equal questions at the same time are one question to Jira."""

import asyncio

import pytest
import redis.asyncio

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
    # All are in one process here: a Redis that seems slow, for they make each other wait, is none that fails.
    settings = {"store": {"url": redis_url, "timeout": "10s"}, "tenants": {tenant: {"upstream": origin.url}}}
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


async def over_redis(new_proxy, origin, redis_url, tenant):
    """Start a proxy over Redis that knows alice's lease; its client there notes the commands that it is given."""
    proxy = await new_proxy(store={"url": redis_url}, tenants={tenant: {"upstream": origin.url}})
    await proxy.get("/rest/api/2/issue/PROJ-9")
    client, given = proxy.running.app.stores[tenant]._backend._far._client, []
    execute = client.execute_command

    def noting(*command, **options):
        given.append(command)
        return execute(*command, **options)

    client.execute_command = noting
    return proxy, given


async def test_a_miss_goes_to_redis_twice(new_proxy, origin, redis_url, tenant):
    """To look it up, which claims the trip, and to keep it, which ends the claim."""
    proxy, given = await over_redis(new_proxy, origin, redis_url, tenant)
    origin.issue("PROJ-1", "wanted")
    assert (await proxy.get(ISSUE)).why == "miss"
    assert [command[0] for command in given if "PROJ-1" in repr(command)] == ["EVALSHA", "EVALSHA"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Cache-Control": "only-if-cached"}, 504),
        ({"Cache-Control": "no-store"}, 200),
        ({"X-Jira-Cache": "refresh"}, 200),
        ({"Range": "bytes=0-1"}, 200),
    ],
)
async def test_what_surely_makes_no_shared_trip_claims_none(new_proxy, origin, redis_url, tenant, headers, status):
    proxy, given = await over_redis(new_proxy, origin, redis_url, tenant)
    origin.issue("PROJ-1", "wanted")
    origin.open.clear()
    asked = asyncio.create_task(proxy.get(ISSUE, headers=headers))
    while not [command for command in given if "PROJ-1" in repr(command)]:  # noqa: ASYNC110 - it is looked up
        await asyncio.sleep(0.01)
    await proxy.get("/-/live", user=None)
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        assert await client.keys(f"tenant:{tenant}:claim:*PROJ-1*") == []
    origin.open.set()
    assert (await asked).status == status


@pytest.mark.parametrize("named", [True, False], ids=["Jira names the account", "Jira does not"])
async def test_who_waits_is_woken_when_there_is_the_answer_and_the_lease(new_proxy, origin, redis_url, tenant, named):
    """Else it would be asked for again: by those who know whose it is and find no answer, or by those who do not."""
    origin.names_accounts = named
    origin.issue("PROJ-1", "wanted")
    origin.issue("PROJ-2", "wanted")
    proxy = await new_proxy(store={"url": redis_url}, tenants={tenant: {"upstream": origin.url}})
    store, deeds = proxy.running.app.stores[tenant], []
    write, put, landed = store.write, store.put, store.landed

    async def writing(key, entry, fence, lock, landing):
        deeds.append("the answer, and landed" if landing else "the answer")
        return await write(key, entry, fence, lock, landing)

    async def putting(name, *rest):
        deeds.append("the lease")
        await put(name, *rest)

    async def landing(key, *, brought):
        deeds.append("landed with it" if brought else "landed")
        await landed(key, brought=brought)

    store.write, store.put, store.landed = writing, putting, landing
    await proxy.get(ISSUE)
    assert deeds == ["the answer", "the lease", "landed with it"]
    deeds.clear()
    await proxy.get("/rest/api/2/issue/PROJ-2")
    assert deeds == ["the answer, and landed"]


async def test_who_waited_for_another_process_has_nothing_by_a_lease_that_ended_meanwhile(
    new_proxy, origin, redis_url, tenant
):
    origin.issue("PROJ-1", "wanted")
    settings = {"store": {"url": redis_url}, "tenants": {tenant: {"upstream": origin.url}}}
    one, other = [await new_proxy(**settings) for _ in range(2)]
    for proxy in (one, other):
        await proxy.get("/rest/api/2/issue/PROJ-9")
    store, waiting = other.running.app.stores[tenant], asyncio.Event()
    wait = store.wait

    async def waits(*given):
        waiting.set()
        await wait(*given)

    store.wait = waits
    release = origin.hold_answer(ISSUE)
    first = asyncio.create_task(one.get(ISSUE))
    await origin.arrived.wait()
    second = asyncio.create_task(other.get(ISSUE))
    await waiting.wait()
    origin.users["alice"] = "changed"
    assert (await other.get("/rest/api/2/issue/PROJ-8")).why == "login-failed"
    release.set()
    assert (await first).status == 200
    assert (await second).why == "login-failed"


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
