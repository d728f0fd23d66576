"""A Jira, clients that keep asking through proxies, and a judge of what they are told.

An answer is untrue if it shows less than what had been acknowledged before its question was asked; a leak if it shows
what the asker may not see. A request fails if it gets anything but Jira's answer.
"""

import asyncio
import base64
import random
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import orjson
from aiohttp import web

from proxy import server
from proxy.schema import Config

KEYS = tuple(f"PROJ-{number}" for number in range(1, 7))
SECRET_KEY = "PROJ-99"
USERS = ("alice", "bob")
ISSUE = "/rest/api/2/issue/"
PROXIES = 2
READERS = 2
PACE = 0.02
GIVEN_UP = 30.0
"""Seconds after which whatever is waited for is not going to happen."""


class Jira:
    """Issues at their latest version. PROJ-99 is for alice alone."""

    def __init__(self) -> None:
        self.versions = dict.fromkeys((*KEYS, SECRET_KEY), 0)
        self.url = ""

    def change(self, key: str) -> int:
        self.versions[key] += 1
        return self.versions[key]

    async def handle(self, request: web.BaseRequest) -> web.Response:
        await request.read()
        user = base64.b64decode(request.headers["Authorization"].partition(" ")[2]).decode().partition(":")[0]
        key = request.path.removeprefix(ISSUE)
        headers = {"X-AUSERNAME": user}
        if request.method == "PUT":
            return web.Response(status=204, headers=headers | {"X-Version": str(self.change(key))})
        if key == SECRET_KEY and user != "alice":
            return web.json_response({"errorMessages": ["Issue Does Not Exist"]}, status=404, headers=headers)
        shown = {"summary": f"v{self.versions[key]}", "reader": user}
        await asyncio.sleep(0)  # what was read may be old by the time it arrives
        issue = {"id": key[5:], "key": key, "self": f"{self.url}{ISSUE}{key[5:]}", "fields": shown}
        return web.json_response(issue, headers=headers)


@dataclass
class Tally:
    """What was counted, and the first few things that should not have been."""

    requests: int = 0
    failed: int = 0
    untrue: int = 0
    leaks: int = 0
    deferred: int = 0  # webhooks that were answered 503: Jira delivers them again
    longest: float = 0.0
    complaints: list[str] = field(default_factory=list)

    def complain(self, what: str, text: str) -> None:
        setattr(self, what, getattr(self, what) + 1)
        if len(self.complaints) < 10:
            self.complaints.append(f"{what}: {text}")


