"""The admin listener: who may use it, and what it says; and the commands that ask it."""

import asyncio
import socket
from contextlib import contextmanager
from threading import Thread
from types import SimpleNamespace

import click
import orjson
import pytest
from aiohttp import web
from click.testing import CliRunner

from policies.change import Change
from policies.names import Names
from proxy.admin import Admin
from proxy.cli import main
from proxy.errors import StoreError
from proxy.events import Events
from proxy.explain import MalformedLineError
from proxy.history import History
from proxy.metrics import Metrics, Usage
from proxy.purge import Everything, Pattern, Project, PurgeError, Purges, Tags, Type, change, parse
from proxy.service import AsyncCacheService
from proxy.signin import SignIn
from proxy.spending import Spending
from proxy.stats import Stats, as_text

KNOWN = SimpleNamespace(
    types=frozenset({"issue", "search", "user"}),
    kinds=frozenset({"*", "a", "issue", "issues", "project", "user", "users"}),
)


class Recorder:
    """A purger that remembers what it was told, or fails."""

    def __init__(self, error: Exception | None = None):
        self.purged = []
        self._error = error

    async def purge(self, purge):
        if self._error is not None:
            raise self._error
        self.purged.append(purge)
        return 7 if isinstance(purge, Pattern) else None


async def explain(method, path, tenant, caller):
    if method != "GET":
        raise MalformedLineError(f"'{method}' is not GET")
    return {"method": method, "path": path}


def new_admin(token=None, **purgers):
    purges = Purges(purgers or {"default": Recorder()}, lambda: KNOWN)
    sign_in = SignIn(AsyncCacheService(url="memory://", on_error="raise"))
    return Admin(
        token,
        metrics=Metrics(),
        stats=lambda: {"uptime": 1.5},
        purges=purges,
        explain=explain,
        sign_in=sign_in,
        events=Events(History()),
        parts=lambda: {"stores": {"acme": {"state": "ok"}}},
    )


@pytest.fixture
def ask(aiohttp_client):
    """Send one request to an admin listener. Returns the status, and the parsed body if there is one."""

    async def ask(admin, method, path, **options):
        client = await aiohttp_client(admin.app())
        async with client.request(method, path, **options) as response:
            body = await response.read()
            return response.status, orjson.loads(body) if response.content_type == "application/json" else body

    return ask


# what is to be purged -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "purge"),
    [
        ({"tags": ["issue:PROJ-1"]}, Tags(("issue:PROJ-1",))),
        ({"tags": ["users", "*", "users"]}, Tags(("users", "*"))),
        ({"tags": ["issue:proj-1", "project:proj:issues"]}, Tags(("issue:PROJ-1", "project:PROJ:issues"))),
        ({"tags": ["user:Jo Doe", "issues:unresolved"]}, Tags(("user:Jo Doe", "issues:unresolved"))),
        ({"type": "search"}, Type("search")),
        ({"project": "proj"}, Project("PROJ")),
        ({"project": "10000"}, Project("10000")),
        ({"pattern": "issue:PROJ-*"}, Pattern("issue:PROJ-*")),
        ({"all": True}, Everything()),
    ],
)
def test_a_purge_is_read(given, purge):
    assert parse(given, KNOWN) == purge


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({}, "give exactly one of tags, type, project, pattern, all"),
        ({"all": True, "type": "issue"}, "give exactly one of tags, type, project, pattern, all"),
        ({"tag": ["a"]}, "'tag' is not a kind of purge (known: tags, type, project, pattern, all)"),
        ({"all": False}, "all should be true"),
        ({"all": 1}, "all should be true"),
        ({"tags": []}, "tags should be a list of 1 to 1000 tags"),
        ({"tags": "issue:A-1"}, "tags should be a list of 1 to 1000 tags"),
        ({"tags": ["a"] * 1001}, "tags should be a list of 1 to 1000 tags"),
        ({"tags": ["issue:A-1", "PROJ-1"]}, "'PROJ-1' is not a tag (try issue:PROJ-1, project:PROJ, users)"),
        ({"tags": ["issue:"]}, "'issue:' is not a tag (try issue:PROJ-1, project:PROJ, users)"),
        ({"tags": ["issue: A-1"]}, "'issue: A-1' is not a tag (try issue:PROJ-1, project:PROJ, users)"),
        ({"tags": ["issue:*"]}, "'issue:*' is not a tag (try issue:PROJ-1, project:PROJ, users)"),
        ({"tags": ["users", "isue:A-1"]}, "'isue:A-1' is no tag that an answer can have (did you mean issue?)"),
        ({"tags": ["zzz"]}, "'zzz' is no tag that an answer can have"),
        ({"tags": [7]}, "7 is not a tag (try issue:PROJ-1, project:PROJ, users)"),
        ({"type": "isue"}, "type 'isue' is not known (known: issue, search, user)"),
        ({"type": None}, "type should be text, of 1 to 512 characters"),
        ({"project": "PROJ-1"}, "'PROJ-1' is not a project's key"),
        ({"project": ""}, "project should be text, of 1 to 512 characters"),
        ({"pattern": "a\nb"}, "pattern should be text, of 1 to 512 characters"),
        ({"pattern": "a" * 513}, "pattern should be text, of 1 to 512 characters"),
    ],
)
def test_a_purge_of_another_form_is_refused_in_one_line(given, line):
    with pytest.raises(PurgeError) as refused:
        parse(given, KNOWN)
    assert str(refused.value) == line


