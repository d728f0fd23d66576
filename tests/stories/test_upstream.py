"""When Jira fails: one clear answer in Jira's own shape, an old answer where one is allowed, and never half a body."""

import asyncio
import base64
import gzip
import json
import socket
import ssl

import aiohttp
import pytest
import trustme
from aiohttp import web

from proxy.errors import ConfigError
from tests.clocks import Clock

ISSUE = "/rest/api/2/issue/PROJ-1"
PAGE = "/browse/PROJ-1"
KINDS = pytest.mark.parametrize("path", [ISSUE, PAGE, "/rest/api/2/issue/picker"])
JSON = {"Content-Type": "application/json", "X-AUSERNAME": "alice"}


def in_front_of(url: str, **more) -> dict:
    return {"tenants": {"default": {"upstream": url}}, **more}


def is_jiras_error(answer, status: int, detail: str) -> bool:
    said = answer.json()
    return (
        (answer.status, answer.headers["Cache-Status"]) == (status, f"jira-cache; detail={detail}")
        and answer.headers["Content-Type"] == "application/json;charset=UTF-8"
        and said.keys() == {"errorMessages", "errors"}
        and said["errors"] == {}
        and len(said["errorMessages"]) == 1
    )


@pytest.fixture
def closed_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
        yield taken.getsockname()[1]


