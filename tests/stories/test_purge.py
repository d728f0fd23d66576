"""What an operator purges is asked for anew, and nothing else is."""

import asyncio
import json
from urllib.parse import urlsplit

import pytest
import redis
from aiohttp import web
from click.testing import CliRunner

from proxy.cli import main

pytestmark = pytest.mark.usefixtures("both_ways")

ISSUE = "/rest/api/2/issue/"
IDS = {"A-1": "1", "A-2": "2", "B-1": "3"}
PROJECTS = {"A": "100", "B": "200"}
SEARCH_A, SEARCH_B, SEARCH_ALL = (
    f"/rest/api/2/search?jql={jql}" for jql in ("project%3DA", "project%3DB", "status%3DOpen")
)
A1, A2, B1 = (ISSUE + key for key in IDS)
BY_ID = ISSUE + "1"
PROJECT_A, PROJECT_B = (f"/rest/api/2/project/{key}" for key in PROJECTS)
FIELDS = "/rest/api/2/field"
EVERY = [A1, A2, B1, BY_ID, SEARCH_A, SEARCH_B, SEARCH_ALL, PROJECT_A, PROJECT_B, FIELDS]


def issue(key: str) -> dict:
    project = key.partition("-")[0]
    own = {"id": PROJECTS[project], "key": project, "self": f"http://jira/rest/api/2/project/{PROJECTS[project]}"}
    return {"id": IDS[key], "key": key, "self": f"http://jira{ISSUE}{IDS[key]}", "fields": {"project": own}}


BODIES = {
    **{ISSUE + key: issue(key) for key in IDS},
    BY_ID: issue("A-1"),
    FIELDS: [{"id": "summary", "name": "Summary"}],
    **{f"/rest/api/2/project/{key}": {"id": number, "key": key} for key, number in PROJECTS.items()},
}
FOUND = {"project=A": ["A-1", "A-2"], "project=B": ["B-1"], "status=Open": ["A-2", "B-1"]}


@pytest.fixture
def jira(origin):
    """A Jira with two projects and answers to everything in EVERY."""

    def answer(request):
        found = FOUND.get(request.query.get("jql", ""), [])
        body = BODIES.get(request.path, {"issues": [issue(key) for key in found]})
        return web.json_response(body, headers={"X-AUSERNAME": "alice"})

    for path in {urlsplit(asked).path for asked in EVERY}:
        origin.on("GET", path, answer)
    return origin


@pytest.fixture(params=["memory", "redis"])
def store(request) -> dict:
    """A store's settings; Redis is the one all tests share."""
    url = "memory://" if request.param == "memory" else request.getfixturevalue("redis_url")
    return {"url": url}


@pytest.fixture
async def kept(new_proxy, jira, store, tenant):
    """A proxy that has kept the answers to everything in EVERY."""
    proxy = await new_proxy(store=store, tenants={tenant: {"upstream": jira.url}})
    for path in EVERY:
        await proxy.get(path)
    assert await whys(proxy) == dict.fromkeys(EVERY, "fresh")
    return proxy


async def whys(proxy) -> dict[str, str]:
    """Ask for everything, and see why each answer was given."""
    return {path: (await proxy.get(path)).why for path in EVERY}


async def purge(proxy, **order):
    async with proxy.session.post(f"http://{proxy.running.admin}/api/purge", json=order) as response:
        return response.status, await response.json()


async def command(proxy, *arguments):
    """Run a command of the command line, against the proxy's admin listener."""
    words = [arguments[0], "--admin", f"http://{proxy.running.admin}", *arguments[1:]]
    return await asyncio.to_thread(CliRunner().invoke, main, words)


