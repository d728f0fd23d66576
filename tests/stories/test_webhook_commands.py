"""The webhooks commands, against a Jira that keeps webhooks as Cloud, both Data Centers and apps have them."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from dataclasses import dataclass, field

import pytest
import yaml
from aiohttp import web
from click.testing import CliRunner

from proxy.cli import main
from proxy.hooks.events import CLOUD, DATA_CENTER, DYNAMIC

SECRET = "of both sides"
ADMIN, APP = "admin@example.com:token", "Bearer of-an-app"
ISSUE = "/rest/api/2/issue/PROJ-1"
UPDATED = {"webhookEvent": "jira:issue_updated", "issue": {"id": "10001", "key": "PROJ-1", "fields": {}}}
CLASSIC, MODERN, APPS = "/rest/webhooks/1.0/webhook", "/rest/jira-webhook/1.0/webhooks", "/rest/api/3/webhook"
KINDS = ["cloud", "data-center-9", "data-center-10", "dynamic"]
SECRETLESS = "data-center-9"
DAY = 86_400


@dataclass
class Jira:
    """A Jira of one kind: what it keeps of webhooks, what it refuses, and how it signs what it announces."""

    kind: str
    hooks: dict[int, dict] = field(default_factory=dict)
    refuses: tuple[int, object] | None = None
    now: float = 1_800_000_000.0

    def __post_init__(self):
        self.path = {"data-center-10": MODERN, "dynamic": APPS}.get(self.kind, CLASSIC)

    async def handle(self, request: web.BaseRequest) -> web.Response:
        raw = await request.read()
        said = json.loads(raw) if raw else {}
        if request.path == "/rest/api/2/serverInfo":
            return web.json_response(self._server())
        if self.refuses is not None:
            status, told = self.refuses
            return (
                web.json_response(told, status=status)
                if isinstance(told, dict)
                else web.Response(text=told, status=status)
            )
        if request.headers.get("Authorization") != self._login():
            return web.json_response({"errorMessages": ["You are not an administrator."], "errors": {}}, status=403)
        if not request.path.startswith(self.path):
            return web.json_response({"message": "null for uri"}, status=404)
        return self._dynamic(request, said) if self.kind == "dynamic" else self._admin(request, said)

    def _server(self):
        cloud = self.kind in {"cloud", "dynamic"}
        version = [9, 12, 1] if self.kind == "data-center-9" else [10, 3, 0]
        return {"deploymentType": "Cloud" if cloud else "Server", "versionNumbers": [1001, 0, 0] if cloud else version}

    def _login(self):
        return APP if self.kind == "dynamic" else "Basic " + base64.b64encode(ADMIN.encode()).decode()

    def _admin(self, request, said):
        known = CLOUD if self.kind == "cloud" else DATA_CENTER
        if unknown := set(said.get("events", ())) - set(known):
            message = {"severity": "ERROR", "key": "webhooks.unknown.event", "message": f"Unknown event {min(unknown)}"}
            return web.json_response({"messages": [message]}, status=400)
        number = int(request.path.rpartition("/")[2]) if request.path != self.path else None
        match request.method:
            case "GET":
                return web.json_response([self._shown(each) for each in self.hooks])
            case "POST":
                return web.json_response(self._shown(self._keep(said)), status=201)
            case "PUT":
                self.hooks[number].update(said)
                return web.json_response(self._shown(number))
            case "DELETE":
                del self.hooks[number]
                return web.Response(status=204)

    def _shown(self, number):
        hook = {name: value for name, value in self.hooks[number].items() if name != "secret"}
        if self.kind == "data-center-10":
            return hook | {"id": number, "configuration": {"EXCLUDE_BODY": "false"}}
        return hook | {"self": f"http://jira{CLASSIC}/{number}", "enabled": hook.get("enabled", True)}

    def _dynamic(self, request, said):
        match request.method, request.path:
            case "GET", _:
                return web.json_response(self._page(int(request.query["startAt"])))
            case "POST", _:
                return web.json_response({"webhookRegistrationResult": [self._one(said["url"], said["webhooks"][0])]})
            case "PUT", path if path.endswith("/refresh"):
                for number in said["webhookIds"]:
                    self.hooks[number]["expirationDate"] = self._in_30_days()
                return web.json_response({"expirationDate": self._in_30_days()})
            case "DELETE", _:
                for number in said["webhookIds"]:
                    self.hooks.pop(number, None)
                return web.Response(status=202)

    def _one(self, url, wanted):
        if not wanted["jqlFilter"] or " is " in wanted["jqlFilter"].lower():
            return {"errors": ["The JQL filter is not supported"]}
        if set(wanted["events"]) - set(DYNAMIC):
            return {"errors": ["Some events are not supported"]}
        return {"createdWebhookId": self._keep({"url": url, **wanted, "expirationDate": self._in_30_days()})}

    def _page(self, start):
        numbers = list(self.hooks)[start : start + 1]
        values = [{"id": number, **self.hooks[number]} for number in numbers]
        return {"values": values, "startAt": start, "isLast": start + 1 >= len(self.hooks)}

    def _in_30_days(self):
        return time.strftime("%Y-%m-%dT%H:%M:%S.000+0000", time.gmtime(self.now + 30 * DAY))

    def _keep(self, said):
        number = max(self.hooks, default=0) + 1
        self.hooks[number] = said
        return number

    def announcement(self, said):
        """Make a delivery as this Jira does: its URL, body and headers, signed with what was given as a secret."""
        [hook] = self.hooks.values()
        body = json.dumps(said).encode()
        headers = {"Content-Type": "application/json"}
        if self.kind == "cloud":
            headers["X-Hub-Signature"] = _signed(hook["secret"], body)
        elif self.kind == "data-center-10":
            headers["X-Hub-Signature"] = _signed(hook["configuration"]["SECRET"], body)
        elif self.kind == "dynamic":
            headers["Authorization"] = f"Bearer {_token(SECRET)}"
        return hook["url"], body, headers


def _signed(secret, body):
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def _token(secret):
    head, claims = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
        for part in ({"alg": "HS256", "typ": "JWT"}, {"iss": "client", "exp": int(time.time()) + 300})
    )
    digest = hmac.new(secret.encode(), head + b"." + claims, hashlib.sha256).digest()
    return b".".join((head, claims, base64.urlsafe_b64encode(digest).rstrip(b"="))).decode()


@pytest.fixture
async def new_jira(stack):
    async def start(kind) -> tuple[Jira, str]:
        jira = Jira(kind)
        runner = web.ServerRunner(web.Server(jira.handle, access_log=None), shutdown_timeout=0.1)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return jira, f"http://127.0.0.1:{runner.addresses[0][1]}"

    return start


@dataclass
class Setting:
    """A Jira, a proxy that runs, and the commands as an operator has them, with the proxy's configuration."""

    jira: Jira
    proxy: object
    file: object
    tenants: dict

    async def run(self, *words, **environ):
        login = APP if self.jira.kind == "dynamic" else ADMIN
        api = ["--api", "dynamic"] if self.jira.kind == "dynamic" else []
        self.file.write_text(yaml.safe_dump({"tenants": self.tenants}))
        given = {"JIRA_ADMIN_CREDENTIAL": login, "JIRA_URL": None, "REDIS_URL": None} | environ
        arguments = ["webhooks", *words, *api, "--config", str(self.file)]
        return await asyncio.to_thread(CliRunner().invoke, main, arguments, env=given)

    async def json(self, *words):
        return json.loads((await self.run(*words, "--json")).stdout)


