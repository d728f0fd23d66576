"""Who watches the admin listener's events hears of each change, and once a second how things are."""

import asyncio
import json
from contextlib import asynccontextmanager, suppress

import pytest

from proxy import events
from proxy.history import COLUMNS

ISSUE = "/rest/api/2/issue/PROJ-1"
TOKEN = "the admin's own token"


class Heard:
    """A stream of events as a browser reads it."""

    def __init__(self, answer):
        self._answer = answer
        self.status, self.headers = answer.status, answer.headers

    async def next(self, wanted):
        """Read on to the next event of a name. Returns what it says."""
        async with asyncio.timeout(10):
            while True:
                block = (await self._answer.content.readuntil(b"\n\n")).decode()
                fields = dict(line.split(": ", 1) for line in block.strip().splitlines() if not line.startswith(":"))
                if fields.get("event") == wanted:
                    return json.loads(fields["data"])

    async def ended(self):
        """Read on to the end."""
        async with asyncio.timeout(10):
            return await self._answer.content.read()


@pytest.fixture
def listen(session):
    @asynccontextmanager
    async def listening(proxy, query="", **headers):
        url = f"http://{proxy.running.admin}/api/events{query}"
        async with session.get(url, headers=headers) as answer:
            yield Heard(answer)

    return listening


def second(proxy):
    """Let a second's report be made now."""
    app = proxy.running.app
    app.metrics.refresh()  # what the fast lane tells a little later is told now
    app.events.take_in(app.tally.take())
    app.events.tick()


async def edit(proxy, summary="new"):
    body = json.dumps({"fields": {"summary": summary}}).encode()
    return await proxy.request("PUT", ISSUE, data=body, headers={"Content-Type": "application/json"})


async def test_the_past_hour_is_told_first_then_how_things_are(proxy, origin, listen):
    origin.issue("PROJ-1", "a")
    for _ in range(3):
        await proxy.get(ISSUE)
    second(proxy)
    async with listen(proxy) as heard:
        assert heard.headers["Content-Type"].startswith("text/event-stream")
        assert heard.headers["Cache-Control"] == "no-store"
        history = await heard.next("history")
        assert tuple(history["columns"]) == COLUMNS
        hour = (await heard.next("report"))["hour"]
    assert (hour["outcomes"]["hit"], hour["outcomes"]["miss"]) == (2, 1)
    assert hour["types"]["issue"] == {"miss": 1, "fresh": 2}
    assert hour["upstream"]["by_status"] == {"200": 1}
    assert hour["routes"] == [["/rest/api/{v}/issue/{issue}/**", 3]]
    assert hour["latency"]["hit"]["p50"] > 0
    assert hour["saved"]["calls"] == 2
    assert hour["saved"]["seconds"] > 0
    [(caller, asked)] = hour["callers"]
    assert (len(caller), asked) == (8, 3)


async def test_hits_of_the_fast_lane_count_like_any_other(proxy, origin, listen, shortcuts_at_first_sight):
    origin.issue("PROJ-1", "a")
    for _ in range(6):
        await proxy.get(ISSUE)
    second(proxy)
    async with listen(proxy) as heard:
        hour = (await heard.next("report"))["hour"]
    assert (hour["outcomes"]["hit"], hour["saved"]["calls"], sum(asked for _, asked in hour["callers"])) == (5, 5, 6)
    assert hour["latency"]["hit"]["p50"] > 0


async def test_what_a_change_made_old_is_told(proxy, origin, listen):
    origin.issue("PROJ-1", "a")
    async with listen(proxy) as heard:
        await edit(proxy)
        second(proxy)
        change = await heard.next("change")
    assert (change["tenant"], change["source"]) == ("default", "write")
    assert "issue:PROJ-1" in change["tags"]


async def test_a_purge_by_pattern_is_told(proxy, origin, session, listen):
    async with listen(proxy) as heard:
        order = {"pattern": "issue:PROJ-*"}
        async with session.post(f"http://{proxy.running.admin}/api/purge", json=order) as answer:
            assert answer.status == 200
        second(proxy)
        change = await heard.next("change")
    assert (change["source"], change["tags"]) == ("purge", ["keys like issue:PROJ-*"])