@pytest.mark.parametrize(
    ("kind", "value", "purged"),
    [
        ("tags", ["issue:A-1"], {A1, BY_ID, SEARCH_A}),
        ("tags", ["issue:1"], {A1, BY_ID, SEARCH_A}),  # by its other name
        ("tags", ["project:B", "fields"], {B1, PROJECT_B, SEARCH_B, SEARCH_ALL, FIELDS}),
        ("tags", ["issues"], {SEARCH_A, SEARCH_B, SEARCH_ALL}),
        ("tags", ["project:B:issues"], {SEARCH_B, SEARCH_ALL}),
        ("tags", ["issue:C-9"], set()),
        ("type", "issue", {A1, A2, B1, BY_ID}),
        ("type", "search", {SEARCH_A, SEARCH_B, SEARCH_ALL}),
        ("project", "A", {A1, A2, BY_ID, PROJECT_A, SEARCH_A, SEARCH_ALL}),
        ("project", "200", {B1, PROJECT_B, SEARCH_B, SEARCH_ALL}),
        ("all", True, set(EVERY)),
    ],
)
async def test_what_was_purged_is_asked_for_anew_and_what_was_not_is_still_a_hit(kept, tenant, kind, value, purged):
    assert await purge(kept, **{kind: value}) == (200, {"tenant": tenant, "purged": {kind: value}, "forgotten": None})
    now = await whys(kept)
    assert {path for path, why in now.items() if why != "fresh"} == purged
    assert {now[path] for path in purged} <= {"invalidated"}


async def test_a_pattern_forgets_answers_by_key_and_counts_them(kept):
    assert (await purge(kept, pattern="issue:A-*"))[1]["forgotten"] == 2
    now = await whys(kept)
    assert {path: why for path, why in now.items() if why != "fresh"} == {A1: "miss", A2: "miss"}


async def test_what_is_under_way_when_its_tag_is_purged_is_not_kept(new_proxy, jira, store, tenant):
    proxy = await new_proxy(store=store, tenants={tenant: {"upstream": jira.url}})
    await proxy.get(A2)
    jira.open.clear()
    jira.arrived.clear()
    asking = asyncio.create_task(proxy.get(A1))
    await jira.arrived.wait()
    await purge(proxy, tags=["issue:A-1"])
    jira.open.set()
    await asking
    assert (await proxy.get(A1)).why == "invalidated"


async def test_one_tenant_is_purged_and_not_the_other(new_proxy, jira, store, new_tenant):
    one, other = new_tenant(), new_tenant()
    tenants = {name: {"upstream": jira.url, "path_prefix": f"/{name}"} for name in (one, other)}
    proxy = await new_proxy(store=store, tenants=tenants)
    for name in (one, other):
        await proxy.get(f"/{name}{A1}")
    assert (await purge(proxy, all=True))[0] == 400
    assert (await command(proxy, "purge", "--all", "--tenant", one)).stdout == f"{one}: purged everything\n"
    assert (await proxy.get(f"/{one}{A1}")).why == "invalidated"
    assert (await proxy.get(f"/{other}{A1}")).why == "fresh"


async def test_a_purge_on_the_command_line_is_counted(kept, tenant):
    done = await command(kept, "purge", "--tag", "issue:a-1", "--tag", "issue:A-2")
    assert (done.exit_code, done.stdout) == (0, f"{tenant}: purged issue:a-1, issue:A-2\n")
    assert (await kept.get(A2)).why == "invalidated"
    table = (await command(kept, "stats")).stdout
    assert f"{tenant}  purge   1\n" in table


@pytest.mark.parametrize("words", [["stats"], ["purge", "--all"], ["admin-link"]])
async def test_the_clients_listener_is_told_from_the_admin_listener_and_jira_does_not_see_the_token(kept, jira, words):
    asked = [words[0], "--admin", kept.url, "--token", "hunter2", *words[1:]]
    done = await asyncio.to_thread(CliRunner().invoke, main, asked)
    said = f"{kept.url}: is where Jira's clients connect; the admin listener is another (admin.listen)\n"
    assert (done.exit_code, done.stdout, done.stderr) == (2, "", said)
    assert "hunter2" not in str(jira.seen)
    assert set((await whys(kept)).values()) == {"fresh"}


