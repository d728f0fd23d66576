"""What an answer from the cache says of itself, and what a client may ask of the cache."""

import asyncio
import gzip
import json

import pytest
from aiohttp import web

from tests.clocks import Clock

pytestmark = pytest.mark.usefixtures("both_ways")

ISSUE = "/rest/api/2/issue/PROJ-1"
NAMED = {"X-AUSERNAME": "alice"}


@pytest.fixture
def clock() -> Clock:
    return Clock(1_000_000.0)


@pytest.fixture
async def proxy(new_proxy, clock, origin):
    origin.issue("PROJ-1", "one")
    return await new_proxy(clock=clock, policies={"issue": {"ttl": "5m"}})


def status(answer) -> str:
    return answer.headers["Cache-Status"].removeprefix("jira-cache; ")


# Cache-Status and Age ------------------------------------------------------------------------------------------------


async def test_a_miss_says_what_became_of_it_and_a_hit_for_how_long_it_is_good(proxy, clock):
    assert status(await proxy.get(ISSUE)) == "fwd=uri-miss; fwd-status=200; stored; ttl=300; detail=miss"
    clock.now += 10.9
    assert status(await proxy.get(ISSUE)) == "hit; ttl=289; detail=fresh"
    clock.now += 300
    assert status(await proxy.get(ISSUE)) == "fwd=stale; fwd-status=200; stored; ttl=300; detail=expired"


async def test_age_grows_with_the_clock_and_begins_anew(proxy, clock):
    assert (await proxy.get(ISSUE)).headers["Age"] == "0"
    for age in ("0", "1", "2"):
        assert (await proxy.get(ISSUE)).headers["Age"] == age
        clock.now += 1
    clock.now += 300
    assert (await proxy.get(ISSUE)).headers["Age"] == "0"


async def test_an_answer_from_the_future_counts_as_old_by_as_much_when_the_clock_is_set_back(proxy, clock):
    await proxy.get(ISSUE)
    clock.now -= 100
    answer = await proxy.get(ISSUE)
    assert (answer.headers["Age"], answer.why) == ("100", "fresh")
    clock.now -= 200
    assert (await proxy.get(ISSUE)).why == "expired"


async def test_a_forwarded_request_says_why(proxy, origin):
    origin.on("GET", "/browse/x", lambda asked: web.Response(text="page"))
    assert status(await proxy.get("/browse/x")) == "fwd=bypass; fwd-status=200; detail=not-rest"
    assert status(await proxy.request("PUT", ISSUE, json={"fields": {"summary": "2"}})) == (
        "fwd=method; fwd-status=204; detail=write"
    )
    assert status(await proxy.get(ISSUE + "?updateHistory=true")) == "fwd=bypass; fwd-status=200; detail=side-effect"


async def test_a_404_is_kept_for_a_short_while_and_says_so(proxy, clock):
    missing = "/rest/api/2/issue/PROJ-404"
    assert status(await proxy.get(missing)) == "fwd=uri-miss; fwd-status=404; stored; ttl=30; detail=miss"
    assert status(await proxy.get(missing)) == "hit; ttl=30; detail=negative"
    clock.now += 31
    assert (await proxy.get(missing)).why == "expired"


async def test_those_who_shared_a_trip_say_so(proxy, origin):
    await proxy.get("/rest/api/2/issue/PROJ-9")  # alice has a lease now
    origin.open.clear()
    tasks = [asyncio.create_task(proxy.get(ISSUE)) for _ in range(3)]
    await origin.arrived.wait()
    origin.open.set()
    said = sorted(status(answer) for answer in await asyncio.gather(*tasks))
    alone = "fwd=uri-miss; fwd-status=200; stored; ttl=300; detail=miss"
    shared = "fwd=uri-miss; fwd-status=200; stored; collapsed; ttl=300; detail=miss"
    assert set(said) <= {alone, shared, "hit; ttl=300; detail=fresh"}
    assert said.count(alone) == 1


async def test_cache_status_of_a_cache_before_jira_is_not_told_as_ours(proxy, origin):
    headers = NAMED | {"Cache-Status": "other; hit", "Age": "77", "ETag": '"theirs"'}
    origin.on("GET", ISSUE, lambda asked: web.json_response({}, headers=headers))
    for _ in range(2):
        answer = await proxy.get(ISSUE)
        assert answer.headers.getall("Cache-Status")[0].startswith("jira-cache; ")
        assert (len(answer.headers.getall("Age")), answer.headers["Age"]) == (1, "0")
        assert (len(answer.headers.getall("ETag")), answer.headers["ETag"] == '"theirs"') == (1, False)


# ETag and 304 --------------------------------------------------------------------------------------------------------


