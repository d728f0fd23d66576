"""Rows whose freshness the origin decides: what HTTP's own rules promise, over real sockets."""

import asyncio
import gzip

import pytest
from aiohttp import web

from policies.http_date import spelled
from tests.clocks import Clock

THING = "/rest/app/1/things/9"
ROUTES = [
    {"match": "GET /rest/app/1/**", "type": "app", "freshness": "origin"},
    {"match": "GET /rest/shared/1/**", "type": "shared", "freshness": "origin"},
    {"match": "POST /rest/app/1/harmless/**", "nothing": "says so"},
]
POLICIES = {
    "app": {"ttl": "1h", "stale_if_error": "0s"},
    "shared": {"ttl": "1h", "stale_if_error": "0s", "scope": "tenant"},
}
ALICE = {"X-AUSERNAME": "alice"}
BEGAN = 1_700_000_000.0
LONG_AGO = spelled(BEGAN - 100_000)


@pytest.fixture
def clock() -> Clock:
    return Clock(BEGAN)


@pytest.fixture(params=["memory", "near", "redis"])
async def proxy(new_proxy, clock, redis_url, new_tenant, origin, request):
    if request.param == "memory":
        return await new_proxy(clock=clock, routes=ROUTES, policies=POLICIES)
    store = {"url": redis_url, "coherence": "relaxed" if request.param == "near" else "strict"}
    tenants = {new_tenant(): {"upstream": origin.url}}
    return await new_proxy(clock=clock, routes=ROUTES, policies=POLICIES, store=store, tenants=tenants)


@pytest.fixture
async def plain(new_proxy, clock):
    """A proxy with a memory of its own, for what no store has a say in."""
    return await new_proxy(clock=clock, routes=ROUTES, policies=POLICIES)


def validating(asked) -> bool:
    return "If-None-Match" in asked.headers or "If-Modified-Since" in asked.headers


@pytest.fixture
def answering(origin, clock):
    """Let the origin answer a GET with these headers, with its clock the same as the proxy's, and honour conditions."""

    def script(path=THING, status=200, body=b"[1]", confirming=None, **headers):
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        said = {"X-AUSERNAME": "alice", "Content-Type": "application/json"} | said

        def answer(asked):
            dated = {"Date": spelled(clock.now)} | said
            if validating(asked) and ({"ETag", "Last-Modified"} & said.keys()):
                return web.Response(status=304, headers=dated | (confirming or {}))
            return web.Response(status=status, headers=dated, body=body)

        origin.on("GET", path, answer)

    return script


async def whys(proxy, *times, clock, path=THING, **options):
    """Ask at each of the seconds since the beginning; tell why each answer was given."""
    told = []
    for moment in times:
        clock.now = BEGAN + moment
        told.append((await proxy.get(path, **options)).why)
    return told


# freshness ------------------------------------------------------------------------------------------------------------


async def test_an_answer_is_fresh_for_as_long_as_it_says(proxy, answering, clock):
    answering(Cache_Control="max-age=60")
    assert await whys(proxy, 0, 30, 61, 62, clock=clock) == ["miss", "fresh", "expired", "fresh"]


async def test_an_answer_says_its_age_and_its_date(plain, answering, clock):
    answering(Cache_Control="max-age=600", Age="30")
    assert 30 <= int((await plain.get(THING)).headers["Age"]) < 100  # the way from the origin counts, too
    clock.now += 100
    hit = await plain.get(THING)
    assert 130 <= int(hit.headers["Age"]) < 200
    assert hit.headers["Date"] == spelled(BEGAN)


@pytest.mark.parametrize(
    ("headers", "whys_"),
    [
        ({"Cache_Control": "no-store"}, ["origin-forbids"] * 2),
        ({"Cache_Control": "no-cache"}, ["no-freshness"] * 2),
        ({}, ["no-freshness"] * 2),
        ({"Vary": "*", "Cache_Control": "max-age=60"}, ["varies"] * 2),
        ({"Cache_Control": "private, max-age=60"}, ["miss", "fresh"]),
        ({"Expires": spelled(BEGAN + 60)}, ["miss", "fresh"]),
        ({"Expires": "0"}, ["no-freshness"] * 2),
        ({"Last_Modified": LONG_AGO}, ["miss", "fresh"]),
    ],
)
async def test_a_second_request_gets_what_the_first_answer_allows(plain, answering, clock, headers, whys_):
    answering(**headers)
    assert await whys(plain, 0, 1, clock=clock) == whys_


