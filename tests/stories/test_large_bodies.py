"""Bodies of any size go through without being held, at the speed of the slower side, and end when a side leaves."""

import asyncio
import gzip
import json
import os
import re
import zlib
from pathlib import Path

import pytest
from aiohttp import web

MB = 1024 * 1024
LARGE = int(os.environ.get("LARGE_BODY_MB", "2048")) * MB
"""The size of what goes through. 2 GB takes seconds; less shows the same on a slow machine."""

UP, DOWN = "/rest/api/2/issue/PROJ-1/attachments", "/secure/attachment/1/large.bin"
FOUND = "/rest/api/2/search"
JSON = {"Content-Type": "application/json", "X-AUSERNAME": "alice"}


def peak_memory(pid: int) -> int:
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        pytest.skip("peak memory is read from /proc, which only Linux has")
    return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) * 1024


async def speak(reader, writer):
    """Take any upload and count it, and send any download; bytes, so that the origin costs next to nothing."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    if head.startswith("GET"):
        writer.write(
            f"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {LARGE}\r\n\r\n".encode()
        )
        await poured(writer)
        return
    left = int(re.search(r"(?i)content-length: (\d+)", head)[1])
    while left and (chunk := await reader.read(MB)):
        left -= len(chunk)
    text = str(LARGE - left)
    writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode())


async def poured(writer: asyncio.StreamWriter) -> None:
    chunk = bytes(MB)
    for _ in range(LARGE // MB):
        writer.write(chunk)
        await writer.drain()


async def taken(reader: asyncio.StreamReader) -> int:
    size = 0
    while chunk := await reader.read(MB):
        size += len(chunk)
    return size


@pytest.fixture
def connect(stack):
    async def start(url: str, head: str, limit: int = 2 * MB):
        host, _, port = url.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=limit)
        stack.callback(writer.close)
        writer.write(head.replace("\n", "\r\n").encode() + b"\r\n\r\n")
        return reader, writer

    return start


async def test_two_gigabytes_each_way_leave_the_proxy_small(new_process, new_bytes_origin, connect):
    origin = await new_bytes_origin(speak, limit=2 * MB)
    proxy = await new_process(tenants={"default": {"upstream": origin}})
    before = peak_memory(proxy.process.pid)
    reader, writer = await connect(proxy.url, f"GET {DOWN} HTTP/1.1\nHost: x\nConnection: close")
    head = await reader.readuntil(b"\r\n\r\n")
    assert f"Content-Length: {LARGE}".encode() in head
    assert await taken(reader) == LARGE
    kind = "Content-Type: multipart/form-data; boundary=x"
    reader, writer = await connect(
        proxy.url, f"POST {UP} HTTP/1.1\nHost: x\nConnection: close\n{kind}\nContent-Length: {LARGE}"
    )
    await poured(writer)
    assert (await reader.read()).endswith(str(LARGE).encode())
    peak = peak_memory(proxy.process.pid)
    assert peak < 150 * MB
    assert peak - before < 40 * MB


# too large to be kept ------------------------------------------------------------------------------------------------


def page(origin, issues: int) -> bytes:
    """A search's answer; each issue has about 1 KB."""
    return json.dumps(
        {"issues": [{"self": f"{origin.url}/rest/api/2/issue/{n}", "text": f"{n} " * 150} for n in range(issues)]}
    ).encode()


def paged(body: bytes, *, packed: bool):
    async def answer(asked):
        coding = {"Content-Encoding": "gzip"} if packed else {}
        response = web.StreamResponse(headers=JSON | coding)
        await response.prepare(asked)
        sent = gzip.compress(body, 1) if packed else body
        for start in range(0, len(sent), 10_007):
            await response.write(sent[start : start + 10_007])
        return response

    return answer


@pytest.mark.parametrize("path", [FOUND, "/rest/api/2/issue/picker"])
@pytest.mark.parametrize("packed", [True, False], ids=["gzip", "identity"])
@pytest.mark.parametrize("limit", ["16KiB", "512KiB"])
async def test_what_is_too_large_to_keep_streams_with_its_links_made_to_fit(new_proxy, origin, path, packed, limit):
    proxy = await new_proxy(limits={"max_body": limit})
    body = page(origin, 2000)
    origin.on("GET", path, paged(body, packed=packed))
    for _ in range(2):
        answer = await proxy.get(path)
        assert answer.body == body.replace(origin.url.encode(), proxy.url.encode())
        assert answer.why == ("too-large" if path == FOUND else "never-keep")
    origin.on("GET", path, paged(b'{"issues": []}', packed=packed))
    assert (await proxy.get(path)).json() == {"issues": []}


