"""The fast lane gives every answer that the ordinary way would give, and takes only what it can answer alone."""

import asyncio
import base64
import re
from copy import copy
from dataclasses import replace

import pytest

from proxy.journey import Journey
from proxy.lane import Lane
from proxy.rules import rulebook
from proxy.stores.memory import MemoryStore

pytestmark = pytest.mark.usefixtures("shortcuts_at_first_sight")

ISSUE = "/rest/api/2/issue/PROJ-1"
ALICE = "Authorization: Basic " + base64.b64encode(b"alice:sesame").decode()
BOB = "Authorization: Basic " + base64.b64encode(b"bob:builder").decode()
UNIX = 1_700_000_000.25


def head(*lines, method="GET", path=ISSUE, version="1.1"):
    return "\r\n".join([f"{method} {path} HTTP/{version}", "Host: jira.test", *lines, "", ""]).encode()


PLAIN = head(ALICE)


@pytest.fixture
def lane(monkeypatch):
    """Count the answers of the fast lane."""
    taken, answer = [], Lane.answer

    def counted(self, shortcut):
        sent = answer(self, shortcut)
        if sent is not None:
            taken.append(sent)
        return sent

    monkeypatch.setattr(Lane, "answer", counted)
    return taken


@pytest.fixture
async def talk(stack):
    """Open connections: each is a function that says bytes and hears so many answers."""

    async def connect(proxy):
        host, _, port = proxy.url.partition("://")[2].partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        stack.callback(writer.close)

        async def say(*pieces, answers=1):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            return [await heard(reader, pieces[0].startswith(b"HEAD")) for _ in range(answers)]

        return say

    return connect


async def heard(reader, headless=False):
    async with asyncio.timeout(10):
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"Content-Length: (\d+)", head)
        body = b"" if headless or length is None else await reader.readexactly(int(length[1]))
    return head + body


def lasting(answer):
    return re.sub(rb"Date: [^\r]*\r\n", b"", answer)


@pytest.fixture
def clock():
    return lambda: UNIX


REQUESTS = {
    "plain": PLAIN,
    "head": head(ALICE, method="HEAD"),
    "gzip": head(ALICE, "Accept-Encoding: gzip, deflate"),
    "refused gzip": head(ALICE, "Accept-Encoding: gzip;q=0"),
    "another host": head(ALICE).replace(b"jira.test", b"other.test"),
    "forwarded": head(ALICE, "X-Forwarded-Proto: https", "X-Forwarded-Host: public.test"),
    "a name of its own": head(ALICE, "X-Request-Id: abc%d%s"),
    "a condition that holds": head(ALICE, "If-None-Match: *"),
    "a condition that does not": head(ALICE, 'If-None-Match: "else"'),
    "max-age": head(ALICE, "Cache-Control: max-age=60"),
    "a habit": head(ALICE, "Cache-Control: no-cache"),
    "only if cached": head(ALICE, "Cache-Control: only-if-cached"),
    "a query": head(ALICE, path=f"{ISSUE}?fields=summary"),
    "absolute form": head(ALICE, path=f"http://jira.test{ISSUE}"),
    "nobody": head(),
    "not found": head(ALICE, path="/rest/api/2/issue/PROJ-404"),
}


@pytest.mark.parametrize("said", REQUESTS.values(), ids=REQUESTS.keys())
async def test_the_lane_answers_to_the_byte_what_the_ordinary_way_does(new_proxy, origin, talk, lane, clock, said):
    origin.issue("PROJ-1", "wanted")
    answers = {}
    for fast in (True, False):
        say = await talk(await new_proxy(clock=clock, fast_lane=fast))
        await say(head(ALICE) if b"only-if-cached" in said else said)
        before = len(lane)
        answers[fast] = [lasting((await say(said))[0]) for _ in range(4)]
        assert (len(lane) > before) == fast
    assert answers[True] == answers[False]
    assert len(set(answers[True])) == 1