NAMES = Names()
NAMES.learn([("project:10000", "project:PROJ")])


@pytest.mark.parametrize(
    ("purge", "expected"),
    [
        (Everything(), Change(frozenset({"*"}))),
        (Type("issue"), Change(frozenset({"type:issue"}))),
        (Tags(("issue:A-1", "user:me")), Change(frozenset({"issue:A-1", "user:me"}))),
        (Tags(("issues",)), Change(frozenset({"issues"}), everything=True)),
        (Tags(("project:A:issues",)), Change(frozenset({"project:A:issues"}), projects=frozenset({"A"}))),
        (Tags(("project:10000:issues",)), Change(frozenset({"project:10000:issues"}), projects=frozenset({"PROJ"}))),
        (Tags(("project:10009:issues",)), Change(frozenset({"project:10009:issues"}), everything=True)),
    ],
)
def test_a_purge_is_a_change(purge, expected):
    assert change(purge, NAMES) == expected


@pytest.mark.parametrize("key", ["PROJ", "10000"])
def test_a_purge_of_a_project_goes_by_both_of_its_names(key):
    purged = change(Project(key), NAMES)
    assert purged.projects == {"PROJ"}
    assert not purged.everything
    assert purged.tags == {
        "project:PROJ",
        "project:PROJ:issues",
        "project:10000",
        "project:10000:issues",
        "issues",
    }


def test_what_may_speak_of_a_project_by_a_name_that_is_unknown_is_purged_too():
    assert "type:project" in change(Project("NEW"), NAMES).tags
    assert change(Project("NEW"), NAMES).projects == {"NEW"}
    assert change(Project("10009"), NAMES).everything


# orders ---------------------------------------------------------------------------------------------------------------


async def test_the_answer_says_what_was_purged(ask):
    status, told = await ask(new_admin(), "POST", "/api/purge", json={"tags": ["issue:A-1"]})
    assert (status, told) == (200, {"tenant": "default", "purged": {"tags": ["issue:A-1"]}, "forgotten": None})


async def test_only_a_pattern_counts_what_was_forgotten(ask):
    _, told = await ask(new_admin(), "POST", "/api/purge", json={"pattern": "issue:*"})
    assert told["forgotten"] == 7


async def test_one_of_several_tenants_has_to_be_named(ask):
    acme, apex = Recorder(), Recorder()
    for tenant, line in [
        (None, "which tenant? (known: acme, apex)"),
        ("acne", "tenant 'acne' is not known (known: acme, apex)"),
        (["acme"], "tenant ['acme'] is not known (known: acme, apex)"),
    ]:
        order = {"all": True, "tenant": tenant}
        assert await ask(new_admin(acme=acme, apex=apex), "POST", "/api/purge", json=order) == (400, {"error": line})
    assert acme.purged == apex.purged == []
    await ask(new_admin(acme=acme, apex=apex), "POST", "/api/purge", json={"all": True, "tenant": "apex"})
    assert (acme.purged, apex.purged) == ([], [Everything()])


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (b"", "the body is not JSON"),
        (b"{", "the body is not JSON"),
        (b"[]", "a purge is a JSON object"),
        (b'{"type": "x"}', "type 'x' is not known (known: issue, search, user)"),
    ],
)
async def test_an_order_that_cannot_be_read_is_400_in_one_line(ask, body, line):
    purger = Recorder()
    headers = {"Content-Type": "application/json"}
    told = await ask(new_admin(default=purger), "POST", "/api/purge", data=body, headers=headers)
    assert told == (400, {"error": line})
    assert purger.purged == []


