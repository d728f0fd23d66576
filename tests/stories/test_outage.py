"""Jira is down: old answers stand in, marked as old; credentials are believed for a while; and Jira is let recover."""

import asyncio

import pytest
from aiohttp import web

from tests.clocks import World

ISSUE, OTHER = "/rest/api/2/issue/PROJ-1", "/rest/api/2/issue/PROJ-2"
PAGE = "/browse/PROJ-1"


@pytest.fixture
def world():
    return World()


@pytest.fixture
def facing(new_proxy, origin, world):
    """Start proxies in that world, before `origin` or another upstream."""

    async def start(upstream=None, policies=None, timeouts=None, **tenant):
        tenants = {"default": {"upstream": upstream or origin.url, "lease": "5m", "outage_lease": "30m"} | tenant}
        more = {"policies": policies or {}} | ({"timeouts": timeouts} if timeouts else {})
        replaced = {"sleep": world.sleep, "draw": world.draw, "steady": world}
        return await new_proxy(clock=world, world=replaced, tenants=tenants, **more)

    return start


def failing(status, **headers):
    named = {"X-AUSERNAME": "alice"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda asked: web.json_response({"errorMessages": ["no"]}, status=status, headers=named)


def break_off(asked):
    asked.transport.abort()
    return web.Response()


def gateway(status):
    """Answer for a Jira that does not: who asked is not known there."""
    return lambda asked: web.Response(text="Bad Gateway", status=status)


OUTAGES = pytest.mark.parametrize(
    "outage", [gateway(500), gateway(502), gateway(503), break_off], ids=["500", "502", "503", "lost"]
)


def cease(proxy):
    """Let connections to Jira be refused from now on."""
    pool = proxy.running.app.governors["default"]._upstream._pool
    pool._base, pool._opening = "http://127.0.0.1:1", None


async def governed(proxy):
    return (await proxy.parts())["upstreams"]["default"]


async def calls(proxy) -> int:
    async with proxy.session.get(f"http://{proxy.running.admin}/api/stats") as response:
        told = (await response.json())["tenants"]["default"]
        return sum(told["governor"]["calls"].values())


# old answers ---------------------------------------------------------------------------------------------------------


async def test_an_old_answer_stands_in_while_connections_are_refused(facing, origin, world):
    proxy = await facing(policies={"issue": {"ttl": "1m"}})
    origin.issue("PROJ-1", "as it was")
    fresh = await proxy.get(ISSUE)
    cease(proxy)
    world.now += 100
    old = await proxy.get(ISSUE)
    assert (old.status, old.body) == (200, fresh.body)
    assert (old.headers["Cache-Status"], old.headers["Age"]) == ("jira-cache; hit; ttl=-40; detail=stale-error", "100")
    assert "Warning" not in old.headers


# leases --------------------------------------------------------------------------------------------------------------


@OUTAGES
async def test_a_credential_is_believed_for_longer_while_jira_is_down(facing, origin, world, outage):
    proxy = await facing(policies={"issue": {"ttl": "1h"}})
    origin.issue("PROJ-1", "as it was")
    await proxy.get(ISSUE)
    origin.on("GET", ISSUE, outage)
    world.now += 29 * 60
    old = await proxy.get(ISSUE)
    assert (old.status, old.why, old.headers["Age"]) == (200, "outage-lease", "1740")
    world.now += 60
    assert (await proxy.get(ISSUE)).status >= 500


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (failing(429, Retry_After="60"), 429),
        (failing(401), 401),
        (failing(503, X_Seraph_LoginReason="AUTHENTICATED_FAILED"), 503),
        (failing(503, X_AUSERNAME="anonymous"), 503),
    ],
    ids=["throttled", "refused", "refused and down", "nobody"],
)
async def test_a_jira_that_is_not_down_has_to_accept_the_credential_anew(facing, origin, world, answer, status):
    proxy = await facing(policies={"issue": {"ttl": "1h"}})
    origin.issue("PROJ-1", "as it was")
    await proxy.get(ISSUE)
    origin.on("GET", ISSUE, answer)
    world.now += 6 * 60
    assert (await proxy.get(ISSUE)).status == status


async def test_a_credential_that_jira_never_accepted_is_not_believed_because_jira_is_down(facing, origin):
    proxy = await facing()
    origin.issue("PROJ-1", "as it was")
    await proxy.get(ISSUE)
    cease(proxy)
    assert (await proxy.get(ISSUE, password="guessed")).status == 502
    assert (await proxy.get(ISSUE)).why == "fresh"


async def test_a_credential_that_jira_refused_is_not_believed_when_jira_goes_down(facing, origin, world):
    proxy = await facing(policies={"issue": {"ttl": "1h"}})
    origin.issue("PROJ-1", "as it was")
    await proxy.get(ISSUE)
    origin.users["alice"] = "changed"
    world.now += 6 * 60
    assert (await proxy.get(ISSUE)).status == 404
    cease(proxy)
    assert (await proxy.get(ISSUE)).status == 502


# what a change made old ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("serve", [False, True])
@OUTAGES
async def test_what_a_change_made_old_stands_in_only_where_policy_says_so(facing, origin, serve, outage):
    proxy = await facing(policies={"issue": {"serve_invalidated_on_error": serve}})
    origin.issue("PROJ-1", "as it was")
    await proxy.get(ISSUE)
    await proxy.request("PUT", ISSUE, json={"fields": {"summary": "changed"}})
    origin.on("GET", ISSUE, outage)
    answer = await proxy.get(ISSUE)
    if serve:
        assert (answer.status, answer.why, answer.headers["Age"]) == (200, "invalidated-error", "0")
    else:
        assert answer.status >= 500


