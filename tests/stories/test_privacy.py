"""No one sees what Jira would not show them."""

import asyncio
import io
from functools import partial

import pytest
from aiohttp import web

from proxy.access import AccessLog

pytestmark = pytest.mark.usefixtures("both_ways")

ISSUE = "/rest/api/2/issue/PROJ-1"


async def test_the_first_question_is_a_miss_and_the_second_a_hit(proxy, origin):
    origin.issue("PROJ-1", "first")
    first, second = await proxy.get(ISSUE), await proxy.get(ISSUE)
    assert [first.why, second.why] == ["miss", "fresh"]
    assert first.body == second.body
    assert origin.calls() == 1


async def test_two_users_never_see_each_others_answers(proxy, origin):
    origin.issue("PROJ-1", "for both")
    origin.issue("PROJ-2", "for alice alone", readers=["alice"])
    for _ in range(3):
        assert (await proxy.get("/rest/api/2/issue/PROJ-2", "alice")).json()["fields"]["summary"] == "for alice alone"
        assert (await proxy.get("/rest/api/2/issue/PROJ-2", "bob")).status == 404
        assert (await proxy.get(ISSUE, "alice")).json()["fields"]["watches"]["isWatching"] is True
        assert (await proxy.get(ISSUE, "bob")).json()["fields"]["watches"]["isWatching"] is False
    assert origin.calls() == 4


async def test_an_anonymous_caller_gets_nobodys_answers(proxy, origin):
    origin.issue("PROJ-1", "members only")
    assert (await proxy.get(ISSUE)).status == 200
    assert (await proxy.get(ISSUE, user=None)).status == 404
    assert (await proxy.get(ISSUE)).why == "fresh"


@pytest.mark.parametrize("scope", ["credential", "account", "tenant"])
async def test_a_wrong_password_never_gets_an_answer_from_cache(new_proxy, origin, scope):
    proxy = await new_proxy(policies={"issue": {"scope": scope}})
    origin.issue("PROJ-1", "secret")
    await proxy.get(ISSUE)
    for _ in range(2):
        refused = await proxy.get(ISSUE, password="wrong")
        assert (refused.status, refused.why) == (404, "login-failed")
        assert b"secret" not in refused.body
    assert (await proxy.get(ISSUE)).why == "fresh"


async def test_what_a_wrong_password_got_is_not_what_the_right_one_gets_later(proxy, origin):
    origin.issue("PROJ-1", "secret")
    origin.users["alice"] = "changed"
    assert (await proxy.get(ISSUE)).status == 404
    origin.users["alice"] = "sesame"
    assert (await proxy.get(ISSUE)).status == 200


async def test_a_credential_that_jira_refuses_loses_its_lease(proxy, origin):
    origin.issue("PROJ-1", "seen")
    origin.issue("PROJ-2", "asked for after the password changed")
    await proxy.get(ISSUE)
    origin.users["alice"] = "changed"
    assert (await proxy.get(ISSUE)).why == "fresh"  # within the lease
    assert (await proxy.get("/rest/api/2/issue/PROJ-2")).why == "login-failed"
    assert (await proxy.get(ISSUE)).status == 404  # no lease, no hit


async def test_with_scope_account_two_credentials_of_one_account_share(new_proxy, origin):
    proxy = await new_proxy(policies={"issue": {"scope": "account"}})
    origin.issue("PROJ-1", "shared")
    origin.issue("PROJ-2", "makes the second credential known")
    origin.on("GET", "/rest/api/2/myself", lambda request: origin._jira(request, "GET", ISSUE, b""))
    await proxy.get(ISSUE, "alice")
    lowercase = {"Authorization": "basic YWxpY2U6c2VzYW1l"}  # Jira takes it for the same; to us it is another
    origin._login = lambda request: ("alice", False)
    await proxy.get("/rest/api/2/issue/PROJ-2", user=None, headers=lowercase)
    assert (await proxy.get(ISSUE, user=None, headers=lowercase)).why == "fresh"


async def test_private_headers_of_one_answer_are_never_told_again(proxy, origin):
    origin.issue("PROJ-1", "with cookies")
    first, second = await proxy.get(ISSUE), await proxy.get(ISSUE)
    assert first.headers["Set-Cookie"] == "JSESSIONID=alice1; Path=/"
    assert first.headers["X-AUSERNAME"] == "alice"
    for name in ("Set-Cookie", "X-AUSERNAME", "X-AREQUESTID"):
        assert name not in second.headers


