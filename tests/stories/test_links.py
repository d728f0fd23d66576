"""Links lead back to the proxy, by the address that the asker knows it by, whoever else asked."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import aiohttp
import pytest
from aiohttp import web
from jira import JIRA
from yarl import URL

pytestmark = pytest.mark.usefixtures("both_ways")

ISSUE = "/rest/api/2/issue/PROJ-1"
NEVER_KEPT = "/rest/api/2/issue/picker"
JSON = {"X-AUSERNAME": "alice"}


def link(answer) -> str:
    return answer.json()["self"]


def rest_of(link: str) -> str:
    return link[link.index("/rest/") :]


@pytest.fixture
def linking(origin):
    """Let the origin answer both kinds of route with a link to itself."""
    for path in (ISSUE, NEVER_KEPT):
        origin.on("GET", path, lambda asked: web.json_response({"self": f"{origin.url}{ISSUE}"}, headers=JSON))
    return origin


@pytest.fixture(params=[ISSUE, NEVER_KEPT], ids=["cached", "passed through"])
def path(request, linking) -> str:
    return request.param


# by which address ----------------------------------------------------------------------------------------------------


async def test_a_link_names_the_address_that_the_client_used(proxy, path):
    for host in ("proxy.example", "proxy.example:8080", "[::1]:8080", "localhost"):
        assert link(await proxy.get(path, headers={"Host": host})) == f"http://{host}{ISSUE}"


async def test_a_configured_address_wins(new_proxy, origin, path):
    public = "https://jira-cache.example/base"
    proxy = await new_proxy(tenants={"default": {"upstream": origin.url, "public_url": public}})
    for headers in ({}, {"Host": "other.example"}, {"X-Forwarded-Host": "other.example"}):
        assert link(await proxy.get(path, headers=headers)) == f"{public}{ISSUE}"


@pytest.mark.parametrize(
    ("headers", "origin_of_links"),
    [
        ({"X-Forwarded-Host": "front.example"}, "http://front.example"),
        ({"X-Forwarded-Host": "front.example", "X-Forwarded-Proto": "https"}, "https://front.example"),
        ({"X-Forwarded-Proto": "HTTPS"}, "https://proxy.example"),
        ({"X-Forwarded-Proto": "javascript"}, "http://proxy.example"),
        (
            {"X-Forwarded-Host": "front.example, inner.example", "X-Forwarded-Proto": "https, http"},
            "https://front.example",
        ),
        ({"X-Forwarded-Host": "front.example:8443"}, "http://front.example:8443"),
        ({"X-Forwarded-Host": ""}, "http://proxy.example"),
    ],
)
async def test_what_proxies_in_front_say_counts(proxy, path, headers, origin_of_links):
    assert link(await proxy.get(path, headers={"Host": "proxy.example"} | headers)) == origin_of_links + ISSUE


@pytest.mark.parametrize(
    "hostile",
    [
        'evil"><script>',
        "evil.example/path",
        "user@evil.example",
        "evil.example?x=",
        "evil\\example",
        "a b",
        "evil:999999",
        "é",
    ],
)
async def test_an_address_that_is_none_is_not_written_into_answers(proxy, path, hostile):
    assert (await proxy.get(path, headers={"Host": hostile})).status == 400
    answer = await proxy.get(path, headers={"X-Forwarded-Host": hostile})
    assert answer.status == 200
    assert hostile.encode() not in answer.body
    assert "evil" not in link(answer)
    assert rest_of(link(answer)) == ISSUE


async def test_what_one_asker_calls_the_proxy_never_reaches_another(proxy, linking):
    names = [("Host", "one.example"), ("X-Forwarded-Host", "two.example"), ("Host", "three.example")]
    for header, name in [*names, *names]:
        assert link(await proxy.get(ISSUE, headers={header: name})) == f"http://{name}{ISSUE}"
    assert linking.calls() == 1


async def test_those_who_share_a_trip_each_get_their_own_address(proxy, linking):
    await proxy.get("/rest/api/2/issue/PROJ-9")  # alice has a lease now
    linking.open.clear()
    names = [f"{n}.example" for n in range(5)]
    tasks = [asyncio.create_task(proxy.get(ISSUE, headers={"Host": name})) for name in names]
    await linking.arrived.wait()
    linking.open.set()
    assert [link(answer) for answer in await asyncio.gather(*tasks)] == [f"http://{name}{ISSUE}" for name in names]


async def test_jira_is_not_told_by_which_address_a_shared_answer_was_asked_for(proxy, linking):
    """It would write that into the answer."""
    spoken = {
        "Host": "proxy.example",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "https",
        "Forwarded": "host=e",
    }
    await proxy.get(ISSUE, headers=spoken)
    heard = {name.lower() for name in linking.seen[-1].headers}
    assert not heard & {"forwarded", "x-forwarded-host", "x-forwarded-proto"}
    assert linking.seen[-1].headers["Host"] == linking.url.removeprefix("http://")


@pytest.mark.parametrize(
    ("accepted", "asked_for"),
    [
        ("gzip, deflate, br, zstd", "gzip"),
        ("br;q=1.0, gzip;q=0.8, *;q=0.1", "gzip"),
        ("br", "identity"),
        ("gzip;q=0, br", "identity"),
        ("gzip", "gzip"),
        ("identity", "identity"),
    ],
)
async def test_jira_is_asked_for_no_coding_that_would_hide_its_links(proxy, origin, accepted, asked_for):
    path = "/rest/api/2/issue"
    created = {"id": "10001", "key": "PROJ-1", "self": f"{origin.url}{path}/10001"}
    origin.on("POST", path, lambda _: web.json_response(created, status=201))
    answer = await proxy.request("POST", path, json={}, headers={"Accept-Encoding": accepted})
    assert origin.seen[-1].headers["Accept-Encoding"] == asked_for
    assert answer.json()["self"] == f"{proxy.url}{path}/10001"


async def test_pages_may_come_in_whatever_coding_the_client_takes(proxy, origin):
    origin.on("GET", "/browse/PROJ-1", lambda _: web.Response(text="a page"))
    await proxy.get("/browse/PROJ-1", headers={"Accept-Encoding": "br"})
    assert origin.seen[-1].headers["Accept-Encoding"] == "br"


async def test_text_that_mentions_jira_stays_as_it_is(proxy, origin):
    said = {"text": f"see {origin.url}/rest/api/2/issue/1", "browse": f"{origin.url}/browse/PROJ-1"}
    origin.on("GET", ISSUE, lambda asked: web.json_response(said, headers=JSON))
    for _ in range(2):
        assert (await proxy.get(ISSUE)).json() == said


async def test_pages_are_not_searched_for_links(proxy, origin):
    said = f'<a href="{origin.url}/rest/api/2/issue/1">'
    origin.on("GET", "/browse/PROJ-1", lambda asked: web.Response(text=said, content_type="text/html"))
    assert (await proxy.get("/browse/PROJ-1")).body.decode() == said


# every combination of upstreams and ways to choose among them --------------------------------------------------------


@dataclass(frozen=True)
class Address:
    """A way to reach a tenant: its configuration, and what a request for it says."""

    settings: dict
    host: str
    prefix: str
    links: str


ADDRESSES = {
    "alone": Address({}, "any.example", "", "http://any.example"),
    "by host": Address({"hosts": ["acme.example"]}, "acme.example", "", "http://acme.example"),
    "by host and port": Address({"hosts": ["acme.example"]}, "ACME.example:8080", "", "http://acme.example:8080"),
    "by prefix": Address({"path_prefix": "/acme"}, "any.example", "/acme", "http://any.example/acme"),
    "by long prefix": Address({"path_prefix": "/a/acme"}, "any.example", "/a/acme", "http://any.example/a/acme"),
    "by host and prefix": Address(
        {"hosts": ["acme.example"], "path_prefix": "/acme"}, "acme.example", "/acme", "http://acme.example/acme"
    ),
    "public": Address(
        {"path_prefix": "/acme", "public_url": "https://public.example/x"}, "any", "/acme", "https://public.example/x"
    ),
}
BASES = ["", "/jira", "/ex/jira/1f2e-3d4c"]
OTHERS = {"beta": {"hosts": ["beta.example"]}, "gamma": {"path_prefix": "/gamma"}}


@pytest.fixture(params=BASES, ids=["at the root", "with a path", "the OAuth gateway"])
def base(request) -> str:
    return request.param


@pytest.fixture(params=ADDRESSES.values(), ids=ADDRESSES)
def address(request) -> Address:
    return request.param


def cookie_path(address: Address, base: str) -> str:
    public = URL(address.links).path.rstrip("/")
    return public if base and public else f"{public}/"


@pytest.fixture
async def site(new_proxy, new_origin, origin, address, base):
    """A proxy of three tenants, each before an origin of its own. Asks the one that `address` reaches."""
    others = {name: {"upstream": (await new_origin()).url} | settings for name, settings in OTHERS.items()}
    proxy = await new_proxy(tenants={"acme": {"upstream": origin.url + base} | address.settings} | others)

    def ask(method: str, path: str, **options):
        headers = {"Host": address.host} | options.pop("headers", {})
        return proxy.request(method, address.prefix + path, headers=headers, **options)

    return ask


async def test_links_and_redirects_and_cookies_fit_in_every_combination(site, origin, base, address):
    here = origin.url + base
    headers = JSON | {"Location": f"{here}/browse/1", "Set-Cookie": f"a=1; Path={base or '/'}; HttpOnly"}
    said = {"self": f"{here}{ISSUE}", "other": f"{origin.url}/elsewhere/rest/api/2/issue/1"}
    for path in (ISSUE, NEVER_KEPT):
        origin.on("GET", base + path, lambda asked: web.json_response(said, headers=headers))
        answer = await site("GET", path)
        assert link(answer) == address.links + ISSUE
        assert answer.headers["Location"] == f"{address.links}/browse/1"
        assert answer.headers["Set-Cookie"] == f"a=1; Path={cookie_path(address, base)}; HttpOnly"
        if base:
            assert answer.json()["other"] == said["other"]


async def test_questions_are_classified_and_kept_in_every_combination(site, origin, base):
    origin.on(
        "GET", base + ISSUE, lambda asked: web.json_response({"self": f"{origin.url}{base}{ISSUE}"}, headers=JSON)
    )
    assert [(await site("GET", ISSUE)).why for _ in range(2)] == ["miss", "fresh"]
    origin.on("PUT", base + ISSUE, lambda asked: web.Response(status=204))
    assert (await site("PUT", ISSUE, json={})).why == "write"
    assert (await site("GET", ISSUE)).why == "invalidated"
    assert [seen.target for seen in origin.seen] == [base + ISSUE] * 3


async def test_pages_and_the_root_are_reached_in_every_combination(site, origin, base, address):
    for path in ("/browse/PROJ-1", "/", ""):
        if path or address.prefix:
            origin.on("GET", base + (path or "/"), lambda asked: web.Response(text="page", headers={"Location": "/x"}))
            assert (await site("GET", path)).body == b"page"


async def test_tenants_share_nothing(new_proxy, new_origin):
    origins = {name: await new_origin() for name in ("plain", "beta", "gamma")}
    for name, origin in origins.items():
        origin.issue("PROJ-1", name)
    settings = {"plain": {}} | OTHERS
    proxy = await new_proxy(tenants={name: {"upstream": origins[name].url} | settings[name] for name in settings})

    async def asked(host: str, prefix: str) -> tuple[str, str]:
        answer = await proxy.get(prefix + ISSUE, headers={"Host": host})
        return answer.json()["fields"]["summary"], answer.why

    for why in ("miss", "fresh"):
        assert await asked("any.example", "") == ("plain", why)
        assert await asked("beta.example", "") == ("beta", why)
        assert await asked("any.example", "/gamma") == ("gamma", why)
    await proxy.request("PUT", ISSUE, json={"fields": {"summary": "changed"}}, headers={"Host": "beta.example"})
    assert await asked("beta.example", "") == ("changed", "invalidated")
    assert await asked("any.example", "/gamma") == ("gamma", "fresh")
    assert await asked("any.example", "") == ("plain", "fresh")


@pytest.mark.parametrize(
    ("host", "path"), [("other.example", ISSUE), ("any.example", "/gammaray/x"), ("beta.example:1", "/gamma/x")]
)
async def test_who_names_no_tenant_is_told_so(new_proxy, origin, host, path):
    settings = {"beta": {"hosts": ["beta.example"], "path_prefix": "/beta"}, "gamma": {"path_prefix": "/gamma"}}
    proxy = await new_proxy(tenants={name: {"upstream": origin.url} | given for name, given in settings.items()})
    answer = await proxy.get(path, headers={"Host": host})
    assert (answer.status, answer.why, answer.json()["errors"]) == (404, "unknown-tenant", {})
    assert origin.seen == []


async def test_the_host_of_an_absolute_target_chooses_the_tenant_and_names_the_links(new_proxy, origin, linking, raw):
    tenants = {"beta": {"upstream": origin.url, "hosts": ["beta.example"]}}
    proxy = await new_proxy(tenants=tenants)
    said = f"GET http://beta.example{NEVER_KEPT} HTTP/1.1\r\nHost: other.example\r\nConnection: close\r\n\r\n"
    answer = await raw(proxy.url, said.encode())
    assert f"http://beta.example{ISSUE}".encode() in answer
    assert origin.seen[-1].headers["X-Forwarded-Host"] == "beta.example"


# a real client that follows links ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def emulator() -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environ = {"PATH": os.environ["PATH"], "JIRA820_HOST": "127.0.0.1", "JIRA820_PORT": str(port)}
    command = [sys.executable, "-m", "jira820"]
    process = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait()


@pytest.fixture
async def sandbox(emulator, session) -> str:
    async with asyncio.timeout(20):
        while True:
            try:
                async with session.get(f"{emulator}/rest/api/2/serverInfo"):
                    return emulator
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.05)


async def test_pycontribs_jira_stays_on_the_proxy_when_it_follows_links(new_proxy, sandbox):
    proxy = await new_proxy(tenants={"default": {"upstream": sandbox}})
    asked = []

    def work() -> None:
        client = JIRA(proxy.url, basic_auth=("admin", "admin"), max_retries=0)
        client._session.hooks["response"].append(lambda response, **_: asked.append(response.url))
        issue = client.issue("JIRA820-1")
        assert issue.self.startswith(proxy.url)
        issue.update(summary="by its own link")
        assert client.issue("JIRA820-1").fields.summary == "by its own link"
        client.add_comment("JIRA820-1", "short-lived").delete()
        project = client.project(issue.fields.project.key)
        fields = {"project": project.key, "summary": "short-lived", "issuetype": {"name": "Task"}}
        created = client.create_issue(fields=fields)
        created.delete()
        client.close()

    await asyncio.to_thread(work)
    assert len(asked) >= 8
    assert [url for url in asked if not url.startswith(proxy.url)] == []
