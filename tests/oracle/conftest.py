"""A Jira that knows at which version each issue is, and a judge who knows which version each answer has to show.

An answer is a lie if it shows less than what had been acknowledged before its question was asked: an issue older than
that, a search that lacks what must be in it, or one that shows what must not.
"""

import asyncio
import random
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count

import aiohttp
import orjson
import pytest
from aiohttp import web

from proxy import server
from proxy.app import App
from proxy.schema import Config

PROJECTS = ("AAA", "BBB", "CCC")
STATUSES = ("Open", "Doing", "Done")
PER_PROJECT = 5
COUNT = "/rest/api/2/search/approximate-count"
TROUBLE = frozenset({429, 500, 502, 503, 504})
ISSUE = re.compile(r"/rest/api/2/issue/([A-Z]+-\d+)")


@dataclass(frozen=True)
class State:
    """An issue at one version."""

    version: int
    status: str
    labels: frozenset[str]
    updated: str = "2026-01-01T00:00:00.000+0000"


@dataclass
class Jira:
    """Issues and all their versions. Answers come in their own time, so that trips overlap changes."""

    random: random.Random
    history: dict[str, list[State]] = field(default_factory=dict)
    url: str = ""
    calls: int = 0
    trouble: float = 0.0  # the share of requests that it does not answer well, before or after it did as asked

    def __post_init__(self):
        for project in PROJECTS:
            for number in range(1, PER_PROJECT + 1):
                self.history[f"{project}-{number}"] = [State(0, "Open", frozenset())]
        self.keys = sorted(self.history)
        self.ticks = count()
        self.ids = {key: str(10_000 + at) for at, key in enumerate(self.keys)}
        self.links = {key: self.keys[(at * 7 + 3) % len(self.keys)] for at, key in enumerate(self.keys)}

    def now(self, key: str) -> State:
        return self.history[key][-1]

    def change(self, key: str) -> tuple[State, State]:
        before = self.now(key)
        labels = frozenset(label for label in ("red", "blue") if self.random.random() < 0.4)
        updated = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{next(self.ticks) % 1000:03}+0000"
        after = State(before.version + 1, self.random.choice(STATUSES), labels, updated)
        self.history[key].append(after)
        return before, after

    # what Jira answers

    async def handle(self, request: web.BaseRequest) -> web.Response:
        self.calls += 1
        body = await request.read()
        await self.dawdle()
        path, _, _ = request.raw_path.partition("?")
        if self._fails():
            return self._failure(request)
        answer = self._counted(orjson.loads(body)["jql"]) if path == COUNT else self._answer(request, path)
        await self.dawdle()  # what was read may be old by the time it arrives
        return self._failure(request) if self._fails() else answer

    def _fails(self) -> bool:
        return self.trouble > 0 and self.random.random() < self.trouble / 2

    def _failure(self, request: web.BaseRequest) -> web.Response:
        status = self.random.choice((0, 0, 500, 502, 503, 503, 504, 429))
        if not status and request.transport is not None:
            request.transport.abort()
        return web.Response(status=status or 500)

    async def dawdle(self) -> None:
        for _ in range(self.random.choice((2, 5, 10, 60))):
            await asyncio.sleep(0)

    def _answer(self, request: web.BaseRequest, path: str) -> web.Response:
        headers = {"X-AUSERNAME": "alice"}
        named = ISSUE.fullmatch(path)
        if named and request.method == "PUT":
            _, after = self.change(named[1])
            return web.Response(status=204, headers=headers | {"X-Version": str(after.version)})
        if named:
            return web.json_response(self.issue(named[1]), headers=headers)
        query = request.query
        texts = {
            "/rest/api/2/search": query.get("jql", ""),
            "/rest/agile/1.0/board/1/issue": "project = AAA AND status = Doing",
        }
        text = "" if texts[path].startswith("updated >=") else texts[path]  # a repair poll: we are all that young
        issues = [self.issue(key) for key in self.keys if selects(text, key, self.now(key))]
        return web.json_response({"startAt": 0, "total": len(issues), "issues": issues}, headers=headers)

    def _counted(self, text: str) -> web.Response:
        count = sum(selects(text, key, self.now(key)) for key in self.keys)
        return web.json_response({"count": count}, headers={"X-AUSERNAME": "alice"})

    def issue(self, key: str) -> dict:
        linked = self.links[key]
        return self._shown(key) | {
            "fields": self._fields(key)
            | {"issuelinks": [{"id": "1", "outwardIssue": self._shown(linked) | {"fields": self._fields(linked)}}]}
        }

    def _shown(self, key: str) -> dict:
        return {"id": self.ids[key], "self": f"{self.url}/rest/api/2/issue/{self.ids[key]}", "key": key}

    def _fields(self, key: str) -> dict:
        return fields(key, self.now(key))

    # what Jira announces

    def announcement(self, key: str, before: State, after: State) -> bytes:
        items = []
        if before.status != after.status:
            at = [str(STATUSES.index(state.status)) for state in (before, after)]
            items.append(_item("status", at[0], before.status, at[1], after.status))
        if before.labels != after.labels:
            items.append(_item("labels", None, " ".join(sorted(before.labels)), None, " ".join(sorted(after.labels))))
        items.append(_item("summary", None, f"v{before.version}", None, f"v{after.version}"))
        issue = self._shown(key) | {"fields": fields(key, after)}
        event = {"timestamp": 1, "webhookEvent": "jira:issue_updated", "issue": issue, "changelog": {"items": items}}
        return orjson.dumps(event)


