"""How often one client may ask, whichever instance it asks."""

import aiohttp
import pytest
import redis
from aiohttp import web

ISSUE = "/rest/api/2/issue/PROJ-1"
MOST = 3
LIMITS = {"client_requests_per_minute": MOST}


@pytest.fixture(params=["memory", "redis"])
def store(request) -> dict:
    return {"url": "memory://" if request.param == "memory" else request.getfixturevalue("redis_url")}


@pytest.fixture
def new_limited(new_proxy, origin, tenant):
    """Start proxies before one Jira, all for the same tenant."""
    origin.issue("PROJ-1", "as it was")
    return lambda store: new_proxy(store=store, limits=LIMITS, tenants={tenant: {"upstream": origin.url}})


@pytest.fixture
async def limited(new_limited, store):
    return await new_limited(store)


@pytest.fixture
def counts(redis_url, tenant):
    """The names under which the tenant's clients are counted, to be asked of Redis."""
    with redis.Redis.from_url(redis_url) as client:
        yield client, lambda: list(client.scan_iter(f"tenant:{tenant}:ratelimit:*"))


async def exhaust(proxy, user="alice", **options) -> None:
    for _ in range(MOST):
        assert (await proxy.get(ISSUE, user, **options)).status in {200, 404}


async def test_one_request_too_many_is_refused_as_jira_would_refuse_it(limited, origin):
    await exhaust(limited)
    calls = len(origin.seen)
    refused = await limited.get(ISSUE)
    assert (refused.status, refused.why) == (429, "client-limit")
    assert refused.headers["Cache-Status"] == "jira-cache; detail=client-limit"
    seconds = int(refused.headers["Retry-After"])
    assert 50 < seconds <= 60
    line = f"this client has made its 3 requests of this minute; try again in {seconds} s"
    assert refused.json() == {"errorMessages": [line], "errors": {}}
    assert len(origin.seen) == calls


async def test_the_limit_is_each_clients_own(limited):
    await exhaust(limited, "alice")
    await exhaust(limited, "bob")
    await exhaust(limited, None)
    assert [(await limited.get(ISSUE, user)).status for user in ("alice", "bob", None)] == [429] * 3


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", ISSUE),
        ("POST", "/rest/api/2/issue"),
        ("GET", "/secure/Dashboard.jspa"),
        ("DELETE", "/rest/api/2/nobody"),
    ],
)
async def test_whatever_the_request_is_jira_does_not_hear_of_it(limited, origin, method, path):
    await exhaust(limited)
    calls = len(origin.seen)
    assert (await limited.request(method, path, json={"fields": {"summary": "anew"}})).status == 429
    assert len(origin.seen) == calls
    assert (await limited.get(ISSUE, "bob")).json()["fields"]["summary"] == "as it was"


async def test_probes_and_webhooks_are_no_requests_of_a_client(limited, tenant):
    for _ in range(MOST + 1):
        assert (await limited.get("/-/ready", None)).status == 200
        assert (await limited.request("POST", f"/-/webhooks/{tenant}", None, json={"webhookEvent": "x"})).status == 200
    await exhaust(limited, None)


async def test_a_refusal_is_counted_by_its_reason(limited, tenant):
    await exhaust(limited)
    await limited.get(ISSUE)
    line = f'jira_cache_requests_total{{tenant="{tenant}",type="issue",why="client-limit"}} 1.0'
    assert line in limited.running.app.metrics.text().decode()


async def test_session_cookies_beside_a_credential_do_not_make_another_client_of_it(limited):
    for number in range(MOST):
        assert (await limited.get(ISSUE, headers={"Cookie": f"JSESSIONID={number}"})).status == 200
    assert (await limited.get(ISSUE, headers={"Cookie": "JSESSIONID=anew"})).status == 429


async def test_who_cannot_be_known_by_a_credential_is_known_by_address(limited, origin):
    origin.on("GET", "/rest/api/2/myself", lambda request: web.json_response({}))
    for number in range(MOST):
        signed = {"Authorization": f"JWT {number}"}
        assert (await limited.get("/rest/api/2/myself", None, headers=signed)).status == 200
    assert (await limited.get(ISSUE, None)).status == 429
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(local_addr=("127.0.0.2", 0))) as elsewhere,
        elsewhere.get(limited.url + ISSUE) as answer,
    ):
        assert answer.status == 404


async def test_instances_that_share_a_redis_count_together(new_limited, redis_url):
    one, other = [await new_limited({"url": redis_url}) for _ in range(2)]
    statuses = [(await proxy.get(ISSUE)).status for proxy in (one, other, one, other, one)]
    assert statuses == [200, 200, 200, 429, 429]


async def test_a_minute_after_the_first_request_all_is_forgotten(new_limited, redis_url, counts):
    client, names = counts
    limited = await new_limited({"url": redis_url})
    await exhaust(limited)
    (name,) = names()
    client.pexpire(name, 7000)
    refused = await limited.get(ISSUE)
    assert (refused.status, refused.headers["Retry-After"]) == (429, "7")
    client.pexpire(name, 0)
    assert (await limited.get(ISSUE)).why == "fresh"
    assert 59_000 < client.pttl(name) <= 60_000


async def test_redis_holds_a_number_and_whose_it_is_only_as_a_hash(new_limited, redis_url, counts, tenant):
    client, names = counts
    limited = await new_limited({"url": redis_url})
    await limited.get(ISSUE)
    await limited.get(ISSUE, None)
    prefix = f"tenant:{tenant}:ratelimit:api:".encode()
    found = names()
    assert [client.get(name) for name in found] == [b"1", b"1"]
    hashes = {name.removeprefix(prefix) for name in found}
    assert {len(digest) for digest in hashes} == {32}
    assert all(set(digest) <= set(b"0123456789abcdef") for digest in hashes)


async def test_nobody_is_refused_because_redis_cannot_count(new_limited, redis_server):
    limited = await new_limited({"url": redis_server.url})
    await exhaust(limited)
    assert (await limited.get(ISSUE)).status == 429
    redis_server.stop()
    for _ in range(MOST + 1):
        assert (await limited.get(ISSUE)).status == 200
    assert 'jira_cache_store_errors_total{operation="count"}' in limited.running.app.metrics.text().decode()


async def test_without_a_limit_nothing_is_counted(new_proxy, origin, redis_url, tenant, counts):
    _, names = counts
    origin.issue("PROJ-1", "as it was")
    proxy = await new_proxy(store={"url": redis_url}, tenants={tenant: {"upstream": origin.url}})
    for _ in range(MOST + 1):
        assert (await proxy.get(ISSUE)).status == 200
    assert names() == []
