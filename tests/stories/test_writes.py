"""No lie after a write that passed through, however it ended."""

import asyncio

import aiohttp
import pytest
from aiohttp import web

pytestmark = pytest.mark.usefixtures("both_ways")

ISSUE = "/rest/api/2/issue/PROJ-1"
SEARCH = "/rest/api/2/search?jql=project=PROJ"


def edit(summary):
    return {"json": {"fields": {"summary": summary}}}


def summary(answer):
    return answer.json()["fields"]["summary"]


async def test_after_a_write_everybody_reads_what_was_written(proxy, origin):
    origin.issue("PROJ-1", "old")
    for user in ("alice", "bob"):
        await proxy.get(ISSUE, user)
    assert (await proxy.request("PUT", ISSUE, **edit("new"))).status == 204
    for user in ("alice", "bob"):
        answer = await proxy.get(ISSUE, user)
        assert (answer.why, summary(answer)) == ("invalidated", "new")


@pytest.mark.parametrize("spelling", ["/rest/api/3/issue/PROJ-1", "/rest/api/latest/issue/proj-1"])
async def test_a_write_by_another_name_of_the_issue_counts(proxy, origin, spelling):
    origin.issue("PROJ-1", "old")
    origin.on("PUT", spelling, lambda _: web.Response(status=204))
    await proxy.get(ISSUE)
    await proxy.request("PUT", spelling, **edit("new"))
    assert (await proxy.get(ISSUE)).why == "invalidated"


async def test_searches_that_could_show_the_issue_are_old_too(proxy, origin):
    origin.issue("PROJ-1", "old")
    origin.on(
        "GET", "/rest/api/2/search", lambda _: web.json_response({"issues": []}, headers={"X-AUSERNAME": "alice"})
    )
    await proxy.get(SEARCH)
    assert (await proxy.get(SEARCH)).why == "fresh"
    await proxy.request("PUT", ISSUE, **edit("new"))
    assert (await proxy.get(SEARCH)).why == "invalidated"


async def test_other_issues_stay(proxy, origin):
    origin.issue("PROJ-1", "old")
    origin.issue("PROJ-2", "other")
    await proxy.get("/rest/api/2/issue/PROJ-2")
    await proxy.request("PUT", ISSUE, **edit("new"))
    assert (await proxy.get("/rest/api/2/issue/PROJ-2")).why == "fresh"


async def test_a_link_makes_both_its_ends_old(proxy, origin):
    for key in ("PROJ-1", "PROJ-2"):
        origin.issue(key, "old")
        await proxy.get(f"/rest/api/2/issue/{key}")
    origin.on("POST", "/rest/api/2/issueLink", lambda _: web.Response(status=201))
    link = {"type": {"name": "Blocks"}, "inwardIssue": {"key": "PROJ-1"}, "outwardIssue": {"key": "proj-2"}}
    await proxy.request("POST", "/rest/api/2/issueLink", json=link)
    for key in ("PROJ-1", "PROJ-2"):
        assert (await proxy.get(f"/rest/api/2/issue/{key}")).why == "invalidated"


async def test_a_new_issue_makes_its_parent_old(proxy, origin):
    origin.issue("PROJ-1", "parent")
    await proxy.get(ISSUE)
    created = {"id": "10002", "key": "PROJ-2"}
    origin.on("POST", "/rest/api/2/issue", lambda _: web.json_response(created, status=201))
    fields = {"project": {"key": "PROJ"}, "parent": {"key": "PROJ-1"}, "summary": "child"}
    await proxy.request("POST", "/rest/api/2/issue", json={"fields": fields})
    assert (await proxy.get(ISSUE)).why == "invalidated"


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (f"{ISSUE}?fields=aggregatetimespent", {"id": "10001", "key": "PROJ-1", "fields": {"aggregatetimespent": 60}}),
        (f"{ISSUE}/transitions", {"expand": "transitions", "transitions": [{"id": "5", "name": "Close"}]}),
    ],
    ids=["the sum of times", "what may be done next"],
)
async def test_what_jira_works_out_from_subtasks_that_are_not_shown_is_old_with_them(proxy, origin, path, shown):
    origin.on("GET", path.partition("?")[0], lambda _: web.json_response(shown, headers={"X-AUSERNAME": "alice"}))
    origin.issue("PROJ-2", "a subtask")
    origin.on("POST", "/rest/api/2/issue/PROJ-2/worklog", lambda _: web.json_response({"id": "5"}, status=201))
    await proxy.get("/rest/api/2/issue/PROJ-2")
    await proxy.get(path)
    await proxy.request("POST", "/rest/api/2/issue/PROJ-2/worklog", json={"timeSpentSeconds": 60})
    assert (await proxy.get(path)).why == "invalidated"