async def test_headers_in_another_order_are_the_same_request(new_proxy, origin, talk, lane):
    origin.issue("PROJ-1", "wanted")
    say = await talk(await new_proxy())
    first, second = head(ALICE, "Accept: */*"), head("Accept: */*", ALICE)
    for said in (first, first, first, second):
        [answer] = await say(said)
    assert len(lane) == 2
    assert b"detail=fresh" in answer


async def test_two_callers_never_share_a_shortcut(new_proxy, origin, talk, lane):
    origin.issue("PROJ-1", "wanted")
    say = await talk(await new_proxy())
    for _ in range(4):
        [mine], [theirs] = await say(PLAIN), await say(head(BOB))
        assert (b'"isWatching": true' in mine, b'"isWatching": true' in theirs) == (True, False)
    assert len(lane) == 4


async def test_a_line_that_comes_twice_is_another_request(new_proxy, origin, talk, lane):
    origin.issue("PROJ-1", "wanted")
    say = await talk(await new_proxy())
    for _ in range(3):
        await say(PLAIN)
    taken = len(lane)
    await say(head(ALICE, ALICE))
    assert len(lane) == taken > 0


NOT_FOR_THE_LANE = {
    "an older version": head(ALICE, "Connection: keep-alive", version="1.0"),
    "the last request": head(ALICE, "Connection: close"),
    "an expectation": head(ALICE, "Expect: 100-continue"),
    "a body": head(ALICE, "Content-Length: 2") + b"{}",
    "a range": head(ALICE, "Range: bytes=0-3"),
    "no-store": head(ALICE, "Cache-Control: no-store"),
    "a forced refresh": head(ALICE, "X-Jira-Cache: refresh"),
    "an upgrade": head(ALICE, "Connection: upgrade", "Upgrade: h2c"),
}


@pytest.mark.parametrize("said", NOT_FOR_THE_LANE.values(), ids=NOT_FOR_THE_LANE.keys())
async def test_what_is_not_plain_takes_the_ordinary_way(new_proxy, origin, talk, lane, said):
    origin.issue("PROJ-1", "wanted")
    proxy = await new_proxy()
    for _ in range(4):
        say = await talk(proxy)
        await say(said)
    assert not lane


async def test_requests_that_come_together_are_answered_in_their_order(new_proxy, origin, talk, lane):
    origin.issue("PROJ-1", "wanted")
    origin.issue("PROJ-2", "another")
    say = await talk(await new_proxy())
    other = head(ALICE, path="/rest/api/2/issue/PROJ-2")
    for _ in range(3):
        await say(PLAIN)
        await say(other)
    one, two, three = await say(PLAIN + other + PLAIN, answers=3)
    assert (b"wanted" in one, b"another" in two, b"wanted" in three) == (True, True, True)


async def test_a_hit_waits_for_the_request_before_it(new_proxy, origin, talk, lane):
    origin.issue("PROJ-1", "wanted")
    origin.issue("PROJ-2", "slow")
    say = await talk(await new_proxy())
    for _ in range(3):
        await say(PLAIN)
    origin.open.clear()
    origin.arrived.clear()
    both = asyncio.create_task(say(head(ALICE, path="/rest/api/2/issue/PROJ-2"), answers=2))
    await origin.arrived.wait()
    taken = len(lane)
    late = asyncio.create_task(say(PLAIN, answers=0))
    await late
    origin.open.set()
    first, second = await both
    assert (b"slow" in first, b"wanted" in second) == (True, True)
    assert len(lane) == taken


@pytest.mark.parametrize("cut", [1, 20, len(PLAIN) - 2, len(PLAIN) - 1])
async def test_a_request_in_two_pieces_is_answered_once_and_the_lane_is_open_again(new_proxy, origin, talk, lane, cut):
    origin.issue("PROJ-1", "wanted")
    proxy = await new_proxy()
    say = await talk(proxy)
    for _ in range(3):
        await say(PLAIN)
    await say(PLAIN[:cut], answers=0)
    await proxy.get("/-/live", user=None)
    [answer] = await say(PLAIN[cut:])
    assert b"wanted" in answer
    [answer] = await say(PLAIN)
    assert b"detail=fresh" in answer