async def test_what_is_private_is_for_nobody_in_particular_not_kept(plain, answering, origin, clock):
    answering(Cache_Control="private, max-age=60", X_AUSERNAME="anonymous")
    assert await whys(plain, 0, 1, clock=clock, user=None) == ["origin-forbids"] * 2


@pytest.mark.parametrize(
    ("control", "shared"),
    [("max-age=60", False), ("private, max-age=60", False), ("public, max-age=60", True), ("s-maxage=60", True)],
)
async def test_what_all_share_needs_the_origins_word_where_it_was_asked_with_a_credential(
    plain, origin, control, shared
):
    path = "/rest/shared/1/thing"

    def answer(asked):
        name = origin._login(asked)[0]
        return web.json_response([name], headers={"X-AUSERNAME": name, "Cache-Control": control})

    origin.on("GET", path, answer)
    for _ in range(2):  # the first gives each a lease and Jira's word for who they are
        alices, bobs = await plain.get(path, "alice"), await plain.get(path, "bob")
    assert (alices.why == "fresh", bobs.why == "fresh") == (shared, shared)
    assert (alices.json() == bobs.json()) == shared


async def test_another_caller_never_gets_what_the_first_one_did(proxy, origin):
    def answer(asked):
        name = origin._login(asked)[0]
        return web.json_response([name], headers={"X-AUSERNAME": name, "Cache-Control": "public, max-age=60"})

    origin.on("GET", THING, answer)
    for _ in range(2):
        assert (await proxy.get(THING, "alice")).json() == ["alice"]
        assert (await proxy.get(THING, "bob")).json() == ["bob"]
    assert origin.calls("GET", THING) == 2


# revalidation -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("validator", "condition"),
    [
        ({"ETag": '"e"'}, {"If-None-Match": '"e"'}),
        ({"ETag": 'W/"e"'}, {"If-None-Match": 'W/"e"'}),
        ({"Last_Modified": LONG_AGO}, {"If-Modified-Since": LONG_AGO}),
        ({"ETag": '"e"', "Last_Modified": LONG_AGO}, {"If-None-Match": '"e"', "If-Modified-Since": LONG_AGO}),
    ],
)
async def test_a_stale_answer_is_asked_about_and_lives_again(proxy, origin, answering, clock, validator, condition):
    answering(Cache_Control="max-age=60", body=b"[2]", **validator)
    await proxy.get(THING)
    clock.now += 61
    again = await proxy.get(THING)
    assert (again.status, again.why, again.body) == (200, "expired", b"[2]")
    assert "fwd=stale; fwd-status=304; stored; ttl=" in again.headers["Cache-Status"]
    sent = origin.seen[-1].headers
    assert {name: sent[name] for name in ("If-None-Match", "If-Modified-Since") if name in sent} == condition
    clock.now += 30
    assert (await proxy.get(THING)).why == "fresh"


async def test_what_says_no_cache_is_asked_about_each_time(proxy, origin, answering):
    answering(Cache_Control="no-cache", ETag='"e"')
    said = [await proxy.get(THING) for _ in range(3)]
    assert [answer.status for answer in said] == [200] * 3
    assert ["fwd-status=304" in answer.headers["Cache-Status"] for answer in said] == [False, True, True]
    assert origin.calls("GET", THING) == 3


async def test_a_304_brings_new_headers_and_a_new_life(plain, answering, clock):
    confirming = {"Cache-Control": "max-age=600", "X-Told": "new", "Content-Type": "text/html"}
    answering(Cache_Control="max-age=60", X_Told="old", X_Other="stays", ETag='"e"', confirming=confirming)
    await plain.get(THING)
    clock.now += 61
    await plain.get(THING)
    clock.now += 300
    hit = await plain.get(THING)
    assert (hit.why, hit.headers["X-Told"], hit.headers["X-Other"]) == ("fresh", "new", "stays")
    assert hit.headers["Content-Type"] == "application/json"
    assert hit.headers.getall("Date") == [spelled(BEGAN + 61)]


