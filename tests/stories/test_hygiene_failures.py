"""What nobody foresaw is answered all the same, and told once, without what was said."""

import asyncio
import logging
from dataclasses import replace

import aiohttp
import pytest

from policies.model import Fence
from proxy.upstream import Upstream

ISSUE, PAGE = "/rest/api/2/issue/PROJ-1", "/browse/PROJ-1"
SECRET = "hunter2"


class UnforeseenError(Exception):
    pass


async def fail(*_, **__):
    raise UnforeseenError(SECRET)


@pytest.fixture
def told(caplog):
    """The failures that were logged."""
    caplog.set_level(logging.DEBUG)
    return lambda: [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("path", [ISSUE, PAGE, "/rest/api/2/search?os_password=" + SECRET])
@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_an_error_that_nobody_foresaw_is_500_in_jiras_own_shape(
    proxy, monkeypatch, is_jiras_error, told, caplog, method, path
):
    monkeypatch.setattr(Upstream, "send", fail)
    headers = {"Authorization": f"Basic {SECRET}", "Cookie": SECRET, "X-A": SECRET}
    answer = await proxy.request(method, path, None, headers=headers, data=SECRET)
    assert is_jiras_error(answer, 500, "internal-error")
    assert SECRET.encode() not in answer.body
    (record,) = told()
    assert record.getMessage() == "unexpected UnforeseenError"
    assert record.where.rpartition("test_hygiene_failures.py:")[2].endswith(" fail")
    assert record.exc_info is None
    assert SECRET not in caplog.text + record.where
    assert 'why="internal-error"} 1.0' in proxy.running.app.metrics.text().decode()


async def test_the_connection_ends_and_the_next_is_as_good_as_any(proxy, origin, monkeypatch, raw):
    origin.issue("PROJ-1", "one")
    said = f"GET {ISSUE} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    with monkeypatch.context() as patch:
        patch.setattr(Upstream, "send", fail)
        assert (await raw(proxy.url, said + said)).count(b"HTTP/1.1 500") == 1
    assert (await proxy.get(ISSUE)).status == 200


async def test_a_stream_that_fails_breaks_off(proxy, origin, monkeypatch, told):
    async def chunks(_):
        yield b"half"
        raise UnforeseenError(SECRET)

    monkeypatch.setattr("proxy.upstream.Reply.chunks", chunks)
    async with proxy.session.get(proxy.url + PAGE) as response:
        assert response.status == 404
        with pytest.raises(aiohttp.ClientError):
            await response.read()
    assert [record.getMessage() for record in told()] == ["unexpected UnforeseenError"]


async def test_an_entry_that_cannot_be_told_is_500_and_not_a_line_of_somebody_elses(
    proxy, origin, monkeypatch, is_jiras_error, told
):
    """Such an entry can only come from a store that somebody else has written to."""
    origin.issue("PROJ-1", "one")
    await proxy.get(ISSUE)
    store = proxy.running.app.stores["default"]
    found = await store.read(next(iter(store._backend._answers)))
    hostile = replace(found.entry, headers=HOSTILE)

    async def read(*_):
        return type(found)(hostile, alive=True, fence=Fence(0, 0))

    monkeypatch.setattr(type(store), "read", read)
    answer = await proxy.get(ISSUE)
    assert is_jiras_error(answer, 500, "internal-error")
    assert "X-Injected" not in answer.headers
    assert [record.getMessage() for record in told()] == ["unexpected ValueError"]


HOSTILE = (("X-A", "b\r\nX-Injected: yes\r\n\r\n<html>"),)


async def test_a_client_that_leaves_is_no_failure(proxy, origin, told, stack):
    origin.open.clear()
    host, _, port = proxy.url.partition("://")[2].partition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {ISSUE} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    async with asyncio.timeout(5):
        await origin.arrived.wait()
        writer.close()
        await writer.wait_closed()
    origin.open.set()
    assert (await proxy.get(PAGE)).status == 404
    assert told() == []