@pytest.fixture
async def set_up(new_jira, new_proxy, origin, tmp_path):
    async def start(kind, **settings) -> Setting:
        jira, url = await new_jira(kind)
        secret = None if kind == SECRETLESS else SECRET
        proxy = await new_proxy(tenants={"default": {"upstream": origin.url, "webhook_secret": secret}})
        tenant = {"upstream": url, "webhook_secret": secret, "public_url": proxy.url} | settings
        return Setting(jira, proxy, tmp_path / "operators.yaml", {"default": tenant})

    return start


@pytest.fixture(params=KINDS)
async def setting(request, set_up):
    return await set_up(request.param)


async def test_what_jira_announces_after_register_is_applied(setting, origin):
    done = await setting.run("register")
    url = f"{setting.proxy.url}/-/webhooks/default"
    assert (done.exit_code, done.stdout) == (0, f"default: created webhook 1 ({setting.jira.kind}) to {url}\n")
    origin.issue("PROJ-1", "old")
    await setting.proxy.get(ISSUE)
    assert (await setting.proxy.get(ISSUE)).why == "fresh"
    where, body, headers = setting.jira.announcement(UPDATED)
    async with setting.proxy.session.post(where, data=body, headers=headers) as answer:
        assert (answer.status, await answer.json()) == (200, {"status": "applied"})
    assert (await setting.proxy.get(ISSUE)).why == "invalidated"


async def test_to_register_again_leaves_one_webhook_as_it_should_be(setting):
    await setting.run("register")
    first = dict(setting.jira.hooks)
    again = await setting.json("register")
    assert (again["action"], again["id"]) == ("updated", "1")
    assert setting.jira.hooks.keys() == first.keys()