async def test_what_an_issue_was_the_parent_of_may_be_in_any_search_once_it_is_deleted(proxy, origin):
    origin.issue("PROJ-1", "a parent")
    await proxy.get(ISSUE)
    orphan = {"id": "10009", "key": "OTHER-9", "fields": {"project": {"id": "10007", "key": "OTHER"}}}
    listed = {"issues": [orphan]}
    origin.on("GET", "/rest/api/2/search", lambda _: web.json_response(listed, headers={"X-AUSERNAME": "alice"}))
    origin.on("DELETE", ISSUE, lambda _: web.Response(status=204))
    orphans = "/rest/api/2/search?jql=project=OTHER+AND+parent+IS+EMPTY"
    await proxy.get(orphans)
    await proxy.request("DELETE", ISSUE)
    assert (await proxy.get(orphans)).why == "invalidated"


async def test_a_write_that_jira_refuses_may_have_changed_something_all_the_same(proxy, origin):
    origin.issue("PROJ-1", "old")
    await proxy.get(ISSUE)
    origin.on("PUT", ISSUE, lambda _: web.json_response({"errorMessages": ["no"]}, status=500))
    assert (await proxy.request("PUT", ISSUE, **edit("new"))).status == 500
    assert (await proxy.get(ISSUE)).why == "invalidated"


async def test_a_write_counts_by_the_rules_it_came_under_though_they_change_meanwhile(new_proxy, origin):
    routes = [{"match": "POST /rest/plugin/1/close", "tags": ["issue:{body.key}"], "otherwise": ["issues"]}]
    proxy, other = await new_proxy(routes=routes), await new_proxy()
    origin.issue("PROJ-1", "old")
    origin.on("POST", "/rest/plugin/1/close", lambda _request: web.json_response({}))
    await proxy.get(ISSUE)
    origin.open.clear()
    origin.arrived.clear()
    write = asyncio.create_task(proxy.request("POST", "/rest/plugin/1/close", json={"key": "PROJ-1"}))
    await origin.arrived.wait()
    proxy.running.app.tenants.all[0].journey.follow(other.running.app._rulebook)
    origin.open.set()
    await write
    assert (await proxy.get(ISSUE)).why == "invalidated"


async def test_a_write_whose_connection_breaks_counts(proxy, origin):
    origin.issue("PROJ-1", "old")
    await proxy.get(ISSUE)

    def broken(request):
        request.transport.abort()
        return web.Response()

    origin.on("PUT", ISSUE, broken)
    assert (await proxy.request("PUT", ISSUE, **edit("new"))).status == 502
    assert (await proxy.get(ISSUE)).why == "invalidated"


async def test_a_write_that_times_out_counts(new_proxy, origin):
    proxy = await new_proxy(timeouts={"read": "50ms"})
    origin.issue("PROJ-1", "old")
    await proxy.get(ISSUE)
    never = asyncio.Event()

    async def hang(_):
        await never.wait()

    origin.on("PUT", ISSUE, hang)
    assert (await proxy.request("PUT", ISSUE, **edit("new"))).status == 504
    assert (await proxy.get(ISSUE)).why == "invalidated"
    never.set()


