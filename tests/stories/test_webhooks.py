"""Webhooks end to end: what Jira announces is old before the announcement is acknowledged."""

import asyncio
import hashlib
import hmac
import json

import pytest
import redis
from aiohttp import web

pytestmark = pytest.mark.usefixtures("both_ways")

SECRET = "of the stories"
WEBHOOKS = "/-/webhooks/default"
ISSUE = "/rest/api/2/issue/PROJ-1"
SEARCH = "/rest/api/2/search"
BOARD = "/rest/agile/1.0/board/5/issue"
OTHER = {"jql": "project = OTHER"}
MINE = {"jql": "project = PROJ AND status = Done"}

PROJECT = {"id": "100", "key": "PROJ", "name": "Project"}
FIELDS = {"project": PROJECT, "status": {"id": "3", "name": "Done"}, "created": "2026-01-02T03:04:05.000+0000"}
SHOWN = {"id": "10001", "key": "PROJ-1", "fields": FIELDS}
TO_DONE = {"field": "status", "fieldId": "status", "from": "1", "fromString": "Open", "to": "3", "toString": "Done"}
UPDATED = {"webhookEvent": "jira:issue_updated", "issue": SHOWN, "changelog": {"items": [TO_DONE]}}
DELETED = {"webhookEvent": "jira:issue_deleted", "issue": SHOWN}


async def announce(proxy, said, *, secret=SECRET, identifier=None, path=WEBHOOKS, **options):
    """Deliver a webhook as Jira does; `said` None leaves the body out."""
    body = b"" if said is None else json.dumps(said).encode()
    headers = {"Content-Type": "application/json"}
    if secret:
        headers["X-Hub-Signature"] = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    if identifier:
        headers["X-Atlassian-Webhook-Identifier"] = identifier
    answer = await proxy.request("POST", path, None, data=body, headers=headers, **options)
    return answer.status, answer.json()["status"]


@pytest.fixture
def with_secret(new_proxy, origin):
    def start(**settings):
        return new_proxy(tenants={"default": {"upstream": origin.url, "webhook_secret": SECRET}}, **settings)

    return start


@pytest.fixture
async def proxy(with_secret):
    return await with_secret()


@pytest.fixture(autouse=True)
def _jira(origin):
    """An issue, a board and two searches, which answer with the number of the question."""
    origin.issue("PROJ-1", "old")
    for path in (SEARCH, BOARD):
        origin.on("GET", path, lambda _: _listed(origin))


def _listed(origin):
    return web.json_response({"issues": [], "call": len(origin.seen)}, headers={"X-AUSERNAME": "alice"})


async def whys(proxy):
    """Ask for everything; tell why each answer is what it is."""
    asked = {"issue": (ISSUE, {}), "mine": (SEARCH, MINE), "other": (SEARCH, OTHER), "board": (BOARD, {})}
    return {name: (await proxy.get(path, params=params)).why for name, (path, params) in asked.items()}


async def warm(proxy):
    await whys(proxy)
    assert set((await whys(proxy)).values()) == {"fresh"}


def summary(answer):
    return answer.json()["fields"]["summary"]


async def test_what_a_webhook_announces_is_old_and_the_rest_is_not(proxy):
    await warm(proxy)
    assert await announce(proxy, UPDATED) == (200, "applied")
    assert await whys(proxy) == {
        "issue": "invalidated",
        "mine": "invalidated",
        "other": "fresh",
        "board": "invalidated",
    }


async def test_an_issue_changed_past_the_proxy_is_asked_for_anew(proxy, origin):
    await proxy.get(ISSUE)
    origin.issues["PROJ-1"]["summary"] = "new"
    assert summary(await proxy.get(ISSUE)) == "old"
    await announce(proxy, UPDATED)
    assert summary(await proxy.get(ISSUE)) == "new"