async def test_what_is_too_large_for_one_question_is_no_matter_to_others(new_proxy, origin):
    proxy = await new_proxy(limits={"max_body": "16KiB"})
    origin.on("GET", FOUND, paged(page(origin, 100), packed=False))
    origin.issue("PROJ-1", "small")
    await asyncio.gather(*[proxy.get(FOUND) for _ in range(5)])
    for why in ("miss", "fresh"):
        assert (await proxy.get("/rest/api/2/issue/PROJ-1")).why == why


async def test_what_is_small_only_while_compressed_is_too_large(new_proxy, origin):
    proxy = await new_proxy(limits={"max_body": "64KiB"})
    body = b'{"text": "' + b"x" * 4 * MB + b'"}'
    origin.on("GET", FOUND, paged(body, packed=True))
    for accepted in ("gzip", "identity", "gzip"):
        answer = await proxy.get(FOUND, headers={"Accept-Encoding": accepted})
        assert (answer.body, answer.why) == (body, "too-large")


async def test_compressed_members_in_a_row_are_one_body(new_proxy, origin):
    proxy = await new_proxy(limits={"max_body": "1KiB"})
    halves = page(origin, 100)[:50_000], page(origin, 100)[50_000:]
    sent = b"".join(gzip.compress(half, 1) for half in halves)
    origin.on("GET", FOUND, lambda asked: web.Response(body=sent, headers=JSON | {"Content-Encoding": "gzip"}))
    answer = await proxy.session.get(proxy.url + FOUND, headers={"Accept-Encoding": "gzip"})
    assert await answer.read() == b"".join(halves).replace(origin.url.encode(), proxy.url.encode())


@pytest.mark.parametrize("cut", ["cut off", "corrupt"])
async def test_a_large_compressed_answer_that_is_broken_breaks_off(new_proxy, origin, connect, cut):
    proxy = await new_proxy(limits={"max_body": "1KiB"})
    packed = gzip.compress(page(origin, 500), 1)
    broken = packed[:-20] if cut == "cut off" else packed[:9000] + b"\0" * 5000 + packed[14_000:]
    origin.on("GET", FOUND, lambda asked: web.Response(body=broken, headers=JSON | {"Content-Encoding": "gzip"}))
    reader, _ = await connect(proxy.url, f"GET {FOUND} HTTP/1.1\nHost: x\nConnection: close\nAccept-Encoding: gzip")
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await reader.readuntil(b"0\r\n\r\n")


# who leaves, and who is slow -----------------------------------------------------------------------------------------


async def endless(writer: asyncio.StreamWriter, gone: asyncio.Event, sent: list[int]) -> None:
    try:
        while True:
            writer.write(bytes(64 * 1024))
            await writer.drain()
            sent[0] += 64 * 1024
    except ConnectionError:
        gone.set()