async def test_a_304_about_another_answer_is_no_answer(plain, origin, answering, clock):
    answering(Cache_Control="max-age=60", ETag='"e"', confirming={"ETag": '"other"'})
    await plain.get(THING)
    clock.now += 61
    again = await plain.get(THING)
    assert (again.status, again.body, origin.calls("GET", THING)) == (200, b"[1]", 3)
    assert "fwd-status=200" in again.headers["Cache-Status"]


async def test_who_is_not_let_in_gets_nothing_confirmed(plain, origin, answering, clock):
    answering(Cache_Control="max-age=60", ETag='"e"', body=b'["for alice"]')
    await plain.get(THING)
    clock.now += 61

    def turned_away(asked):
        failed = {"X-AUSERNAME": "anonymous", "X-Seraph-LoginReason": "AUTHENTICATED_FAILED", "ETag": '"e"'}
        if validating(asked):
            return web.Response(status=304, headers=failed)  # an origin that looks at the condition first
        return web.json_response(["for anybody"], headers=failed)

    origin.on("GET", THING, turned_away)
    answer = await plain.get(THING)
    assert (answer.why, answer.json()) == ("login-failed", ["for anybody"])


async def test_a_changed_answer_takes_the_place_of_the_stale_one(proxy, origin, answering, clock):
    answering(Cache_Control="max-age=60", ETag='"e"')
    await proxy.get(THING)
    clock.now += 61
    headers = ALICE | {"ETag": '"f"', "Cache-Control": "max-age=60"}
    origin.on("GET", THING, lambda asked: web.json_response([2], headers=headers))
    assert (await proxy.get(THING)).json() == [2]
    hit = await proxy.get(THING)
    assert (hit.why, hit.json(), hit.headers["ETag"]) == ("fresh", [2], '"f"')


@pytest.mark.parametrize(
    ("control", "after"),
    [
        ("max-age=60, stale-if-error=60", (200, "stale-error")),
        ("max-age=60", (503, "status")),
        ("max-age=60, must-revalidate, stale-if-error=60", (503, "status")),
    ],
)
async def test_a_stale_answer_stands_in_if_the_origin_agreed(plain, origin, answering, clock, control, after):
    answering(Cache_Control=control)
    await plain.get(THING)
    clock.now += 61
    origin.on("GET", THING, lambda asked: web.Response(status=503))
    answer = await plain.get(THING)
    assert (answer.status, answer.why) == after


async def test_a_stale_answer_is_served_while_it_is_asked_about_if_the_origin_agreed(plain, origin, answering, clock):
    answering(Cache_Control="max-age=60, stale-while-revalidate=30", ETag='"e"')
    await plain.get(THING)
    clock.now += 61
    assert (await plain.get(THING)).why == "stale-revalidate"
    for journey in [tenant.journey for tenant in plain.running.app.tenants.all]:
        await journey.close()  # let it be confirmed
    assert origin.calls("GET", THING) == 2
    assert (await plain.get(THING)).why == "fresh"


async def test_a_client_bounds_the_age_by_which_the_origin_counts(plain, origin, answering):
    answering(Cache_Control="max-age=600", Age="30", ETag='"e"')
    await plain.get(THING)
    assert (await plain.get(THING, headers={"Cache-Control": "max-age=90"})).why == "fresh"
    assert (await plain.get(THING, headers={"Cache-Control": "max-age=20"})).why == "too-old"
    assert origin.seen[-1].headers["If-None-Match"] == '"e"'


# conditions of clients ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ({"If-None-Match": '"e"'}, 304),
        ({"If-None-Match": 'W/"e"'}, 304),
        ({"If-None-Match": '"x", "e"'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"x"'}, 200),
        ({"If-None-Match": "e"}, 200),
        ({"If-Modified-Since": LONG_AGO}, 304),
        ({"If-Modified-Since": spelled(BEGAN - 50_000)}, 304),
        ({"If-Modified-Since": spelled(BEGAN - 200_000)}, 200),
        ({"If-Modified-Since": "Monday, 13-Nov-23 18:26:40 GMT"}, 304),
        ({"If-Modified-Since": "soon"}, 200),
        # If-None-Match decides where there is one
        ({"If-None-Match": '"x"', "If-Modified-Since": LONG_AGO}, 200),
        ({"If-None-Match": '"e"', "If-Modified-Since": spelled(BEGAN - 200_000)}, 304),
    ],
)
@pytest.mark.parametrize("stale", [False, True])
async def test_a_clients_condition_is_answered_by_what_is_kept(plain, answering, clock, condition, status, stale):
    answering(Cache_Control="max-age=60", ETag='"e"', Last_Modified=LONG_AGO)
    assert (await plain.get(THING)).headers["ETag"] == '"e"'
    clock.now += 61 * stale
    answer = await plain.get(THING, headers=condition)
    assert (answer.status, answer.body) == (status, b"" if status == 304 else b"[1]")
    assert (answer.headers["ETag"], answer.headers["Last-Modified"]) == ('"e"', LONG_AGO)