def fields(key: str, state: State) -> dict:
    project = key.partition("-")[0]
    return {
        "summary": f"v{state.version}",
        "status": {"id": str(STATUSES.index(state.status)), "name": state.status},
        "labels": sorted(state.labels),
        "updated": state.updated,
        "project": {"id": str(PROJECTS.index(project) + 1), "key": project, "name": f"The {project}"},
    }


def _item(name, from_id, from_text, to_id, to_text) -> dict:
    return {"field": name, "fieldId": name, "from": from_id, "fromString": from_text, "to": to_id, "toString": to_text}


def selects(text: str, key: str, state: State) -> bool:
    """Evaluate the few queries that readers ask: `project = A AND status = B AND labels = c`, any part of it."""
    shown = {"project": {key.partition("-")[0]}, "status": {state.status}, "labels": state.labels}
    return all(value in shown[name] for name, value in re.findall(r"(\w+) = (\w+)", text))


QUERIES = [
    *(f"project = {project}" for project in PROJECTS),
    *(f"project = {project} AND status = {status}" for project in PROJECTS for status in STATUSES),
    *(f"status = {status}" for status in STATUSES),
    *(f"project = {project} AND labels = {label}" for project in PROJECTS for label in ("red", "blue")),
    "labels = red",
]


@dataclass
class Judge:
    """Knows which version of each issue has been acknowledged, and judges answers by it."""

    jira: Jira
    acknowledged: defaultdict = field(default_factory=lambda: defaultdict(int))
    judged: int = 0
    hits: int = 0
    stood_in: int = 0
    lies: list[str] = field(default_factory=list)

    def acknowledge(self, key: str, version: int) -> None:
        self.acknowledged[key] = max(self.acknowledged[key], version)

    def judge(self, url: str, must: dict[str, int], body: dict, status: str) -> None:
        self.judged += 1
        self.hits += "; hit;" in status
        self.stood_in += "stale-error" in status or "invalidated-error" in status
        shown = dict(_versions(body))
        for key, version in shown.items():
            if version < must.get(key, 0):
                self.lies.append(f"{url}: {key} v{version} < v{must[key]} ({status})")
        text = url.partition("jql=")[2] or "project = AAA AND status = Doing"
        if "issues" in body:
            members = {issue["key"] for issue in body["issues"]}
            surely, perhaps = self._members(text, must)
            self.lies += [f"{url}: lacks {key} ({status})" for key in surely - members]
            self.lies += [f"{url}: shows {key} ({status})" for key in members - surely - perhaps]
        if "count" in body:
            surely, perhaps = self._members(text, must)
            if not len(surely) <= body["count"] <= len(surely) + len(perhaps):
                self.lies.append(f"{url}: counts {body['count']} ({status})")

    def _members(self, text: str, must: dict[str, int]) -> tuple[set[str], set[str]]:
        """Tell which issues match in every version since the question's, and which in some."""
        surely, perhaps = set(), set()
        for key in self.jira.keys:
            verdicts = {selects(text, key, state) for state in self.jira.history[key][must.get(key, 0) :]}
            if True in verdicts:
                (perhaps if False in verdicts else surely).add(key)
        return surely, perhaps