async def test_a_purge_that_the_store_cannot_record_is_503(ask):
    admin = new_admin(default=Recorder(StoreError("gone")))
    told = await ask(admin, "POST", "/api/purge", json={"all": True})
    assert told == (503, {"error": "the store could not record it: gone"})


# the guard ------------------------------------------------------------------------------------------------------------

PATHS = ["/metrics", "/api/stats", "/api/parts", "/api/explain?method=GET&path=/"]


@pytest.mark.parametrize("path", PATHS)
async def test_with_a_token_only_who_has_it_gets_in(ask, path):
    for given in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic s3cret"},
        {"Authorization": "s3cret"},
    ):
        status, _ = await ask(new_admin("s3cret"), "GET", path, headers=given)
        assert status == 401
    status, _ = await ask(new_admin("s3cret"), "GET", path, headers={"Authorization": "Bearer s3cret"})
    assert status == 200


async def test_with_a_token_any_name_will_do(ask):
    headers = {"Authorization": "Bearer s3cret", "Host": "cache.example.com"}
    assert (await ask(new_admin("s3cret"), "GET", "/api/stats", headers=headers))[0] == 200


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8081",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "",
        "10.0.0.1",
        "a@localhost",
    ],
)
async def test_without_a_token_a_name_that_was_bent_to_this_machine_does_not_get_in(ask, path, host):
    status, told = await ask(new_admin(), "GET", path, headers={"Host": host})
    assert status == 403
    assert told["error"].startswith("without admin.token")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8081", "127.0.0.1:8081", "127.0.1.1", "[::1]:8081"])
async def test_without_a_token_this_machine_gets_in_by_any_of_its_own_names(ask, host):
    assert (await ask(new_admin(), "GET", "/api/stats", headers={"Host": host}))[0] == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
@pytest.mark.parametrize("token", [None, "s3cret"])
async def test_what_a_web_page_can_send_anywhere_unasked_is_not_an_order(ask, kind, token):
    purger = Recorder()
    headers = {"Content-Type": kind, "Authorization": "Bearer s3cret"}
    order = ask(new_admin(token, default=purger), "POST", "/api/purge", data=b'{"all":true}', headers=headers)
    assert (await order)[0] == 415
    assert purger.purged == []


async def test_a_web_page_that_asks_whether_it_may_is_told_no(aiohttp_client):
    client = await aiohttp_client(new_admin().app())
    preflight = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    async with client.options("/api/purge", headers=preflight) as response:
        assert response.status == 405
        assert not any(name.lower().startswith("access-control") for name in response.headers)


# what it shows --------------------------------------------------------------------------------------------------------


async def test_explain_answers_or_says_what_it_could_not_read(ask):
    asked = await ask(new_admin(), "GET", "/api/explain", params={"method": "GET", "path": "/a?b=c d"})
    assert asked == (200, {"method": "GET", "path": "/a?b=c d"})
    assert await ask(new_admin(), "GET", "/api/explain") == (400, {"error": "'' is not GET"})


class AStore:
    state = "ok"


class AGovernor:
    def __init__(self):
        self.spending = Spending(lambda type_, account: None)

    def report(self):
        return {"state": "ok", "breaker": "closed", "held": {}, "in_flight": 2, "queued": 0}