async def test_a_write_whose_client_leaves_is_seen_through_and_counts(proxy, origin):
    origin.issue("PROJ-1", "old")
    await proxy.get(ISSUE)
    origin.open.clear()
    origin.arrived.clear()
    task = asyncio.create_task(proxy.request("PUT", ISSUE, **edit("new")))
    await origin.arrived.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    origin.open.set()
    await asyncio.gather(*proxy.running.app.tenants.all[0].journey._background)
    answer = await proxy.get(ISSUE)
    assert (answer.why, summary(answer)) == ("invalidated", "new")


async def test_an_answer_fetched_before_a_write_is_not_served_after_it(proxy, origin):
    """1. a read leaves  2. Jira answers it  3. a write passes  4. the read lands: it is dead on arrival."""
    origin.issue("PROJ-1", "old")
    await proxy.get("/rest/api/2/issue/PROJ-9")  # alice has a lease now
    release = origin.hold_answer(ISSUE)
    early = asyncio.create_task(proxy.get(ISSUE))
    await origin.arrived.wait()
    await proxy.request("PUT", ISSUE, **edit("new"))
    late = asyncio.create_task(proxy.get(ISSUE))
    await asyncio.sleep(0)
    release.set()
    assert summary(await early) == "old"  # asked before the write: either answer is true
    assert summary(await late) == "new"
    assert summary(await proxy.get(ISSUE)) == "new"


async def test_a_write_that_no_row_knows_counts_for_the_issue_in_its_path(proxy, origin):
    origin.issue("PROJ-1", "old")
    await proxy.get(ISSUE)
    plugin = "/rest/some-plugin/1.0/issue/PROJ-1/do"
    origin.on("POST", plugin, lambda _: web.json_response({}))
    assert (await proxy.request("POST", plugin, json={})).why == "unknown-write"
    assert (await proxy.get(ISSUE)).why == "invalidated"


async def test_a_write_that_no_row_knows_counts_for_the_issue_in_its_body(proxy, origin):
    origin.issue("PROJ-1", "old")
    await proxy.get(ISSUE)
    app = "/rest/tempo-timesheets/4/worklogs"
    origin.on("POST", app, lambda _: web.json_response({}))
    await proxy.request("POST", app, json={"originTaskId": "PROJ-1", "timeSpentSeconds": 60})
    assert (await proxy.get(ISSUE)).why == "invalidated"


async def test_a_link_of_a_page_that_changes_something_counts(proxy, origin):
    origin.issue("PROJ-1", "old")
    await proxy.get(ISSUE)

    def moved_on(_request):
        origin.issue("PROJ-1", "new")
        return web.Response(status=302, headers={"Location": "/browse/PROJ-1"})

    origin.on("GET", "/secure/WorkflowUIDispatcher.jspa", moved_on)
    await proxy.get("/secure/WorkflowUIDispatcher.jspa?id=10001&action=5&atl_token=B1")
    assert summary(await proxy.get(ISSUE)) == "new"


async def test_an_upload_that_is_not_json_passes_and_counts(proxy, origin):
    origin.issue("PROJ-1", "old")
    await proxy.get(ISSUE)
    path = f"{ISSUE}/attachments"
    origin.on("POST", path, lambda _: web.json_response([]))
    form = aiohttp.FormData()
    form.add_field("file", b"\x00" * 100_000, filename="a.bin")
    assert (await proxy.request("POST", path, data=form)).status == 200
    assert len(origin.seen[-1].body) > 100_000
    assert (await proxy.get(ISSUE)).why == "invalidated"


async def test_while_the_store_cannot_note_a_write_nothing_is_served_from_it(new_proxy, origin, redis_server):
    proxy = await new_proxy(store={"url": redis_server.url})
    origin.issue("PROJ-1", "old")
    await proxy.get(ISSUE)
    assert (await proxy.get(ISSUE)).why == "fresh"
    redis_server.stop()
    assert (await proxy.request("PUT", ISSUE, **edit("new"))).status == 204
    answer = await proxy.get(ISSUE)
    assert (answer.why, summary(answer)) == ("store-down", "new")