async def test_those_who_share_a_trip_do_not_share_its_private_headers(proxy, origin):
    origin.issue("PROJ-1", "with cookies")
    await proxy.get("/rest/api/2/issue/PROJ-9")  # alice has a lease now
    origin.open.clear()
    tasks = [asyncio.create_task(proxy.get(ISSUE)) for _ in range(10)]
    await origin.arrived.wait()
    origin.open.set()
    answers = await asyncio.gather(*tasks)
    assert sum("Set-Cookie" in answer.headers for answer in answers) == 1
    assert len({answer.body for answer in answers}) == 1


async def test_a_session_that_becomes_somebody_elses_starts_afresh(proxy, origin):
    origin.issue("PROJ-1", "alice's", readers=["alice"])
    session = {"Cookie": "JSESSIONID=1"}
    origin._login = lambda request: ("alice", False)
    assert (await proxy.get(ISSUE, None, headers=session)).status == 200
    origin._login = lambda request: ("bob", False)
    other = await proxy.get("/rest/api/2/issue/PROJ-2", None, headers=session)
    assert other.why == "account-changed"
    assert (await proxy.get(ISSUE, None, headers=session)).status == 404


async def test_an_answer_that_names_no_account_proves_nothing_where_jira_names_them(proxy, origin):
    origin.issue("PROJ-1", "one")
    await proxy.get(ISSUE)
    origin.names_accounts = False
    assert (await proxy.get("/rest/api/2/issue/PROJ-1?fields=summary")).why == "account-unnamed"
    assert (await proxy.get("/rest/api/2/issue/PROJ-1?fields=summary")).why == "account-unnamed"


async def test_where_jira_never_names_accounts_an_answer_without_a_failed_login_is_kept(proxy, origin):
    origin.names_accounts = False
    origin.issue("PROJ-1", "one")
    await proxy.get(ISSUE)
    assert (await proxy.get(ISSUE)).why == "fresh"
    assert (await proxy.get(ISSUE, "bob")).why == "miss"


@pytest.mark.parametrize(
    ("path", "headers", "why"),
    [
        (ISSUE, {"Authorization": "JWT abc.def.ghi"}, "changing-credential"),
        (f"{ISSUE}?jwt=abc.def.ghi", {}, "query-credential"),
        (f"{ISSUE}?os_username=alice&os_password=sesame", {}, "query-credential"),
    ],
)
async def test_who_cannot_be_known_again_is_not_cached_for(proxy, origin, path, headers, why):
    origin.issue("PROJ-1", "one", readers=["anonymous"])
    for _ in range(2):
        assert (await proxy.get(path, None, headers=headers)).why == why
    assert origin.calls() == 2


async def test_nothing_of_a_credential_is_logged(monkeypatch, caplog, new_proxy, origin):
    caplog.set_level("DEBUG")
    stderr = io.StringIO()
    monkeypatch.setattr("proxy.app.AccessLog", partial(AccessLog, stream=stderr))
    proxy = await new_proxy()
    origin.issue("PROJ-1", "one")
    await proxy.get(ISSUE)
    await proxy.get(ISSUE, None, headers={"Cookie": "JSESSIONID=verysecretsession"})
    await proxy.get(ISSUE, None, headers={"X-Request-Id": "a name", "traceparent": "sesame"})
    logged = caplog.text + stderr.getvalue()
    assert '"type":"issue"' in logged
    assert not any(said in logged for said in ("YWxpY2U6c2VzYW1l", "sesame", "verysecretsession", "PROJ-1"))


def _by_session(origin):
    """Let the origin log callers in by a session's cookie alone, whatever else they present."""

    def login(request):
        crumbs = request.headers.get("Cookie", "").split("; ")
        user = next((crumb.removeprefix("JSESSIONID=") for crumb in crumbs if crumb.startswith("JSESSIONID=")), None)
        return (user or "anonymous"), False

    origin._login = login


