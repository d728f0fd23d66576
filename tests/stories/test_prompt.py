"""What is sent without aiohttp's response is sent to the byte as that would send it."""

import asyncio
import base64
import re

import pytest
from aiohttp import web

from proxy.responses import Prompt

ALICE = "Authorization: Basic " + base64.b64encode(b"alice:sesame").decode()
PATH = "/rest/api/2/issue/PROJ-1"


def head(method="GET", path=PATH, *lines):
    told = ["Host: jira.test", ALICE, "X-Request-Id: mine", *lines]
    return "\r\n".join([f"{method} {path} HTTP/1.1", *told, "", ""]).encode()


def with_body(method, body, path=PATH):
    return head(method, path, "Content-Type: application/json", f"Content-Length: {len(body)}") + body


def answered(status, body=b'{"key": "PROJ-1"}', **headers):
    told = {"X-AUSERNAME": "alice", "Content-Type": "application/json", **headers}
    return lambda _: web.Response(status=status, body=body, headers=told)


ANSWERS = {
    "kept": (head(), answered(200)),
    "of one who is not let in": (head(), answered(200, **{"X-AUSERNAME": "anonymous"})),
    "not found": (head(), answered(404, b'{"errorMessages": ["no"]}')),
    "a status without a phrase": (head(), answered(299)),
    "no content": (with_body("PUT", b"{}"), answered(204, b"")),
    "created": (with_body("PUT", b"{}"), answered(201, Location="/rest/api/2/issue/1")),
    "empty": (head(), answered(200, b"")),
    "without a type": (head("GET", "/rest/api/2/none"), lambda _: web.Response(body=b"plain", content_type="")),
    "a head alone": (head("HEAD"), answered(200)),
    "our own error": (head("GET", PATH, "Cache-Control: only-if-cached"), answered(200)),
    "our own word": (head("GET", "/-/live"), answered(200)),
    "not modified": (head("GET", PATH, "If-None-Match: *"), answered(200)),
    "the last": (head("GET", PATH, "Connection: close"), answered(200)),
}


@pytest.mark.parametrize(("said", "reply"), ANSWERS.values(), ids=ANSWERS.keys())
async def test_it_says_what_aiohttp_would(new_proxy, origin, monkeypatch, said, reply):
    for method in ("GET", "PUT"):
        origin.on(method, PATH, reply)
    origin.on("GET", "/rest/api/2/none", reply)
    prompt = await heard(await new_proxy(fast_lane=False), said)
    monkeypatch.setattr("proxy.responses._has_body", lambda *_: False)
    assert await heard(await new_proxy(fast_lane=False), said) == prompt


async def heard(proxy, said):
    """Say it and hear the answer, without what differs from one moment to the next."""
    host, _, port = proxy.url.partition("://")[2].partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(said)
    async with asyncio.timeout(10):
        answer = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"Content-Length: (\d+)", answer)
        if length and not said.startswith(b"HEAD"):
            answer += await reader.readexactly(int(length[1]))
    writer.close()
    return re.sub(rb"Date: [^\r]*\r\n", b"", answer)


async def test_who_has_gone_is_told_nothing_and_it_is_no_error():
    class Writer:
        def __init__(self):
            self.told = []

        async def write_headers(self, line, headers):
            self.told.append(line)

        async def write(self, body, *, drain):
            raise ConnectionResetError

        async def write_eof(self):
            self.told.append("end")

        async def drain(self):
            self.told.append("drained")

    class Request:
        writer = Writer()

    prompt = Prompt(200, {}, b"body")
    for _ in range(2):
        await prompt.prepare(Request)
    await prompt.write_eof()
    assert Request.writer.told == ["HTTP/1.1 200 OK", "end", "drained"]
