"""Webhooks that get lost, in front of a Jira whose search tells what changed; and what a proven channel earns."""

import asyncio
import base64
import json
from datetime import UTC, datetime
from urllib.parse import parse_qs

import pytest
from aiohttp import web

from tests.clocks import Clock

pytestmark = pytest.mark.usefixtures("both_ways")

SEARCH = "/rest/api/2/search"
ISSUE, OTHER = "/rest/api/2/issue/PROJ-1", "/rest/api/2/issue/PROJ-2"
MINE, THEIRS = {"jql": "project = PROJ AND status = Done"}, {"jql": "project = THEIRS"}
MOVING = {"jql": "project = PROJ AND updated > -1d"}
CREDENTIAL = "alice:sesame"
PROJECT = {"id": "1", "key": "PROJ", "name": "The Project"}
LABELLED = {"field": "labels", "fieldId": "labels", "from": None, "fromString": "", "to": None, "toString": "new"}
PLAIN = 300.0
BEGIN = 1_800_000_000.0


def written(moment):
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"


class Jira:
    """Scripts the origin: issues with times, and a search that lists what changed and finds nothing else."""

    def __init__(self, origin, clock):
        self.origin, self.clock = origin, clock
        self.changed = {}
        self.polls = []
        self.refusal = None
        self.polled = asyncio.Event()
        origin.on("GET", SEARCH, self._search)
        for number in (1, 2):
            key = f"PROJ-{number}"
            origin.on("GET", f"/rest/api/2/issue/{key}", lambda _, n=number: self._answer(self._issue(n)))
            origin.on("PUT", f"/rest/api/2/issue/{key}", lambda _, n=number: self.change(n) or web.Response(status=204))

    def change(self, number=1, ago=40.0):
        self.changed[number] = self.clock() - ago

    def _issue(self, number):
        fields = {"updated": written(self.changed.get(number, BEGIN - 9999)), "project": PROJECT}
        return {"id": str(10_000 + number), "key": f"PROJ-{number}", "fields": fields}

    def _search(self, request):
        jql = parse_qs(request.query_string)["jql"][0]
        if not jql.startswith("updated >= -"):
            return self._answer({"issues": [], "total": 0})
        self.polls.append((jql, request.headers["Authorization"]))
        self.polled.set()
        if self.refusal is not None:
            return web.json_response({}, **self.refusal)
        found = [self._issue(number) for number in sorted(self.changed)]
        return self._answer({"startAt": 0, "total": len(found), "issues": found})

    def _answer(self, said):
        return web.json_response(said, headers={"X-AUSERNAME": "alice"})

    async def announce(self, proxy, number=1, tenant="default"):
        said = {
            "webhookEvent": "jira:issue_updated",
            "timestamp": int((self.changed[number] + 0.05) * 1000),
            "issue": self._issue(number),
            "changelog": {"items": [LABELLED]},
        }
        answer = await proxy.request("POST", f"/-/webhooks/{tenant}", None, data=json.dumps(said))
        assert answer.status == 200


@pytest.fixture
def clock():
    return Clock(BEGIN)


@pytest.fixture
def jira(origin, clock):
    return Jira(origin, clock)


@pytest.fixture
def repaired(new_proxy, origin, clock, jira):
    """Start a proxy that polls when `poll` says so."""

    def start(**settings):
        tenant = {"upstream": origin.url, "lease": "7d", "repair": {"credential": CREDENTIAL, "interval": "1h"}}
        types = ("issue", "search", "board")
        policies = {name: {"ttl": "5m", "stale_if_error": "0s", "ttl_with_webhooks": "24h"} for name in types}
        return new_proxy(clock=clock, tenants={"default": tenant}, policies=policies | settings)

    return start


@pytest.fixture
async def proxy(repaired):
    return await repaired()


async def poll(proxy):
    app = proxy.running.app
    await app.repairs["default"].poll_once(app._clock())


async def whys(proxy, **paths):
    asked = {"issue": (ISSUE, {}), "mine": (SEARCH, MINE), "theirs": (SEARCH, THEIRS)}
    return {name: (await proxy.get(path, params=params)).why for name, (path, params) in asked.items()}


async def warm(proxy):
    await whys(proxy)
    assert set((await whys(proxy)).values()) == {"fresh"}


async def ready(proxy):
    return (await proxy.parts())["webhooks"]["default"]


async def metric(proxy, name):
    return proxy.running.app.metrics.registry.get_sample_value(f"jira_cache_{name}", {"tenant": "default"})