def test_stats_are_what_the_metrics_say():
    metrics = Metrics()
    for kind, why, times in [("issue", "fresh", 3), ("issue", "miss", 1), ("-", "write", 2), ("search", "negative", 1)]:
        metrics.requests.labels("acme", kind, why).inc(times)
    metrics.requests.labels("apex", "issue", "fresh").inc()
    metrics.upstream.labels("acme", "200").inc(3)
    metrics.invalidations.labels("acme", "purge").inc()
    metrics.watch("acme", lambda: Usage(2, 300, 1))
    metrics.calls.labels("acme", "issue").inc(3)
    metrics.points.labels("acme", "issue").inc(8)
    metrics.saved.labels("acme", "issue").inc(4)
    governors = {"acme": AGovernor(), "quiet": AGovernor()}
    governors["acme"].spending.called("c0ffee", "issue")
    told = Stats(metrics, {"acme": AStore(), "quiet": AStore()}, governors).tell(12.34)
    assert told["uptime"] == 12.3
    assert told["tenants"]["acme"] == {
        "requests": {"issue": {"fresh": 3, "miss": 1}, "-": {"write": 2}, "search": {"negative": 1}},
        "total": 7,
        "hits": 4,
        "hit_ratio": 0.8,
        "upstream": {"200": 3},
        "invalidations": {"purge": 1},
        "store": {"state": "ok", "entries": 2, "bytes": 300, "evictions": 1},
        "governor": {
            "state": "ok",
            "breaker": "closed",
            "held": {},
            "in_flight": 2,
            "queued": 0,
            "calls": {"issue": 3},
            "points": {"issue": 8},
            "saved": {"issue": 4},
            "callers": [{"caller": "c0ffee", "types": {"issue": {"calls": 1, "points": 1, "saved": 0}}}],
        },
    }
    assert told["tenants"]["quiet"]["hit_ratio"] is None
    assert told["tenants"]["quiet"]["store"] == {"state": "ok"}
    assert [click.unstyle(line) for line in as_text(told)][2:] == [
        "tenant  requests  hits  hit ratio  to Jira  invalidations  store  entries  bytes  evictions",
        "acme    7         4     80.0%      3        1              ok     2        300    1",
        "quiet   0         0     -          0        0              ok     -        -      -",
        "",
        "tenant  Jira  breaker  in flight  queued  calls  points  saved",
        "acme    ok    closed   2          0       3      8       4",
        "quiet   ok    closed   2          0       0      0       0",
        "",
        "tenant  type    why       count",
        "acme    issue   fresh     3",
        "acme    issue   miss      1",
        "acme    -       write     2",
        "acme    search  negative  1",
        "",
        "tenant  status  count",
        "acme    200     3",
        "",
        "tenant  source  count",
        "acme    purge   1",
    ]


def test_what_memory_holds_is_read_when_the_metrics_are():
    metrics, held = Metrics(), [Usage(1, 100, 0)]
    metrics.watch("acme", lambda: held[0])
    assert b'jira_cache_entries{tenant="acme"} 1.0' in metrics.text()
    held[0] = Usage(2, 200, 5)
    text = metrics.text()
    assert b'jira_cache_entries{tenant="acme"} 2.0' in text
    assert b'jira_cache_bytes{tenant="acme"} 200.0' in text
    assert b'jira_cache_evictions_total{tenant="acme"} 5.0' in text


# the commands ---------------------------------------------------------------------------------------------------------