class Load:
    """Readers, a writer and an announcer, who go on until the load is closed."""

    def __init__(self, jira: Jira, urls: list[str], session: aiohttp.ClientSession) -> None:
        self.jira = jira
        self.tally = Tally()
        self.hits: Counter[str] = Counter()  # by proxy
        self._urls = urls
        self._session = session
        self._random = random.Random(1)
        self._acknowledged: defaultdict[str, int] = defaultdict(int)

    def start(self) -> list[asyncio.Task]:
        work = [self._reads(url) for url in self._urls for _ in range(READERS)]
        return [asyncio.create_task(each) for each in (*work, self._writes(), self._announcements())]

    async def answered(self, requests: int) -> None:
        """Wait until so many more requests have been answered."""
        until = self.tally.requests + requests
        await happened(lambda: self.tally.requests >= until)

    async def served_from_cache_again(self) -> float:
        """Wait until every proxy has answered from cache since now; tell how many seconds that took."""
        began, before = time.monotonic(), self.hits.copy()
        await happened(lambda: all(self.hits[url] > before[url] for url in self._urls))
        return time.monotonic() - began

    async def _reads(self, url: str) -> None:
        while True:
            user, key = self._random.choice(USERS), self._random.choice((*KEYS, SECRET_KEY))
            must = self._acknowledged[key]
            status, headers, body = await self._ask("GET", url + ISSUE + key, user)
            self.hits[url] += "; hit" in headers.get("Cache-Status", "")
            self._judge(user, key, must, status, body, headers)
            await asyncio.sleep(PACE)

    def _judge(self, user: str, key: str, must: int, status: int, body: bytes, headers: dict[str, str]) -> None:
        told = f"{user} {key} at least v{must}: {status} {body[:120]!r} {headers.get('Cache-Status')}"
        if key == SECRET_KEY and user == "bob":
            if status == 200:
                self.tally.complain("leaks", told)
            elif status != 404:
                self.tally.complain("failed", told)
            return
        if status != 200:
            self.tally.complain("failed", told)
            return
        fields = orjson.loads(body)["fields"]
        if fields["reader"] != user:
            self.tally.complain("leaks", told)
        if int(fields["summary"][1:]) < must:
            self.tally.complain("untrue", told)

    async def _writes(self) -> None:
        while True:
            key = self._random.choice((*KEYS, SECRET_KEY))
            url = self._random.choice(self._urls) + ISSUE + key
            status, headers, body = await self._ask("PUT", url, "alice", {"fields": {"summary": "new"}})
            if status == 204:
                self._acknowledge(key, int(headers["X-Version"]))
            else:
                self.tally.complain("failed", f"PUT {key}: {status} {body[:120]!r}")
            await asyncio.sleep(4 * PACE)

    async def _announcements(self) -> None:
        """Change issues past the proxies, and deliver each announcement until it is acknowledged, as Jira does."""
        while True:
            key = self._random.choice(KEYS)
            version = self.jira.change(key)
            event = {"webhookEvent": "jira:issue_updated", "timestamp": 1, "issue": {"id": key[5:], "key": key}}
            status = 0
            while status != 200:
                url = self._random.choice(self._urls) + "/-/webhooks/default"
                status, _, body = await self._ask("POST", url, None, event)
                self.tally.deferred += status == 503
                if status not in (200, 503):
                    self.tally.complain("failed", f"webhook: {status} {body[:120]!r}")
                await asyncio.sleep(4 * PACE)
            self._acknowledge(key, version)

    def _acknowledge(self, key: str, version: int) -> None:
        self._acknowledged[key] = max(self._acknowledged[key], version)

    async def _ask(self, method: str, url: str, user: str | None, sent=None) -> tuple[int, dict[str, str], bytes]:
        login = {} if user is None else {"Authorization": "Basic " + base64.b64encode(f"{user}:x".encode()).decode()}
        began = time.monotonic()
        self.tally.requests += 1
        try:
            async with self._session.request(method, url, json=sent, headers=login) as response:
                return response.status, dict(response.headers), await response.read()
        except aiohttp.ClientError as error:
            return 0, {}, repr(error).encode()
        finally:
            self.tally.longest = max(self.tally.longest, time.monotonic() - began)


@asynccontextmanager
async def under_load(store_url: str, timeout: float) -> AsyncIterator[Load]:  # noqa: ASYNC109 - the store's own
    """Put up a Jira and two proxies that share a store, and load them for as long as this lasts."""
    async with AsyncExitStack() as stack:
        jira = Jira()
        jira.url = await _listening(stack, jira)
        store = {"url": store_url, "timeout": f"{timeout * 1000:.0f}ms", "coherence": "strict"}
        given = {
            "secret": "the faults' own secret",
            "listen": "127.0.0.1:0",
            "admin": {"listen": "127.0.0.1:0"},
            "log": {"level": "error"},
        }
        config = Config.model_validate(given | {"store": store, "tenants": {"default": {"upstream": jira.url}}})
        urls = []
        for _ in range(PROXIES):
            running = await server.start(config, {})
            stack.push_async_callback(running.stop)
            urls.append(f"http://{running.address}")
        session = await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()))
        load = Load(jira, urls, session)
        tasks = load.start()
        try:
            yield load
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        for each in ended:
            if isinstance(each, Exception):
                raise each


async def _listening(stack: AsyncExitStack, jira: Jira) -> str:
    runner = web.ServerRunner(web.Server(jira.handle, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return f"http://127.0.0.1:{runner.addresses[0][1]}"


async def happened(condition, seconds: float = GIVEN_UP) -> None:
    """Wait for what another process or the load does."""
    async with asyncio.timeout(seconds):
        while True:
            told = condition()
            if await told if asyncio.iscoroutine(told) else told:
                return
            await asyncio.sleep(0.02)  # nobody tells when another process is ready
