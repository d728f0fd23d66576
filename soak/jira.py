"""A Jira of many issues, each with a version that every change counts up: so a lie shows in what is read.

It is sometimes slow and sometimes fails. What it answers carries a header, so that failures of the proxy's own can be
told from its.
"""

import asyncio
import base64
import json
import random
import re
from collections import Counter
from contextlib import suppress

from aiohttp import web

OWN = "X-Soak"
ISSUES, USERS, QUERIES, PAGE = 500, 4, 100, 300_000
_SLOW, _SLOW_SHARE, _FAILING_SHARE = 0.2, 0.01, 0.005
_FOUND = 50
_PATH = re.compile(r"/rest/api/2/issue/PROJ-(\d+)")
_TEXT = "What is known of it so far, and what there is left to do. " * 20


class Jira:
    """What is in it, and how often it was asked."""

    def __init__(self, draw: random.Random) -> None:
        self.versions: Counter[int] = Counter()
        self.calls = 0
        self.url = ""
        self._draw = draw
        self._page = b"x" * PAGE

    async def listen(self) -> web.ServerRunner:
        """Listen on a port of its own; whoever asked for it closes it."""
        runner = web.ServerRunner(web.Server(self._answer, access_log=None), shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return runner

    def change(self, number: int) -> int:
        """Change an issue. Returns its new version."""
        self.versions[number] += 1
        return self.versions[number]

    def issue(self, number: int) -> dict[str, object]:
        """Show an issue."""
        fields = {"summary": f"Issue {number}", "description": _TEXT, "version": self.versions[number]}
        where = f"{self.url}/rest/api/2/issue/{10_000 + number}"
        return {"id": str(10_000 + number), "key": f"PROJ-{number}", "self": where, "fields": fields}

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.calls += 1
        with suppress(ConnectionError):  # of a client that left, and whose request the proxy breaks off
            await request.read()
        await asyncio.sleep(_SLOW if self._draw.random() < _SLOW_SHARE else 0.002)
        if self._draw.random() < _FAILING_SHARE:
            return web.Response(status=503, headers={OWN: "1"})
        return self._asked_for(request, {OWN: "1", "X-AUSERNAME": _user(request)})

    def _asked_for(self, request: web.BaseRequest, headers: dict[str, str]) -> web.Response:
        if request.path == "/secure/page":
            return web.Response(body=self._page, headers=headers)
        if request.path == "/rest/api/2/search":
            found = [self.issue(self._draw.randrange(ISSUES)) for _ in range(_FOUND)]
            return web.json_response({"total": _FOUND, "startAt": 0, "issues": found}, headers=headers)
        named = _PATH.fullmatch(request.path)
        if named is None or int(named[1]) >= ISSUES:
            return web.json_response({"errorMessages": ["Issue Does Not Exist"]}, status=404, headers=headers)
        if request.method == "PUT":
            return web.json_response({"version": self.change(int(named[1]))}, headers=headers)
        return web.json_response(self.issue(int(named[1])), headers=headers)


def _user(request: web.BaseRequest) -> str:
    said = request.headers.get("Authorization", "").removeprefix("Basic ")
    name, _, password = base64.b64decode(said).decode().partition(":")
    return name if password == "right" else "anonymous"  # noqa: S105 - of a Jira made up


def login(user: str, password: str = "right") -> dict[str, str]:  # noqa: S107 - as above
    """Make the header of a user."""
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}


def webhook(issue: dict[str, object]) -> bytes:
    """Announce that an issue was changed."""
    return json.dumps({"webhookEvent": "jira:issue_updated", "issue": issue}).encode()
