"""Signing in at the admin listener: a link that is good once, then a cookie."""

import asyncio
import hashlib
import json
import re
from http.cookies import SimpleCookie
from urllib.parse import parse_qs, urlsplit

import pytest
import redis
from click.testing import CliRunner
from yarl import URL

from proxy.cli import main

TOKEN = "the admin's own token"
UNSIGNED = "a bearer token is required, or a link of `jira-cache admin-link`"
STALE = "this link was used, has expired, or never was one; `jira-cache admin-link` prints a new one\n"


class Browser:
    """Asks an admin listener, with the cookies it was given, and says where the page is that makes it ask."""

    def __init__(self, proxy) -> None:
        self.url = f"http://{proxy.running.admin}"
        self.cookies = SimpleCookie()
        self._session = proxy.session

    async def ask(self, method, target, **headers):
        url = target if str(target).startswith("http") else self.url + target
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={cookie.value}" for name, cookie in self.cookies.items())
        body = b'{"all": true}' if method == "POST" else None
        if method == "POST":
            sent = {"Content-Type": "application/json"} | sent
        async with self._session.request(method, url, data=body, headers=sent, allow_redirects=False) as answer:
            self.cookies.update(answer.cookies)
            return answer.status, answer.headers, await answer.text()

    async def status(self, method, target, **headers) -> int:
        return (await self.ask(method, target, **headers))[0]


async def command(url, *arguments):
    done = await asyncio.to_thread(CliRunner().invoke, main, ["admin-link", "--admin", url, *arguments])
    return done.exit_code, done.stdout, done.stderr


async def new_link(browser) -> str:
    code, link, complaint = await command(browser.url, "--token", TOKEN)
    assert (code, complaint) == (0, "")
    return link.strip()


def token_of(link: str) -> str:
    return parse_qs(urlsplit(link).query)["token"][0]


@pytest.fixture(params=["memory", "redis"])
def store(request) -> dict:
    return {"url": "memory://" if request.param == "memory" else request.getfixturevalue("redis_url")}


@pytest.fixture
def new_guarded(new_proxy):
    """Start proxies whose admin listener wants a token."""
    return lambda store, **admin: new_proxy(store=store, admin={"listen": "127.0.0.1:0", "token": TOKEN} | admin)


@pytest.fixture
async def browser(new_guarded, store):
    return Browser(await new_guarded(store))


@pytest.fixture
async def signed_in(browser):
    assert await browser.status("GET", await new_link(browser)) == 303
    return browser


async def test_a_link_signs_a_browser_in(browser):
    assert await browser.status("GET", "/") == 401
    link = await new_link(browser)
    assert link.startswith(f"{browser.url}/sign-in?token=")
    status, headers, _ = await browser.ask("GET", link)
    assert (status, headers["Location"]) == (303, "/")
    assert (headers["Cache-Control"], headers["Referrer-Policy"]) == ("no-store", "no-referrer")
    status, headers, page = await browser.ask("GET", "/")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'; script-src 'self'" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"
    for target in ("/metrics", "/api/stats"):
        assert f'href="{target}"' in page
        assert await browser.status("GET", target) == 200


async def test_a_link_is_good_once(browser, new_guarded):
    link = await new_link(browser)
    assert await browser.status("HEAD", link) == 405  # whoever only looks does not use it up
    assert await browser.status("GET", link) == 303
    browser.cookies.clear()
    status, headers, said = await browser.ask("GET", link)
    assert (status, said) == (403, STALE)
    assert "Set-Cookie" not in headers


async def test_of_many_who_follow_one_link_one_gets_in(browser):
    link = await new_link(browser)
    statuses = await asyncio.gather(*(browser.status("GET", link) for _ in range(10)))
    assert sorted(statuses) == [303, *[403] * 9]


async def test_a_browser_without_a_session_is_told_how_to_get_one(browser):
    status, headers, page = await browser.ask("GET", "/", Accept="text/html,*/*")
    assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
    assert "jira-cache admin-link" in page
    assert await browser.status("GET", "/api/about", Accept="text/html,*/*") == 401


async def test_the_files_of_the_page_are_no_secret_and_nothing_else_is_a_file(browser):
    for name in re.findall(r'"/assets/([^"]+)"', await page_of(browser)):
        status, headers, _ = await browser.ask("GET", f"/assets/{name}")
        assert (status, headers["X-Content-Type-Options"]) == (200, "nosniff")
    assert "MIT License" in (await browser.ask("GET", "/assets/uPlot.LICENSE.txt"))[2]
    for name in ("nothing", "..%2fadmin.py", "../../config.yaml"):
        assert await browser.status("GET", URL(f"{browser.url}/assets/{name}", encoded=True)) in {401, 404}


