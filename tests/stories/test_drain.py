"""Being stopped: who shares out requests hears of it first, what is under way is finished, nothing takes for ever."""

import asyncio
from contextlib import suppress

import aiohttp
import pytest

ISSUE = "/rest/api/2/issue/PROJ-1"
PATIENCE = 10.0


@pytest.fixture
async def stop(stack):
    """Stop a proxy, and wait until it has begun to. Gives the task, and an event that says to hurry."""

    async def begin(proxy):
        hurry = asyncio.Event()
        stopping = asyncio.create_task(proxy.running.stop(hurry))
        stack.callback(stopping.cancel)
        await asyncio.sleep(0)
        assert proxy.running.app.health.draining
        return stopping, hurry

    return begin


@pytest.fixture
async def closed(session):
    """Wait until a proxy accepts no more connections."""

    async def wait(proxy):
        with suppress(aiohttp.ClientConnectorError):
            while True:
                async with aiohttp.ClientSession() as newcomer:
                    await newcomer.get(f"{proxy.url}/-/live")

    return wait


@pytest.fixture
async def held(origin):
    """Let the origin answer nothing until the test is over."""
    origin.issue("PROJ-1", "first")
    origin.open.clear()
    yield origin
    origin.open.set()


@pytest.fixture
async def raw_connection(stack):
    """Connect and say some bytes. Gives what hears the answer."""

    async def connect(url, said):
        host, _, port = url.partition("://")[2].partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        stack.callback(writer.close)
        writer.write(said)
        return reader

    return connect


async def under_way(origin, asked):
    task = asyncio.create_task(asked)
    async with asyncio.timeout(PATIENCE):
        await origin.arrived.wait()
    return task


async def finished(stopping):
    async with asyncio.timeout(PATIENCE):
        await stopping


async def test_before_it_stops_it_says_so_and_answers_on_until_told_to_hurry(new_proxy, origin, stop, closed):
    origin.issue("PROJ-1", "first")
    proxy = await new_proxy(drain_delay="1h")
    stopping, hurry = await stop(proxy)
    ready = await proxy.get("/-/ready", None)
    assert (ready.status, ready.json()["status"]) == (503, "draining")
    assert (await proxy.get(ISSUE)).status == 200
    assert not stopping.done()
    hurry.set()
    await finished(stopping)
    await closed(proxy)


async def test_the_wait_for_those_who_ask_ends_by_itself(new_proxy, stop, closed):
    stopping, _ = await stop(await new_proxy(drain_delay="50ms"))
    await finished(stopping)


async def test_what_is_under_way_is_finished_while_nobody_new_gets_in(proxy, held, stop, closed):
    asked = await under_way(held, proxy.get(ISSUE))
    stopping, _ = await stop(proxy)
    await closed(proxy)
    assert not stopping.done()
    held.open.set()
    assert (await asked).status == 200
    await finished(stopping)


async def test_a_body_that_is_still_coming_in_is_received_to_its_end(proxy, origin, stop, closed):
    def echo(request):
        return aiohttp.web.json_response({"size": len(origin.seen[-1].body)})

    origin.on("POST", "/upload", echo)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slowly():
        yield b"x" * 10
        begun.set()
        await go_on.wait()
        yield b"y" * 10

    async def upload():
        return await proxy.request("POST", "/upload", data=slowly())

    asked = asyncio.create_task(upload())
    await begun.wait()
    stopping, _ = await stop(proxy)
    await closed(proxy)
    go_on.set()
    assert (await asked).json() == {"size": 20}
    await finished(stopping)


async def test_a_connection_on_which_nothing_is_asked_keeps_nobody_waiting(proxy, stop, raw_connection):
    idle, begun = [await raw_connection(proxy.url, said) for said in (b"", b"GET / HTTP/1.1\r\nHost:")]
    await proxy.get("/-/live", None)  # by now they have been accepted
    stopping, _ = await stop(proxy)
    await finished(stopping)
    assert [await reader.read() for reader in (idle, begun)] == [b"", b""]


async def test_what_takes_longer_than_the_time_there_is_is_cut_off(proxy, held, stop, monkeypatch):
    monkeypatch.setattr("proxy.listening.DRAIN", 0.1)
    asked = await under_way(held, proxy.get(ISSUE))
    stopping, _ = await stop(proxy)
    await finished(stopping)
    with pytest.raises(aiohttp.ClientError):
        await asked


async def test_a_write_that_nobody_waits_for_any_more_is_cut_off_too_but_what_it_may_have_changed_is_old(
    proxy, held, stop, monkeypatch
):
    monkeypatch.setattr("proxy.listening.DRAIN", 0.1)
    writing = await under_way(held, proxy.request("PUT", ISSUE, json={"fields": {"summary": "second"}}))
    writing.cancel()
    stopping, _ = await stop(proxy)
    await finished(stopping)
    counts = proxy.running.app.metrics.registry
    assert counts.get_sample_value("jira_cache_invalidations_total", {"tenant": "default", "source": "write"}) == 1
