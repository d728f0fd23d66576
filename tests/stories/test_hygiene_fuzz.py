"""Whatever bytes come: an answer or a close, no failure, no hang, and nothing that changes what others are told.

The examples are the same in each run.
"""

import asyncio
import io
import json
import logging
import re

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.incoming import Body
from proxy.notes import Notes
from proxy.webhooks import Delivery

ISSUE = "/rest/api/2/issue/PROJ-1"
AT_ONCE = 10
SHORT = {"client_header": "100ms", "client_body": "100ms", "keep_alive": "100ms"}

always_the_same = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

# What requests are made of: mostly as they should be, so that what is wrong gets far.

methods = st.sampled_from([*b"GET GET HEAD POST PUT DELETE OPTIONS CONNECT get \x00".split(b" "), b""])
pieces = st.sampled_from(
    b"/ rest api 2 issue PROJ-1 search - webhooks ready .. . %2e %2F %5c %00 % %ff ;a=b ? & = jql # \\ * : @".split(
        b" "
    )
)
targets = st.one_of(
    st.just(ISSUE.encode()),
    st.sampled_from(
        b"/rest/api/2/search?jql=key=PROJ-1 /browse/PROJ-1 /-/webhooks/default http://x/page *".split(b" ")
    ),
    st.lists(pieces, max_size=8).map(b"/".join),
    st.lists(pieces, max_size=8).map(lambda some: b"/" + b"".join(some)),
    st.binary(max_size=20),
)
versions = st.sampled_from([*[b"HTTP/1.1"] * 6, *b"HTTP/1.0 HTTP/2.0 HTTP/0.9 HTTP/1.10 HTP/1.1".split(b" "), b""])
names = st.sampled_from(
    b"Host|host|Content-Length|Transfer-Encoding|Connection|Upgrade|Expect|Authorization|Cookie|Content-Type|"
    b"Content-Encoding|Accept-Encoding|If-None-Match|Range|Cache-Control|X-Jira-Cache|X-Forwarded-Host|Via|TE|Trailer|"
    b"X-Forwarded-For|Sec-WebSocket-Key||X A|\xff".split(b"|")
)
values = st.one_of(
    st.sampled_from(
        b"x|0|2|100|-1|chunked|gzip, chunked|close|keep-alive, Upgrade|websocket|h2c|100-continue|application/json|"
        b'gzip|"a"|bytes=0-1|no-cache|refresh|Basic YWxpY2U6c2VzYW1l|a\nb|a\r\n b|a\x00b|\xe9|[::1]:80'.split(b"|")
    ),
    st.just(b"a" * 9000),
    st.binary(max_size=10),
)
headers = st.lists(st.tuples(names, values).map(b": ".join), max_size=6).map(lambda lines: [b"Host: x", *lines])
bodies = st.sampled_from(
    b'||{}|[]|2\r\n{}\r\n0\r\n\r\n|0\r\nX-A: b\r\n\r\n|zz\r\n|{"jql": 1}|{"webhookEvent": []}|\x1f\x8b\x08'.split(b"|")
)
ends = st.sampled_from([b"\r\n"] * 9 + [b"\n", b"\r", b""])


@st.composite
def messages(draw) -> bytes:
    """A request, or what looks like one."""
    end = draw(ends)
    line = b" ".join([draw(methods), draw(targets), draw(versions)])
    return end.join([line, *draw(headers), b"", draw(bodies)])


@st.composite
def damaged(draw) -> bytes:
    """Requests, some bytes of which went missing, were doubled or replaced."""
    said = b"".join(draw(st.lists(messages(), min_size=1, max_size=3)))
    for _ in range(draw(st.integers(0, 3))):
        at, until = sorted(draw(st.tuples(*[st.integers(0, len(said))] * 2)))
        said = said[:at] + draw(st.one_of(st.binary(max_size=3), st.just(said[at:until] * 2))) + said[at + 1 :]
    return said


@pytest.fixture
def quiet(caplog):
    """Nothing was logged that an operator would have to look into."""
    caplog.set_level(logging.INFO)
    return lambda: [record for record in caplog.records if record.levelno > logging.WARNING or record.exc_info]


async def shown(proxy, user: str | None):
    answer = await proxy.get(ISSUE, user)
    return answer.status, answer.json().get("fields", {}).get("summary")