def _versions(value):
    """Find every issue that a body embeds, with the version it shows."""
    if isinstance(value, dict):
        if "key" in value and "fields" in value:
            yield value["key"], int(value["fields"]["summary"][1:])
        for inner in value.values():
            yield from _versions(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _versions(inner)


@dataclass
class Oracle:
    """Readers, writers, and changes that are made past the proxy and announced late, twice and out of order."""

    jira: Jira
    judge: Judge
    urls: list[str]
    session: aiohttp.ClientSession
    random: random.Random
    lag: float = 0.0  # seconds for which another instance may not yet have heard of a change
    lost_share: float = 0.0  # of the announcements, those that Jira never delivers
    poll: Callable[[], Awaitable[None]] | None = None
    lost: list[tuple[str, int]] = field(default_factory=list)

    async def run(self, *, readers: int = 10, reads: int = 60, writes: int = 25, changes: int = 60) -> Judge:
        """Let everybody do so much of what they do, at the same time."""
        work = [self._read(reads) for _ in range(readers)]
        work += [self._write(writes) for _ in range(2)]
        work += [self._change(changes) for _ in range(2)]
        if self.poll is not None:
            work += [self._repair(self.poll, times=20)]
        await asyncio.gather(*work)
        return self.judge

    async def _read(self, times: int) -> None:
        for _ in range(times):
            method, path, asked = self._question()
            must = dict(self.judge.acknowledged)
            async with self.session.request(method, self._url() + path, json=asked, headers=LOGIN) as response:
                answer = await response.read()
            if self.jira.trouble and response.status in TROUBLE:
                continue
            assert response.status == 200, answer
            body = orjson.loads(answer)
            self.judge.judge(
                f"{path} jql={asked['jql']}" if asked else path, must, body, response.headers["Cache-Status"]
            )

    def _question(self) -> tuple[str, str, dict | None]:
        dice = self.random.random()
        if dice < 0.4:
            return "GET", f"/rest/api/2/issue/{self._liked(self.jira.keys)}", None
        if dice < 0.75:
            return "GET", f"/rest/api/2/search?jql={self._liked(QUERIES)}", None
        if dice < 0.9:
            return "POST", COUNT, {"jql": self._liked(QUERIES)}
        return "GET", "/rest/agile/1.0/board/1/issue", None

    def _liked(self, choices: list[str]) -> str:
        """Choose as people do: a few of them most of the time."""
        return choices[min(self.random.randrange(len(choices)) for _ in range(3))]

    async def _write(self, times: int) -> None:
        for _ in range(times):
            key = self._liked(self.jira.keys)
            edit = {"fields": {"summary": "new"}}
            url = f"{self._url()}/rest/api/2/issue/{key}"
            async with self.session.put(url, json=edit, headers=LOGIN) as response:
                if self.jira.trouble and response.status in TROUBLE:
                    continue  # it may have been done, but nobody was told so
                assert response.status == 204
            self._acknowledge(key, int(response.headers["X-Version"]))
            await self.jira.dawdle()

    async def _change(self, times: int) -> None:
        """Change issues past the proxy; deliver the announcements in any order, some of them twice."""
        waiting: list[tuple[str, int, bytes, str]] = []
        for at in range(times):
            key = self._liked(self.jira.keys)
            before, after = self.jira.change(key)
            if self.random.random() < self.lost_share:
                self.lost.append((key, after.version))
                continue
            announcement = self.jira.announcement(key, before, after)
            waiting.append((key, after.version, announcement, f"{id(self)}-{id(waiting)}-{at}"))
            self.random.shuffle(waiting)
            while len(waiting) > 3:
                await self._deliver(waiting.pop())
            await self.jira.dawdle()
        for one in waiting:
            await self._deliver(one)

    async def _deliver(self, announced: tuple[str, int, bytes, str]) -> None:
        key, version, body, identifier = announced
        headers = {"X-Atlassian-Webhook-Identifier": identifier, "Content-Type": "application/json"}
        for _ in range(self.random.choice((1, 1, 2))):
            async with self.session.post(f"{self._url()}/-/webhooks/default", data=body, headers=headers) as response:
                assert response.status == 200, await response.text()
        self._acknowledge(key, version)

    async def _repair(self, poll: Callable[[], Awaitable[None]], times: int) -> None:
        """Poll now and then: what was lost before a poll began is known when it is over."""
        for _ in range(times):
            found, self.lost = self.lost, []
            await poll()
            for key, version in found:
                self._acknowledge(key, version)
            for _ in range(10):
                await self.jira.dawdle()

    def _acknowledge(self, key: str, version: int) -> None:
        if self.lag:
            asyncio.get_running_loop().call_later(self.lag, self.judge.acknowledge, key, version)
        else:
            self.judge.acknowledge(key, version)

    def _url(self) -> str:
        return self.random.choice(self.urls)


LOGIN = {"Authorization": "Basic YWxpY2U6c2VzYW1l"}


@pytest.fixture
async def new_oracle():
    """Put up a Jira, so many proxies in front of it, and an oracle with a seed of its own."""
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()))

        async def start(
            seed: int, *, proxies: int = 1, lag: float = 0.0, tenant=None, **settings
        ) -> tuple[Oracle, list[App]]:
            dice = random.Random(seed)
            jira = Jira(dice)
            runner = web.AppRunner(_application(jira), access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            jira.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            given = {"secret": "the oracle's own secret", "listen": "127.0.0.1:0", "admin": {"listen": "127.0.0.1:0"}}
            given["tenants"] = {"default": {"upstream": jira.url} | (tenant or {})}
            running = [await server.start(Config.model_validate(given | settings), {}) for _ in range(proxies)]
            for each in running:
                stack.push_async_callback(each.stop)
            urls = [f"http://{each.address}" for each in running]
            return Oracle(jira, Judge(jira), urls, session, dice, lag), [each.app for each in running]

        yield start


def _application(jira: Jira) -> web.Application:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", jira.handle)
    return application
