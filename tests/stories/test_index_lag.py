"""Jira's index lags behind its database; what was searched for meanwhile does not stay."""

import asyncio

import orjson
import pytest
from aiohttp import web

ISSUE = "/rest/api/2/issue/PROJ-1"
SEARCH = "/rest/api/2/search?jql=project=PROJ"
CLOUD = "/rest/api/3/search/jql"
PATIENCE = 10.0
SOON = {"search": {"settle": ["1ms", "3s"]}}  # the second one for a machine that is too slow for the first
ALICE = {"X-AUSERNAME": "alice"}


class Index:
    """What the origin's search answers. It learns of a change when told to, or for the ids it has to reconcile."""

    def __init__(self, origin):
        self.known = "old"
        self.now = "old"
        self.reconciled = []
        self.origin = origin
        for path in ("/rest/api/2/search", CLOUD):
            origin.on("GET", path, self.search)
        origin.on("POST", CLOUD, self.search)
        origin.on("PUT", ISSUE, self.edit)

    def edit(self, _request):
        self.now = "new"
        return web.Response(status=204, headers={"X-AUSERNAME": "alice"})

    def search(self, request):
        seen = self.origin.seen[-1]
        named = orjson.loads(seen.body).get("reconcileIssues", []) if seen.body else []
        _, _, query = request.raw_path.partition("?")
        named += [int(part.partition("=")[2]) for part in query.split("&") if part.startswith("reconcileIssues=")]
        self.reconciled.append(named)
        shown = self.now if 10001 in named else self.known
        issue = {"id": "10001", "key": "PROJ-1", "fields": {"summary": shown}}
        return web.json_response({"issues": [issue]}, headers={"X-AUSERNAME": "alice"})


def shown(answer):
    return answer.json()["issues"][0]["fields"]["summary"]


async def until(answer_is, ask):
    async with asyncio.timeout(PATIENCE):
        while not answer_is(await ask()):  # noqa: ASYNC110 - the store's own clock decides, and tells nobody
            await asyncio.sleep(0.01)


@pytest.fixture(params=["memory", "redis"])
def store(request, tenant):
    if request.param == "memory":
        return {"url": "memory://"}
    return {"url": request.getfixturevalue("redis_url")}


async def test_a_search_from_before_the_index_knew_lives_only_until_the_echo(new_proxy, origin, store, tenant):
    tenants = {tenant: {"upstream": origin.url}}
    proxy = await new_proxy(store=store, tenants=tenants, policies={"search": {"settle": ["100ms"]}})
    index = Index(origin)
    await proxy.get(SEARCH)
    await proxy.request("PUT", ISSUE, json={"fields": {"summary": "new"}})
    assert shown(await proxy.get(SEARCH)) == "old"  # as old as Jira's own
    index.known = "new"
    await until(lambda answer: shown(answer) == "new", lambda: proxy.get(SEARCH))


async def test_a_search_that_nobody_had_asked_for_before_the_change_lives_only_until_the_echo_too(
    new_proxy, origin, store, tenant
):
    tenants = {tenant: {"upstream": origin.url}}
    proxy = await new_proxy(store=store, tenants=tenants, policies={"search": {"settle": ["200ms"]}})
    index = Index(origin)
    await proxy.request("PUT", ISSUE, json={"fields": {"summary": "new"}})
    origin.on("GET", "/rest/api/2/search", lambda _request: web.json_response({"issues": []}, headers=ALICE))
    assert (await proxy.get(SEARCH)).json() == {"issues": []}
    index.known = "new"
    origin.on("GET", "/rest/api/2/search", index.search)
    await until(lambda answer: answer.json()["issues"], lambda: proxy.get(SEARCH))


async def test_an_echo_leaves_single_issues_alone(new_proxy, origin):
    proxy = await new_proxy(policies=SOON)
    Index(origin)
    origin.issue("PROJ-1", "read from the database")
    await proxy.get(SEARCH)
    await proxy.request("PUT", ISSUE, json={"fields": {"summary": "new"}})
    await proxy.get(ISSUE)
    await proxy.get(SEARCH)
    await until(lambda answer: answer.why == "invalidated", lambda: proxy.get(SEARCH))
    assert (await proxy.get(ISSUE)).why == "fresh"


async def test_a_write_without_an_outcome_is_believed_to_happen_later(new_proxy, origin):
    proxy = await new_proxy(policies=SOON)
    origin.issue("PROJ-1", "old")

    def broken(request):
        request.transport.abort()

    origin.on("PUT", ISSUE, broken)
    assert (await proxy.request("PUT", ISSUE, json={})).status == 502
    await proxy.get(ISSUE)
    await until(lambda answer: answer.why == "invalidated", lambda: proxy.get(ISSUE))


async def test_a_write_that_a_gateway_gave_up_is_believed_to_happen_later(new_proxy, origin):
    proxy = await new_proxy(policies=SOON)
    origin.issue("PROJ-1", "old")
    origin.on("PUT", ISSUE, lambda _request: web.Response(status=504))
    assert (await proxy.request("PUT", ISSUE, json={})).status == 504
    await proxy.get(ISSUE)
    await until(lambda answer: answer.why == "invalidated", lambda: proxy.get(ISSUE))


@pytest.mark.parametrize(("status", "told"), [(201, {"taskId": "10641"}), (303, {"id": "1", "status": "ENQUEUED"})])
async def test_a_write_that_has_only_begun_is_believed_to_happen_later(new_proxy, origin, status, told):
    proxy = await new_proxy(policies=SOON)
    origin.issue("PROJ-1", "old")
    bulk = "/rest/api/3/bulk/issues/fields"
    origin.on("POST", bulk, lambda _request: web.json_response(told, status=status))
    await proxy.get(ISSUE)
    await proxy.request("POST", bulk, json={"selectedIssueIdsOrKeys": ["PROJ-1"]})
    await proxy.get(ISSUE)
    await until(lambda answer: answer.why == "invalidated", lambda: proxy.get(ISSUE))


@pytest.mark.parametrize(
    "ask",
    [
        lambda proxy: proxy.get(f"{CLOUD}?jql=project=PROJ&fields=summary"),
        lambda proxy: proxy.request("POST", CLOUD, json={"jql": "project = PROJ", "fields": ["summary"]}),
    ],
    ids=["GET", "POST"],
)
async def test_on_cloud_own_writes_are_seen_at_once(proxy, origin, ask):
    index = Index(origin)
    assert shown(await ask(proxy)) == "old"  # and PROJ-1 is known as 10001 now
    await proxy.request("PUT", ISSUE, json={"fields": {"summary": "new"}})
    assert shown(await ask(proxy)) == "new"
    assert index.reconciled == [[], [10001]]


async def test_what_we_add_for_jira_does_not_make_it_another_question(proxy, origin):
    Index(origin)
    await proxy.get(f"{CLOUD}?jql=project=PROJ")
    await proxy.request("PUT", ISSUE, json={})
    await proxy.get(f"{CLOUD}?jql=project=PROJ")
    assert (await proxy.get(f"{CLOUD}?jql=project=PROJ")).why == "fresh"


async def test_data_centers_search_is_sent_as_it_came(proxy, origin):
    index = Index(origin)
    await proxy.get(SEARCH)
    await proxy.request("PUT", ISSUE, json={})
    await proxy.get(SEARCH)
    assert index.reconciled == [[], []]