async def test_registering_mends_what_somebody_changed_and_removes_doubles(setting):
    await setting.run("register")
    url = setting.jira.hooks[1]["url"]
    asleep = {"active" if setting.jira.kind == "data-center-10" else "enabled": False}
    setting.jira.hooks[1] |= {"events": ["jira:issue_created"]} | asleep
    setting.jira.hooks[2] = {"name": "ours too", "url": f"{url}?x=1", "events": []}
    setting.jira.hooks[3] = {"name": "somebody else's", "url": "https://elsewhere.example/hook", "events": []}
    told = await setting.json("register")
    wanted = {"dynamic": DYNAMIC, "cloud": CLOUD}.get(setting.jira.kind, DATA_CENTER)
    [left] = [hook for number, hook in setting.jira.hooks.items() if number != 3]
    assert set(left["events"]) == set(wanted)
    assert told["removed"] == ["2"]
    assert setting.jira.hooks[3]["url"] == "https://elsewhere.example/hook"
    [shown] = [hook for hook in (await setting.json("list"))["webhooks"] if hook["ours"]]
    assert shown["enabled"] is True or setting.jira.kind == "dynamic"


async def test_list_shows_all_and_marks_ours(setting):
    setting.jira.hooks[7] = {"name": "theirs", "url": "https://elsewhere.example/", "events": ["user_created"]}
    before = await setting.run("list")
    assert "none of these leads to this proxy" in before.stderr
    await setting.run("register")
    lines = (await setting.run("list")).stdout.splitlines()
    assert [line[0] for line in lines[1:]] == [" ", "*"]
    theirs, mine = (await setting.json("list"))["webhooks"]
    assert (theirs["id"], theirs["ours"], mine["id"], mine["ours"]) == ("7", False, "8", True)
    assert (mine["expires"] is not None) is (setting.jira.kind == "dynamic")


async def test_remove_removes_ours_and_nothing_else(setting):
    setting.jira.hooks[7] = {"name": "theirs", "url": "https://elsewhere.example/", "events": []}
    await setting.run("register")
    assert (await setting.json("remove"))["removed"] == ["8"]
    assert list(setting.jira.hooks) == [7]
    assert "nothing" in (await setting.run("remove")).stdout


async def test_the_secret_is_told_to_jira_and_to_nobody_else(setting):
    outputs = [await setting.run(command) for command in ("register", "list", "test", "remove")]
    shown = "".join(output.output for output in outputs)
    assert SECRET not in shown
    assert "token" not in shown.replace("an app's token", "")


async def test_an_apps_webhooks_live_for_another_30_days_when_refreshed(set_up):
    setting = await set_up("dynamic")
    await setting.run("register")
    setting.jira.now += 29 * DAY
    told = await setting.json("refresh")
    assert told["refreshed"] == ["1"]
    assert told["expires"] == setting.jira.hooks[1]["expirationDate"] == setting.jira._in_30_days()


async def test_there_is_nothing_to_refresh_before_something_is_registered(set_up):
    setting = await set_up("dynamic")
    done = await setting.run("refresh")
    assert done.exit_code == 2
    assert "so register one" in done.stderr
    assert len(done.stderr.splitlines()) == 1


