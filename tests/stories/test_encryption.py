"""`store.encrypt`: who has all of Redis, and the configuration too, reads nothing without the caller's credential."""

import json

import pytest
import redis.asyncio
from aiohttp import web

from policies.callers import identify, keyed_hash, lock
from policies.model import Request, Scope
from proxy.stores.sealing import Sealing

SECRET = "a secret of the tests' own"
ISSUE = "/rest/api/2/issue/PROJ-1"
SEARCH = '/rest/api/2/search?jql=summary ~ "merger"'
HIDDEN = (b"the merger of the year", b"merger", b"isWatching", b"application/json", b"alice", b"sesame")


@pytest.fixture
async def dump(redis_server):
    """All that is in Redis: the name of each key, and every string in it."""

    async def strings() -> dict[bytes, list[bytes]]:
        async with redis.asyncio.Redis.from_url(redis_server.url) as client:
            return {name: await _strings(client, name) async for name in client.scan_iter()}

    return strings


async def _strings(client, name) -> list[bytes]:
    match await client.type(name):
        case b"string":
            return [await client.get(name)]
        case b"hash":
            return [part for pair in (await client.hgetall(name)).items() for part in pair]
        case b"zset":
            return await client.zrange(name, 0, -1)
        case b"stream":
            return [part for _, told in await client.xrange(name) for pair in told.items() for part in pair]
    raise AssertionError(f"{name} is of a kind that nobody looks into")


@pytest.fixture
async def new_sealed(new_proxy, origin, redis_server):
    origin.issue("PROJ-1", "the merger of the year")
    headers = {"X-AUSERNAME": "alice"}
    found = {"issues": [{"id": "10001", "fields": {"summary": "the merger of the year"}}]}
    origin.on("GET", "/rest/api/2/search", lambda asked: web.json_response(found, headers=headers))

    async def start(coherence="strict", *, encrypt=True, **settings):
        store = {"url": redis_server.url, "encrypt": encrypt, "coherence": coherence}
        return await new_proxy(store=store, **settings)

    return start


async def filled(proxy):
    """Have a caller's issue and search kept, and seen to be kept."""
    for path in (ISSUE, SEARCH):
        assert (await proxy.get(path)).status == 200
        assert (await proxy.get(path)).why == "fresh"


async def test_without_encryption_everything_would_be_there_to_read(new_sealed, dump):
    await filled(await new_sealed(encrypt=False))
    everything = b"\n".join(part for parts in (await dump()).values() for part in parts)
    assert HIDDEN[0] in everything
    assert b"application/json" in everything


async def test_a_dump_of_redis_shows_nothing_of_an_answer_or_a_query(new_sealed, dump):
    await filled(await new_sealed())
    dumped = await dump()
    everything = b"\n".join([*dumped, *(part for parts in dumped.values() for part in parts)])
    assert [word for word in HIDDEN if word in everything] == []


def upstream_secret(origin) -> bytes:
    return keyed_hash(SECRET.encode(), "upstream", origin.url).encode()


def opened(dumped, locks) -> list[bytes]:
    """Open whatever can be opened by the deployment's secret and each of these locks, at each place there is."""
    sealing, found = Sealing(SECRET.encode(), "default"), []
    for name, parts in dumped.items():
        fields = dict(zip(parts[::2], parts[1::2], strict=False))
        if {b"tags", b"head", b"body"} <= fields.keys():
            place = b"".join(b"%d:%b" % (len(part), part) for part in (name, fields[b"tags"]))
            found += [plain for key in locks if (plain := _tried(sealing, fields[b"head"], place, key))]
    return found


def _tried(sealing, sealed, place, key) -> bytes | None:
    try:
        return sealing.open(sealed, place, key)
    except ValueError:
        return None


async def test_the_secret_and_all_that_redis_holds_open_no_answer_of_a_caller(new_sealed, dump, origin):
    await filled(await new_sealed())
    dumped = await dump()
    words = {word for name in dumped for part in name.split(b":") for word in (part, part.split(b" ")[-1])}
    words |= {part for parts in dumped.values() for part in parts if len(part) < 200}
    words |= {bytes.fromhex(word.decode()) for word in words if len(word) == 32 and word.isalnum() and _is_hex(word)}
    known = [b"", SECRET.encode(), upstream_secret(origin), *words]
    assert any(name.startswith(b"tenant:default:shelf:lease:") for name in dumped)  # hashes of the credential among it
    assert opened(dumped, known) == []


def _is_hex(word: bytes) -> bool:
    return set(word) <= set(b"0123456789abcdef")