async def test_an_etag_is_strong_and_the_same_as_long_as_the_body_is(proxy, clock):
    first = await proxy.get(ISSUE)
    tag = first.headers["ETag"]
    assert tag.startswith('"')
    assert tag.endswith('"')
    assert (await proxy.get(ISSUE)).headers["ETag"] == tag
    clock.now += 1000
    again = await proxy.get(ISSUE)
    assert (again.why, again.headers["ETag"]) == ("expired", tag)
    await proxy.request("PUT", ISSUE, json={"fields": {"summary": "two"}})
    assert (await proxy.get(ISSUE)).headers["ETag"] != tag


async def test_different_bytes_have_different_etags(proxy, origin):
    body = json.dumps({"self": f"{origin.url}{ISSUE}"}).encode()
    packed = gzip.compress(body)
    origin.on("GET", ISSUE, lambda asked: web.Response(body=packed, headers=NAMED | PACKED))
    said = {}
    for coding in ("gzip", "identity"):
        for host in ("one.example", "two.example"):
            answer = await proxy.get(ISSUE, headers={"Accept-Encoding": coding, "Host": host})
            said.setdefault(answer.headers["ETag"], (coding, host))
    assert len(said) == 4
    assert origin.calls() == 1


PACKED = {"Content-Encoding": "gzip", "Content-Type": "application/json"}


@pytest.mark.parametrize("form", ["{tag}", "W/{tag}", '"other", {tag}', '{tag},"other"', "*", ' "x" ,W/{tag}'])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_client_that_has_these_bytes_gets_304(proxy, form, method):
    whole = await proxy.get(ISSUE)
    condition = {"If-None-Match": form.format(tag=whole.headers["ETag"])}
    answer = await proxy.request(method, ISSUE, headers=condition)
    assert (answer.status, answer.body, answer.why) == (304, b"", "fresh")
    assert answer.headers["ETag"] == whole.headers["ETag"]
    assert answer.headers["Cache-Control"] == whole.headers["Cache-Control"]
    assert not {"Content-Length", "Transfer-Encoding", "Content-Encoding"} & answer.headers.keys()


async def test_a_miss_may_be_answered_304_too(proxy, clock, origin):
    condition = {"If-None-Match": (await proxy.get(ISSUE)).headers["ETag"]}
    clock.now += 1000
    answer = await proxy.get(ISSUE, headers=condition)
    assert (answer.status, status(answer)) == (304, "fwd=stale; fwd-status=200; stored; ttl=300; detail=expired")
    assert "If-None-Match" not in origin.seen[-1].headers


@pytest.mark.parametrize("condition", ['"other"', 'W/"other"', "unquoted", '""'])
async def test_a_client_that_has_other_bytes_gets_these(proxy, condition):
    for _ in range(2):
        answer = await proxy.get(ISSUE, headers={"If-None-Match": condition})
        assert (answer.status, answer.json()["key"]) == (200, "PROJ-1")


async def test_one_codings_etag_does_not_stand_for_the_other(proxy, origin):
    packed = gzip.compress(b'{"key": "PROJ-1"}')
    origin.on("GET", ISSUE, lambda asked: web.Response(body=packed, headers=NAMED | PACKED))
    tag = (await proxy.get(ISSUE, headers={"Accept-Encoding": "gzip"})).headers["ETag"]
    plain = await proxy.get(ISSUE, headers={"Accept-Encoding": "identity", "If-None-Match": tag})
    assert (plain.status, plain.body) == (200, b'{"key": "PROJ-1"}')


async def test_a_404_is_never_answered_304(proxy):
    missing = "/rest/api/2/issue/PROJ-404"
    await proxy.get(missing)
    assert (await proxy.get(missing, headers={"If-None-Match": "*"})).status == 404


# what clients may ask ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("directives", "age", "why"),
    [
        ("", 0, "fresh"),
        ("no-store", 0, "no-store"),
        ("max-age=0", 1, "too-old"),
        ("max-age=60", 60, "fresh"),
        ("max-age=60", 61, "too-old"),
        ("min-fresh=100", 200, "fresh"),
        ("min-fresh=100", 201, "too-old"),
        ("max-stale", 1000, "max-stale"),
        ("max-stale=60", 360, "max-stale"),
        ("max-stale=60", 361, "expired"),
        ("only-if-cached", 0, "fresh"),
        ("only-if-cached", 301, "only-if-cached"),
        ("only-if-cached, max-stale", 301, "max-stale"),
        ("only-if-cached, max-age=10", 11, "only-if-cached"),
        ("no-cache", 0, "fresh"),
        ("no-cache, max-age=60", 61, "too-old"),
        ("private, unheard-of=1", 0, "fresh"),
    ],
)
async def test_what_a_client_asks_of_a_kept_answer(proxy, clock, directives, age, why):
    await proxy.get(ISSUE)
    clock.now += age
    assert (await proxy.get(ISSUE, headers={"Cache-Control": directives})).why == why


async def test_a_client_that_wants_a_cached_answer_or_none_gets_none_in_jiras_shape(proxy, origin):
    answer = await proxy.get(ISSUE, headers={"Cache-Control": "only-if-cached"})
    assert (answer.status, answer.why, answer.json()["errors"]) == (504, "only-if-cached", {})
    assert origin.seen == []


