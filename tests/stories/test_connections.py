"""Connections to Jira are shared by all callers; what belongs to a connection must not be."""

import asyncio

import pytest

ISSUE, PAGE = "/rest/api/2/issue/PROJ-1", "/secure/Dashboard.jspa"


@pytest.fixture
async def bound(new_bytes_origin, new_proxy):
    """A proxy of an origin that logs a whole connection in, as Windows' NTLM and Negotiate do."""

    async def speak(reader, writer):
        user = b"nobody"
        while head := await reader.readuntil(b"\r\n\r\n"):
            if b"\r\nAuthorization: NTLM alice" in head or b"\r\nAuthorization: Negotiate alice" in head:
                user = b"alice"
            body = b'{"user":"%s"}' % user
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body))
            writer.write(body)
            await writer.drain()

    return await new_proxy(tenants={"default": {"upstream": await new_bytes_origin(speak)}})


@pytest.mark.parametrize("path", [ISSUE, PAGE])
@pytest.mark.parametrize("scheme", ["NTLM", "Negotiate"])
async def test_a_connection_that_is_logged_in_is_never_used_for_somebody_else(bound, path, scheme):
    alice = await bound.get(path, None, headers={"Authorization": f"{scheme} alice"})
    assert alice.json() == {"user": "alice"}
    for _ in range(3):
        assert (await bound.get(path, None)).json() == {"user": "nobody"}


async def test_other_callers_share_connections(new_proxy, new_bytes_origin):
    connections = 0

    async def speak(reader, writer):
        nonlocal connections
        connections += 1
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    proxy = await new_proxy(tenants={"default": {"upstream": await new_bytes_origin(speak)}})
    for user in ("alice", "bob", None):
        await proxy.get(PAGE, user)
    assert connections == 1


async def test_a_connection_on_which_a_request_broke_off_carries_no_other(new_proxy, new_bytes_origin, raw):
    heard, smuggled, arrived = [], b"GET /smuggled HTTP/1.1\r\nHost: x\r\n", asyncio.Event()

    async def speak(reader, writer):
        heard.append(b"")
        while said := await reader.read(65536):
            heard[-1] += said
            if smuggled in heard[-1]:
                arrived.set()
            if said.startswith(b"GET"):
                writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    proxy = await new_proxy(tenants={"default": {"upstream": await new_bytes_origin(speak)}})
    host, _, port = proxy.url.partition("://")[2].partition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"PUT /page HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n" + smuggled)
    async with asyncio.timeout(5):
        await arrived.wait()
        writer.close()
        assert (await proxy.get(PAGE, None)).status == 404
    assert len(heard) == 2
    assert heard[1].startswith(b"GET /secure/Dashboard.jspa")


async def test_an_answer_that_comes_before_the_body_was_sent_leaves_no_body_for_the_next_request(
    new_proxy, new_bytes_origin
):
    heard, arrived = [], asyncio.Event()

    async def speak(reader, writer):
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        arrived.set()
        writer.write(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
        while said := await reader.read(65536):
            heard[-1] += said
            if b"\r\n\r\n" in said and b"GET /secure" in said:
                writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    proxy = await new_proxy(tenants={"default": {"upstream": await new_bytes_origin(speak)}})
    go_on = asyncio.Event()

    async def slowly():
        yield b"x" * 10
        await go_on.wait()
        yield b"y" * 10

    first = asyncio.create_task(proxy.request("PUT", PAGE, None, data=slowly()))
    async with asyncio.timeout(5):
        await arrived.wait()
        second = asyncio.create_task(proxy.get(PAGE, None))
        done, _ = await asyncio.wait({second}, timeout=2)
        go_on.set()
        await asyncio.gather(first, second, return_exceptions=True)
    assert done
    assert len(heard) == 2
