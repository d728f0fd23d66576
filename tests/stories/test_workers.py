"""Several processes behind one port: what a client, an operator and a signal see of them."""

import asyncio
import json
import os
import re
import signal
import sys
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
import redis.asyncio
import yaml

from proxy.addresses import Address
from proxy.errors import ConfigError
from proxy.listening import reserve
from proxy.schema import Config
from proxy.workers import BackOff, Worker, _folder

pytestmark = pytest.mark.skipif(not Path("/proc/self/net/tcp").exists(), reason="tells connections apart by /proc")

ISSUE = "/rest/api/2/issue/PROJ-1"
PATIENCE = 20.0
CLIENTS = 12


@dataclass
class Team:
    """A supervised proxy, what it says, and clients that keep a connection each."""

    process: asyncio.subprocess.Process
    url: str
    admin: str
    file: Path
    said: str = ""
    more: asyncio.Event = field(default_factory=asyncio.Event)

    async def read(self) -> None:
        while line := await self.process.stderr.readline():
            self.said += line.decode()
            self.more.set()

    async def says(self, text: str) -> None:
        """Wait for a line, from the end of what was said and waited for."""
        async with asyncio.timeout(PATIENCE):
            while text not in self.said:
                self.more.clear()
                await self.more.wait()
        self.said = self.said.partition(text)[2]

    @property
    def pids(self) -> set[int]:
        """The workers' process ids."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return {int(pid) for pid in children.split()}

    def signal(self, number) -> None:
        self.process.send_signal(number)


@pytest.fixture
async def client(stack):
    """Make clients of one connection each."""

    async def connect() -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=1)
        return await stack.enter_async_context(
            aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        )

    return connect


@pytest.fixture
async def new_team(new_process, stack, origin, tmp_path, redis_url, tenant):
    """Start a proxy of several workers. Its log says no more than it must, so that the load is on the proxy."""

    async def start(workers=2, **settings) -> Team:
        given = {"workers": workers, "store": {"url": redis_url}, "tenants": {tenant: {"upstream": origin.url}}}
        file = tmp_path / f"config{len(list(tmp_path.iterdir()))}.yaml"
        proxy = await new_process(**(given | settings))
        team = Team(proxy.process, proxy.url, proxy.admin, file)
        reading = asyncio.create_task(team.read())
        stack.push_async_callback(lambda: asyncio.wait({reading}))
        stack.callback(lambda: proxy.process.returncode is None and proxy.process.terminate())
        return team

    return start


@pytest.fixture
async def team(new_team, origin):
    origin.issue("PROJ-1", "first")
    return await new_team()


async def scraped(session, team, name) -> float:
    async with session.get(f"{team.admin}/metrics") as response:
        lines = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", await response.text(), re.MULTILINE)
    return sum(map(float, lines))


async def until_scraped(session, team, name, value) -> None:
    """Wait until all workers have told; hits of the fast lane are told a moment later."""
    async with asyncio.timeout(10):
        while await scraped(session, team, name) != value:  # noqa: ASYNC110 - other processes set no event of ours
            await asyncio.sleep(0.02)


def connections_of(pid: int) -> set[int]:
    """Which ports of others a process has connections with."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            inodes.add(re.sub(r"\D", "", str(descriptor.readlink())))
    rows = (line.split() for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:])
    return {int(row[2].partition(":")[2], 16) for row in rows if row[9] in inodes}


def port_of(session: aiohttp.ClientSession) -> int:
    """The port of a client's one connection, which is idle."""
    [connection] = [each for kept in session.connector._conns.values() for each, _ in kept]
    return connection.transport.get_extra_info("sockname")[1]


async def ended(pid: int) -> None:
    """Wait for the end of a process that is not our child."""
    descriptor = os.pidfd_open(pid)
    gone, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_reader(descriptor, gone.set)
    try:
        async with asyncio.timeout(PATIENCE):
            await gone.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def ttl(answer) -> int:
    return int(re.search(r"ttl=(\d+)", answer.headers["Cache-Status"])[1])


