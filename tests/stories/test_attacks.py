"""What an attacker tries on a cache: poisoned keys, confused paths, credentials that are no longer good."""

import hmac

import pytest
from aiohttp import web

from proxy.webhooks import is_signed
from tests.clocks import Clock

ISSUE = "/rest/api/2/issue/PROJ-1"
NAMED = {"X-AUSERNAME": "alice"}


@pytest.fixture
def echoing(origin):
    """Let the origin put all that it was asked with into its answer, as a careless app may."""

    def answer(asked):
        return web.json_response({"path": asked.raw_path, "heard": dict(asked.headers)}, headers=NAMED)

    origin.on("GET", ISSUE, answer)
    origin.on("GET", ISSUE + ";.css", answer)
    return origin


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-Host": "evil.example"},
        {"X-Forwarded-Proto": "evil"},
        {"Forwarded": "host=evil.example"},
        {"X-Host": "evil.example"},
        {"X-Original-URL": "/evil"},
        {"X-Rewrite-URL": "/evil"},
        {"X-HTTP-Method-Override": "EVIL"},
        {"X-Impersonate": "evil"},
        {"Connection": "X-AUSERNAME, X-Evil", "X-Evil": "evil"},
        {"Range": "bytes=0-0, evil"},
        {"If-None-Match": '"evil"'},
    ],
)
async def test_nothing_that_one_request_says_is_in_the_answer_to_another(proxy, echoing, headers):
    await proxy.get(ISSUE)
    await proxy.get("/rest/api/2/issue/PROJ-9")
    await proxy.get(ISSUE, headers=headers | {"X-Jira-Cache": "refresh"})
    for _ in range(2):
        assert "evil" not in (await proxy.get(ISSUE)).body.decode()


CONFUSING = [
    ISSUE + ";.css",
    "/rest/api/2//issue/PROJ-1",
    "/rest/api/2/./issue/PROJ-1",
    "/rest/api/2/x/../issue/PROJ-1",
    "/rest/api/2/issue%2FPROJ-1",
    "/rest/api/2/issue%5CPROJ-1",
    "/rest/api/2/issue/PROJ-1%00",
    "/rest/api/2/issue/PROJ-1/",
    "/rest/api/2/issue/PROJ-1.json",
    "/secure/style.css/..%2f..%2frest/api/2/issue/PROJ-1",
    "/images/icons/..%2f..%2frest/api/2/issue/PROJ-1",
]


@pytest.mark.parametrize("path", CONFUSING)
async def test_a_path_that_jira_may_read_in_another_way_is_neither_kept_nor_answered_from_what_is(
    proxy, origin, raw, path
):
    origin.issue("PROJ-1", "one")
    await proxy.get(ISSUE)
    kept = await proxy.get(ISSUE)
    assert kept.why == "fresh"
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic YWxpY2U6c2VzYW1l\r\nConnection: close\r\n\r\n"
    for asked in (1, 2):
        heard = await raw(proxy.url, request.encode())
        assert b"; hit" not in heard
        assert sum(seen.target == path for seen in origin.seen) == asked
    again = await proxy.get(ISSUE)
    assert (again.why, again.body) == ("fresh", kept.body)


async def test_a_revoked_credential_is_believed_no_longer_than_its_lease(new_proxy, origin):
    clock = Clock(1_800_000_000.0)
    tenants = {"default": {"upstream": origin.url, "lease": "60s"}}
    proxy = await new_proxy(clock=clock, world={"steady": clock}, tenants=tenants)
    origin.issue("PROJ-1", "for alice and bob")
    await proxy.get(ISSUE)
    origin.users["alice"] = "another"  # the password was changed in Jira
    clock.now += 59
    assert (await proxy.get(ISSUE)).why == "fresh"
    clock.now += 2
    refused = await proxy.get(ISSUE)
    assert (refused.status, refused.why) == (404, "login-failed")
    origin.users["alice"] = "sesame"  # and whatever follows, Jira has to accept it first
    assert (await proxy.get(ISSUE)).why != "fresh"


async def test_a_credential_that_jira_has_refused_once_is_asked_about_at_once(proxy, origin):
    origin.issue("PROJ-1", "for alice and bob")
    await proxy.get(ISSUE)
    origin.users["alice"] = "another"
    assert (await proxy.get("/rest/api/2/issue/PROJ-9")).why == "login-failed"
    assert (await proxy.get(ISSUE)).why == "login-failed"


@pytest.mark.parametrize("signature", ["sha256=", "sha256=00", "sha256=" + "0" * 64, "sha256=" + "é" * 64])
def test_a_signature_is_compared_in_constant_time(monkeypatch, signature):
    compared = _spied(monkeypatch)
    assert not is_signed("the secret", signature, b"{}")
    [(expected, given)] = compared
    assert (len(expected), given) == (64, signature.partition("=")[2].encode("utf-8", "surrogateescape"))


async def test_the_admins_token_is_compared_in_constant_time(new_proxy, session, monkeypatch):
    proxy = await new_proxy(admin={"listen": "127.0.0.1:0", "token": "the admin's own token"})
    compared = _spied(monkeypatch)
    headers = {"Authorization": "Bearer the admin's own toke"}
    async with session.get(f"http://{proxy.running.admin}/api/stats", headers=headers) as answer:
        assert answer.status == 401
    assert any(b"the admin's own token" in expected for _, expected in compared)


def _spied(monkeypatch) -> list:
    compared, compare = [], hmac.compare_digest

    def spy(one, other):
        compared.append((one, other))
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", spy)
    return compared