async def test_what_is_not_to_be_stored_is_not(proxy):
    for _ in range(2):
        assert (await proxy.get(ISSUE, headers={"Cache-Control": "no-store"})).why == "no-store"
    assert (await proxy.get(ISSUE)).why == "miss"


FORCES = [
    {"Cache-Control": "no-cache", "Pragma": "no-cache"},
    {"X-Jira-Cache": "refresh"},
    {"X-Jira-Cache": "refresh", "Cache-Control": "no-cache"},
]


@pytest.mark.parametrize("force", FORCES, ids=repr)
async def test_a_forced_answer_is_new_and_replaces_the_entry_for_the_others_too(new_proxy, origin, force):
    proxy = await new_proxy(policies={"issue": {"scope": "account"}})
    origin._login = lambda asked: ("alice", False)  # both credentials are of one account
    origin.issue("PROJ-1", "before")
    for user in ("alice", "bob"):
        await proxy.get(ISSUE, user)
        assert (await proxy.get(ISSUE, user)).why == "fresh"
    origin.issue("PROJ-1", "changed behind the proxy's back")
    assert (await proxy.get(ISSUE, "bob")).json()["fields"]["summary"] == "before"
    assert (await proxy.get(ISSUE, "alice", headers=force)).why == "refresh"
    others = await proxy.get(ISSUE, "bob")
    assert (others.why, others.json()["fields"]["summary"]) == ("fresh", "changed behind the proxy's back")


async def test_a_forced_answer_is_not_that_of_a_trip_already_under_way(proxy, origin):
    await proxy.get("/rest/api/2/issue/PROJ-9")  # alice has a lease now
    origin.open.clear()
    before = asyncio.create_task(proxy.get(ISSUE))
    await origin.arrived.wait()
    origin.arrived.clear()
    forced = asyncio.create_task(proxy.get(ISSUE, headers={"X-Jira-Cache": "refresh"}))
    await origin.arrived.wait()
    origin.open.set()
    await asyncio.gather(before, forced)
    assert origin.calls(path=ISSUE) == 2


async def test_a_forced_question_keeps_its_force_to_itself(proxy, origin):
    await proxy.get(ISSUE, headers={"X-Jira-Cache": "refresh"})
    assert "X-Jira-Cache" not in origin.seen[-1].headers


@pytest.mark.parametrize(
    ("mode", "directives", "why"),
    [
        ("all", {"Cache-Control": "no-cache"}, "refresh"),
        ("all", {"Pragma": "no-cache"}, "refresh"),
        ("all", {"Cache-Control": "no-store"}, "no-store"),
        ("explicit", {"Cache-Control": "no-cache"}, "fresh"),
        ("explicit", {"Pragma": "no-cache"}, "fresh"),
        ("none", {"Cache-Control": "no-store"}, "fresh"),
        ("none", {"Cache-Control": "no-cache", "Pragma": "no-cache"}, "fresh"),
        ("none", {"X-Jira-Cache": "refresh"}, "fresh"),
        ("none", {"Cache-Control": "only-if-cached, max-age=0"}, "fresh"),
    ],
)
async def test_which_directives_count_can_be_chosen(new_proxy, origin, mode, directives, why):
    proxy = await new_proxy(client_directives=mode)
    origin.issue("PROJ-1", "one")
    await proxy.get(ISSUE)
    assert (await proxy.get(ISSUE, headers=directives)).why == why


async def test_however_many_are_served_an_old_answer_one_of_them_has_a_new_one_fetched(new_proxy, origin, clock):
    proxy = await new_proxy(clock=clock, policies={"issue": {"ttl": "1m", "stale_while_revalidate": "1m"}})
    origin.issue("PROJ-1", "before")
    await proxy.get(ISSUE)
    clock.now += 90
    origin.open.clear()
    origin.arrived.clear()
    assert (await proxy.get(ISSUE)).why == "stale-revalidate"
    await origin.arrived.wait()
    assert {(await proxy.get(ISSUE)).why for _ in range(20)} == {"stale-revalidate"}
    assert len(proxy.running.app.tenants.named("default").journey._background) == 1
    origin.open.set()


async def test_an_old_answer_is_served_while_a_new_one_is_fetched(new_proxy, origin, clock):
    proxy = await new_proxy(clock=clock, policies={"issue": {"ttl": "1m", "stale_while_revalidate": "1m"}})
    origin.issue("PROJ-1", "before")
    await proxy.get(ISSUE)
    origin.issue("PROJ-1", "after")
    origin.arrived.clear()
    clock.now += 90
    old = await proxy.get(ISSUE)
    assert (status(old), old.json()["fields"]["summary"]) == ("hit; ttl=-30; detail=stale-revalidate", "before")
    await origin.arrived.wait()
    await proxy.running.app.tenants.named("default").journey.close()  # waits for what nobody waits for
    new = await proxy.get(ISSUE)
    assert (new.why, new.json()["fields"]["summary"]) == ("fresh", "after")