async def test_a_search_for_subtasks_is_old_when_their_issue_comes_into_its_sprint(proxy):
    asked = {"jql": "sprint = 5 AND status = Open"}
    fields = FIELDS | {"subtasks": [{"id": "10002", "key": "PROJ-2", "fields": {}}]}
    sprint = {"field": "Sprint", "fieldId": "customfield_10020", "fieldtype": "custom", "from": "", "to": "5"}
    said = UPDATED | {"issue": SHOWN | {"fields": fields}, "changelog": {"items": [sprint]}}
    await proxy.get(SEARCH, params=asked)
    assert await announce(proxy, said) == (200, "applied")
    assert (await proxy.get(SEARCH, params=asked)).why == "invalidated"


async def test_a_search_for_what_has_no_parent_is_old_when_a_parent_is_deleted(proxy):
    asked = {"jql": "project = OTHER AND parent IS EMPTY"}
    await proxy.get(SEARCH, params=asked)
    assert await announce(proxy, DELETED) == (200, "applied")
    assert (await proxy.get(SEARCH, params=asked)).why == "invalidated"


async def test_an_issue_is_known_by_its_id_where_the_webhook_says_no_more(proxy):
    await warm(proxy)
    said = {"webhookEvent": "worklog_created", "worklog": {"id": "7", "issueId": "10001"}}
    assert await announce(proxy, said) == (200, "applied")
    assert (await proxy.get(ISSUE)).why == "invalidated"


async def test_a_webhook_without_a_body_says_in_its_url_what_changed(proxy):
    await warm(proxy)
    assert await announce(proxy, None, params={"issue": "PROJ-1"}) == (200, "applied")
    assert set((await whys(proxy)).values()) == {"invalidated"}


async def test_a_webhook_that_nobody_signed_changes_nothing(proxy):
    await warm(proxy)
    assert await announce(proxy, UPDATED, secret=None) == (401, "bad-signature")
    assert await announce(proxy, UPDATED, secret="another") == (401, "bad-signature")
    assert set((await whys(proxy)).values()) == {"fresh"}


async def test_webhooks_never_fill_the_cache(proxy, origin):
    before = len(origin.seen)
    await announce(proxy, UPDATED)
    assert len(origin.seen) == before
    assert (await proxy.get(ISSUE)).why == "miss"


async def test_a_webhook_delivered_twice_costs_nothing_the_second_time(proxy):
    await warm(proxy)
    assert await announce(proxy, UPDATED, identifier="one") == (200, "applied")
    await warm(proxy)
    assert await announce(proxy, UPDATED, identifier="one") == (200, "duplicate")
    assert set((await whys(proxy)).values()) == {"fresh"}


async def test_webhooks_that_overtake_each_other_leave_nothing_old(proxy, origin):
    """1. the issue changes  2. it is deleted  3. the deletion is announced  4. then the change."""
    await warm(proxy)
    del origin.issues["PROJ-1"]
    assert await announce(proxy, DELETED) == (200, "applied")
    assert (await proxy.get(ISSUE)).status == 404
    assert await announce(proxy, UPDATED) == (200, "applied")
    assert (await proxy.get(ISSUE)).status == 404


async def test_an_answer_on_its_way_when_the_webhook_comes_is_not_served_after_it(proxy, origin):
    """1. a read leaves  2. Jira answers it  3. the webhook is acknowledged  4. the read lands: dead on arrival."""
    await proxy.get("/rest/api/2/issue/PROJ-9")  # alice has a lease now
    release = origin.hold_answer(ISSUE)
    early = asyncio.create_task(proxy.get(ISSUE))
    await origin.arrived.wait()
    origin.issues["PROJ-1"]["summary"] = "new"
    assert await announce(proxy, UPDATED) == (200, "applied")
    release.set()
    assert summary(await early) == "old"  # asked before the change was known: either answer is true
    assert summary(await proxy.get(ISSUE)) == "new"


async def test_while_the_store_cannot_note_it_jira_is_asked_to_come_again_and_nothing_is_served(
    with_secret, origin, redis_server
):
    proxy = await with_secret(store={"url": redis_server.url})
    await proxy.get(ISSUE)
    assert (await proxy.get(ISSUE)).why == "fresh"
    redis_server.stop()
    origin.issues["PROJ-1"]["summary"] = "new"
    assert await announce(proxy, UPDATED, identifier="one") == (503, "not-recorded")
    answer = await proxy.get(ISSUE)
    assert (answer.why, summary(answer)) == ("store-down", "new")
    redis_server.start()
    assert await announce(proxy, UPDATED, identifier="one") == (200, "applied")
    assert summary(await proxy.get(ISSUE)) == "new"