async def test_the_lane_is_open_again_after_a_request_with_a_body(new_proxy, origin, talk, lane):
    origin.issue("PROJ-1", "wanted")
    say = await talk(await new_proxy())
    for _ in range(3):
        await say(PLAIN)
    search = b'{"jql": "project = PROJ"}'
    posted = head(
        ALICE,
        "Content-Type: application/json",
        f"Content-Length: {len(search)}",
        method="POST",
        path="/rest/api/2/search",
    )
    await say(posted, search)
    taken = len(lane)
    await say(PLAIN)
    assert len(lane) == taken + 1


async def test_a_write_makes_the_shortcut_useless_before_the_writer_hears_of_it(new_proxy, origin, talk, lane):
    origin.issue("PROJ-1", "wanted")
    proxy = await new_proxy()
    say = await talk(proxy)
    for _ in range(4):
        await say(PLAIN)
    assert lane
    await proxy.request("PUT", ISSUE, json={"fields": {"summary": "changed"}})
    [answer] = await say(PLAIN)
    assert b"changed" in answer


async def test_a_lease_that_is_read_anew_and_says_the_same_is_looked_at_once(
    new_proxy, origin, talk, lane, monkeypatch
):
    origin.issue("PROJ-1", "wanted")
    proxy = await new_proxy(clock=lambda: UNIX)
    say = await talk(proxy)
    for _ in range(4):
        await say(PLAIN)
    [tenant] = proxy.running.app.tenants.all
    known = tenant.journey._crew.leases._known
    [(credential, lease)] = known.items()
    known[credential] = replace(lease)  # as another process's would come from the store
    decisions, glance = [], Journey.glance

    def counted(self, question):
        decisions.append(question)
        return glance(self, question)

    monkeypatch.setattr(Journey, "glance", counted)
    for _ in range(4):
        await say(PLAIN)
    assert len(decisions) == 1


async def test_a_caller_whom_jira_no_longer_accepts_loses_the_lane(new_proxy, origin, talk, lane):
    moment = [UNIX]
    origin.issue("PROJ-1", "wanted")
    say = await talk(
        await new_proxy(clock=lambda: moment[0], world={"steady": lambda: moment[0]}, policies={"issue": {"ttl": "1h"}})
    )
    for _ in range(4):
        await say(PLAIN)
    assert lane
    origin.users["alice"] = "changed"
    moment[0] += 301  # the lease is over, the answer is not
    [answer] = await say(PLAIN)
    assert b"wanted" not in answer


async def test_an_answer_is_not_served_past_its_ttl(new_proxy, origin, talk, lane):
    moment = [UNIX]
    origin.issue("PROJ-1", "wanted")
    say = await talk(await new_proxy(clock=lambda: moment[0], policies={"issue": {"ttl": "10s"}}))
    for _ in range(4):
        [answer] = await say(PLAIN)
    assert b"ttl=10;" in answer
    moment[0] += 9.5
    [answer] = await say(PLAIN)
    assert b"Age: 9\r\n" in answer
    assert b"ttl=0;" in answer
    moment[0] += 0.5
    [answer] = await say(PLAIN)
    assert b"detail=expired" in answer


async def test_an_answer_that_took_the_place_of_another_is_what_the_lane_gives(new_proxy, origin, talk, lane):
    moment = [UNIX]
    origin.issue("PROJ-1", "before")
    say = await talk(await new_proxy(clock=lambda: moment[0]))
    for _ in range(4):
        await say(PLAIN)
    moment[0] += 0.5  # within the same second
    await say(PLAIN)
    origin.issue("PROJ-1", "after")
    [newer] = await say(head(ALICE, "Cache-Control: max-age=0"))
    [answer] = await say(PLAIN)
    assert (b"after" in newer, b"after" in answer) == (True, True)
    assert len(lane) == 4, "nothing was made old, and yet the lane looked again"


