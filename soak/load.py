"""Clients of all kinds, of whom each does one thing after the other, and who remember what they were told."""

import asyncio
import random
import time
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable
from contextlib import suppress

import aiohttp

from soak.jira import ISSUES, OWN, QUERIES, USERS, Jira, login, webhook

_PAUSE = 0.01  # seconds a client waits before it asks again, on average
_SERVER_ERROR = 500
_REMEMBERED = 50


class Known:
    """Which versions were acknowledged when: what is read `lag` seconds later must not be older."""

    def __init__(self, lag: float) -> None:
        self._lag = lag
        self._told: defaultdict[int, deque[tuple[float, int]]] = defaultdict(lambda: deque(maxlen=_REMEMBERED))

    def acknowledged(self, number: int, version: int) -> None:
        """Remember that a change was acknowledged now."""
        self._told[number].append((time.monotonic(), version))

    def least(self, number: int) -> int:
        """Tell the least version that a question asked now may be answered with."""
        settled = time.monotonic() - self._lag
        return max((version for at, version in self._told[number] if at <= settled), default=0)


class Clients:
    """The clients of one proxy. `lag` is how far behind another process's changes it may be, in seconds."""

    def __init__(self, url: str, jira: Jira, draw: random.Random, lag: float) -> None:
        self._url = url
        self._jira = jira
        self._draw = draw
        self._known = Known(lag)
        self._session: aiohttp.ClientSession
        self.done: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.hits = 0

    async def keep_asking(self, seconds: float, clients: int, searches: int = 6) -> None:
        """Ask with so many clients at once for a while, then close all connections.

        `searches` is their share, beside 94 others: their answers are large, so more of them fill memory to its bounds.
        """
        until = time.monotonic() + seconds
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as self._session:
            await asyncio.gather(*(self._one_client(until, searches) for _ in range(clients)))

    async def _one_client(self, until: float, searches: int) -> None:
        deeds: dict[Callable[[], Awaitable[None]], int] = {
            self._read: 70,
            self._search: searches,
            self._write: 5,
            self._announce: 4,
            self._leave: 8,
            self._leave_in_the_middle: 2,
            self._ask_as_a_stranger: 2,
            self._ask_for_nothing: 3,
        }
        while time.monotonic() < until:
            [deed] = self._draw.choices(list(deeds), list(deeds.values()))
            self.done[deed.__name__.strip("_").replace("_", " ")] += 1
            try:
                await deed()
            except aiohttp.ClientError as error:
                self.faults[f"{type(error).__name__} ({deed.__name__.strip('_')})"] += 1
            await asyncio.sleep(self._draw.expovariate(1 / _PAUSE))

    async def _read(self) -> None:
        number = self._number()
        least = self._known.least(number)
        response, body = await self._ask("GET", f"/rest/api/2/issue/PROJ-{number}")
        status = response.headers.get("Cache-Status", "")
        self.hits += "; hit" in status
        if response.ok and body["fields"]["version"] < least and "error" not in status:
            self.faults[f"a lie ({_why(response)})"] += 1

    async def _search(self) -> None:
        query = {"jql": f"project = PROJ AND summary ~ word{self._draw.randrange(QUERIES)}"}
        await self._ask("POST", "/rest/api/2/search", json=query)

    async def _write(self) -> None:
        number = self._draw.choice([self._number(), self._draw.randrange(ISSUES)])
        response, body = await self._ask("PUT", f"/rest/api/2/issue/PROJ-{number}", json={"fields": {}})
        if response.ok:
            self._known.acknowledged(number, body["version"])

    async def _announce(self) -> None:
        number = self._draw.choice([self._number(), self._draw.randrange(ISSUES)])
        version = self._jira.change(number)
        async with self._session.post(
            f"{self._url}/-/webhooks/default", data=webhook(self._jira.issue(number))
        ) as told:
            if told.ok:
                self._known.acknowledged(number, version)
            elif told.status != 503:  # noqa: PLR2004 - while Redis is away, Jira is asked to come again
                self.faults[f"webhook {told.status}"] += 1

    async def _leave(self) -> None:
        """Ask and go, before or while the answer comes."""
        method = self._draw.choice(["GET", "PUT", "POST"])
        said = f"{method} /rest/api/2/issue/PROJ-{self._number()} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
        said += f"Authorization: {self._somebody()['Authorization']}\r\n\r\n{{}}"
        cut = self._draw.choice([len(said), len(said), self._draw.randrange(1, len(said))])
        await self._say_and_go(said[:cut].encode(), self._draw.choice([0.0, 0.001, 0.003]))

    async def _leave_in_the_middle(self) -> None:
        """Begin to read something large, and go."""
        with suppress(TimeoutError):
            async with asyncio.timeout(1), self._session.get(f"{self._url}/secure/page") as response:
                await response.content.readany()
                response.close()

    async def _ask_as_a_stranger(self) -> None:
        await self._ask("GET", f"/rest/api/2/issue/PROJ-{self._number()}", login("mallory", str(self._draw.random())))

    async def _ask_for_nothing(self) -> None:
        await self._ask("GET", f"/rest/api/2/issue/NONE-{self._draw.randrange(ISSUES)}")

    async def _ask(
        self, method: str, path: str, who: dict[str, str] | None = None, **options: object
    ) -> tuple[aiohttp.ClientResponse, dict]:
        headers = who or self._somebody()
        async with self._session.request(method, self._url + path, headers=headers, **options) as response:
            body = await response.json() if response.ok else {}
            if response.status >= _SERVER_ERROR and OWN not in response.headers:
                self.faults[f"{response.status} of the proxy's own ({_why(response)})"] += 1
            return response, body

    async def _say_and_go(self, said: bytes, pause: float) -> None:
        host, _, port = self._url.partition("://")[2].partition(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(said)
        await asyncio.sleep(pause)
        writer.transport.abort()

    def _number(self) -> int:
        """Choose an issue: few are asked for often, most seldom."""
        return min(int(self._draw.paretovariate(0.6)) - 1, ISSUES - 1)

    def _somebody(self) -> dict[str, str]:
        return login(f"user{self._draw.randrange(USERS)}")


def _why(response: aiohttp.ClientResponse) -> str:
    return response.headers.get("Cache-Status", "").rpartition("detail=")[2]
