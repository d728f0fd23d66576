"""Jira throttles: it is left alone for as long as it wants, where it wants, and its callers are told the truth."""

import asyncio
import base64
import json
import re
import socket
from email.utils import formatdate

import pytest
from aiohttp import web

from tests.clocks import World

ISSUE, OTHER = "/rest/api/2/issue/PROJ-1", "/rest/api/2/issue/PROJ-2"
PROJECT = "/rest/api/2/project/PROJ"
SEARCH = "/rest/api/2/search"


@pytest.fixture
def world():
    return World()


@pytest.fixture
def governed(new_proxy, origin, world):
    """Start proxies in that world; `governor` has keys of that section."""

    async def start(tenant="default", policies=None, store=None, **governor):
        tenants = {tenant: {"upstream": origin.url, "governor": governor}}
        more = {"policies": policies or {}} | ({"store": store} if store else {})
        return await new_proxy(clock=world, world={"sleep": world.sleep, "draw": world.draw}, tenants=tenants, **more)

    return start


def refusing(status=429, **headers):
    """Answer that Jira does not want to be asked."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda asked: web.json_response({"errorMessages": ["no"]}, status=status, headers=named)


def once(origin, method, path, *refusals, then=None):
    """Refuse so many times what is asked of `path`, then answer as Jira would."""
    waiting = list(refusals)

    def answer(asked):
        if waiting:
            return waiting.pop(0)(asked)
        return then(asked) if then else origin._jira(asked, method, path, b"")

    origin.on(method, path, answer)


def good(asked):
    return web.json_response({"key": "PROJ"}, headers={"X-AUSERNAME": "alice"})


async def stats(proxy):
    async with proxy.session.get(f"http://{proxy.running.admin}/api/stats") as response:
        (told,) = (await response.json())["tenants"].values()
        return told["governor"]


async def ready(proxy):
    (told,) = (await proxy.parts())["upstreams"].values()
    return told


# how long ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "waits"),
    [
        ({"Retry_After": "3"}, [3.0]),
        ({"Retry_After": formatdate(1_750_000_004, usegmt=True)}, [4.0]),
        ({"X_RateLimit_Reset": "2025-06-15T15:06:42Z"}, [2.0]),
        ({"Retry_After": "0"}, [1.0]),
        ({}, [1.0]),
    ],
)
async def test_a_question_waits_for_as_long_as_jira_wants(governed, origin, world, headers, waits):
    origin.issue("PROJ-1", "wanted")
    once(origin, "GET", ISSUE, refusing(**headers))
    proxy = await governed()
    assert (await proxy.get(ISSUE)).json()["fields"]["summary"] == "wanted"
    assert world.slept == waits
    assert origin.calls(path=ISSUE) == 2


async def test_where_jira_does_not_say_how_long_each_wait_is_longer(governed, origin, world):
    origin.issue("PROJ-1", "wanted")
    once(origin, "GET", ISSUE, refusing(Retry_After="0"), refusing())
    proxy = await governed()
    assert (await proxy.get(ISSUE)).status == 200
    assert world.slept == [1.0, 2.0]


async def test_nobody_waits_longer_than_max_wait_and_the_answer_says_when_to_come_again(governed, origin, world):
    origin.issue("PROJ-1", "wanted")
    once(origin, "GET", ISSUE, refusing(Retry_After="30"))
    proxy = await governed()
    first = await proxy.get(ISSUE)
    assert (first.status, first.headers["Retry-After"], first.json()) == (429, "30", {"errorMessages": ["no"]})
    world.now += 12
    second = await proxy.get(OTHER)
    assert (second.status, second.why, second.headers["Retry-After"]) == (429, "upstream-throttled", "18")
    assert second.json() == {"errorMessages": ["Jira wants to be asked less often"], "errors": {}}
    assert (origin.calls(), world.slept) == (1, [])
    world.now += 18
    assert (await proxy.get(ISSUE)).status == 200


async def test_a_503_that_says_when_to_come_again_is_heeded(governed, origin, world):
    once(origin, "GET", ISSUE, refusing(503, Retry_After="30"))
    proxy = await governed()
    failed = await proxy.get(ISSUE)
    assert (failed.status, failed.headers["Retry-After"]) == (503, "30")
    assert (await proxy.get(ISSUE)).why == "upstream-throttled"
    assert origin.calls() == 1


async def test_an_old_answer_is_served_rather_than_waited_for(governed, origin, world):
    proxy = await governed(policies={"issue": {"ttl": "1m"}})
    origin.issue("PROJ-1", "as it was")
    await proxy.get(ISSUE)
    world.now += 100
    once(origin, "GET", ISSUE, refusing(Retry_After="3"))
    for _ in range(3):
        old = await proxy.get(ISSUE)
        assert (old.status, old.why, old.headers["Age"]) == (200, "stale-error", "100")
    assert (origin.calls(), world.slept) == (2, [])


# where ---------------------------------------------------------------------------------------------------------------


def bearer(app, user):
    claims = json.dumps({"client_id": app, "sub": user}).encode()
    return {"Authorization": f"Bearer e30.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.x"}


def basic(user):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:secret".encode()).decode()}


QUOTA, BURST = {"RateLimit_Reason": "jira-quota-tenant-based"}, {"RateLimit_Reason": "jira-burst-based"}
PER_ISSUE, BY_USER = {"RateLimit_Reason": "jira-per-issue-on-write"}, {"X_RateLimit_Interval_Seconds": "60"}


@pytest.mark.parametrize(
    ("limit", "met_by", "held", "free"),
    [
        pytest.param(
            BURST,
            ("GET", ISSUE, basic("alice")),
            [("GET", OTHER, basic("bob"))],
            [("GET", PROJECT, basic("alice")), ("PUT", ISSUE, basic("alice"))],
            id="a burst: that endpoint and method",
        ),
        pytest.param(
            QUOTA,
            ("GET", ISSUE, bearer("bot", "alice")),
            [("GET", PROJECT, bearer("bot", "bob")), ("PUT", ISSUE, bearer("bot", "bob"))],
            [("GET", OTHER, bearer("dashboard", "alice")), ("GET", OTHER, basic("alice"))],
            id="a quota: everything of that app",
        ),
        pytest.param(
            PER_ISSUE,
            ("PUT", ISSUE, basic("alice")),
            [("PUT", ISSUE, basic("bob")), ("POST", f"{ISSUE}/comment", basic("bob"))],
            [("PUT", OTHER, basic("alice")), ("GET", ISSUE, basic("alice"))],
            id="writes to an issue: that issue",
        ),
        pytest.param(
            {},
            ("GET", ISSUE, basic("alice")),
            [("GET", OTHER, basic("alice"))],
            [("GET", OTHER, basic("bob")), ("GET", PROJECT, basic("alice"))],
            id="nobody knows what: that user at that endpoint",
        ),
        pytest.param(
            BY_USER,
            ("GET", ISSUE, basic("alice")),
            [("GET", PROJECT, basic("alice"))],
            [("GET", ISSUE, basic("bob"))],
            id="a user's bucket: that user",
        ),
    ],
)
async def test_jira_is_left_alone_only_where_it_wants_to_be(governed, origin, limit, met_by, held, free):
    proxy = await governed()
    method, path, headers = met_by
    origin.on(method, path, refusing(**{"Retry_After": "60"} | limit))
    assert (await proxy.request(method, path, None, headers=headers)).status == 429
    for method, path in {asked[:2] for asked in (*held, *free)}:
        origin.on(method, path, good)
    calls = len(origin.seen)
    for method, path, headers in held:
        answer = await proxy.request(method, path, None, headers=headers)
        assert (answer.status, answer.why, len(origin.seen)) == (429, "upstream-throttled", calls), (method, path)
    for method, path, headers in free:
        assert (await proxy.request(method, path, None, headers=headers)).status == 200, (method, path)


async def test_an_instance_heeds_what_another_one_was_told(governed, origin, world, redis_url, tenant):
    one, other = [await governed(tenant, store={"url": redis_url}) for _ in range(2)]
    origin.on("GET", ISSUE, refusing(Retry_After="60"))
    assert (await one.get(ISSUE)).status == 429
    assert (await other.get(OTHER)).why == "upstream-throttled"
    assert origin.calls() == 1


async def test_an_instance_without_its_redis_goes_by_what_it_was_told_itself(governed, origin, redis_server, tenant):
    proxy = await governed(tenant, store={"url": redis_server.url})
    redis_server.stop()
    origin.on("GET", ISSUE, refusing(Retry_After="60"))
    assert (await proxy.get(ISSUE)).status == 429
    assert (await proxy.get(ISSUE)).why == "upstream-throttled"
    assert origin.calls() == 1


# again ---------------------------------------------------------------------------------------------------------------


def break_off(asked):
    asked.transport.abort()
    return web.Response()


@pytest.mark.parametrize("trouble", [refusing(502), refusing(503), refusing(504)], ids=["502", "503", "504"])
@pytest.mark.parametrize(("method", "path"), [("GET", ISSUE), ("POST", SEARCH), ("GET", "/rest/api/2/issue/picker")])
async def test_a_read_that_fails_is_tried_again(governed, origin, world, trouble, method, path):
    once(origin, method, path, trouble, trouble, then=good)
    proxy = await governed()
    asked = {"json": {"jql": "project = PROJ"}} if method == "POST" else {}
    assert (await proxy.request(method, path, **asked)).status == 200
    assert origin.calls(method, path) == 3
    assert world.slept == [0.2, 0.4]


@pytest.mark.parametrize("path", [ISSUE, "/rest/api/2/issue/picker"])
async def test_a_read_whose_connection_is_lost_is_tried_again(governed, new_bytes_origin, new_proxy, world, path):
    """The first connection is lost before the answer, the second one within it."""
    connections = []

    async def speak(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        connections.append(writer)
        head = b"HTTP/1.1 200 OK\r\nX-AUSERNAME: alice\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n"
        writer.write([b"", head + b'{"key"', head + b'{"key": "OK"}'][min(len(connections), 3) - 1])
        await writer.drain()

    tenants = {"default": {"upstream": await new_bytes_origin(speak)}}
    proxy = await new_proxy(clock=world, world={"sleep": world.sleep, "draw": world.draw}, tenants=tenants)
    answer = await proxy.get(path)
    if path == ISSUE:
        assert answer.json() == {"key": "OK"}
        assert len(connections) == 3
        assert world.slept == [0.4]
    else:  # what streams through has begun by then
        assert (answer.status, len(connections)) == (502, 2)


async def test_a_read_is_given_up_after_so_many_tries(governed, origin, world):
    origin.on("GET", ISSUE, refusing(503))
    proxy = await governed(retries=1)
    assert (await proxy.get(ISSUE)).status == 503
    assert origin.calls() == 2


@pytest.mark.parametrize("trouble", [refusing(503), break_off], ids=["503", "lost"])
async def test_a_read_whose_body_is_gone_is_not_tried_again(governed, origin, trouble):
    origin.on("GET", "/browse/PROJ-1", trouble)
    proxy = await governed()

    async def body():
        yield b"x"

    assert (await proxy.request("GET", "/browse/PROJ-1", data=body())).status in {502, 503}
    assert origin.calls() == 1


TROUBLES = [refusing(502), refusing(503, Retry_After="1"), refusing(429), break_off]


@pytest.mark.parametrize("trouble", TROUBLES, ids=["502", "503", "429", "lost"])
@pytest.mark.parametrize(
    ("method", "path"), [("PUT", ISSUE), ("POST", "/rest/api/2/issue"), ("GET", f"{ISSUE}?updateHistory=true")]
)
async def test_what_changes_something_is_never_tried_again(governed, origin, world, trouble, method, path):
    origin.on(method, path.partition("?")[0], trouble)
    proxy = await governed()
    await proxy.get("/browse/PROJ-1")  # so that there is a connection which a client of HTTP may take for merely idle
    assert (await proxy.request(method, path, json={"fields": {}})).status in {429, 502, 503}
    assert origin.calls(method, path.partition("?")[0]) == 1


@pytest.mark.parametrize("streamed", [False, True], ids=["small", "streamed"])
async def test_a_write_that_found_nobody_listening_is_tried_again(new_proxy, world, stack, streamed):
    """1. nobody listens at the port that is taken  2. the write is refused, and waits  3. somebody listens."""
    taken = stack.enter_context(socket.socket())
    taken.bind(("127.0.0.1", 0))
    port = taken.getsockname()[1]
    heard = []

    async def speak(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readuntil(b"0\r\n\r\n" if b"chunked" in head else b"}}")
        heard.append(body)
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    async def opens_meanwhile(seconds):
        server = await asyncio.start_server(speak, sock=taken)
        stack.callback(server.close)
        await world.sleep(seconds)

    async def body():
        yield b'{"fields": {'
        yield b"}}"

    proxy = await new_proxy(
        clock=world,
        world={"sleep": opens_meanwhile, "draw": world.draw},
        tenants={"default": {"upstream": f"http://127.0.0.1:{port}"}},
    )
    data = body() if streamed else b'{"fields": {}}'
    answer = await proxy.request("PUT", ISSUE, data=data, headers={"Content-Type": "text/plain"})
    assert (answer.status, len(heard), world.slept) == (204, 1, [0.2])
    assert b'{"fields": {' in heard[0]


# turns ---------------------------------------------------------------------------------------------------------------


async def test_callers_have_turns_however_much_one_of_them_asks(governed, origin):
    proxy = await governed(max_concurrency=1)
    origin.open.clear()
    asked = [asyncio.create_task(proxy.get(f"/browse/{number}", "alice")) for number in range(4)]
    await origin.arrived.wait()
    governor = proxy.running.app.governors["default"]
    await until(lambda: governor.queued == 3)
    asked.append(asyncio.create_task(proxy.get("/browse/bob", "bob")))
    await until(lambda: governor.queued == 4)
    origin.open.set()
    assert {answer.status for answer in await asyncio.gather(*asked)} == {404}
    assert [seen.target for seen in origin.seen].index("/browse/bob") == 2  # after the one at it, and one of alice's


async def until(true):
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - nothing tells when a request has come to stand in line
            await asyncio.sleep(0.001)


async def test_jira_is_asked_so_much_at_once_and_no_more(governed, origin):
    proxy = await governed(max_concurrency=3)
    at_once, most = 0, 0

    async def slow(asked):
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.01)
        at_once -= 1
        return web.Response(text="page")

    for number in range(20):
        origin.on("GET", f"/browse/{number}", slow)
    answers = await asyncio.gather(*(proxy.get(f"/browse/{number}") for number in range(20)))
    assert {answer.status for answer in answers} == {200}
    assert most == 3


async def test_one_too_many_in_line_is_told_so(governed, origin):
    proxy = await governed(max_concurrency=1, max_queue=1)
    origin.open.clear()
    asked = [asyncio.create_task(proxy.get(f"/browse/{number}")) for number in range(2)]
    governor = proxy.running.app.governors["default"]
    await until(lambda: governor.queued == 1)
    refused = await proxy.get("/browse/3")
    assert (refused.status, refused.why, refused.headers["Retry-After"]) == (503, "queue-full", "1")
    assert (await ready(proxy))["queued"] == 1
    origin.open.set()
    assert {answer.status for answer in await asyncio.gather(*asked)} == {404}


async def test_a_slow_upload_takes_nobodys_turn(governed, origin):
    proxy = await governed(max_concurrency=1)
    finish = asyncio.Event()

    async def body():
        yield b"x"
        await finish.wait()

    upload = asyncio.create_task(proxy.request("POST", "/browse/upload", data=body()))
    origin.issue("PROJ-1", "wanted")
    assert (await proxy.get(ISSUE)).status == 200
    finish.set()
    assert (await upload).status == 404


# near a limit --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "near", [{"X-RateLimit-NearLimit": "true"}, {"X-RateLimit-Remaining": "3", "X-RateLimit-Limit": "100"}]
)
async def test_near_a_limit_background_work_is_slow_and_nothing_else(governed, origin, world, near):
    proxy = await governed(policies={"issue": {"ttl": "1m", "stale_while_revalidate": "1h"}})
    for key in ("PROJ-1", "PROJ-2", "PROJ-3"):
        origin.issue(key, "as it was")
        await proxy.get(f"/rest/api/2/issue/{key}")
    origin.on("GET", PROJECT, lambda asked: web.json_response({}, headers={"X-AUSERNAME": "alice"} | near))
    await proxy.get(PROJECT)
    assert (await ready(proxy))["state"] == "near-limit"
    world.now += 65
    await proxy.get("/rest/api/2/project/NEAR")
    await proxy.get(f"{PROJECT}?expand=lead")  # near once more
    calls = origin.calls()
    for key in ("PROJ-1", "PROJ-2", "PROJ-3"):
        assert (await proxy.get(f"/rest/api/2/issue/{key}")).why == "stale-revalidate"
    await proxy.running.app.tenants.all[0].journey.close()
    assert origin.calls() == calls + 1  # one refresh of three
    assert (await proxy.get("/rest/api/2/issue/PROJ-4")).status == 404
    assert world.slept == []


async def test_near_a_limit_a_repair_poll_takes_its_time(new_proxy, origin, world):
    repair = {"credential": "Basic cmVwYWlyOnNlY3JldA==", "interval": "1h"}
    proxy = await new_proxy(
        clock=world,
        world={"sleep": world.sleep, "draw": world.draw},
        tenants={"default": {"upstream": origin.url, "repair": repair}},
    )
    pages = iter([{"startAt": 0, "total": 3}, {"startAt": 1, "total": 3}, {"startAt": 2, "total": 3}])

    def page(asked):
        issue = {"id": "1", "key": "PROJ-1", "fields": {"updated": "2025-06-15T15:06:00.000+0000"}}
        near = {"X-RateLimit-NearLimit": "true", "X-AUSERNAME": "repair"}
        return web.json_response(next(pages) | {"issues": [issue]}, headers=near)

    origin.on("GET", SEARCH, page)
    app = proxy.running.app
    await app.repairs["default"].poll_once(world.now)
    assert app.watches["default"].outcome == "ok"
    assert origin.calls(path=SEARCH) == 3
    assert world.slept == [10.0]


# what is told --------------------------------------------------------------------------------------------------------


async def test_calls_points_and_saved_calls_are_counted(governed, origin):
    proxy = await governed()
    origin.issue("PROJ-1", "wanted")
    origin.on("GET", SEARCH, lambda asked: web.json_response({"issues": [{}] * 7}, headers={"X-AUSERNAME": "alice"}))
    for _ in range(3):
        await proxy.get(ISSUE)
        await proxy.get(f"{SEARCH}?jql=project=PROJ")
    await proxy.request("PUT", ISSUE, json={"fields": {"summary": "new"}})
    told = await stats(proxy)
    assert told["calls"] == {"issue": 2, "search": 1}
    assert told["points"] == {"issue": 3, "search": 8}
    assert told["saved"] == {"issue": 2, "search": 2}
    (alice,) = told["callers"]
    assert re.fullmatch(r"[0-9a-f]{12}", alice["caller"])
    assert alice["types"]["search"] == {"calls": 1, "points": 8, "saved": 2}
    async with proxy.session.get(f"http://{proxy.running.admin}/metrics") as response:
        text = await response.text()
    assert 'jira_cache_upstream_points_total{tenant="default",type="search"} 8.0' in text
    assert 'jira_cache_upstream_calls_saved_total{tenant="default",type="issue"} 2.0' in text
    assert alice["caller"] not in text


async def test_those_who_share_a_trip_have_saved_calls(governed, origin):
    proxy = await governed()
    origin.issue("PROJ-1", "wanted")
    await proxy.get(OTHER)  # alice has a lease now
    origin.open.clear()
    asked = [asyncio.create_task(proxy.get(ISSUE)) for _ in range(5)]
    await origin.arrived.wait()
    await proxy.get("/-/live", user=None)
    origin.open.set()
    await asyncio.gather(*asked)
    told = await stats(proxy)
    assert told["calls"]["issue"] + told["saved"]["issue"] == 6


async def test_ready_tells_how_jira_wants_to_be_treated_but_not_by_whom(governed, origin):
    proxy = await governed()
    assert await ready(proxy) == {"state": "ok", "breaker": "closed", "held": {}, "in_flight": 0, "queued": 0}
    origin.on("PUT", ISSUE, refusing(Retry_After="60", **PER_ISSUE))
    await proxy.request("PUT", ISSUE, json={})
    told = await ready(proxy)
    assert (told["state"], told["held"]) == ("throttled", {"issue": 60.0})
    assert "PROJ" not in json.dumps(told)


async def test_limits_and_retries_are_counted(governed, origin):
    proxy = await governed()
    once(origin, "GET", ISSUE, refusing(Retry_After="1", **QUOTA))
    await proxy.get(ISSUE)
    async with proxy.session.get(f"http://{proxy.running.admin}/metrics") as response:
        text = await response.text()
    assert 'jira_cache_governor_events_total{event="app",tenant="default"} 1.0' in text
    assert 'jira_cache_governor_events_total{event="retry",tenant="default"} 1.0' in text