async def test_what_a_change_made_old_does_not_stand_in_because_jira_throttles(facing, origin):
    proxy = await facing(policies={"issue": {"serve_invalidated_on_error": True}})
    origin.issue("PROJ-1", "as it was")
    await proxy.get(ISSUE)
    await proxy.request("PUT", ISSUE, json={"fields": {"summary": "changed"}})
    origin.on("GET", ISSUE, failing(429, Retry_After="60"))
    assert [(await proxy.get(ISSUE)).status for _ in range(2)] == [429, 429]


async def test_a_write_that_jira_never_saw_makes_nothing_old(facing, origin, world):
    proxy = await facing(policies={"issue": {"ttl": "1m"}})
    origin.issue("PROJ-1", "as it was")
    await proxy.get(ISSUE)
    cease(proxy)
    assert (await proxy.request("PUT", ISSUE, json={"fields": {"summary": "changed"}})).status == 502
    assert (await proxy.get(ISSUE)).why == "fresh"
    world.now += 100
    assert (await proxy.get(ISSUE)).why == "stale-error"


async def test_a_write_that_jira_may_have_seen_makes_old_what_it_names(facing, origin):
    proxy = await facing()
    origin.issue("PROJ-1", "as it was")
    await proxy.get(ISSUE)
    origin.on("PUT", ISSUE, break_off)
    assert (await proxy.request("PUT", ISSUE, json={"fields": {"summary": "changed"}})).status == 502
    assert (await proxy.get(ISSUE)).why == "invalidated"


# leaving Jira alone --------------------------------------------------------------------------------------------------


async def test_a_connection_that_could_not_be_made_is_not_tried_by_everybody_for_a_second(facing, world):
    proxy = await facing("http://127.0.0.1:1", governor={"retries": 0})
    assert [(await proxy.get(PAGE)).status for _ in range(5)] == [502] * 5
    assert await calls(proxy) == 1
    world.now += 1
    assert (await proxy.get(PAGE)).why == "upstream-unreachable"
    assert await calls(proxy) == 2


async def test_a_jira_that_fails_and_fails_is_left_alone_and_then_tried_by_one(facing, origin, world):
    proxy = await facing(governor={"retries": 0, "breaker_failures": 3})
    origin.on("GET", PAGE, failing(503))
    assert [(await proxy.get(PAGE)).status for _ in range(3)] == [503] * 3
    spared = await proxy.get(ISSUE)
    assert (spared.status, spared.why, spared.headers["Retry-After"]) == (503, "breaker-open", "2")
    assert spared.json() == {"errorMessages": ["Jira has failed too often just now"], "errors": {}}
    assert (await governed(proxy)) | {"held": {}} == {
        "state": "down",
        "breaker": "open",
        "held": {},
        "in_flight": 0,
        "queued": 0,
    }
    assert origin.calls() == 3

    world.now += 2  # the pause is over: one goes to see
    origin.open.clear()
    origin.arrived.clear()
    probe = asyncio.create_task(proxy.get(PAGE))
    await origin.arrived.wait()
    assert (await governed(proxy))["breaker"] == "half-open"
    assert (await proxy.get(PAGE)).why == "breaker-open"
    origin.open.set()
    assert (await probe).status == 503
    assert (await proxy.get(PAGE)).headers["Retry-After"] == "4"  # it failed: twice as long

    world.now += 4
    origin.on("GET", PAGE, None)
    assert (await proxy.get(PAGE)).status == 404
    assert await governed(proxy) == {"state": "ok", "breaker": "closed", "held": {}, "in_flight": 0, "queued": 0}


async def test_a_probe_whose_client_leaves_lets_the_next_one_go(facing, origin, world):
    proxy = await facing(governor={"retries": 0, "breaker_failures": 1})
    origin.on("GET", PAGE, failing(503))
    await proxy.get(PAGE)
    origin.on("GET", PAGE, None)
    world.now += 2
    origin.open.clear()
    origin.arrived.clear()
    probe = asyncio.create_task(proxy.get(PAGE))
    await origin.arrived.wait()
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)
    governor = proxy.running.app.governors["default"]
    async with asyncio.timeout(10):
        while governor.in_flight:  # noqa: ASYNC110 - nothing tells when the server has noticed that a client left
            await asyncio.sleep(0.001)
    origin.open.set()
    assert (await proxy.get(PAGE)).status == 404


async def test_an_old_answer_stands_in_without_a_call_while_jira_is_left_alone(facing, origin, world):
    proxy = await facing(policies={"issue": {"ttl": "1m"}}, governor={"breaker_failures": 1})
    origin.issue("PROJ-1", "as it was")
    await proxy.get(ISSUE)
    origin.on("GET", ISSUE, failing(503))
    world.now += 100
    assert [(await proxy.get(ISSUE)).why for _ in range(4)] == ["stale-error"] * 4
    assert origin.calls() == 2
    world.now += 3
    origin.on("GET", ISSUE, None)
    assert (await proxy.get(ISSUE)).why == "expired"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
async def test_an_answer_that_is_merely_not_good_opens_no_breaker(facing, origin, status):
    proxy = await facing(governor={"breaker_failures": 1})
    origin.on("POST", PAGE, failing(status, Retry_After="0"))
    await proxy.request("POST", PAGE)
    assert (await governed(proxy))["breaker"] == "closed"


async def test_a_hanging_jira_opens_the_breaker_too(facing, origin):
    proxy = await facing(governor={"breaker_failures": 2}, timeouts={"read": "50ms"})
    origin.open.clear()
    assert [(await proxy.get(PAGE)).why for _ in range(3)] == ["upstream-timeout"] * 2 + ["breaker-open"]