async def page_of(browser) -> str:
    await browser.ask("GET", await new_link(browser))
    page = (await browser.ask("GET", "/"))[2]
    browser.cookies.clear()
    return page


async def test_the_page_is_told_what_there_is_to_choose_from(signed_in):
    about = json.loads((await signed_in.ask("GET", "/api/about"))[2])
    assert (about["tenants"], about["signed_in"]) == (["default"], True)
    assert {"issue", "search"} <= set(about["types"])
    assert (about["outcomes"]["fresh"], about["outcomes"]["write"]) == ("hit", "write")


@pytest.mark.parametrize("query", ["", "?token=", "?token=made-up", "?token=%ff%00", "?tokens=x"])
async def test_what_is_no_link_signs_nobody_in(browser, query):
    assert (await browser.ask("GET", f"/sign-in{query}"))[::2] == (403, STALE)


async def test_the_cookie_is_out_of_reach_for_scripts_and_other_sites(signed_in):
    (cookie,) = signed_in.cookies.values()
    assert (cookie.key, cookie["path"], cookie["samesite"]) == ("jira_cache_session", "/", "Strict")
    assert cookie["httponly"]
    assert not cookie["secure"]
    assert not cookie["max-age"]
    assert not cookie["expires"]


async def test_behind_https_the_cookie_goes_by_https_only(browser):
    await browser.ask("GET", await new_link(browser), X_Forwarded_Proto="https")
    assert browser.cookies["jira_cache_session"]["secure"]