@pytest.mark.parametrize("names_accounts", [True, False])
@pytest.mark.parametrize(
    "shared",
    [
        {"Authorization": "Basic dGVhbTpnYXRl"},
        {"Authorization": "Bearer gate"},
        {"Authorization": ""},
        {"X-Api-Key": "k"},
    ],
)
async def test_a_key_that_many_share_does_not_hide_whose_session_comes_with_it(proxy, origin, shared, names_accounts):
    origin.names_accounts = names_accounts
    _by_session(origin)
    origin.issue("PROJ-1", "alice's", readers=["alice"])
    for _ in range(2):
        assert (await proxy.get(ISSUE, None, headers=shared | {"Cookie": "JSESSIONID=alice"})).status == 200
        assert (await proxy.get(ISSUE, None, headers=shared | {"Cookie": "JSESSIONID=bob"})).status == 404
    assert (await proxy.get(ISSUE, None, headers=shared | {"Cookie": "JSESSIONID=alice"})).why == "fresh"


async def test_a_new_session_of_a_known_authorization_costs_one_trip_and_finds_what_the_others_asked_for(proxy, origin):
    origin.issue("PROJ-1", "one")
    origin.issue("PROJ-2", "other")
    await proxy.get(ISSUE, headers={"Cookie": "JSESSIONID=1"})
    assert (await proxy.get("/rest/api/2/issue/PROJ-2", headers={"Cookie": "JSESSIONID=2"})).why == "miss"
    assert (await proxy.get(ISSUE, headers={"Cookie": "JSESSIONID=2"})).why == "fresh"


@pytest.mark.parametrize("names_accounts", [True, False])
@pytest.mark.parametrize("header", ["X-Impersonate", "iv-user", "X-Forwarded-Email"])
async def test_whom_a_header_nobody_told_us_of_impersonates_sees_only_their_own(proxy, origin, header, names_accounts):
    origin.names_accounts = names_accounts
    origin._login = lambda request: (request.headers.get(header, "alice"), False)
    origin.issue("PROJ-1", "alice's", readers=["alice"])
    for _ in range(2):
        assert (await proxy.get(ISSUE, headers={header: "alice"})).status == 200
        assert (await proxy.get(ISSUE, headers={header: "bob"})).status == 404
        assert (await proxy.get(ISSUE, None, headers={header: "carol"})).status == 404


async def test_an_answer_to_a_header_we_do_not_know_is_not_told_to_those_who_did_not_send_it(proxy, origin):
    origin.on("GET", ISSUE, lambda request: web.json_response({"told": request.headers.get("X-Original-URL")}))
    first = await proxy.get(ISSUE, None, headers={"X-Original-URL": "/poisoned"})
    second = await proxy.get(ISSUE, None)
    assert (first.json(), second.json()) == ({"told": "/poisoned"}, {"told": None})


@pytest.mark.parametrize("named", ["accept-language", "X-Atlassian-Thing"])
async def test_a_header_that_is_for_us_alone_does_not_choose_where_an_answer_is_kept(proxy, origin, named):
    origin.on("GET", ISSUE, lambda request: web.json_response({"told": request.headers.get(named)}))
    dropped = await proxy.get(ISSUE, None, headers={named: "de", "Connection": named})
    sent = await proxy.get(ISSUE, None, headers={named: "de"})
    assert (dropped.json(), sent.json()) == ({"told": None}, {"told": "de"})


async def test_a_credential_that_is_for_us_alone_gives_no_lease(new_proxy, origin):
    proxy = await new_proxy(policies={"issue": {"scope": "tenant"}})
    origin.issue("PROJ-1", "members'", readers=["alice"])
    origin.issue("PROJ-2", "everybody's", readers=["alice", "anonymous"])
    origin.names_accounts = False
    await proxy.get(ISSUE)
    stranger = {"Authorization": "Basic bm9ib2R5OndpdGhvdXQ=", "Connection": "authorization"}
    assert (await proxy.get("/rest/api/2/issue/PROJ-2", None, headers=stranger)).status == 200
    assert (await proxy.get(ISSUE, None, headers=stranger)).status == 404


@pytest.mark.parametrize("user", ["alice", None])
async def test_a_redis_that_served_another_jira_before_gives_nothing_of_it(
    new_proxy, new_origin, redis_url, tenant, user
):
    for told in ("test system", "production"):
        jira = await new_origin()
        jira.issue("PROJ-1", told, readers=["alice", "anonymous"])
        proxy = await new_proxy(store={"url": redis_url}, tenants={tenant: {"upstream": jira.url}})
        for why in ("miss", "fresh"):
            answer = await proxy.get(ISSUE, user)
            assert (answer.json()["fields"]["summary"], answer.why) == (told, why)