# death ----------------------------------------------------------------------------------------------------------------


@dataclass
class Client:
    """Somebody who asks again and again by one connection."""

    session: aiohttp.ClientSession
    fetch: object
    url: str
    answered: int = 0
    failures: list[Exception] = field(default_factory=list)
    goal: int = 0
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def ask(self) -> None:
        while True:
            try:
                assert (await self.fetch(self.session, "GET", self.url + ISSUE, "alice")).status == 200
            except aiohttp.ClientError as error:
                self.failures.append(error)
            else:
                self.answered += 1
            if self.answered >= self.goal:
                self.reached.set()

    async def more(self, count: int) -> None:
        self.goal, _ = self.answered + count, self.reached.clear()
        async with asyncio.timeout(PATIENCE):
            await self.reached.wait()


async def test_a_worker_killed_under_load_costs_only_what_was_on_its_connections(team, client, stack, fetch):
    clients = [Client(await client(), fetch, team.url) for _ in range(CLIENTS)]
    for each in clients:
        await fetch(each.session, "GET", team.url + ISSUE, "alice")
    ports = {port_of(each.session): each for each in clients}
    holdings = {pid: connections_of(pid) & ports.keys() for pid in team.pids}
    assert set.union(*holdings.values()) == ports.keys()
    victim = max(holdings, key=lambda pid: len(holdings[pid]))
    asking = [asyncio.create_task(each.ask()) for each in clients]
    stack.callback(lambda: [task.cancel() for task in asking])
    await asyncio.gather(*(each.more(20) for each in clients))
    os.kill(victim, signal.SIGKILL)
    await team.says("was ended by SIGKILL; another takes its place in 0.1 s")
    await asyncio.gather(*(each.more(20) for each in clients))
    await team.says("answers again")
    await asyncio.gather(*(each.more(5) for each in clients))
    assert not any(task.done() for task in asking)
    for port, each in ports.items():
        assert len(each.failures) <= (port in holdings[victim])
    [successor] = team.pids - holdings.keys()
    newcomers = [await client() for _ in range(24)]
    for each in newcomers:
        await fetch(each, "GET", team.url + ISSUE, "alice")
    assert connections_of(successor) & set(map(port_of, newcomers))


async def test_what_a_killed_worker_has_counted_stays_counted_and_what_it_held_does_not(team, client, session, fetch):
    clients = [await client() for _ in range(CLIENTS)]
    for each in clients:
        await fetch(each, "GET", team.url + ISSUE, "alice")
    await until_scraped(session, team, "jira_cache_requests_total", CLIENTS)
    assert await scraped(session, team, "jira_cache_request_seconds_count") == CLIENTS
    for pid in team.pids:
        os.kill(pid, signal.SIGKILL)
        await team.says("answers again")
    assert await scraped(session, team, "jira_cache_requests_total") == CLIENTS
    assert await scraped(session, team, "jira_cache_entries") == 0
    assert await scraped(session, team, "jira_cache_worker_restarts_total") == 2
    assert await scraped(session, team, "jira_cache_workers") == 2
    for each in clients:
        await fetch(each, "GET", team.url + ISSUE, "alice")
    await until_scraped(session, team, "jira_cache_requests_total", 2 * CLIENTS)
    async with session.get(f"{team.admin}/api/stats") as response:
        [told] = (await response.json())["tenants"].values()
    assert told["total"] == told["hits"] + told["upstream"]["200"] == 2 * CLIENTS


async def test_workers_go_when_the_one_who_started_them_is_killed(team):
    workers = team.pids
    team.signal(signal.SIGKILL)
    await asyncio.gather(*map(ended, workers))