@pytest.mark.parametrize(
    ("page", "status"),
    [
        ({"Sec_Fetch_Site": "same-origin"}, 200),
        ({"Sec_Fetch_Site": "same-origin", "Origin": "{url}"}, 200),
        ({"Origin": "{url}"}, 200),
        ({}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Origin": "{url}", "Sec_Fetch_Site": "same-site"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "none"}, 403),
        ({"Origin": "{url}", "Content_Type": "text/plain"}, 415),
    ],
)
async def test_with_a_session_only_a_page_of_this_listener_may_order_anything(signed_in, page, status):
    headers = {name: value.format(url=signed_in.url) for name, value in page.items()}
    assert await signed_in.status("POST", "/api/purge", **headers) == status


async def test_who_has_the_token_need_not_say_which_page_it_is(signed_in):
    assert await signed_in.status("POST", "/api/purge", Authorization=f"Bearer {TOKEN}") == 200


async def test_signing_out_ends_the_session_and_takes_the_cookie(signed_in):
    stolen = signed_in.cookies["jira_cache_session"].value
    assert await signed_in.status("POST", "/sign-out", Sec_Fetch_Site="cross-site") == 403
    assert await signed_in.status("GET", "/") == 200
    assert await signed_in.status("POST", "/sign-out", Sec_Fetch_Site="same-origin") == 200
    assert signed_in.cookies["jira_cache_session"].value == ""
    signed_in.cookies["jira_cache_session"] = stolen
    status, _, said = await signed_in.ask("GET", "/")
    assert (status, UNSIGNED in said) == (401, True)


@pytest.mark.parametrize("cookie", ["made-up", "", "*"])
async def test_a_made_up_cookie_is_no_session(browser, cookie):
    await new_link(browser)
    browser.cookies["jira_cache_session"] = cookie
    assert await browser.status("GET", "/api/stats") == 401


async def test_the_token_of_a_link_is_no_session(browser):
    browser.cookies["jira_cache_session"] = token_of(await new_link(browser))
    assert await browser.status("GET", "/api/stats") == 401


@pytest.mark.parametrize("authorization", ["", "Bearer wrong"])
async def test_only_who_is_let_in_can_let_others_in(browser, authorization):
    assert await browser.status("POST", "/api/sign-in-links", Authorization=authorization) == 401


async def test_with_redis_any_instance_knows_who_is_signed_in(new_guarded, redis_url):
    one, other = [Browser(await new_guarded({"url": redis_url})) for _ in range(2)]
    link = await new_link(one)
    assert await other.status("GET", link.replace(one.url, other.url)) == 303
    one.cookies.update(other.cookies)
    assert await one.status("GET", "/") == 200


async def test_redis_holds_hashes_that_end_by_themselves(new_guarded, redis_url):
    browser = Browser(await new_guarded({"url": redis_url}))
    link = await new_link(browser)
    with redis.Redis.from_url(redis_url) as client:
        of_link = f"admin:token:{hashlib.sha256(token_of(link).encode()).hexdigest()}"
        assert 14 * 60 < client.ttl(of_link) <= 15 * 60
        assert await browser.status("GET", link) == 303
        assert not client.exists(of_link)
        session = browser.cookies["jira_cache_session"].value
        of_session = f"admin:session:{hashlib.sha256(session.encode()).hexdigest()}"
        assert client.get(of_session) == b'"admin"'
        client.pexpire(of_session, 5000)
        assert await browser.status("GET", "/") == 200
        assert 29 * 60 < client.ttl(of_session) <= 30 * 60
        client.pexpire(of_session, 0)
        assert await browser.status("GET", "/") == 401


async def test_an_expired_link_signs_nobody_in(new_guarded, redis_url):
    browser = Browser(await new_guarded({"url": redis_url}))
    link = await new_link(browser)
    with redis.Redis.from_url(redis_url) as client:
        assert client.pexpire(f"admin:token:{hashlib.sha256(token_of(link).encode()).hexdigest()}", 0)
    assert (await browser.ask("GET", link))[::2] == (403, STALE)


async def test_without_redis_sign_in_says_so_and_the_token_still_works(new_guarded, redis_server):
    browser = Browser(await new_guarded({"url": redis_server.url, "timeout": "2s"}))
    assert await browser.status("GET", await new_link(browser)) == 303
    link = await new_link(browser)
    redis_server.stop()
    for target in (link, "/"):
        status, _, said = await browser.ask("GET", target)
        assert (status, "the store cannot be asked" in said, "\n" in said) == (503, True, False)
    assert await browser.status("GET", "/api/stats", Authorization=f"Bearer {TOKEN}") == 200
    code, shown, complaint = await command(browser.url, "--token", TOKEN)
    assert (code, shown, complaint.count("\n")) == (2, "", 1)
    assert complaint.startswith(f"{browser.url}: the store cannot be asked: ")


async def test_without_a_token_nothing_is_asked_of_this_machine_and_the_link_works_too(new_guarded):
    browser = Browser(await new_guarded({"url": "memory://"}, token=None))
    for target in ("/", "/metrics", "/api/stats"):
        assert await browser.status("GET", target) == 200
    code, link, _ = await command(browser.url)
    assert code == 0
    assert await browser.status("GET", link.strip(), Host="evil.example") == 403
    assert await browser.status("GET", link.strip()) == 303
    assert await browser.status("POST", "/api/purge", Sec_Fetch_Site="cross-site") == 403
    assert await browser.status("POST", "/sign-out", Sec_Fetch_Site="same-origin") == 200
    browser.cookies.clear()
    assert await browser.status("POST", "/api/purge") == 200


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "the admin token is required: --token or $JIRA_CACHE_ADMIN__TOKEN"),
        (("--token", "wrong"), "the admin token is not accepted"),
    ],
)
async def test_the_command_needs_the_token(browser, monkeypatch, arguments, complaint):
    monkeypatch.delenv("JIRA_CACHE_ADMIN__TOKEN", raising=False)
    assert await command(browser.url, *arguments) == (2, "", f"{browser.url}: {complaint}\n")


async def test_the_command_says_where_nobody_answers(unused_tcp_port):
    url = f"http://127.0.0.1:{unused_tcp_port}"
    assert await command(url) == (2, "", f"{url}: cannot be reached (Connection refused)\n")


async def test_jira_does_not_get_to_see_the_session_of_a_browser_that_asks_both(new_proxy, origin):
    proxy = await new_proxy()
    path = "/secure/Dashboard.jspa"
    for cookies, told in [
        ("jira_cache_session=abc", None),
        ("a=1; jira_cache_session=abc; b=2", "a=1; b=2"),
        ("not_jira_cache_session=abc", "not_jira_cache_session=abc"),
    ]:
        await proxy.get(path, headers={"Cookie": cookies})
        assert origin.seen[-1].headers.get("Cookie") == told


async def test_the_session_of_the_admin_listener_is_no_credential_for_jira(new_proxy, origin):
    origin.issue("PROJ-1", "as it was")
    proxy = await new_proxy()
    path = "/rest/api/2/issue/PROJ-1"
    assert (await proxy.get(path)).why == "miss"
    assert (await proxy.get(path, headers={"Cookie": "jira_cache_session=abc"})).why == "fresh"


async def test_a_cookie_that_is_no_text_signs_nobody_in(new_guarded, raw):
    proxy = await new_guarded({"url": "memory://"})
    asked = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie: jira_cache_session=\xff\xfe\r\n\r\n"
    assert (await raw(f"http://{proxy.running.admin}", asked)).startswith(b"HTTP/1.1 401 ")