async def test_without_a_last_modified_an_answer_is_no_younger_than_when_it_was_made(plain, answering):
    answering(Cache_Control="max-age=60")
    await plain.get(THING)
    assert (await plain.get(THING, headers={"If-Modified-Since": spelled(BEGAN + 1)})).status == 304
    assert (await plain.get(THING, headers={"If-Modified-Since": spelled(BEGAN - 1)})).status == 200


async def test_the_origins_etag_is_told_only_of_the_origins_bytes(plain, answering):
    packed = gzip.compress(b"[1]", mtime=0)
    answering(Cache_Control="max-age=60", ETag='"e"', Content_Encoding="gzip", body=packed)
    assert (await plain.get(THING, headers={"Accept-Encoding": "gzip"})).headers["ETag"] == '"e"'
    assert (await plain.get(THING, headers={"Accept-Encoding": "identity"})).headers["ETag"] != '"e"'


# variants -----------------------------------------------------------------------------------------------------------


async def test_several_answers_of_one_address_are_kept_and_each_request_gets_its_own(proxy, origin):
    def answer(asked):
        said = ALICE | {"Cache-Control": "max-age=60", "Vary": "User-Agent, DNT"}
        return web.json_response([asked.headers.get("User-Agent"), asked.headers.get("DNT")], headers=said)

    origin.on("GET", THING, answer)
    wanted = [{"User-Agent": "one"}, {"User-Agent": "two"}, {"User-Agent": "two", "DNT": "1"}]
    for headers in wanted:
        assert (await proxy.get(THING, headers=headers)).why == "miss"
    for headers in wanted:
        hit = await proxy.get(THING, headers=headers)
        assert (hit.why, hit.json()) == ("fresh", [headers["User-Agent"], headers.get("DNT")])
    assert origin.calls("GET", THING) == 3


async def test_a_variant_is_asked_about_by_its_own_validator(plain, origin, clock):
    def answer(asked):
        tag = f'"{asked.headers["User-Agent"]}"'
        said = ALICE | {"Cache-Control": "max-age=60", "Vary": "User-Agent", "ETag": tag, "Date": spelled(clock.now)}
        known = asked.headers.get("If-None-Match")
        return web.Response(status=304, headers=said) if known == tag else web.json_response([tag], headers=said)

    origin.on("GET", THING, answer)
    for moment in (0, 61):
        clock.now = BEGAN + moment
        for name in ("one", "two"):
            assert (await plain.get(THING, headers={"User-Agent": name})).json() == [f'"{name}"']
    assert [seen.headers.get("If-None-Match") for seen in origin.seen] == [None, None, '"one"', '"two"']


async def test_who_shares_a_trip_gets_no_answer_that_others_selected(plain, origin):
    await plain.get("/rest/app/1/lease")

    def answer(asked):
        said = ALICE | {"Cache-Control": "max-age=60", "Vary": "User-Agent"}
        return web.json_response([asked.headers["User-Agent"]], headers=said)

    origin.on("GET", "/rest/app/1/lease", None)
    origin.on("GET", THING, answer)
    origin.open.clear()
    origin.arrived.clear()
    names = ["one", "two", "two", "one"]
    tasks = [asyncio.create_task(plain.get(THING, headers={"User-Agent": name})) for name in names]
    await origin.arrived.wait()
    origin.open.set()
    assert [answer.json() for answer in await asyncio.gather(*tasks)] == [[name] for name in names]


async def test_an_answer_that_may_not_be_kept_is_for_one_request_alone(plain, origin):
    origin.on("GET", "/rest/app/1/lease", lambda asked: web.json_response([], headers=ALICE))
    await plain.get("/rest/app/1/lease")
    count = iter(range(100))
    headers = ALICE | {"Cache-Control": "no-store"}
    origin.on("GET", THING, lambda asked: web.json_response([next(count)], headers=headers))
    origin.open.clear()
    origin.arrived.clear()
    tasks = [asyncio.create_task(plain.get(THING)) for _ in range(4)]
    await origin.arrived.wait()
    origin.open.set()
    assert sorted(answer.json()[0] for answer in await asyncio.gather(*tasks)) == [0, 1, 2, 3]