async def test_how_things_are_is_told_again_and_again(proxy, origin, listen):
    origin.issue("PROJ-1", "a")
    async with listen(proxy) as heard:
        await heard.next("report")
        await proxy.get(ISSUE)
        second(proxy)
        report = await heard.next("report")
    assert report["gauges"]["entries"] == 1
    assert report["gauges"]["types"] == {"issue": 1}
    assert report["gauges"]["state"] == "ok"
    assert report["gauges"]["channels"]["default"]["healthy"] is False


async def test_of_redis_its_own_figures_are_told(new_proxy, origin, redis_url, tenant, listen):
    store = {"url": redis_url, "timeout": "5s"}
    proxy = await new_proxy(store=store, tenants={tenant: {"upstream": origin.url}})
    await proxy.running.app.redis_figures.ask()
    second(proxy)
    async with listen(proxy) as heard:
        redis = (await heard.next("report"))["gauges"]["redis"]
    assert redis["used_memory"] > 0
    assert redis["maxmemory_policy"]


async def test_a_tenant_can_be_watched_alone(new_proxy, origin, listen):
    tenants = {"one": {"upstream": origin.url}, "two": {"upstream": origin.url, "path_prefix": "/two"}}
    proxy = await new_proxy(tenants=tenants)
    origin.issue("PROJ-1", "a")
    async with listen(proxy, "?tenant=two") as heard:
        await proxy.get(ISSUE)
        await proxy.get(f"/two{ISSUE}")
        await proxy.get(f"/two{ISSUE}")
        await edit(proxy)
        await proxy.request("PUT", f"/two{ISSUE}", json={"fields": {"summary": "b"}})
        second(proxy)
        assert (await heard.next("change"))["tenant"] == "two"
        hour = (await heard.next("report"))["hour"]
    assert (hour["outcomes"]["hit"], hour["outcomes"]["miss"], hour["changes"]) == (1, 1, 1)


async def test_an_unknown_tenant_cannot_be_watched(proxy, listen):
    async with listen(proxy, "?tenant=nobody") as heard:
        assert heard.status == 400
        assert json.loads(await heard.ended()) == {"error": "tenant 'nobody' is not known"}


async def test_only_who_may_look_may_listen(new_proxy, listen):
    proxy = await new_proxy(admin={"listen": "127.0.0.1:0", "token": TOKEN})
    async with listen(proxy) as heard:
        assert heard.status == 401
    async with listen(proxy, Authorization=f"Bearer {TOKEN}") as heard:
        assert heard.status == 200


async def test_a_listener_that_does_not_read_is_dropped_and_nobody_waits_for_it(proxy, listen):
    app, admin = proxy.running.app, proxy.running.admin
    reader, writer = await asyncio.open_connection(admin.host, admin.port)
    writer.write(f"GET /api/events HTTP/1.1\r\nHost: {admin}\r\n\r\n".encode())
    await reader.readline()
    async with listen(proxy) as quick, asyncio.timeout(30):
        await quick.next("report")
        assert len(app.events) == 2
        while len(app.events) == 2:
            app.tally.change("default", "write", {20_000 * "x"})
            second(proxy)
            await quick.next("change")
        await quick.next("report")
    async with asyncio.timeout(10):
        with suppress(ConnectionError):
            await reader.read()
    writer.close()


async def test_with_too_many_listeners_one_more_is_refused(proxy, listen, monkeypatch):
    monkeypatch.setattr(events, "LISTENERS", 1)
    async with listen(proxy) as heard, listen(proxy) as refused:
        await heard.next("history")
        assert refused.status == 503


async def test_a_quiet_stream_has_a_heartbeat(proxy, monkeypatch):
    monkeypatch.setattr(events, "HEARTBEAT_EVERY", 0.0)
    hub = proxy.running.app.events
    with hub.listening("nobody at all", lambda: None) as listener:
        await listener.next()
        await listener.next()
        assert await listener.next() == events.HEARTBEAT


async def test_a_stream_ends_so_that_its_reader_has_to_be_let_in_again(proxy, listen, monkeypatch):
    monkeypatch.setattr(events, "LIFE", 0.01)
    async with listen(proxy) as heard:
        assert b"event: report" in await heard.ended()


async def test_stopping_does_not_wait_for_listeners(new_proxy, listen):
    proxy = await new_proxy()
    async with listen(proxy) as heard:
        await heard.next("report")
        async with asyncio.timeout(5):
            await proxy.running.stop()