@contextmanager
def listening(admin):
    """An admin listener in a thread, for commands that wait for it. Gives its URL."""
    loop = asyncio.new_event_loop()

    async def start():
        runner = web.AppRunner(admin.app())
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner

    runner = loop.run_until_complete(start())
    thread = Thread(target=loop.run_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture
def cli(tmp_path, monkeypatch):
    """Run a command where no config.yaml lies about."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JIRA_CACHE_ADMIN__TOKEN", raising=False)

    def cli(*arguments, **environ):
        done = CliRunner().invoke(main, arguments, env=environ)
        return done.exit_code, done.stdout, done.stderr

    return cli


@pytest.mark.parametrize(
    ("arguments", "purge", "line"),
    [
        (("--tag", "issue:A-1", "--tag", "users"), Tags(("issue:A-1", "users")), "issue:A-1, users"),
        (("--type", "search"), Type("search"), "type search"),
        (("--project", "PROJ"), Project("PROJ"), "project PROJ"),
        (("--pattern", "issue:A-*"), Pattern("issue:A-*"), "pattern issue:A-* (7 answers)"),
        (("--all",), Everything(), "everything"),
        (("--all", "--tenant", "default"), Everything(), "everything"),
    ],
)
def test_the_command_purges_and_says_what(cli, arguments, purge, line):
    purger = Recorder()
    with listening(new_admin(default=purger)) as url:
        assert cli("purge", "--admin", url, *arguments) == (0, f"default: purged {line}\n", "")
    assert purger.purged == [purge]


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--all", "--type", "x"),
        ("--tag", "a", "--pattern", "b"),
        ("--tenant", "a"),
        ("--type", "a", "--project", "B"),
    ],
)
def test_the_command_wants_exactly_one_kind(cli, arguments):
    line = "purge: give exactly one of --tag, --type, --project, --pattern and --all\n"
    assert cli("purge", "--admin", "http://127.0.0.1:1", *arguments) == (2, "", line)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--type", "isue"), "type 'isue' is not known (known: issue, search, user)"),
        (("--all", "--tenant", "x"), "tenant 'x' is not known (known: default)"),
        (("--tag", "PROJ-1"), "'PROJ-1' is not a tag (try issue:PROJ-1, project:PROJ, users)"),
        (("--type", ""), "type should be text, of 1 to 512 characters"),
    ],
)
def test_what_the_proxy_refuses_is_one_line_and_exit_code_2(cli, arguments, line):
    purger = Recorder()
    with listening(new_admin(default=purger)) as url:
        assert cli("purge", "--admin", url, *arguments) == (2, "", f"{url}: {line}\n")
    assert purger.purged == []


@pytest.mark.parametrize("command", [("purge", "--all"), ("stats",)])
def test_the_token_is_given_as_an_option_or_by_the_environment(cli, command):
    with listening(new_admin("s3cret", default=Recorder())) as url:
        given = (*command, "--admin", url)
        required = f"{url}: the admin token is required: --token or $JIRA_CACHE_ADMIN__TOKEN\n"
        assert cli(*given) == (2, "", required)
        assert cli(*given, "--token", "wrong") == (2, "", f"{url}: the admin token is not accepted\n")
        assert "accepted" not in cli(*given, "--token", "s3cret")[2]
        assert "accepted" not in cli(*given, JIRA_CACHE_ADMIN__TOKEN="s3cret")[2]


def test_without_an_address_the_configured_one_is_asked_with_the_configured_token(cli, tmp_path):
    purger = Recorder()
    with listening(new_admin("s3cret", default=purger)) as url:
        where = url.removeprefix("http://")
        (tmp_path / "config.yaml").write_text(f"admin: {{listen: {where}, token: s3cret}}")
        assert cli("purge", "--all")[0] == 0
        (tmp_path / "config.yaml").write_text(f"admin: {{listen: '0.0.0.0:{where.rpartition(':')[2]}', token: s3cret}}")
        assert cli("purge", "--type", "issue")[0] == 0
        # Somebody else's address is not told the token of our own listener.
        assert cli("purge", "--all", "--admin", url)[0] == 2
    assert purger.purged == [Everything(), Type("issue")]


def test_an_address_that_nobody_answers_at_is_one_line_and_exit_code_2(cli):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    expected = f"http://127.0.0.1:{port}: cannot be reached (Connection refused)\n"
    assert cli("purge", "--all", "--admin", f"http://127.0.0.1:{port}") == (2, "", expected)
    assert cli("purge", "--all", JIRA_CACHE_ADMIN__LISTEN=f"127.0.0.1:{port}") == (2, "", expected)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--admin", "nowhere"), "--admin: 'nowhere' is not an http or https URL (try https://jira.example.com)"),
    ],
)
def test_a_mistake_in_the_options_is_one_line_and_exit_code_2(cli, arguments, line):
    assert cli("stats", *arguments) == (2, "", f"{line}\n")


def test_a_token_that_no_header_can_hold_is_one_line_and_exit_code_2(cli):
    with listening(new_admin("s3cret")) as url:
        assert cli("stats", "--token", "a\nb", "--admin", url) == (2, "", f"{url}: the token cannot be sent\n")


def test_an_argument_that_is_not_text_is_one_line_and_exit_code_2(cli):
    line = "/api/purge: not all arguments are UTF-8\n"
    assert cli("purge", "--tag", "user:\udcff", "--admin", "http://127.0.0.1:1") == (2, "", line)


def test_a_listener_on_any_free_port_cannot_be_found(cli):
    line = "admin.listen: 127.0.0.1:0 is any free port, so say which one: --admin URL\n"
    assert cli("stats", JIRA_CACHE_ADMIN__LISTEN="127.0.0.1:0") == (2, "", line)


def test_another_server_is_told_from_an_admin_listener(cli):
    class Other:
        def app(self):
            return web.Application()

    with listening(Other()) as url:
        line = f"{url}: is not the admin listener of a jira-cache (it answers 404)\n"
        assert cli("purge", "--all", "--admin", url) == (2, "", line)