# invalidation -------------------------------------------------------------------------------------------------------


def changing(origin, method, path, status=204, **headers):
    said = {name.replace("_", "-"): value for name, value in headers.items()}
    origin.on(method, path, lambda asked: web.Response(status=status, headers=ALICE | said))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_a_write_makes_old_what_is_kept_under_its_own_address(proxy, origin, answering, clock, method):
    answering(f"{THING}", Cache_Control="max-age=600")
    changing(origin, method, THING)
    await proxy.get(f"{THING}?page=2")
    assert await whys(proxy, 0, 1, clock=clock) == ["miss", "fresh"]
    await proxy.request(method, THING)
    assert await whys(proxy, 2, 3, clock=clock) == ["invalidated", "fresh"]
    assert (await proxy.get(f"{THING}?page=2")).why == "invalidated"


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_what_changes_nothing_makes_nothing_old(plain, origin, answering, clock, method):
    answering(Cache_Control="max-age=600")
    changing(origin, "OPTIONS", THING)
    await plain.get(THING)
    await plain.request(method, THING, headers={"Cache-Control": "no-store"})
    assert await whys(plain, 1, clock=clock) == ["fresh"]


@pytest.mark.parametrize("header", ["Location", "Content_Location"])
@pytest.mark.parametrize(
    ("value", "after"),
    [
        (THING, "invalidated"),
        ("../things/9?x=y", "invalidated"),
        ("{origin}" + THING, "invalidated"),
        ("http://127.0.0.1:1" + THING, "fresh"),
        ("https://elsewhere.example" + THING, "fresh"),
        ("/rest/app/1/things/10", "fresh"),
    ],
)
async def test_a_write_makes_old_what_its_answer_names(plain, origin, answering, clock, header, value, after):
    answering(Cache_Control="max-age=600")
    changing(origin, "POST", "/rest/app/1/harmless/x", 201, **{header: value.format(origin=origin.url)})
    await plain.get(THING)
    await plain.request("POST", "/rest/app/1/harmless/x")
    assert await whys(plain, 1, clock=clock) == [after]


async def test_a_tag_still_kills_whatever_the_origin_promised(plain, answering, clock):
    answering(Cache_Control="max-age=600, immutable", ETag='"e"')
    await plain.get(THING)
    await plain.running.app.stores["default"].invalidate({"type:app"})
    assert await whys(plain, 1, clock=clock) == ["invalidated"]


# HEAD, parts, statuses, hops ----------------------------------------------------------------------------------------


async def test_a_head_is_answered_by_what_a_get_brought_and_brings_it_where_it_is_stale(
    plain, origin, answering, clock
):
    answering(Cache_Control="max-age=60", X_Told="old")
    await plain.get(THING)
    head = await plain.request("HEAD", THING)
    assert (head.why, head.body, head.headers["X-Told"]) == ("fresh", b"", "old")
    clock.now += 61
    answering(Cache_Control="max-age=60", X_Told="new", body=b"[22]")
    assert (await plain.request("HEAD", THING)).why == "expired"
    hit = await plain.get(THING)
    assert (hit.why, hit.body, hit.headers["X-Told"]) == ("fresh", b"[22]", "new")
    assert origin.calls("HEAD", THING) == 0


async def test_a_head_that_finds_the_answer_gone_takes_it_from_the_others_too(plain, answering, clock):
    answering(Cache_Control="max-age=60")
    await plain.get(THING)
    clock.now += 61
    answering(status=410, Cache_Control="max-age=60")
    assert (await plain.request("HEAD", THING)).status == 410
    assert (await plain.get(THING)).status == 410


async def test_a_part_is_passed_on_and_never_kept(plain, origin, answering, clock):
    def part(asked):
        said = ALICE | {"Content-Range": "bytes 0-0/3", "Cache-Control": "max-age=600", "ETag": '"e"'}
        return web.Response(status=206, body=b"[", headers=said)

    origin.on("GET", THING, part)
    answer = await plain.get(THING, headers={"Range": "bytes=0-0"})
    assert (answer.status, answer.body, answer.why) == (206, b"[", "range")
    assert origin.seen[-1].headers["Range"] == "bytes=0-0"
    answering(Cache_Control="max-age=600", ETag='"e"')
    assert await whys(plain, 0, 1, clock=clock) == ["miss", "fresh"]
    answer = await plain.get(THING, headers={"Range": "bytes=0-0"})
    assert (answer.why, (await plain.get(THING)).body) == ("range", b"[1]")