async def test_with_the_callers_credential_it_opens(new_sealed, dump, origin):
    await filled(await new_sealed())
    secret = upstream_secret(origin)
    shown = {"authorization": "Basic YWxpY2U6c2VzYW1l", "user-agent": "python"}
    request = Request("GET", ISSUE, headers=shown)
    key = lock(request, Scope.CREDENTIAL, identify(request, secret), secret, "some account")
    heads = [json.loads(head) for head in opened(await dump(), [key])]
    assert [head[0] for head in heads] == [200, 200]


async def test_another_process_reads_what_was_sealed_and_another_caller_does_not(new_sealed, origin):
    await filled(await new_sealed())
    other = await new_sealed()
    assert (await other.get(ISSUE)).why == "fresh"
    assert (await other.get(ISSUE)).json()["fields"]["summary"] == "the merger of the year"
    asked = origin.calls()
    assert (await other.get(ISSUE, "bob")).why == "miss"
    assert origin.calls() == asked + 1


async def test_sessions_of_one_holder_share_what_is_sealed(new_sealed, origin):
    proxy = await new_sealed()
    await proxy.get(ISSUE, headers={"Cookie": "JSESSIONID=one"})
    await proxy.get("/rest/api/2/issue/PROJ-9", headers={"Cookie": "JSESSIONID=two"})  # Jira accepts that session
    assert (await proxy.get(ISSUE, headers={"Cookie": "JSESSIONID=two"})).why == "fresh"


@pytest.mark.parametrize("scope", ["credential", "account", "tenant"])
@pytest.mark.parametrize("user", ["alice", None])
async def test_whoever_shares_an_answer_can_open_it(new_sealed, scope, user):
    proxy = await new_sealed(policies={"issue": {"ttl": "5m", "scope": scope}})
    assert (await proxy.get(ISSUE, user)).status == (200 if user else 404)
    assert (await proxy.get(ISSUE, user)).why == ("fresh" if user else "negative")


async def test_answers_that_are_near_need_no_opening(new_sealed, redis_server):
    proxy = await new_sealed("relaxed")
    await filled(proxy)
    for _ in range(3):
        assert (await proxy.get(ISSUE)).why == "fresh"


async def test_a_forced_answer_takes_the_place_of_the_sealed_one(new_sealed, origin):
    proxy = await new_sealed()
    await filled(proxy)
    origin.issue("PROJ-1", "called off")
    assert (await proxy.get(ISSUE, headers={"X-Jira-Cache": "refresh"})).why == "refresh"
    hit = await proxy.get(ISSUE)
    assert (hit.why, hit.json()["fields"]["summary"]) == ("fresh", "called off")


async def test_what_was_altered_in_redis_is_asked_for_anew_and_counted(new_sealed, redis_server, session):
    proxy = await new_sealed()
    await filled(proxy)
    async with redis.asyncio.Redis.from_url(redis_server.url) as client:
        async for name in client.scan_iter("tenant:default:issue:*"):
            sealed = await client.hget(name, "body")
            await client.hset(name, "body", sealed[:-1] + bytes([sealed[-1] ^ 1]))
    answer = await proxy.get(ISSUE)
    assert (answer.status, answer.why) == (200, "miss")
    assert (await proxy.get(ISSUE)).why == "fresh"
    async with session.get(f"http://{proxy.running.admin}/metrics") as shown:
        assert 'jira_cache_store_errors_total{operation="unpack"} 1.0' in await shown.text()


async def test_a_webhook_still_finds_the_searches_that_it_concerns(new_sealed, origin):
    proxy = await new_sealed()
    await filled(proxy)
    assert (await proxy.request("PUT", ISSUE, json={"fields": {"summary": "two"}})).status == 204
    assert (await proxy.get(SEARCH)).why == "invalidated"


async def test_an_operator_cannot_look_into_what_is_one_callers_own(new_sealed, session):
    proxy = await new_sealed()
    await filled(proxy)
    app = proxy.running.app
    app.events.take_in(app.tally.take())
    [(caller, _)] = app.history.present("default")["hour"]["callers"]

    async def explained(name):
        asked = {"method": "GET", "path": ISSUE, "caller": name}
        async with session.get(f"http://{proxy.running.admin}/api/explain", params=asked) as answer:
            return answer.status, await answer.text()

    status, said = await explained(caller)
    assert status == 400
    assert "encrypted by their credential" in said
    assert "merger" not in said
    assert (await explained("anonymous"))[0] == 200