async def prove(proxy, jira, polls=3):
    """Let as many polls find an announced change each."""
    for _ in range(polls):
        jira.change(2)
        await jira.announce(proxy, 2)
        await poll(proxy)
        jira.clock.now += 60


async def test_a_poll_asks_as_the_configured_account_for_what_changed(proxy, jira):
    await poll(proxy)
    login = base64.b64encode(CREDENTIAL.encode()).decode()
    assert jira.polls == [("updated >= -62m ORDER BY updated DESC", f"Basic {login}")]


async def test_a_lost_webhook_is_made_good_by_the_next_poll(proxy, jira):
    await warm(proxy)
    jira.change()
    await poll(proxy)
    assert await whys(proxy) == {"issue": "invalidated", "mine": "invalidated", "theirs": "fresh"}
    assert await metric(proxy, "webhook_missed_total") == 1
    assert (await ready(proxy))["missed_share"] == 1


async def test_a_repaired_change_is_not_repaired_again(proxy, jira):
    jira.change()
    await poll(proxy)
    await warm(proxy)
    jira.clock.now += 30
    await poll(proxy)
    assert set((await whys(proxy)).values()) == {"fresh"}
    assert await metric(proxy, "webhook_missed_total") == 1


async def test_an_announced_change_is_neither_repaired_nor_missed(proxy, jira):
    jira.change()
    await jira.announce(proxy)
    await warm(proxy)
    await poll(proxy)
    assert set((await whys(proxy)).values()) == {"fresh"}
    assert await metric(proxy, "webhook_missed_total") == 0
    assert (await ready(proxy))["missed_share"] == 0


async def test_a_second_change_whose_webhook_is_lost_is_found_behind_the_first(proxy, jira):
    jira.change(ago=41)
    await jira.announce(proxy)
    await warm(proxy)
    jira.change(ago=40)
    await poll(proxy)
    assert (await whys(proxy))["issue"] == "invalidated"


async def test_a_write_through_the_proxy_is_not_missed(proxy, jira):
    jira.change = lambda number, change=jira.change: change(number, ago=0.1)
    assert (await proxy.request("PUT", ISSUE, json={})).status == 204
    await poll(proxy)
    jira.clock.now += 120
    await poll(proxy)
    assert await metric(proxy, "webhook_missed_total") == 0
    assert (await ready(proxy))["missed_share"] is None


@pytest.mark.parametrize(
    ("refusal", "word"),
    [
        ({"status": 401}, "refused"),
        ({"status": 200, "headers": {"X-Seraph-LoginReason": "AUTHENTICATED_FAILED"}}, "refused"),
        ({"status": 429, "headers": {"Retry-After": "600"}}, "throttled"),
        ({"status": 500}, "unreachable"),
    ],
)
async def test_a_poll_that_fails_ends_the_trust_and_says_so(proxy, jira, refusal, word):
    await prove(proxy, jira)
    assert (await ready(proxy))["healthy"]
    jira.refusal = refusal
    await poll(proxy)
    report = await ready(proxy)
    assert (report["healthy"], report["poll"]) == (False, word)


async def test_the_credential_is_shown_nowhere(proxy, jira, caplog):
    jira.refusal = {"status": 401}
    await poll(proxy)
    assert "the credential is not accepted" in caplog.text
    encoded = base64.b64encode(CREDENTIAL.encode()).decode()
    shown = caplog.text + str(await ready(proxy)) + repr(proxy.running.app.config)
    assert "sesame" not in shown
    assert encoded not in shown


async def test_ready_tells_how_the_channel_is(proxy, jira):
    assert await ready(proxy) == {
        "state": "unproven",
        "healthy": False,
        "last_webhook": None,
        "last_poll": None,
        "poll": "none yet",
        "missed_share": None,
        "delay_p50": None,
        "delay_p95": None,
    }
    await prove(proxy, jira)
    report = await ready(proxy)
    assert report | {"delay_p50": None, "delay_p95": None} == {
        "state": "healthy",
        "healthy": True,
        "last_webhook": "2027-01-15T08:02:00+00:00",
        "last_poll": "2027-01-15T08:02:00+00:00",
        "poll": "ok",
        "missed_share": 0,
        "delay_p50": None,
        "delay_p95": None,
    }
    assert report["delay_p50"] == pytest.approx(39.95, abs=0.01)
    assert await metric(proxy, "webhook_healthy") == 1
    assert await metric(proxy, "webhook_delay_seconds_count") == 3


