"""How much one client may send and hold, and how slowly."""

import asyncio

import aiohttp
import pytest
from aiohttp import web

ISSUE = "/rest/api/2/issue/PROJ-1"
HEAD = b"POST /page HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture
def jira(origin):
    origin._jira = lambda asked, *_: web.Response(text="passed")
    return origin


@pytest.fixture
def connect(stack):
    """Open connections to a proxy, from an address of one's own."""

    async def connect(proxy, address: str = "127.0.0.1"):
        host, _, port = proxy.url.partition("://")[2].partition(":")
        reader, writer = await asyncio.open_connection(host, int(port), local_addr=(address, 0))
        stack.callback(writer.close)
        return reader, writer

    return connect


async def refused_for_good(reader) -> bytes:
    """Read an answer, and that nothing more is read from this connection."""
    async with asyncio.timeout(5):
        return await reader.read()


# sizes ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lines",
    [[b"X-A: " + b"a" * 5000], [b"X-A: " + b"a" * 90] * 50, [b"a:"] * 1250],
    ids=["one long line", "many lines", "very many short lines"],
)
@pytest.mark.parametrize("piece", [10_000, 1000], ids=["whole", "in pieces"])
async def test_a_header_that_is_too_large_is_refused(new_proxy, jira, connect, lines, piece):
    proxy = await new_proxy(limits={"max_header": "4KiB"})
    reader, writer = await connect(proxy)
    said = HEAD + b"".join(line + b"\r\n" for line in lines) + b"\r\n"
    for start in range(0, len(said), piece):
        writer.write(said[start : start + piece])
        await writer.drain()
    heard = await refused_for_good(reader)
    assert heard.startswith(b"HTTP/1.0 431 ")
    assert b"detail=header-too-large" in heard
    assert jira.seen == []


async def test_a_target_that_is_too_long_is_refused_as_a_header_is(new_proxy, jira, ask, is_jiras_error):
    proxy = await new_proxy(limits={"max_header": "4KiB"})
    said = b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"
    assert is_jiras_error(await ask(proxy.url, said), 431, "header-too-large")


async def test_each_of_many_requests_on_a_connection_may_have_a_header_of_its_own(new_proxy, jira, connect):
    proxy = await new_proxy(limits={"max_header": "4KiB"})
    reader, writer = await connect(proxy)
    async with asyncio.timeout(5):
        for _ in range(5):
            writer.write(HEAD + b"X-A: " + b"a" * 3000 + b"\r\nContent-Length: 0\r\n\r\n")
            await reader.readuntil(b"passed")


async def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_sent(new_proxy, jira, ask, is_jiras_error):
    proxy = await new_proxy(limits={"max_upload": "100B"})
    said = HEAD + b"Content-Length: 101\r\nExpect: 100-continue\r\n\r\n"
    assert is_jiras_error(await ask(proxy.url, said), 413, "body-too-large")
    assert jira.seen == []