async def test_after_a_change_of_something_else_the_lane_looks_once(new_proxy, origin, talk, lane, monkeypatch):
    moment = [UNIX]
    looks, glance = [], MemoryStore.glance
    monkeypatch.setattr(MemoryStore, "glance", lambda self, key: looks.append(key) or glance(self, key))
    origin.issue("PROJ-1", "wanted")
    proxy = await new_proxy(clock=lambda: moment[0])
    say = await talk(proxy)
    for _ in range(4):
        await say(PLAIN)
    moment[0] += 0.5  # within the same second
    await say(PLAIN)
    before = len(looks), len(lane)
    await proxy.running.app.stores["default"].invalidate({"issue:OTHER-1"})
    for _ in range(5):
        await say(PLAIN)
    assert (len(looks) - before[0], len(lane) - before[1]) == (1, 5)


async def test_what_had_to_make_room_does_not_come_back_behind_a_newer_answer(new_proxy, origin, talk, lane):
    moment = [UNIX]
    origin.issue("PROJ-1", "before")
    for number in range(2, 100):
        origin.issue(f"PROJ-{number}", "x" * 2_000)
    proxy = await new_proxy(clock=lambda: moment[0])
    answers = proxy.running.app.stores["default"]._backend._answers
    answers._max_bytes = 32 * 1024  # and yet the lane has all its room
    say = await talk(proxy)
    for _ in range(4):
        await say(PLAIN)
    moment[0] += 0.5  # within the same second
    await say(PLAIN)
    for number in range(2, 100):
        await say(head(ALICE, path=f"/rest/api/2/issue/PROJ-{number}"))
    assert (len(lane), answers.evictions > 0) == (3, True)
    origin.issue("PROJ-1", "after")
    [newer] = await say(head(ALICE, "Cache-Control: max-age=0"))
    [answer] = await say(PLAIN)
    assert (b"after" in newer, b"after" in answer) == (True, True)


async def test_what_only_the_lane_gives_is_not_forgotten_as_if_nobody_wanted_it(new_proxy, origin, talk, lane):
    moment = [UNIX]
    for number in range(1, 40):
        origin.issue(f"PROJ-{number}", "x" * 2_000)
    proxy = await new_proxy(clock=lambda: moment[0])
    proxy.running.app.stores["default"]._backend._answers._max_bytes = 32 * 1024  # and yet the lane has all its room
    say = await talk(proxy)
    for number in range(2, 40):
        await say(head(ALICE, path=f"/rest/api/2/issue/PROJ-{number}"))
        for _ in range(4):
            [answer] = await say(PLAIN)
        moment[0] += 1
    assert b"detail=fresh" in answer
    assert len(lane) > 4 * 37, "all but the first answers were the lane's"
    assert origin.calls() == 39, "PROJ-1 was asked for once"
    assert proxy.running.app.stores["default"]._backend.evictions


async def test_the_seconds_in_a_head_are_those_of_the_moment(new_proxy, origin, talk, lane):
    moment = [UNIX]
    origin.issue("PROJ-1", "wanted")
    told = {}
    for fast in (True, False):
        moment[0] = UNIX
        say = await talk(
            await new_proxy(clock=lambda: moment[0], fast_lane=fast, policies={"issue": {"ttl": "2500ms"}})
        )
        for _ in range(4):
            await say(PLAIN)
        told[fast] = []
        for later in (0.0, 0.25, 0.5, 0.999, 1.0, 1.49, 1.5, 1.51, 1.999, 2.0, 2.25, 2.49):
            moment[0] = UNIX + later
            told[fast] += [lasting(answer) for answer in await say(PLAIN)]
    assert told[True] == told[False]
    ages = [int(re.search(rb"Age: (\d+)", answer)[1]) for answer in told[True]]
    assert ages == [0] * 4 + [1] * 5 + [2] * 3
    assert len(lane) > 6