async def test_a_part_that_nobody_asked_for_is_not_kept(plain, origin, clock):
    said = ALICE | {"Content-Range": "bytes 0-0/3", "Cache-Control": "max-age=600"}
    origin.on("GET", THING, lambda asked: web.Response(status=206, body=b"[", headers=said))
    assert await whys(plain, 0, 1, clock=clock) == ["status"] * 2


async def test_an_answer_that_breaks_off_is_never_kept(new_proxy, new_bytes_origin, clock):
    calls = []

    async def cut_off(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        calls.append(1)
        writer.write(
            b"HTTP/1.1 200 OK\r\nX-AUSERNAME: alice\r\nCache-Control: max-age=60\r\nContent-Length: 9\r\n\r\n[1"
        )
        await writer.drain()

    tenants = {"default": {"upstream": await new_bytes_origin(cut_off), "governor": {"retries": 0}}}
    proxy = await new_proxy(clock=clock, routes=ROUTES, policies=POLICIES, tenants=tenants)
    assert [(await proxy.get(THING)).status for _ in range(2)] == [502, 502]
    assert len(calls) == 2


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_kept_with_its_address_made_to_fit(plain, origin, answering, clock, status):
    said = {"Content_Type": "text/html", "Location": f"{origin.url}/rest/app/1/other"}
    answering(status=status, body=b"", Cache_Control="max-age=60", **said)
    for why in ("miss", "fresh"):
        answer = await plain.get(THING)
        assert (answer.status, answer.why) == (status, why)
        assert answer.headers.getall("Location") == [f"{plain.url}/rest/app/1/other"]


@pytest.mark.parametrize("status", [203, 404, 410])
async def test_a_status_that_is_understood_is_answered_again(plain, answering, clock, status):
    answering(status=status, Cache_Control="max-age=60")
    said = "negative" if status == 404 else "fresh"
    assert await whys(plain, 0, 1, clock=clock) == ["miss", said]


@pytest.mark.parametrize("status", [299, 400, 403, 499, 500, 599])
async def test_a_status_that_is_not_understood_is_not_kept(plain, answering, clock, status):
    answering(status=status, Cache_Control="max-age=60")
    assert await whys(plain, 0, 1, clock=clock) == ["status"] * 2


async def test_what_was_for_one_hop_is_not_told_again(plain, new_proxy, new_bytes_origin, clock):
    async def speak(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        said = [
            *("HTTP/1.1 200 OK", "X-AUSERNAME: alice", "Content-Type: application/json", "Content-Length: 3"),
            *("Connection: close, X-Hop", "X-Hop: secret", "Keep-Alive: 9", "Proxy-Authenticate: Basic"),
            *("Proxy-Authentication-Info: x", "X-Kept: yes", "Cache-Control: max-age=60", "Set-Cookie: a=b"),
        ]
        writer.write("\r\n".join([*said, "", "[1]"]).encode())
        await writer.drain()

    tenants = {"default": {"upstream": await new_bytes_origin(speak)}}
    proxy = await new_proxy(clock=clock, routes=ROUTES, policies=POLICIES, tenants=tenants)
    await proxy.get(THING)
    hit = await proxy.get(THING)
    assert (hit.why, hit.headers["X-Kept"]) == ("fresh", "yes")
    hops = {"X-Hop", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authentication-Info", "Set-Cookie"}
    assert hops.isdisjoint(hit.headers)


# media --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/secure/projectavatar", "/images/icons/priorities/high.svg"])
async def test_pictures_that_are_not_of_the_rest_api_are_kept_by_their_own_headers(plain, answering, clock, path):
    answering(path, Content_Type="image/svg+xml", Cache_Control="private, max-age=31536000", body=b"<svg/>")
    assert (await plain.get(path)).why == "miss"
    clock.now += 1_000_000
    hit = await plain.get(path)
    assert (hit.why, hit.body) == ("fresh", b"<svg/>")