@pytest.mark.parametrize(
    ("lives", "pauses"),
    [
        ([0, 0, 0, 0], [0.1, 0.2, 0.4, 0.8]),
        ([0, 0, 59, 60, 0], [0.1, 0.2, 0.4, 0.1, 0.2]),
        ([0] * 12, [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30, 30]),
    ],
)
def test_who_fails_again_and_again_waits_longer_and_longer(lives, pauses):
    backoff = BackOff()
    assert [pytest.approx(backoff.pause(lived)) for lived in lives] == pauses


def ignore(_report):
    """Take no notice."""


@pytest.fixture
async def mute():
    """A process that never tells anything."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "import sys; sys.stdin.read()"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    yield process
    process.stdin.close()
    await process.wait()


async def test_a_worker_that_tells_nothing_for_long_is_ended(mute):
    worker = Worker(1, mute, ignore, silence=0.1)
    assert await worker.ended() == "was ended by SIGKILL"
    assert not worker.alive


async def test_a_worker_that_does_not_take_in_a_reload_is_ended(mute, monkeypatch):
    monkeypatch.setattr("proxy.workers._PATIENCE", 0.1)
    worker = Worker(1, mute, ignore)
    await worker.follow(Config())
    assert await worker.ended() == "was ended by SIGKILL"


async def test_what_each_worker_sees_is_told_on_the_one_admin_listener(team, client):
    ports = [await client() for _ in range(CLIENTS)]
    for each in ports:
        async with each.get(team.url + ISSUE) as answer:
            await answer.read()
    async with ports[0].get(f"{team.admin}/api/events") as stream, asyncio.timeout(PATIENCE):
        told = {}
        while sum(told.get("hour", {}).get("outcomes", {}).values()) < CLIENTS:
            line = await stream.content.readline()
            told = json.loads(line[6:]) if line.startswith(b"data: ") else told
    assert told["gauges"]["processes"] == 1 + 2  # the one that supervises too


# start ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
async def failing(tmp_path, redis_url):
    """Try to start, with given settings and environment; tells the exit code and what was said."""

    async def serve(environ, **settings) -> tuple[int, str]:
        given = {"workers": 2, "store": {"url": redis_url}, "listen": "127.0.0.1:0", "admin": {"listen": "127.0.0.1:0"}}
        given |= {"secret": "0123456789abcdef", "tenants": {"default": {"upstream": "http://127.0.0.1:1"}}}
        (tmp_path / "c.yaml").write_text(yaml.safe_dump(given | settings))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "proxy", "serve", "--config", str(tmp_path / "c.yaml")),
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path)} | environ,
        )
        async with asyncio.timeout(PATIENCE):
            _, said = await process.communicate()
        return process.returncode, said.decode()

    return serve


async def test_workers_that_cannot_start_stop_the_start(failing, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import os, sys\nif 'proxy.worker' in sys.orig_argv:\n    os._exit(7)\n")
    code, said = await failing({"PYTHONPATH": str(tmp_path)})
    assert code == 2
    assert re.fullmatch(r"workers: number [12] could not start: it ended with code 7\n", said)
    assert not list(tmp_path.glob("jira-cache-*"))


async def test_a_port_that_is_taken_stops_the_start_although_workers_could_share_it(failing, team):
    where = team.url.removeprefix("http://")
    code, said = await failing({}, listen=where)
    assert (code, said) == (2, f"listen: cannot listen on {where} (Address already in use)\n")


def test_where_no_folder_for_the_counts_can_be_made_the_start_says_so(monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    with pytest.raises(ConfigError, match=r"^workers: no folder .* \(No such file or directory\): set \$TMPDIR$"):
        _folder(ExitStack())


def test_where_ports_cannot_be_shared_the_start_says_so(monkeypatch):
    monkeypatch.delattr("socket.SO_REUSEPORT")
    with pytest.raises(ConfigError, match=r"^workers: here processes cannot share a port .*only 1 is possible$"):
        reserve(Address("127.0.0.1", 0), ExitStack())


# reload ---------------------------------------------------------------------------------------------------------------


async def everywhere(team, client, fetch) -> set[bool]:
    """Ask by enough connections to meet every worker; tell whether their answers live longer than 5 minutes.

    By chance all connections may be of one worker, and an answer may be made old on its way while workers start.
    """
    async with asyncio.timeout(PATIENCE):
        while True:
            sessions = [await client() for _ in range(24)]
            answers = [await fetch(session, "GET", team.url + ISSUE, "alice") for session in sessions]
            ports = set(map(port_of, sessions))
            kept = all("ttl=" in answer.headers["Cache-Status"] for answer in answers)
            if kept and all(connections_of(pid) & ports for pid in team.pids):
                return {ttl(answer) > 300 for answer in answers}


async def test_a_reload_reaches_every_worker_and_those_to_come_and_a_bad_file_none(team, client, fetch):
    good = yaml.safe_load(team.file.read_text())
    assert await everywhere(team, client, fetch) == {False}
    team.file.write_text(yaml.safe_dump(good | {"policies": {"issue": {"ttl": "2h"}}}))
    team.signal(signal.SIGHUP)
    await team.says("read anew")
    await fetch(await client(), "GET", team.url + ISSUE, "alice", headers={"X-Jira-Cache": "refresh"})
    assert await everywhere(team, client, fetch) == {True}
    team.file.write_text(yaml.safe_dump(good | {"policies": {"issue": {"ttl": "5 parsecs"}}}))
    team.signal(signal.SIGHUP)
    await team.says("nothing was reloaded")
    os.kill(min(team.pids), signal.SIGKILL)
    await team.says("answers again")
    assert await everywhere(team, client, fetch) == {True}


# once for all ---------------------------------------------------------------------------------------------------------


async def test_what_has_to_be_done_once_is_not_done_by_workers(new_proxy, origin):
    proxy = await new_proxy(
        tenants={"default": {"upstream": origin.url, "repair": {"credential": "bot@example.com:x"}}}
    )
    app = proxy.running.app
    names = []
    for loops in (app.loops(), app.duties()):
        names.append({loop.__qualname__ for loop in loops})
        for loop in loops:
            loop.close()
    assert names == [{"Changes.keep_up", "Watch.keep_up"}, {"repeat_forever", "Repair.run", "App._watch_over"}]


async def test_what_a_worker_postpones_is_done(new_team, client, fetch, origin, redis_url, tenant):
    origin.issue("PROJ-1", "first")
    team = await new_team(policies={"search": {"settle": ["200ms"]}})
    await fetch(await client(), "PUT", team.url + ISSUE, "alice", json={"fields": {"summary": "second"}})
    tags, last = {"issue:PROJ-1"}, "0"
    async with redis.asyncio.from_url(redis_url, decode_responses=True) as changes, asyncio.timeout(PATIENCE):
        while "issue:PROJ-1" in tags or "indexed:PROJ-1" not in tags:
            [(_, [(last, told)])] = await changes.xread({f"tenant:{tenant}:changes": last}, count=1, block=1000)
            tags = set(told["tags"].split())


# stop -----------------------------------------------------------------------------------------------------------------


async def test_told_to_stop_all_workers_finish_what_is_under_way(team, client, fetch, origin):
    origin.open.clear()
    sessions = [await client() for _ in range(8)]
    paths = [f"/rest/api/2/issue/PROJ-{number}" for number in range(8)]
    for path in paths:
        origin.issue(path.rpartition("/")[2], "slow")
    asked = [
        asyncio.create_task(fetch(session, "GET", team.url + path, "alice"))
        for session, path in zip(sessions, paths, strict=True)
    ]
    async with asyncio.timeout(PATIENCE):
        while origin.calls() < len(asked):
            origin.arrived.clear()
            await origin.arrived.wait()
    workers = team.pids
    team.signal(signal.SIGTERM)
    await team.says("stopping")
    origin.open.set()
    assert [answer.status for answer in await asyncio.gather(*asked)] == [200] * len(asked)
    await asyncio.gather(*map(ended, workers))
    async with asyncio.timeout(PATIENCE):
        assert await team.process.wait() == 0
