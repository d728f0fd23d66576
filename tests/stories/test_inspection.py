"""An operator asks why something is a hit or a miss, and what would change that."""

import json

import pytest

from policies.model import Why
from proxy.words import MEANINGS, cause, meaning
from tests.clocks import Clock

ISSUE = "/rest/api/2/issue/PROJ-1"
SEARCH = "/rest/api/2/search?jql=project%20=%20PROJ"


@pytest.fixture
def ask(session):
    """Ask a proxy's /api/explain. Returns the status and what it says."""

    async def ask(proxy, path, **query):
        query = {"method": "GET", "path": path} | query
        async with session.get(f"http://{proxy.running.admin}/api/explain", params=query) as answer:
            return answer.status, await answer.json()

    return ask


@pytest.fixture
def now(ask, session):
    """What would be answered now to the one caller that was seen, or to another."""

    async def now(proxy, path=ISSUE, caller=None, **query):
        if caller is None:
            await ask(proxy, ISSUE)
            [(caller, _)] = proxy.running.app.history.present("default")["hour"]["callers"]
        status, told = await ask(proxy, path, caller=caller, **query)
        assert status == 200, told
        return told["now"]

    return now


@pytest.fixture
async def clocked(new_proxy, origin):
    origin.issue("PROJ-1", "a")
    clock = Clock(1_800_000_000.0)
    proxy = await new_proxy(clock=clock)
    proxy.clock = clock
    return proxy


async def test_without_a_caller_it_says_what_the_rules_say_in_the_words_of_the_command(proxy, ask):
    status, told = await ask(proxy, ISSUE)
    assert status == 200
    assert (told["why"], told["ttl"], told["scope"]) == ("cacheable", 300, "credential")
    assert told["causes"]["issue:PROJ-1"] == "a change of this issue"
    assert "now" not in told
    _, told = await ask(proxy, "/rest/unheard-of/1.0/thing")
    assert (told["why"], told["meaning"]) == ("unknown-route", "passed on: no row knows this endpoint")


async def test_what_is_kept_would_be_a_hit_until_its_ttl_is_over(clocked, now):
    await clocked.get(ISSUE)
    clocked.clock.now += 20
    told = await now(clocked)
    assert (told["does"], told["why"], told["accepted"]) == ("serve", "fresh", True)
    assert (told["key"]["name"], told["key"]["shared_by"]) == ("issue:PROJ-1", "nobody else: this credential only")
    entry = told["entry"]
    assert (entry["age"], entry["left"], entry["alive"], entry["status"]) == (20, 280, True, 200)
    assert {"issue:PROJ-1", "issue:10001", "project:PROJ"} <= set(entry["tags"])
    clocked.clock.now += 290
    told = await now(clocked)
    assert (told["does"], told["why"], told["entry"]["left"]) == ("fetch", "expired", -10)


async def test_asking_changes_nothing(clocked, now, origin):
    await clocked.get(ISSUE)
    for _ in range(3):
        await now(clocked, "/rest/api/2/issue/PROJ-2", caller="anonymous")
        await now(clocked, SEARCH, caller="anonymous")
    assert len(origin.seen) == 1
    assert clocked.running.app.history.present("")["gauges"]["entries"] == 1


async def test_what_was_made_old_says_by_what(clocked, now):
    await clocked.get(ISSUE)
    clocked.clock.now += 5
    body = json.dumps({"fields": {"summary": "b"}}).encode()
    await clocked.request("PUT", ISSUE, data=body, headers={"Content-Type": "application/json"})
    told = await now(clocked)
    assert (told["does"], told["why"]) == ("fetch", "invalidated")
    assert told["meaning"] == "asked of Jira: a change made the kept answer old"
    assert told["entry"]["alive"] is False
    culprit = told["entry"]["made_old_by"]
    assert (culprit["when"], culprit["source"]) == (clocked.clock.now, "write")
    assert "issue:PROJ-1" in culprit["tags"]


async def test_another_caller_has_no_answer_of_mine(clocked, now):
    await clocked.get(ISSUE)
    told = await now(clocked, caller="anonymous")
    assert (told["does"], told["why"], told["entry"]) == ("fetch", "miss", None)
    assert told["key"]["shared_by"] == "all who show no credential"


async def test_what_is_never_kept_has_no_state(clocked, now):
    assert await now(clocked, "/rest/unheard-of/1.0/thing", caller="anonymous") is None
    assert await now(clocked, ISSUE, caller="anonymous", method="PUT") is None
    assert await now(clocked, f"{ISSUE}?os_username=me", caller="anonymous") is None


@pytest.mark.parametrize("prefix", ["", "{jira}", "{proxy}"])
async def test_an_address_may_be_pasted_as_jira_or_as_the_proxy_has_it(clocked, now, origin, prefix):
    await clocked.get(ISSUE)
    address = prefix.format(jira=origin.url, proxy=clocked.url) + ISSUE
    assert (await now(clocked, address))["why"] == "fresh"


async def test_of_several_tenants_the_address_tells_which(new_proxy, origin, new_origin, ask):
    other = await new_origin()
    tenants = {"one": {"upstream": origin.url}, "two": {"upstream": other.url, "path_prefix": "/two"}}
    proxy = await new_proxy(tenants=tenants)
    for address, tenant in (
        (ISSUE, "one"),
        (f"/two{ISSUE}", "two"),
        (origin.url + ISSUE, "one"),
        (other.url + ISSUE, "two"),
        (f"{proxy.url}/two{ISSUE}", "two"),
    ):
        status, told = await ask(proxy, address, caller="anonymous")
        assert (status, told["tenant"], told["path"]) == (200, tenant, ISSUE)
    assert (await ask(proxy, ISSUE, tenant="two"))[1]["tenant"] == "two"


@pytest.mark.parametrize(
    ("query", "line"),
    [
        ({"tenant": "nobody"}, "tenant 'nobody' is not known"),
        ({"caller": "0badcafe"}, "caller '0badcafe' was not seen lately"),
        ({"method": "", "path": ""}, "'' is not METHOD PATH"),
    ],
)
async def test_a_bad_question_is_refused_in_one_line(proxy, ask, query, line):
    assert await ask(proxy, query.pop("path", ISSUE), **query) == (400, {"error": line})


async def test_no_credential_and_no_whole_hash_is_shown(clocked, now):
    await clocked.get(ISSUE)
    said = json.dumps(await now(clocked))
    history = clocked.running.app.history
    [(name, _)] = history.present("default")["hour"]["callers"]
    assert history.caller("default", name).credential not in said
    assert "sesame" not in said


def test_each_why_has_its_meaning():
    assert set(MEANINGS) == set(Why)
    assert meaning("fresh").startswith("answered from cache")
    assert meaning("no such word") == ""


@pytest.mark.parametrize(
    ("tag", "said"),
    [
        ("issue:PROJ-1", "a change of this issue"),
        ("project:PROJ:issues", "a change of an issue of this project"),
        ("sprint:7", "a change of this"),
        ("*", "a purge of everything"),
    ],
)
def test_each_tag_has_what_makes_it_old(tag, said):
    assert cause(tag) == said