# bad input ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "refusal", "shown"),
    [
        ("cloud", (403, {"errorMessages": ["Administrators only."], "errors": {}}), "(403): Administrators only."),
        ("cloud", (400, {"errorMessages": [], "errors": {"url": "must be HTTPS"}}), "(400): url: must be HTTPS"),
        ("data-center-9", (409, {"messages": [{"message": "Not\n unique"}]}), "(409): Not unique"),
        ("data-center-10", (400, {"errors": [{"context": "url", "message": "No loopback"}]}), "(400): No loopback"),
        ("dynamic", (403, {"errorMessages": ["Only apps may."]}), "(403): Only apps may."),
        ("cloud", (401, "<html>Log in</html>"), "(401): the credential is not accepted"),
        ("cloud", (500, "<html>oops</html>"), "(500): without a reason"),
    ],
)
async def test_a_refusal_is_shown_in_jiras_own_words_and_nothing_is_registered(set_up, kind, refusal, shown):
    setting = await set_up(kind)
    setting.jira.refuses = refusal
    done = await setting.run("register")
    assert (done.exit_code, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert line.endswith(f"Jira refuses {shown}")
    assert not setting.jira.hooks


async def test_a_refusal_of_an_app_comes_with_a_good_status_and_is_seen_all_the_same(set_up, monkeypatch):
    monkeypatch.setattr("proxy.hooks.api._EVERY_ISSUE", "project is not EMPTY")
    setting = await set_up("dynamic")
    done = await setting.run("register")
    assert done.exit_code == 2
    assert done.stderr.endswith("Jira refuses: The JQL filter is not supported\n")


async def test_a_data_center_that_signs_nothing_is_not_given_a_secret(set_up):
    setting = await set_up("data-center-9", webhook_secret=SECRET)
    done = await setting.run("register")
    assert done.exit_code == 2
    assert "Data Center before 10 signs nothing" in done.stderr
    assert not setting.jira.hooks


@pytest.mark.parametrize(
    ("settings", "words", "environ", "line"),
    [
        (
            {"public_url": None},
            (),
            {},
            "tenants.default.public_url: is needed, so that Jira finds the proxy; or give --url",
        ),
        ({}, ("--url", "nowhere"), {}, "--url: 'nowhere' is not an http or https URL (try https://jira.example.com)"),
        ({}, ("--tenant", "acme"), {}, "--tenant: 'acme' is not known (known: default)"),
        ({}, (), {"JIRA_ADMIN_CREDENTIAL": "x"}, "--credential: should be email:token, or 'Basic ...' or 'Bearer ...'"),
        (
            {},
            (),
            {"JIRA_ADMIN_CREDENTIAL": None},
            "a login of an administrator is needed: --credential or $JIRA_ADMIN_CREDENTIAL",
        ),
        ({"upstream": "http://127.0.0.1:1"}, (), {}, "http://127.0.0.1:1: Jira cannot be reached"),
    ],
)
async def test_a_mistake_is_one_line_and_exit_code_2(set_up, settings, words, environ, line):
    setting = await set_up("cloud", **settings)
    done = await setting.run("register", *words, **environ)
    assert (done.exit_code, done.stdout, done.stderr) == (2, "", f"{line}\n")
    assert not setting.jira.hooks


async def test_with_several_tenants_one_has_to_be_named(set_up):
    setting = await set_up("cloud")
    setting.tenants["acme"] = {**setting.tenants["default"], "path_prefix": "/acme"}
    done = await setting.run("register")
    assert (done.exit_code, done.stderr) == (2, "--tenant: say which (known: acme, default)\n")
    setting.tenants["acme"]["public_url"] += "/acme"
    assert (await setting.json("register", "--tenant", "acme"))["url"] == f"{setting.proxy.url}/-/webhooks/acme"


# test -----------------------------------------------------------------------------------------------------------------


async def test_a_sample_is_applied_and_changes_no_more_than_lists_of_filters(setting, origin):
    origin.issue("PROJ-1", "one")
    origin.on("GET", "/rest/api/2/filter/favourite", lambda _: web.json_response([], headers={"X-AUSERNAME": "alice"}))
    for path in (ISSUE, "/rest/api/2/filter/favourite"):
        await setting.proxy.get(path)
    done = await setting.run("test")
    assert done.exit_code == 0
    assert done.stdout.startswith("default: applied in ")
    assert ("nobody signed" in done.stderr) is (setting.jira.kind == SECRETLESS)
    assert (await setting.proxy.get(ISSUE)).why == "fresh"
    assert (await setting.proxy.get("/rest/api/2/filter/favourite")).why == "invalidated"


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"webhook_secret": "another"}, "refuses the signature: it has another webhook_secret than this configuration"),
        ({"webhook_secret": None}, "refuses the signature: it has another webhook_secret than this configuration"),
        ({"public_url": "http://127.0.0.1:1"}, "cannot be reached"),
    ],
)
async def test_a_sample_that_is_not_applied_says_why(set_up, settings, line):
    setting = await set_up("cloud", **settings)
    done = await setting.run("test")
    assert (done.exit_code, done.stdout) == (2, "")
    [said] = done.stderr.splitlines()
    assert said.endswith(f"/-/webhooks/default: {line}")


async def test_a_sample_for_a_tenant_that_the_proxy_does_not_have_says_so(set_up):
    setting = await set_up("cloud")
    setting.tenants = {"acme": setting.tenants["default"]}
    done = await setting.run("test")
    assert (done.exit_code, done.stderr) == (2, f"{setting.proxy.url}/-/webhooks/acme: has no tenant of this name\n")


async def test_a_sample_that_something_else_takes_says_so(set_up, origin):
    setting = await set_up("cloud", public_url=origin.url)
    done = await setting.run("test")
    assert (done.exit_code, done.stderr) == (
        2,
        f"{origin.url}/-/webhooks/default: is not a jira-cache (it answers 404)\n",
    )