async def upload(proxy, size: int, path: str = "/page", piece: int = 10):
    async def pieces():
        for _ in range(size // piece):
            yield b"x" * piece

    return await proxy.request("POST", path, None, data=pieces(), headers={"Content-Type": "application/json"})


async def test_bodies_that_cannot_be_taken_are_no_failures_of_jiras(new_proxy, jira):
    """Else anybody could make it left alone, and with it everybody else."""
    proxy = await new_proxy(limits={"max_upload": "100B"}, tenants=easily_opened(jira))
    for _ in range(3):
        assert (await upload(proxy, 110)).status == 413
    assert (await upload(proxy, 100)).status == 200


def easily_opened(jira) -> dict:
    return {"default": {"upstream": jira.url, "governor": {"breaker_failures": 1}}}


@pytest.mark.parametrize("path", ["/page", "/rest/api/2/search", ISSUE])
async def test_a_body_that_turns_out_to_be_too_large_is_refused(new_proxy, jira, is_jiras_error, path):
    proxy = await new_proxy(limits={"max_upload": "100B"})
    assert (await upload(proxy, 100, path)).status in {200, 404}
    assert is_jiras_error(await upload(proxy, 110, path), 413, "body-too-large")


async def test_a_client_that_goes_on_sending_hears_why_it_was_refused(new_proxy, jira, is_jiras_error):
    proxy = await new_proxy(limits={"max_upload": "1MiB"})
    assert is_jiras_error(await upload(proxy, 5_000_000, piece=50_000), 413, "body-too-large")


# slowness ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("begun", [b"G", b"GET /page HTTP/1.1\r\n", HEAD + b"X-A: b\r\n"])
async def test_a_header_that_does_not_end_is_refused(new_proxy, jira, connect, begun):
    proxy = await new_proxy(timeouts={"client_header": "50ms"})
    reader, writer = await connect(proxy)
    writer.write(begun)
    heard = await refused_for_good(reader)
    assert heard.startswith(b"HTTP/1.0 408 ")
    assert b"detail=slow-client" in heard
    assert jira.seen == []


async def test_a_second_header_has_to_end_as_well(new_proxy, jira, connect):
    proxy = await new_proxy(timeouts={"client_header": "50ms"})
    reader, writer = await connect(proxy)
    writer.write(HEAD + b"Content-Length: 0\r\n\r\n")
    async with asyncio.timeout(5):
        await reader.readuntil(b"passed")
    writer.write(HEAD)
    assert (await refused_for_good(reader)).startswith(b"HTTP/1.0 408 ")


@pytest.mark.parametrize("framing", [b"Content-Length: 10\r\n", b"Transfer-Encoding: chunked\r\n"])
@pytest.mark.parametrize("path", [b"/page", b"/rest/api/2/search", ISSUE.encode(), b"/-/webhooks/default"])
async def test_a_body_that_does_not_end_is_refused(new_proxy, jira, connect, framing, path):
    proxy = await new_proxy(timeouts={"client_body": "50ms"})
    reader, writer = await connect(proxy)
    head = b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + framing + b"\r\n"
    writer.write(head + b"2\r\n{}\r\n")
    heard = await refused_for_good(reader)
    assert heard.startswith(b"HTTP/1.1 408 ")
    assert b"detail=slow-client" in heard


async def test_a_connection_that_rests_too_long_is_closed_without_a_word(new_proxy, jira, connect):
    proxy = await new_proxy(timeouts={"keep_alive": "500ms"})  # time to say something on a busy machine
    for said in (b"", HEAD + b"Content-Length: 0\r\n\r\n"):
        reader, writer = await connect(proxy)
        writer.write(said)
        async with asyncio.timeout(5):
            assert (await reader.read()).count(b"HTTP/1.") == bool(said)


async def test_a_jira_that_takes_its_time_does_not_make_its_client_slow(new_proxy, origin, connect):
    proxy = await new_proxy(timeouts={"client_header": "50ms", "client_body": "50ms", "keep_alive": "50ms"})
    origin.open.clear()
    waiting = asyncio.create_task(proxy.request("POST", "/page", None, data=b"x" * 10))
    async with asyncio.timeout(5):
        reader, writer = await connect(proxy)
        writer.write(HEAD)
        await refused_for_good(reader)  # so the time is over that a slow client has
        origin.open.set()
        assert (await waiting).status == 404


# connections ---------------------------------------------------------------------------------------------------------


async def held(proxy, connect, address="127.0.0.1"):
    """Open a connection and hear an answer on it."""
    reader, writer = await connect(proxy, address)
    writer.write(b"GET /page HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(5):
        answer = await reader.readuntil(b"\r\n\r\n")
    return answer, writer


@pytest.mark.parametrize(
    ("limits", "line"),
    [({"connections": 3}, b"HTTP/1.1 503 "), ({"connections_per_address": 3}, b"HTTP/1.1 429 ")],
)
async def test_one_connection_too_many_is_told_why_and_the_others_stay(new_proxy, jira, connect, limits, line):
    proxy = await new_proxy(limits=limits)
    answers = [await held(proxy, connect) for _ in range(3)]
    assert all(answer.startswith(b"HTTP/1.1 200 ") for answer, _ in answers)
    refused, _ = await held(proxy, connect)
    assert refused.startswith(line)
    assert b"detail=connection-limit\r\n" in refused
    assert b"Retry-After: 1\r\n" in refused
    metrics = proxy.running.app.metrics.text().decode()
    assert 'jira_cache_requests_total{tenant="-",type="other",why="connection-limit"} 1.0' in metrics


async def test_each_address_has_connections_of_its_own(new_proxy, jira, connect):
    proxy = await new_proxy(limits={"connections_per_address": 1})
    for address in ("127.0.0.1", "127.0.0.2"):
        assert (await held(proxy, connect, address))[0].startswith(b"HTTP/1.1 200 ")
    for address in ("127.0.0.1", "127.0.0.2"):
        assert (await held(proxy, connect, address))[0].startswith(b"HTTP/1.1 429 ")


async def test_a_connection_that_ends_makes_room(new_proxy, jira, connect):
    """The proxy closes it, so that the client knows when it has ended."""
    proxy = await new_proxy(limits={"connections": 1, "connections_per_address": 1})
    for _ in range(3):
        reader, writer = await connect(proxy)
        writer.write(b"GET /page HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert (await refused_for_good(reader)).startswith(b"HTTP/1.1 200 ")


# requests ------------------------------------------------------------------------------------------------------------


async def test_a_credential_made_up_for_each_request_does_not_help(new_proxy, jira, is_jiras_error):
    proxy = await new_proxy(limits={"client_requests_per_minute": 2, "address_requests_per_minute": 4})
    for number in range(4):
        made_up = {"Authorization": f"Basic {number}"}
        assert (await proxy.get("/page", None, headers=made_up)).status == 200
    calls = len(jira.seen)
    for user, headers in ((None, {"Authorization": "Basic anew"}), (None, {}), ("alice", {})):
        refused = await proxy.get("/page", user, headers=headers)
        assert is_jiras_error(refused, 429, "address-limit")
        assert 50 < int(refused.headers["Retry-After"]) <= 60
    assert len(jira.seen) == calls
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(local_addr=("127.0.0.2", 0))) as elsewhere,
        elsewhere.get(proxy.url + "/page") as answer,
    ):
        assert answer.status == 200


async def test_the_count_of_an_address_is_not_that_of_the_anonymous_client_there(new_proxy, jira):
    proxy = await new_proxy(limits={"client_requests_per_minute": 2, "address_requests_per_minute": 4})
    answers = [await proxy.get("/page", user) for user in ("alice", "alice", None, None, None)]
    assert [answer.status for answer in answers] == [200, 200, 200, 200, 429]
    assert answers[-1].why == "address-limit"


# the last word -------------------------------------------------------------------------------------------------------


async def keep_saying(writer) -> None:
    while True:
        writer.write(b"more")
        await writer.drain()
        await asyncio.sleep(0)


async def test_a_client_that_does_not_leave_is_left(new_proxy, jira, connect, monkeypatch):
    monkeypatch.setattr("proxy.guard.LINGER", 0.05)
    proxy = await new_proxy(limits={"max_header": "4KiB"})
    reader, writer = await connect(proxy)
    writer.write(HEAD + b"a" * 5000)
    assert (await refused_for_good(reader)).startswith(b"HTTP/1.0 431 ")
    with pytest.raises(ConnectionError):
        await asyncio.wait_for(keep_saying(writer), 5)