@pytest.fixture
async def pouring(new_bytes_origin):
    """An origin that sends without end: its URL, how much it could send, and whether its reader went away."""
    gone, sent = asyncio.Event(), [0]

    async def speak(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
        await endless(writer, gone, sent)

    return await new_bytes_origin(speak), sent, gone


async def test_a_client_that_leaves_a_download_ends_it_at_jira(new_proxy, pouring, connect):
    url, _, gone = pouring
    proxy = await new_proxy(tenants={"default": {"upstream": url}})
    reader, writer = await connect(proxy.url, f"GET {DOWN} HTTP/1.1\nHost: x")
    await reader.readexactly(MB)
    writer.transport.abort()
    await asyncio.wait_for(gone.wait(), 5)


async def test_a_client_that_leaves_before_the_answer_ends_the_question(new_proxy, new_bytes_origin, connect):
    asked, gone = asyncio.Event(), asyncio.Event()

    async def speak(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        assert await reader.read() == b""
        gone.set()

    proxy = await new_proxy(tenants={"default": {"upstream": await new_bytes_origin(speak)}})
    _, writer = await connect(proxy.url, f"GET {DOWN} HTTP/1.1\nHost: x")
    await asyncio.wait_for(asked.wait(), 5)
    writer.transport.abort()
    await asyncio.wait_for(gone.wait(), 5)


@pytest.mark.parametrize("length", ["Content-Length: 1000000000", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("path", [UP, "/plugins/upload"])
async def test_a_client_that_leaves_an_upload_ends_it_at_jira(new_proxy, new_bytes_origin, connect, length, path):
    asked, gone = asyncio.Event(), asyncio.Event()
    heard = bytearray()

    async def speak(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        heard.extend(await reader.read())
        gone.set()

    proxy = await new_proxy(tenants={"default": {"upstream": await new_bytes_origin(speak)}})
    _, writer = await connect(proxy.url, f"POST {path} HTTP/1.1\nHost: x\n{length}")
    writer.write(b"5\r\nhello\r\n")
    await asyncio.wait_for(asked.wait(), 5)
    writer.transport.abort()
    await asyncio.wait_for(gone.wait(), 5)
    assert not heard.endswith(b"0\r\n\r\n")  # else Jira would take what it got for the whole


async def test_an_upload_that_jira_refuses_early_gets_the_refusal(new_proxy, new_bytes_origin, connect):
    async def speak(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 7\r\nConnection: close\r\n\r\nenough!")
        await writer.drain()
        await asyncio.sleep(0)

    proxy = await new_proxy(tenants={"default": {"upstream": await new_bytes_origin(speak)}})
    reader, writer = await connect(proxy.url, f"POST {UP} HTTP/1.1\nHost: x\nContent-Length: {100 * MB}")
    writer.write(bytes(MB))
    async with asyncio.timeout(5):
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 413")
        assert await reader.readexactly(7) == b"enough!"


async def settled(counter: list[int]) -> int:
    """Wait until a count stands still."""
    before = -1
    while counter[0] != before:
        before = counter[0]
        await asyncio.sleep(0.1)
    return before


async def test_a_reader_that_stops_makes_jira_stop(new_proxy, pouring, connect):
    url, sent, _ = pouring
    proxy = await new_proxy(tenants={"default": {"upstream": url}})
    reader, _ = await connect(proxy.url, f"GET {DOWN} HTTP/1.1\nHost: x", limit=1024)
    await reader.read(1)
    assert await settled(sent) < 32 * MB  # sockets' buffers hold some
    await reader.readexactly(40 * MB)
    assert sent[0] > 40 * MB


async def test_a_jira_that_stops_reading_makes_the_client_stop(new_proxy, new_bytes_origin, connect):
    go_on, enough = asyncio.Event(), asyncio.Event()

    async def speak(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        await go_on.wait()
        await reader.readexactly(64 * MB)
        enough.set()

    proxy = await new_proxy(tenants={"default": {"upstream": await new_bytes_origin(speak, limit=1024)}})
    _, writer = await connect(proxy.url, f"POST {UP} HTTP/1.1\nHost: x\nContent-Length: 1000000000000")
    gone, sent = asyncio.Event(), [0]
    client = asyncio.create_task(endless(writer, gone, sent))
    assert await settled(sent) < 32 * MB
    go_on.set()
    await asyncio.wait_for(enough.wait(), 5)
    client.cancel()


async def test_what_a_small_compressed_piece_stands_for_is_not_held_at_once(new_process, origin, connect):
    proxy = await new_process(limits={"max_body": "64KiB"})
    packer = zlib.compressobj(level=9, wbits=31)
    text = [b'["', *[b"x" * MB] * 100, b'"]']
    body = b"".join([*map(packer.compress, text), packer.flush()])
    origin.on("GET", FOUND, lambda asked: web.Response(body=body, headers=JSON | {"Content-Encoding": "gzip"}))
    before = peak_memory(proxy.process.pid)
    reader, _ = await connect(proxy.url, f"GET {FOUND} HTTP/1.1\nHost: x\nConnection: close\nAccept-Encoding: gzip")
    assert await taken(reader) > 100 * MB / 1100
    assert peak_memory(proxy.process.pid) - before < 20 * MB