async def test_purge_and_admin_link_tell_programs_in_json(kept, tenant):
    told = json.loads((await command(kept, "purge", "--type", "user", "--json")).stdout)
    assert told == {"tenant": tenant, "purged": {"type": "user"}, "forgotten": None}
    link = json.loads((await command(kept, "admin-link", "--json")).stdout)["url"]
    async with kept.session.get(link, allow_redirects=False) as answer:
        assert answer.status == 303


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--type", "isue"], "type 'isue' is not known (known: aggregation, board,"),
        (
            ["--tag", "issue:A-1", "--tag", "isue:A-1"],
            "'isue:A-1' is no tag that an answer can have (did you mean issue?)",
        ),
        (["--all", "--tenant", "nobody"], "tenant 'nobody' is not known (known: "),
    ],
)
async def test_what_is_refused_changes_nothing(kept, words, line):
    done = await command(kept, "purge", *words)
    assert (done.exit_code, done.stdout) == (2, "")
    [said] = done.stderr.splitlines()
    assert line in said
    assert set((await whys(kept)).values()) == {"fresh"}


# what a purge costs ---------------------------------------------------------------------------------------------------


@pytest.fixture
def commands(redis_server):
    """Count the commands that a Redis of this test's own was given since the last count, those of scripts included."""
    with redis.Redis.from_url(redis_server.url) as client:

        def counted() -> dict[str, int]:
            counts = {name.removeprefix("cmdstat_"): of["calls"] for name, of in client.info("commandstats").items()}
            client.config_resetstat()
            return counts

        yield counted


@pytest.mark.parametrize(
    "order", [{"tags": ["issue:A-1", "users"]}, {"type": "issue"}, {"project": "A"}, {"all": True}], ids=str
)
async def test_a_purge_costs_the_same_whatever_the_cache_holds(new_proxy, jira, redis_server, commands, order):
    proxy = await new_proxy(store={"url": redis_server.url})
    costs = []
    for entries in (1, 100):
        for number in range(entries):
            await proxy.get(f"{A1}?fields=f{entries}x{number}")
        commands()
        assert (await purge(proxy, **order))[0] == 200
        counted = commands()
        assert not {"scan", "keys", "del", "unlink"} & counted.keys()
        costs.append(sum(counted.values()))
    few, many = costs
    assert 0 < many < few + 50  # what the loops ask meanwhile counts too


async def test_a_purge_that_redis_cannot_record_is_503_and_owed(new_proxy, jira, redis_server):
    proxy = await new_proxy(store={"url": redis_server.url})
    await proxy.get(A1)
    redis_server.stop()
    assert (await purge(proxy, type="issue"))[0] == 503
    told = json.loads((await command(proxy, "stats", "--json")).stdout)
    assert told["tenants"]["default"]["store"]["state"] == "owing"
    assert (await proxy.get(A1)).why == "store-down"


# the rest of the listener ---------------------------------------------------------------------------------------------


async def test_explain_over_the_listener_tells_what_the_command_prints_and_more(kept):
    path = "/rest/api/3/search/jql?jql=project = A"
    async with kept.session.get(
        f"http://{kept.running.admin}/api/explain", params={"method": "get", "path": path}
    ) as response:
        told = await response.json()
    printed = await asyncio.to_thread(CliRunner().invoke, main, ["explain", "--json", "GET", path])
    assert told.items() >= json.loads(printed.stdout).items()


async def test_the_metrics_tell_what_memory_holds(new_proxy, jira):
    proxy = await new_proxy()
    await proxy.get(A1)
    async with proxy.session.get(f"http://{proxy.running.admin}/metrics") as response:
        text = await response.text()
    assert 'jira_cache_entries{tenant="default"} 1.0' in text
    assert 'jira_cache_evictions_total{tenant="default"} 0.0' in text