@pytest.fixture
def full_port():
    """A listener whose queue is full: connections to it are neither accepted nor refused."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for waiting in (first, second):
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


# no answer -----------------------------------------------------------------------------------------------------------


@KINDS
async def test_a_refused_connection_is_502(new_proxy, closed_port, path):
    proxy = await new_proxy(**in_front_of(f"http://127.0.0.1:{closed_port}"))
    assert is_jiras_error(await proxy.get(path), 502, "upstream-unreachable")


@KINDS
async def test_a_connection_that_is_not_accepted_in_time_is_504(new_proxy, full_port, path):
    proxy = await new_proxy(**in_front_of(f"http://127.0.0.1:{full_port}", timeouts={"connect": "50ms"}))
    assert is_jiras_error(await proxy.get(path), 504, "upstream-timeout")


@KINDS
async def test_an_answer_that_does_not_begin_in_time_is_504(new_proxy, origin, path):
    proxy = await new_proxy(timeouts={"read": "50ms"})
    origin.open.clear()
    assert is_jiras_error(await proxy.get(path), 504, "upstream-timeout")


async def test_a_write_that_is_not_answered_in_time_is_504(new_proxy, origin):
    proxy = await new_proxy(timeouts={"read": "50ms"})
    origin.open.clear()
    assert is_jiras_error(await proxy.request("PUT", ISSUE, json={}), 504, "upstream-timeout")


async def test_a_cacheable_answer_that_trickles_beyond_the_total_is_504(new_proxy, new_bytes_origin):
    async def speak(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x")
            await asyncio.sleep(0.01)

    url = await new_bytes_origin(speak)
    proxy = await new_proxy(**in_front_of(url, timeouts={"read": "5s", "total": "100ms"}))
    assert is_jiras_error(await proxy.get(ISSUE), 504, "upstream-timeout")


async def test_a_client_that_takes_its_time_to_send_is_not_a_slow_jira(new_proxy, origin):
    proxy = await new_proxy(timeouts={"read": "100ms"})
    origin.on("POST", PAGE, lambda asked: web.Response(text="thanks"))

    async def slowly():
        for _ in range(4):
            await asyncio.sleep(0.05)
            yield b"x"

    assert (await proxy.request("POST", PAGE, data=slowly())).body == b"thanks"


@KINDS
@pytest.mark.parametrize(
    "said",
    [b"", b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1"],
)
async def test_what_is_not_http_is_502(new_proxy, new_bytes_origin, path, said):
    async def speak(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)

    proxy = await new_proxy(**in_front_of(await new_bytes_origin(speak)))
    assert is_jiras_error(await proxy.get(path), 502, "upstream-unreachable")


# half an answer ------------------------------------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\nX-AUSERNAME: alice\r\nContent-Type: application/json\r\n"
HALVES = pytest.mark.parametrize(
    "half",
    [
        b'Content-Length: 1000\r\n\r\n{"a":1}',
        b'Transfer-Encoding: chunked\r\n\r\n7\r\n{"a":1}\r\n',
        b'Transfer-Encoding: chunked\r\n\r\n7\r\n{"a":1}\r\n7\r\n{"a":1',
    ],
)


def breaking_off(half: bytes):
    async def speak(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(half)

    return speak


@HALVES
@pytest.mark.parametrize("path", [ISSUE, "/rest/api/2/issue/picker"])
async def test_an_answer_that_breaks_off_while_it_is_read_is_502(new_proxy, new_bytes_origin, half, path):
    proxy = await new_proxy(**in_front_of(await new_bytes_origin(breaking_off(HEAD + half))))
    for _ in range(2):
        assert is_jiras_error(await proxy.get(path), 502, "upstream-unreachable")


@HALVES
async def test_a_stream_that_breaks_off_breaks_off_for_the_client_too(new_proxy, new_bytes_origin, half):
    head = HEAD.replace(b"application/json", b"text/html")
    proxy = await new_proxy(**in_front_of(await new_bytes_origin(breaking_off(head + half))))
    async with proxy.session.get(proxy.url + PAGE) as response:
        assert response.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()


async def test_a_stream_that_breaks_off_breaks_off_for_an_old_client_too(new_proxy, new_bytes_origin, stack):
    """Without a length or chunks only a reset can tell it from the end."""
    half = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
    proxy = await new_proxy(**in_front_of(await new_bytes_origin(breaking_off(half))))
    reader, writer = await asyncio.open_connection(*proxy.url.removeprefix("http://").split(":"))
    stack.callback(writer.close)
    writer.write(f"GET {PAGE} HTTP/1.0\r\n\r\n".encode())
    with pytest.raises(ConnectionResetError):
        await reader.read()


@pytest.mark.parametrize("path", [PAGE, "/rest/api/2/issue/picker"])
async def test_a_stream_that_stalls_breaks_off(new_proxy, origin, path):
    proxy = await new_proxy(timeouts={"read": "100ms"}, limits={"max_body": "1KiB"})

    async def stall(asked):
        response = web.StreamResponse(headers=JSON if path != PAGE else {})
        await response.prepare(asked)
        await response.write(b'{"a":"' + b"x" * 2000)
        await asyncio.sleep(5)

    origin.on("GET", path, stall)
    async with proxy.session.get(proxy.url + path) as response:
        assert response.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()


@pytest.mark.parametrize("broken", [b'{"a":', b"", gzip.compress(b'{"a":1}' * 100, mtime=0)[:-9], b"\x1f\x8bnonsense"])
async def test_a_body_that_is_not_what_it_says_reaches_the_client_and_is_not_kept(proxy, origin, broken):
    headers = JSON | ({"Content-Encoding": "gzip"} if broken.startswith(b"\x1f\x8b") else {})
    origin.on("GET", ISSUE, lambda asked: web.Response(body=broken, headers=headers))
    async with aiohttp.ClientSession(auto_decompress=False) as plain:
        for calls in (1, 2):
            credential = base64.b64encode(b"alice:sesame").decode()
            accepted = {"Accept-Encoding": "gzip", "Authorization": f"Basic {credential}"}
            async with plain.get(proxy.url + ISSUE, headers=accepted) as response:
                assert await response.read() == broken
                assert "detail=unreadable-answer" in response.headers["Cache-Status"]
            assert origin.calls() == calls


# old answers stand in ------------------------------------------------------------------------------------------------


def failing(status: int, **headers: str):
    return lambda asked: web.json_response(
        {"errorMessages": ["no"]}, status=status, headers={"X-AUSERNAME": "alice"} | headers
    )


def break_off(asked):
    asked.transport.abort()
    return web.Response()


@pytest.mark.parametrize(
    "failure", [failing(500), failing(503), failing(429), break_off], ids=["500", "503", "429", "lost connection"]
)
async def test_an_old_answer_stands_in_when_jira_fails(new_proxy, origin, failure):
    clock = Clock(1_000_000.0)
    proxy = await new_proxy(clock=clock, policies={"issue": {"ttl": "1m", "stale_if_error": "1h"}})
    origin.issue("PROJ-1", "as it was")
    fresh = await proxy.get(ISSUE)
    origin.on("GET", ISSUE, failure)
    clock.now += 100
    old = await proxy.get(ISSUE)
    assert (old.status, old.body) == (200, fresh.body)
    assert (old.headers["Cache-Status"], old.headers["Age"]) == ("jira-cache; hit; ttl=-40; detail=stale-error", "100")


async def test_an_old_answer_stands_in_when_jira_takes_too_long(new_proxy, origin):
    clock = Clock(1_000_000.0)
    proxy = await new_proxy(clock=clock, timeouts={"read": "100ms"})
    origin.issue("PROJ-1", "as it was")
    await proxy.get(ISSUE)
    clock.now += 1000
    origin.open.clear()
    assert (await proxy.get(ISSUE)).why == "stale-error"


async def test_an_answer_that_is_too_old_does_not_stand_in(new_proxy, origin):
    clock = Clock(1_000_000.0)
    proxy = await new_proxy(clock=clock, policies={"issue": {"ttl": "1m", "stale_if_error": "1h"}})
    origin.issue("PROJ-1", "as it was")
    await proxy.get(ISSUE)
    origin.on("GET", ISSUE, failing(503))
    clock.now += 60 + 3600
    answer = await proxy.get(ISSUE)
    assert (answer.status, answer.json()) == (503, {"errorMessages": ["no"]})


async def test_what_a_write_made_old_does_not_stand_in(new_proxy, origin):
    proxy = await new_proxy()
    origin.issue("PROJ-1", "as it was")
    await proxy.get(ISSUE)
    await proxy.request("PUT", ISSUE, json={"fields": {"summary": "changed"}})
    origin.on("GET", ISSUE, failing(503))
    assert (await proxy.get(ISSUE)).status == 503


async def test_jira_is_asked_again_after_it_failed(new_proxy, origin):
    origin.issue("PROJ-1", "one")
    origin.on("GET", ISSUE, failing(500))
    proxy = await new_proxy()
    assert (await proxy.get(ISSUE)).status == 500
    origin.on("GET", ISSUE, None)
    assert (await proxy.get(ISSUE)).json()["fields"]["summary"] == "one"


# TLS -----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def secure_origin(new_bytes_origin, authority) -> str:
    async def speak(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret")

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return (await new_bytes_origin(speak, ssl=context)).replace("http://", "https://")


async def test_jira_may_be_vouched_for_by_an_authority_of_ones_own(new_proxy, secure_origin, authority, tmp_path):
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(file)
    proxy = await new_proxy(tenants={"default": {"upstream": secure_origin, "ca_file": str(file)}})
    assert (await proxy.get(PAGE)).body == b"secret"


async def test_jira_is_asked_through_a_tunnel_of_the_outbound_proxy(
    new_proxy, new_bytes_origin, secure_origin, authority, tmp_path
):
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(file)
    asked = []

    async def tunnel(reader, writer):
        asked.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0])
        there = await asyncio.open_connection("127.0.0.1", int(secure_origin.rpartition(":")[2]))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(poured(reader, there[1]), poured(there[0], writer))

    url = await new_bytes_origin(tunnel)
    proxy = await new_proxy(
        {"HTTPS_PROXY": url}, tenants={"default": {"upstream": secure_origin, "ca_file": str(file)}}
    )
    assert (await proxy.get(PAGE)).body == b"secret"
    assert asked == [f"CONNECT {secure_origin.removeprefix('https://')} HTTP/1.1".encode()]


async def poured(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


@KINDS
@pytest.mark.parametrize("other", [True, False], ids=["another authority", "the system's"])
async def test_a_jira_that_nobody_vouches_for_is_not_spoken_to(new_proxy, secure_origin, tmp_path, path, other):
    file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(file)
    ca_file = str(file) if other else None
    proxy = await new_proxy(tenants={"default": {"upstream": secure_origin, "ca_file": ca_file}})
    answer = await proxy.get(path)
    assert is_jiras_error(answer, 502, "upstream-unreachable")
    assert "certificate" in json.loads(answer.body)["errorMessages"][0]


@pytest.mark.parametrize("content", [None, "not a certificate"])
async def test_an_authorities_file_that_is_none_stops_the_start(new_proxy, origin, tmp_path, content):
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match=r"ca_file: .*ca\.pem"):
        await new_proxy(tenants={"default": {"upstream": origin.url, "ca_file": str(file)}})