async def test_what_anybody_may_send_does_not_fill_the_store(new_proxy, redis_url, new_tenant, origin):
    name = new_tenant()
    proxy = await new_proxy(tenants={name: {"upstream": origin.url}}, store={"url": redis_url})
    path = f"/-/webhooks/{name}"
    for _ in range(2):
        answers = [
            await announce(proxy, UPDATED, secret=None, path=path, identifier=f"{number}") for number in range(3)
        ]
    assert answers == [(200, "duplicate")] * 3
    with redis.Redis.from_url(redis_url) as client:
        names = list(client.scan_iter(f"*{name}*"))
    assert names
    assert not [found for found in names if b"delivery" in found]


async def test_instances_that_share_a_redis_share_what_webhooks_announce(new_proxy, redis_url, new_tenant, origin):
    name = new_tenant()
    tenants = {name: {"upstream": origin.url, "webhook_secret": SECRET}}
    one, two = [await new_proxy(tenants=tenants, store={"url": redis_url, "coherence": "strict"}) for _ in range(2)]
    await one.get(ISSUE)
    assert (await two.get(ISSUE)).why == "fresh"
    path = f"/-/webhooks/{name}"
    assert await announce(one, UPDATED, path=path, identifier="one") == (200, "applied")
    assert (await two.get(ISSUE)).why == "invalidated"
    assert await announce(two, UPDATED, path=path, identifier="one") == (200, "duplicate")


async def test_each_tenant_has_a_door_of_its_own(new_proxy, new_origin, origin):
    second = await new_origin()
    second.issue("PROJ-1", "old")
    tenants = {
        "default": {"upstream": origin.url, "webhook_secret": SECRET},
        "acme": {"upstream": second.url, "path_prefix": "/acme", "webhook_secret": "another"},
    }
    proxy = await new_proxy(tenants=tenants)
    for path in (ISSUE, f"/acme{ISSUE}"):
        await proxy.get(path)
    assert await announce(proxy, UPDATED, path="/-/webhooks/acme") == (401, "bad-signature")
    assert await announce(proxy, UPDATED, path="/-/webhooks/acme", secret="another") == (200, "applied")
    assert (await proxy.get(ISSUE)).why == "fresh"
    assert (await proxy.get(f"/acme{ISSUE}")).why == "invalidated"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", WEBHOOKS, 405),
        ("PUT", WEBHOOKS, 405),
        ("POST", "/-/webhooks/nobody", 404),
        ("POST", "/-/webhooks/", 404),
        ("POST", "/-/webhooks", 404),
        ("POST", f"{WEBHOOKS}/", 404),
    ],
)
async def test_only_a_post_to_a_tenants_door_is_a_webhook(proxy, origin, method, path, status):
    assert (await proxy.request(method, path, None, data=b"{}")).status == status
    assert origin.seen == []


async def test_a_body_that_is_too_large_is_refused(with_secret):
    proxy = await with_secret(limits={"max_body": "1KiB"})
    assert await announce(proxy, UPDATED | {"more": "x" * 1024}) == (413, "too-large")


@pytest.mark.parametrize("rest", [b"zz\r\n\r\n", b"5\r\n{"])
async def test_a_body_that_breaks_off_changes_nothing(proxy, rest):
    await warm(proxy)
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.running.address.port)
    writer.write(b"POST /-/webhooks/default HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n")
    await writer.drain()
    await whys(proxy)  # the proxy has read that much by now
    writer.write(rest)
    writer.write_eof()
    async with asyncio.timeout(5):
        heard = await reader.read()
    writer.close()
    assert not heard or b" 400 " in heard.split(b"\r\n")[0]
    assert set((await whys(proxy)).values()) == {"fresh"}