async def test_a_request_draws_once_whether_to_fetch_early(new_proxy, origin, talk, lane):
    moment, draws = [UNIX], []

    def draw():
        draws.append(moment[0])
        return 0.0 if draws.count(moment[0]) == 1 else 1.0

    origin.issue("PROJ-1", "before")
    world = {"draw": draw, "steady": lambda: moment[0]}
    proxy = await new_proxy(clock=lambda: moment[0], world=world, policies={"issue": {"ttl": "100s"}})
    say = await talk(proxy)
    for _ in range(4):
        await say(PLAIN)
    assert lane
    origin.issue("PROJ-1", "after")
    moment[0] += 100 - 1e-6
    [answer] = await say(PLAIN)
    assert b"before" in answer
    for tenant in proxy.running.app.tenants.all:
        await tenant.journey.close()
    assert origin.calls() == 2, "what the first draw at that moment wanted was done"


async def test_a_reload_closes_every_shortcut(new_proxy, origin, talk, lane):
    origin.issue("PROJ-1", "wanted")
    proxy = await new_proxy()
    say = await talk(proxy)
    for _ in range(4):
        await say(PLAIN)
    taken = len(lane)
    app = proxy.running.app
    for tenant in app.tenants.all:
        tenant.journey.follow(copy(rulebook(app.config)))
    await say(PLAIN)
    assert len(lane) == taken > 0


async def test_a_client_that_does_not_read_is_not_written_to_without_end(new_proxy, origin, talk, lane):
    origin.issue("PROJ-1", "x" * 200_000)
    proxy = await new_proxy()
    host, _, port = proxy.url.partition("://")[2].partition(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
    for _ in range(4):
        writer.write(PLAIN)
        await heard_of(reader)
    writer.transport.pause_reading()
    for _ in range(200):
        writer.write(PLAIN)
        await proxy.get("/-/live", user=None)
    assert len(lane) < 150, "once its answers pile up, its requests wait"
    writer.transport.resume_reading()
    for _ in range(200):
        assert b"200 OK" in await heard_of(reader)
    writer.close()


async def heard_of(reader):
    async with asyncio.timeout(20):
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(re.search(rb"Content-Length: (\d+)", head)[1]))
    return head


async def test_hits_of_the_lane_are_counted_like_any_other(new_proxy, origin, talk, lane):
    origin.issue("PROJ-1", "wanted")
    proxy = await new_proxy()
    say = await talk(proxy)
    for _ in range(5):
        await say(PLAIN)
    assert lane
    told = proxy.running.app.metrics.text().decode()
    assert 'jira_cache_requests_total{tenant="default",type="issue",why="fresh"} 4.0' in told
    assert 'jira_cache_request_seconds_count{tenant="default",why="fresh"} 4.0' in told
    assert 'jira_cache_upstream_calls_saved_total{tenant="default",type="issue"} 4.0' in told


async def test_an_aiohttp_of_another_make_turns_the_lane_off_with_a_warning(
    new_proxy, origin, talk, lane, monkeypatch, caplog
):
    monkeypatch.setattr("proxy.lane_check._HEAD", b"GET / HTTP/1.1\r\nHost: b\r\n\r\n")
    origin.issue("PROJ-1", "wanted")
    say = await talk(await new_proxy())
    for _ in range(4):
        [answer] = await say(PLAIN)
    assert b"detail=fresh" in answer
    assert not lane
    assert "the fast lane is off" in caplog.text


async def test_a_stop_closes_connections_that_the_lane_has_served(new_proxy, origin, talk, lane):
    origin.issue("PROJ-1", "wanted")
    proxy = await new_proxy()
    host, _, port = proxy.url.partition("://")[2].partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for _ in range(4):
        writer.write(PLAIN)
        await heard(reader)
    assert lane
    await proxy.running.stop()
    async with asyncio.timeout(10):
        assert await reader.read() == b""
    writer.close()