@pytest.fixture
async def fuzzed(new_proxy, origin, raw):
    """A proxy that is impatient, of a Jira that shows an issue to alice alone and lets nobody change it."""
    origin.issue("PROJ-1", "hers", readers=["alice"])
    for method in ("PUT", "POST", "DELETE"):
        origin.on(method, ISSUE, lambda _: web.Response(status=405))
    proxy = await new_proxy(timeouts=SHORT)

    async def say(said: bytes) -> bytes:
        try:
            return await raw(proxy.url, said)
        except ConnectionError:
            return b""

    return proxy, say


@always_the_same
@given(said=st.lists(damaged(), min_size=AT_ONCE, max_size=AT_ONCE))
async def test_whatever_a_client_says(fuzzed, quiet, said):
    proxy, say = fuzzed
    for heard in await asyncio.gather(*(say(one) for one in said)):
        assert re.match(rb"(HTTP/1\.[01] (?!500)[1-5][0-9]{2} |$)", heard), heard
    assert await shown(proxy, "alice") == (200, "hers")
    assert await shown(proxy, "bob") == (404, None)
    assert await shown(proxy, None) == (404, None)
    assert quiet() == []


# webhooks ------------------------------------------------------------------------------------------------------------

words = st.sampled_from(
    [
        "webhookEvent",
        "issue",
        "id",
        "key",
        "self",
        "fields",
        "project",
        "changelog",
        "items",
        "field",
        "fieldId",
        "from",
        "to",
        "fromString",
        "toString",
        "comment",
        "worklog",
        "issueLink",
        "sourceIssueId",
        "sprint",
        "board",
        "version",
        "user",
        "name",
        "accountId",
        "timestamp",
        "updated",
        "created",
        "parent",
        "PROJ-1",
        "10001",
        "jira:issue_updated",
        "Key",
    ]
)
numbers = st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False))
scalars = st.one_of(st.none(), st.booleans(), numbers, words, st.text(max_size=5))
trees = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(words, inner, max_size=6)),
    max_leaves=30,
)
events = st.sampled_from(
    ["jira:issue_updated", "jira:issue_deleted", "comment_created", "worklog_updated", "sprint_closed"]
)
issues = st.fixed_dictionaries({}, optional={"id": scalars, "key": scalars, "self": scalars, "fields": trees})
things = {
    name: st.one_of(issues, trees) for name in ["issue", "comment", "worklog", "issueLink", "sprint", "project", "user"]
}
announcements = st.fixed_dictionaries(
    {"webhookEvent": st.one_of(events, trees)}, optional={**things, "changelog": trees, "timestamp": scalars}
)
contents = st.one_of(
    st.one_of(announcements, trees).map(lambda said: json.dumps(said).encode()), st.binary(max_size=50)
)
queries = st.one_of(st.just(""), st.text(max_size=10), st.tuples(words, words).map("=".join))


@settings(always_the_same, max_examples=200)
@given(body=contents, query=queries)
async def test_whatever_a_webhook_says(fuzzed, quiet, body, query):
    proxy, _ = fuzzed
    parts = [body]

    async def read():
        return parts.pop() if parts else b""

    delivery = Delivery("default", "POST", query, {}, Body(read, present=True), Notes())
    answer = await proxy.running.app.webhooks.answer(delivery)
    assert answer.status in {200, 400}
    assert await shown(proxy, "alice") == (200, "hers")
    assert quiet() == []


@pytest.mark.parametrize("depth", [100, 500, 5000, 200_000])
@pytest.mark.parametrize("shape", ["[%s]", '{"webhookEvent": "jira:issue_updated", "issue": {"fields": %s}}'])
async def test_a_webhook_however_deep(fuzzed, quiet, depth, shape):
    proxy, _ = fuzzed
    body = (shape % ('{"a":[' * depth + "]}" * depth)).encode()
    answer = await proxy.request("POST", "/-/webhooks/default", None, data=io.BytesIO(body))
    assert answer.status in {200, 400}
    assert await shown(proxy, "alice") == (200, "hers")
    assert quiet() == []


@pytest.mark.parametrize("depth", [100, 500, 5000, 200_000])
async def test_an_answer_of_jira_however_deep(fuzzed, quiet, origin, depth):
    proxy, _ = fuzzed
    body = b'{"a":[' * depth + b"]}" * depth
    headers = {"X-AUSERNAME": "alice", "Content-Type": "application/json"}
    origin.on("GET", "/rest/api/2/issue/PROJ-2", lambda _: web.Response(body=body, headers=headers))
    for _ in range(2):
        answer = await proxy.get("/rest/api/2/issue/PROJ-2")
        assert (answer.status, answer.body) == (200, body)
    assert quiet() == []