async def test_jira_is_polled_as_long_as_the_proxy_runs(new_proxy, origin, jira):
    tenant = {"upstream": origin.url, "repair": {"credential": CREDENTIAL, "interval": "100ms"}}
    proxy = await new_proxy(tenants={"default": tenant})
    for _ in range(2):
        async with asyncio.timeout(10):
            await jira.polled.wait()
        jira.polled.clear()
    assert (await ready(proxy))["poll"] == "ok"


async def test_what_one_instance_of_a_fleet_hears_another_one_does_not_repair(
    new_proxy, origin, clock, jira, redis_url, tenant
):
    settings = {"upstream": origin.url, "repair": {"credential": CREDENTIAL, "interval": "1h"}}
    hears, polls = [
        await new_proxy(clock=clock, tenants={tenant: settings}, store={"url": redis_url}) for _ in range(2)
    ]
    jira.change()
    await jira.announce(hears, tenant=tenant)
    await polls.running.app.repairs[tenant].poll_once(clock())
    channel = polls.running.app.watches[tenant].channel
    assert (channel.rounds[0].announced, channel.rounds[0].missed) == (1, 0)
    await hears.running.app.watches[tenant].learn()
    assert hears.running.app.watches[tenant].channel == channel


async def test_without_a_credential_jira_is_not_polled(new_proxy, origin):
    proxy = await new_proxy()
    assert proxy.running.app.repairs == {}
    assert (await ready(proxy))["poll"] == "off"


# the second TTL


async def test_while_the_channel_is_proven_answers_live_longer(proxy, jira):
    await prove(proxy, jira)
    await warm(proxy)
    jira.clock.now += 170  # and the polls go on
    await prove(proxy, jira, polls=3)
    jira.clock.now += 100
    assert (await proxy.get(ISSUE)).why == "fresh"
    assert (await proxy.get(SEARCH, params=THEIRS)).why == "fresh"
    assert "ttl=859" in (await proxy.get(ISSUE)).headers["Cache-Status"]


async def test_a_missed_change_brings_the_plain_ttl_back_for_what_is_stored_as_well(proxy, jira):
    await prove(proxy, jira)
    await warm(proxy)
    jira.clock.now += 290
    await prove(proxy, jira, polls=1)
    assert (await proxy.get(ISSUE)).why == "fresh"
    jira.change(2)
    await poll(proxy)
    assert (await proxy.get(ISSUE)).why == "expired"


async def test_trust_that_is_regained_covers_what_was_stored_while_nothing_went_unnoticed(proxy, jira):
    await prove(proxy, jira)
    await proxy.get(ISSUE)
    jira.change(2)
    await poll(proxy)
    jira.clock.now += 300
    await prove(proxy, jira, polls=4)
    assert (await proxy.get(ISSUE)).why == "fresh"


async def test_when_the_polls_stop_the_plain_ttl_rules(proxy, jira, clock):
    await prove(proxy, jira)
    await warm(proxy)
    clock.now += 3 * 3600 + 1
    assert (await proxy.get(ISSUE)).why == "expired"


async def test_what_was_stored_before_the_proof_keeps_the_plain_ttl(proxy, jira, clock):
    await proxy.get(ISSUE)
    await prove(proxy, jira)
    clock.now += PLAIN - 180 + 1
    assert (await proxy.get(ISSUE)).why == "expired"


async def test_an_unproven_channel_gives_the_plain_ttl(proxy, jira, clock):
    await prove(proxy, jira, polls=2)
    await proxy.get(ISSUE)
    clock.now += PLAIN + 1
    assert (await proxy.get(ISSUE)).why == "expired"


async def test_a_search_that_moves_by_itself_keeps_the_plain_ttl(proxy, jira, clock):
    await prove(proxy, jira)
    for params in (MOVING, MINE):
        await proxy.get(SEARCH, params=params)
    clock.now += PLAIN + 1
    assert (await proxy.get(SEARCH, params=MINE)).why == "fresh"
    assert (await proxy.get(SEARCH, params=MOVING)).why == "expired"


async def test_a_board_whose_query_we_do_not_know_keeps_the_plain_ttl(proxy, origin, jira, clock):
    board = "/rest/agile/1.0/board/5/issue"
    origin.on("GET", board, lambda _: jira._answer({"issues": []}))
    await prove(proxy, jira)
    await proxy.get(board)
    clock.now += PLAIN + 1
    assert (await proxy.get(board)).why == "expired"
