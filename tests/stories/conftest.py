"""A Jira that the test scripts, a proxy in front of it on a real socket, and a client that speaks to both."""

import asyncio
import base64
import json
import os
import re
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import aiohttp
import pytest
import yaml
from aiohttp import web
from multidict import CIMultiDict

from proxy import server
from proxy.schema import Config

SECRET = "a secret of the tests' own"
LONGEST_LINE = 64 * 1024
LARGEST_BODY = 64 * 1024 * 1024


@dataclass
class Seen:
    """A request as it reached the origin."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Origin:
    """A small Jira: users with passwords, issues that only some may see, and answers that the test can hold back.

    `on` scripts any other answer: a function of the request, for a method and path.
    """

    users: dict[str, str] = field(default_factory=lambda: {"alice": "sesame", "bob": "builder"})
    issues: dict[str, dict] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    url: str = ""
    names_accounts: bool = True

    def __post_init__(self):
        self._scripted: dict[tuple[str, str], Callable] = {}
        self.open = asyncio.Event()
        self.open.set()
        self.arrived = asyncio.Event()

    def on(self, method: str, path: str, reply) -> None:
        self._scripted[method, path] = reply

    def hold_answer(self, path: str) -> asyncio.Event:
        """Let the next GET read how `path` is now, and answer when the event is set; `arrived` says it has read."""
        release = asyncio.Event()

        async def answer_later(request):
            answer = self._jira(request, "GET", path, b"")
            self.on("GET", path, None)
            await release.wait()
            return answer

        self.on("GET", path, answer_later)
        self.arrived.clear()
        return release

    def issue(self, key: str, summary: str, readers=("alice", "bob")) -> None:
        self.issues[key] = {"summary": summary, "readers": set(readers)}

    def calls(self, method: str = "GET", path: str | None = None) -> int:
        return sum(s.method == method and (path is None or s.target.partition("?")[0] == path) for s in self.seen)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        method, (path, _, _) = request.method, request.raw_path.partition("?")
        scripted = self._scripted.get((method, path))
        request._client_max_size = LARGEST_BODY
        body = b"" if getattr(scripted, "reads_body", False) else await request.read()
        self.seen.append(Seen(method, request.raw_path, dict(request.headers), body))
        self.arrived.set()
        await self.open.wait()
        if scripted is not None:
            answer = scripted(request)
            return await answer if asyncio.iscoroutine(answer) else answer
        return self._jira(request, method, path, body)

    def _jira(self, request, method, path, body) -> web.Response:
        user, failed = self._login(request)
        headers = {"X-AUSERNAME": user} if self.names_accounts else {}
        if failed:
            headers["X-Seraph-LoginReason"] = "AUTHENTICATED_FAILED"
        headers |= {"Cache-Control": "no-cache, no-store, no-transform", "X-AREQUESTID": f"r{len(self.seen)}"}
        headers["Set-Cookie"] = f"JSESSIONID={user}{len(self.seen)}; Path=/"
        key = path.removeprefix("/rest/api/2/issue/").upper()
        shown = self.issues.get(key)
        if shown is None or user not in shown["readers"]:
            return web.json_response({"errorMessages": ["Issue Does Not Exist"]}, status=404, headers=headers)
        if method == "PUT":
            shown["summary"] = _json(body)["fields"]["summary"]
            return web.Response(status=204, headers=headers)
        fields = {"summary": shown["summary"], "watches": {"isWatching": user == "alice"}}
        id_ = f"1{key.rpartition('-')[2]:0>4}"
        issue = {"id": id_, "key": key, "self": f"{self.url}/rest/api/2/issue/{id_}", "fields": fields}
        return web.json_response(issue, headers=headers)

    def _login(self, request) -> tuple[str, bool]:
        scheme, _, value = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Basic":
            return "anonymous", False
        name, _, password = base64.b64decode(value).decode().partition(":")
        good = self.users.get(name) == password
        return (name, False) if good else ("anonymous", True)


def _json(body: bytes) -> dict:
    return json.loads(body)


@dataclass
class Proxy:
    """A proxy that listens, and a client of it."""

    running: server.Running
    url: str
    session: aiohttp.ClientSession
    doubles_hits: bool = False

    def get(self, path: str, user: str | None = "alice", **options):
        return self.request("GET", path, user, **options)

    async def parts(self) -> dict:
        """Ask the admin listener how each part of each tenant is."""
        async with self.session.get(f"http://{self.running.admin}/api/parts") as response:
            return await response.json()

    async def request(self, method: str, path: str, user: str | None = "alice", **options):
        """Ask; and ask again what was a hit, because that may take the fast lane, which must make no difference."""
        answer = await fetch(self.session, method, self.url + path, user, **options)
        if self.doubles_hits and method in {"GET", "HEAD"} and answer.is_fresh:
            again = await fetch(self.session, method, self.url + path, user, **options)
            assert not again.is_fresh or again.lasting() == answer.lasting()
        return answer


@dataclass
class Answer:
    status: int
    headers: aiohttp.typedefs.CIMultiDictProxy
    body: bytes

    @property
    def why(self) -> str:
        """The detail of Cache-Status."""
        return self.headers["Cache-Status"].rpartition("detail=")[2]

    @property
    def is_fresh(self) -> bool:
        return self.headers.get("Cache-Status", "").endswith(("detail=fresh", "detail=negative"))

    def json(self):
        return _json(self.body)

    def lasting(self):
        """All but what the next second changes."""
        passing = {"Date": "", "Age": "", "Cache-Status": re.sub(r"ttl=-?\d+", "", self.headers["Cache-Status"])}
        return self.status, [(name, passing.get(name, value)) for name, value in self.headers.items()], self.body


PASSWORDS = {"alice": "sesame", "bob": "builder"}


async def fetch(session, method, url, user=None, *, password=None, headers=None, **options) -> Answer:
    given = dict(headers or {})
    if user is not None:
        password = PASSWORDS[user] if password is None else password
        given["Authorization"] = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    options.setdefault("allow_redirects", False)
    async with session.request(method, url, headers=given, **options) as response:
        return Answer(response.status, response.headers, await response.read())


@pytest.fixture(name="fetch")
def _fetch():
    return fetch


@pytest.fixture
def shortcuts_at_first_sight(monkeypatch):
    """Let the fast lane remember at once what else it would remember when it comes again."""
    monkeypatch.setattr("proxy.lane._Seen.again", lambda *_: True)


@pytest.fixture
def both_ways(shortcuts_at_first_sight):
    """Ask whatever was a hit once more, by the fast lane, and compare. For stories that do not count requests."""


@pytest.fixture
async def stack():
    async with AsyncExitStack() as exits:
        yield exits


@pytest.fixture
async def session():
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar()
    ) as client:
        yield client


@pytest.fixture
async def new_origin(stack):
    """Start origins, each on a port of its own."""

    async def start() -> Origin:
        origin = Origin()
        runner = web.ServerRunner(
            web.Server(origin.handle, access_log=None, auto_decompress=False, max_line_size=LONGEST_LINE),
            shutdown_timeout=0.1,
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        origin.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return origin

    return start


@pytest.fixture
async def origin(new_origin) -> Origin:
    return await new_origin()


def on_loopback(upstream: str, settings: dict) -> dict:
    """Complete settings; a store gets the time it needs on a busy machine, for a story is not about that."""
    given = {"secret": SECRET, "listen": "127.0.0.1:0", "admin": {"listen": "127.0.0.1:0"}}
    given["tenants"] = {"default": {"upstream": upstream}}
    return given | settings | {"store": {"timeout": "10s"} | settings.get("store", {})}


@pytest.fixture
async def new_proxy(request, stack, session, origin):
    """Start proxies; `settings` are config.yaml's keys. Without tenants, the one upstream is `origin`.

    `world` has what else of the world is replaced: `sleep`, `draw`, `steady`.
    """

    async def start(environ=None, clock=time.time, world=None, **settings) -> Proxy:
        config = Config.model_validate(on_loopback(origin.url, settings))
        running = await server.start(config, environ or {}, clock, **(world or {}))
        stack.push_async_callback(running.stop)
        return Proxy(running, f"http://{running.address}", session, doubles_hits="both_ways" in request.fixturenames)

    return start


@pytest.fixture
async def proxy(new_proxy) -> Proxy:
    return await new_proxy()


@pytest.fixture
def raw():
    """Say bytes to a server, and hear all that it says until it closes the connection."""

    async def say(url: str, said: bytes) -> bytes:
        reader, writer = await connected(url)
        writer.write(said)
        async with asyncio.timeout(5):
            heard = await reader.read()
        writer.close()
        return heard

    return say


@pytest.fixture
def ask(raw):
    """Say bytes to a server, and read the first answer that comes before it closes the connection."""

    async def answer(url: str, said: bytes) -> Answer:
        head, _, body = (await raw(url, said)).partition(b"\r\n\r\n")
        line, *fields = head.decode().split("\r\n")
        headers = CIMultiDict(field.split(": ", 1) for field in fields)
        return Answer(int(line.split()[1]), headers, body)

    return answer


@pytest.fixture
def is_jiras_error():
    """Tell whether an answer is of the proxy's own, in the shape of Jira's errors."""

    def check(answer: Answer, status: int, why: str) -> bool:
        assert (answer.status, answer.headers["Cache-Status"]) == (status, f"jira-cache; detail={why}")
        assert answer.headers["Content-Type"] == "application/json;charset=UTF-8"
        said = answer.json()
        assert said["errorMessages"][0]
        return said == {"errorMessages": said["errorMessages"], "errors": {}}

    return check


def connected(url: str):
    host, _, port = url.partition("://")[2].partition(":")
    return asyncio.open_connection(host, int(port))


@pytest.fixture
async def new_bytes_origin(stack):
    """Start origins of bytes: `speak` gets the reader and writer of each connection. Returns the URL."""

    async def start(speak, **options) -> str:
        async def meet(reader, writer):
            try:
                await speak(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError):
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(meet, "127.0.0.1", 0, **options)
        stack.callback(server.close)
        return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    return start


@dataclass
class ProxyProcess:
    """A proxy in a process of its own, and a client of it."""

    process: asyncio.subprocess.Process
    url: str
    admin: str
    session: aiohttp.ClientSession

    def get(self, path: str, user: str | None = "alice", **options):
        return fetch(self.session, "GET", self.url + path, user, **options)


@pytest.fixture
async def new_process(stack, session, origin, tmp_path, overheard):
    """Start proxies as processes; `settings` as for `new_proxy`."""

    async def start(**settings) -> ProxyProcess:
        file = tmp_path / f"config{len(list(tmp_path.iterdir()))}.yaml"
        file.write_text(yaml.safe_dump(on_loopback(origin.url, settings)))
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-c", "from proxy.cli import main; main()", "serve", "--config", str(file)),
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": os.environ["PATH"]},
        )
        stack.push_async_callback(_ended, process, overheard)
        said = ""
        while not (admin := re.search(r"admin listener is at (http://127\.0\.0\.1:\d+)", said)):
            line = await process.stderr.readline()
            assert line, f"it ended: {said}"
            said += line.decode()
        return ProxyProcess(process, re.search(r" on (http://127\.0\.0\.1:\d+)", said)[1], admin[1], session)

    return start


async def _ended(process: asyncio.subprocess.Process, overheard) -> None:
    if process.returncode is None:
        process.terminate()
    _, written = await process.communicate()
    overheard.hear(written.decode())
