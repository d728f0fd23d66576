"""Each request that was answered has a line in the log, and is called by one name by client, proxy and Jira."""

import asyncio
import io
import json
from functools import partial

import pytest
from aiohttp import web

from proxy.access import AccessLog

ISSUE = "/rest/api/2/issue/PROJ-1"
TEMPLATE = "/rest/api/{v}/issue/{issue}/**"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


@pytest.fixture
def stderr(monkeypatch):
    """What the proxies of this test write their lines to."""
    stream = io.StringIO()
    monkeypatch.setattr("proxy.app.AccessLog", partial(AccessLog, stream=stream))
    return stream


@pytest.fixture
def written(stderr):
    """Read the lines that were written."""

    async def written():
        await asyncio.sleep(0)
        return [json.loads(line) for line in stderr.getvalue().splitlines()]

    return written


@pytest.fixture
async def proxy(stderr, new_proxy):
    return await new_proxy()


def heard(seen, name):
    return {header.lower(): value for header, value in seen.headers.items()}[name]


@pytest.fixture
def jira(origin):
    origin.issue("PROJ-1", "one")
    return origin


async def test_a_miss_and_a_hit_of_the_same_answer_say_so(proxy, jira, written):
    for _ in range(2):
        await proxy.get(ISSUE)
    miss, hit = await written()
    same = {"route": TEMPLATE, "type": "issue", "tenant": "default", "method": "GET", "status": 200}
    assert same.items() <= miss.items()
    assert same.items() <= hit.items()
    assert (miss["why"], hit["why"]) == ("miss", "fresh")
    assert miss["caller"] == hit["caller"] != (None, "")
    assert miss["key"] == hit["key"] is not None
    assert miss["upstream_ms"] > 0
    assert (hit["upstream_ms"], hit["points"]) == (None, None)
    assert miss["points"] == 2
    assert hit["age"] >= 0
    assert miss["bytes"] == hit["bytes"] > 100


async def test_two_callers_and_two_questions_can_be_told_apart(proxy, jira, written):
    await proxy.get(ISSUE)
    await proxy.get(ISSUE, "bob")
    await proxy.get(f"{ISSUE}?fields=summary")
    await proxy.get(ISSUE, None)
    lines = await written()
    assert len({line["key"] for line in lines}) == 4
    alice, bob, again, nobody = (line["caller"] for line in lines)
    assert alice == again != bob
    assert nobody is None


async def test_a_write_is_told_with_what_it_cost_and_without_a_key(proxy, jira, written):
    await proxy.request("PUT", ISSUE, json={"fields": {"summary": "two"}})
    [line] = await written()
    assert (line["why"], line["status"], line["bytes"], line["key"]) == ("write", 204, 0, None)
    assert line["upstream_ms"] > 0
    assert line["caller"]


async def test_a_body_that_streams_through_is_measured(proxy, jira, written):
    async def large(request):
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(3):
            await response.write(b"x" * 1000)
        return response

    jira.on("GET", "/secure/attachment/1", large)
    assert len((await proxy.get("/secure/attachment/1")).body) == 3000
    assert [line["bytes"] for line in await written()] == [3000]


async def test_the_answer_to_head_has_no_bytes(proxy, jira, written):
    await proxy.request("HEAD", ISSUE)
    assert [(line["method"], line["bytes"]) for line in await written()] == [("HEAD", 0)]


@pytest.mark.parametrize(
    ("method", "path", "route", "why"),
    [
        ("GET", "/-/live", "/-/live", "own-endpoint"),
        ("GET", "/-/ready", "/-/ready", "own-endpoint"),
        ("GET", "/-/passwd", "-", "own-endpoint"),
        ("POST", "/-/webhooks/default", "/-/webhooks/{tenant}", "own-endpoint"),
        ("GET", "/rest/nobody/knows", "/rest/**", "unknown-route"),
    ],
)
async def test_every_endpoint_has_a_route_and_no_line_has_a_path_that_somebody_made_up(
    proxy, jira, written, method, path, route, why
):
    await proxy.request(method, path, data=b'{"webhookEvent": "user_updated"}' if method == "POST" else None)
    [line] = await written()
    assert (line["route"], line["why"]) == (route, why)
    assert ("outcome" in line) is (method == "POST")


async def test_a_jira_that_cannot_be_reached_has_its_line(new_proxy, new_origin, written):
    proxy = await new_proxy(tenants={"default": {"upstream": "http://127.0.0.1:1"}})
    answer = await proxy.get(ISSUE)
    [line] = await written()
    assert (line["status"], line["why"]) == (502, "upstream-unreachable")
    assert answer.headers["X-Request-Id"] == line["request_id"]


async def test_hits_are_sampled_and_the_rest_is_not(new_proxy, jira, written):
    proxy = await new_proxy(log={"sample_hits": 0.0})
    for _ in range(3):
        await proxy.get(ISSUE)
    assert [line["why"] for line in await written()] == ["miss"]


# names ----------------------------------------------------------------------------------------------------------------


async def test_client_log_and_jira_call_a_request_by_the_name_that_the_client_gave(proxy, jira, written):
    for headers in ({"X-Request-Id": "mine-1"}, {"X-Request-Id": "mine-2"}):
        answer = await proxy.get(ISSUE, headers=headers)
        assert answer.headers.getall("X-Request-Id") == [headers["X-Request-Id"]]
    assert [line["request_id"] for line in await written()] == ["mine-1", "mine-2"]
    assert [heard(seen, "x-request-id") for seen in jira.seen] == ["mine-1"]


@pytest.mark.parametrize(("method", "path"), [("GET", ISSUE), ("PUT", ISSUE), ("GET", "/secure/Dashboard.jspa")])
async def test_a_request_without_a_name_gets_one_which_jira_and_the_client_hear(proxy, jira, written, method, path):
    answer = await proxy.request(method, path, json={"fields": {"summary": "x"}} if method == "PUT" else None)
    [line] = await written()
    assert answer.headers["X-Request-Id"] == line["request_id"] == heard(jira.seen[0], "x-request-id")
    assert len(line["request_id"]) == 32


async def test_a_hit_needs_no_name_and_repeats_nobody_elses(proxy, jira, written):
    jira.on("GET", "/rest/api/2/field", _named_by_jira)
    first = await proxy.get("/rest/api/2/field", headers={"X-Request-Id": "mine"})
    assert first.headers.getall("X-Request-Id") == ["mine"]
    second = await proxy.get("/rest/api/2/field")
    assert second.why == "fresh"
    assert not {"X-Request-Id", "X-AREQUESTID", "traceparent"} & set(second.headers)


def _named_by_jira(_request):
    headers = {"X-AUSERNAME": "alice", "X-Request-Id": "of jira", "X-AREQUESTID": "1x2", "traceparent": TRACEPARENT}
    return web.json_response([], headers=headers)


async def test_a_trace_goes_on_to_jira_as_it_came_and_is_no_part_of_the_question(proxy, jira, written):
    state = "vendor=1,other=2"
    await proxy.get(ISSUE, headers={"traceparent": TRACEPARENT, "tracestate": state})
    again = await proxy.get(ISSUE, headers={"traceparent": TRACEPARENT.replace("4bf9", "5bf9")})
    assert again.why == "fresh"
    assert [(heard(seen, "traceparent"), heard(seen, "tracestate")) for seen in jira.seen] == [(TRACEPARENT, state)]
    assert [line["trace_id"] for line in await written()] == [TRACE, TRACE.replace("4bf9", "5bf9")]
