"""A Jira to measure against: `python -m bench.origin PORT DELAY`. Answers issues of 9 KB after DELAY seconds.

It does as little as it can, so that it is never what is measured: an answer is made once for each path. `GET /calls`
tells how many issues were asked for so far.
"""

import asyncio
import gzip
import re
import sys
from base64 import b64decode
from functools import cache
from typing import cast

import uvloop

from bench import issues

_HEAD = (
    "HTTP/1.1 200 OK\r\nContent-Type: application/json;charset=UTF-8\r\nVary: Accept-Encoding\r\n"
    "Cache-Control: no-cache, no-store, no-transform\r\nX-AREQUESTID: 601x{number}x1\r\nX-AUSERNAME: {user}\r\n"
    "Set-Cookie: JSESSIONID=7C2F6A1D5E{number:06}; Path=/; HttpOnly\r\n"
)
_ISSUE = re.compile(rb"GET (?:/rest/api/2/issue/PROJ-(\d+)|(/calls))")
_LOGIN = re.compile(rb"\r\nauthorization: basic (\S+)", re.IGNORECASE)
_GZIP = re.compile(rb"\r\naccept-encoding:[^\r]*gzip", re.IGNORECASE)
_END = b"\r\n\r\n"


class Jira:
    """What all connections share."""

    def __init__(self, port: int, delay: float) -> None:
        self.delay = delay
        self.calls = 0
        self._site = f"http://127.0.0.1:{port}"
        self._answers: dict[tuple[int, bool], bytes] = {}

    def answer(self, head: bytes) -> bytes:
        """Answer a request by its head."""
        asked = _ISSUE.match(head)
        if asked is None:
            return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        if asked[2]:
            return _framed(b"HTTP/1.1 200 OK\r\n", str(self.calls).encode())
        self.calls += 1
        login = _LOGIN.search(head)
        user = _user(login[1]) if login else "anonymous"
        told = _HEAD.format(number=self.calls, user=user).encode()
        return told + self._rest(int(asked[1]), coded=_GZIP.search(head) is not None)

    def _rest(self, number: int, *, coded: bool) -> bytes:
        made = self._answers.get((number, coded))
        if made is None:
            body = issues.alone(number, self._site)
            made = _framed(b"Content-Encoding: gzip\r\n", gzip.compress(body, mtime=0)) if coded else _framed(b"", body)
            self._answers[number, coded] = made
        return made


class Connection(asyncio.Protocol):
    """One connection; requests come without bodies."""

    def __init__(self, jira: Jira) -> None:
        self._jira = jira
        self._heard = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        *heads, self._heard = (self._heard + data).split(_END)
        for head in heads:
            answer = self._jira.answer(head)
            if self._jira.delay:
                asyncio.get_running_loop().call_later(self._jira.delay, self._transport.write, answer)
            else:
                self._transport.write(answer)


@cache
def _user(login: bytes) -> str:
    return b64decode(login).decode().partition(":")[0]


def _framed(head: bytes, body: bytes) -> bytes:
    return b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body)


async def _serve(port: int, delay: float) -> None:
    jira = Jira(port, delay)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(jira), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), float(sys.argv[2])))
