"""One request waits for its store no longer than it is allowed to, however many operations it takes."""

import asyncio
import os
import signal
import time
from contextlib import suppress

import pytest

from proxy.errors import StoreError
from proxy.stores.allowance import Allowance, allowed, bound, unhurried, within
from proxy.stores.failopen import FailOpen
from proxy.stores.redis import RedisStore, connect
from proxy.stores.tasks import begin

KEY = "issue:PROJ-1:abc"


def test_what_was_waited_is_gone(clock):
    allowance = Allowance(10.0, clock)
    for left in (7.0, 4.0, 1.0, 0.0):
        with allowance:
            clock.now += 3.0
        clock.now += 100.0
        assert allowance.left == left


def test_operations_that_overlap_use_up_the_same_seconds(clock):
    allowance = Allowance(10.0, clock)
    with allowance:
        clock.now += 1.0
        with allowance:
            clock.now += 2.0
        clock.now += 1.0
        assert allowance.left == 6.0
    assert allowance.left == 6.0


def test_an_operation_may_take_its_own_time_or_what_is_left_if_that_is_less():
    assert (bound(5.0), bound(None)) == (5.0, None)
    with allowed(3.0):
        assert (bound(1.0), bound(5.0), bound(None)) == (1.0, 3.0, 3.0)
        with unhurried():
            assert bound(5.0) == 5.0
    assert bound(5.0) == 5.0


async def test_what_outlives_the_request_or_is_nobodys_has_all_of_its_own_time():
    told = []

    async def tell(answered=None):
        if answered is not None:
            await answered.wait()
        told.append(bound(5.0))

    answered = asyncio.Event()
    with allowed(3.0):
        await asyncio.create_task(tell())
        await begin(tell())
        late = asyncio.create_task(tell(answered))
        await asyncio.sleep(0)
    answered.set()
    await late
    assert told == [3.0, 5.0, 5.0]


async def test_an_operation_that_takes_too_long_is_given_up():
    with allowed(0.0), pytest.raises(TimeoutError):
        async with within(60.0):
            await asyncio.Event().wait()


@pytest.fixture
async def store(redis_server, tenant):
    """A store that tries each operation, whatever has failed before."""
    backend = RedisStore(connect(redis_server.url, timeout=0.3), tenant)
    made = FailOpen(backend, clock=lambda: 0.0, on_error=lambda _: None, pause=0.0)
    await made.read(KEY)
    yield made
    await made.close()


async def seconds_of_a_request(store) -> float:
    """A look-up and a trip that is claimed; a change with its survey, its echo and itself."""
    began = time.monotonic()
    for operation in (store.get("a"), store.read(KEY), store.claim(KEY)):
        await operation
    for operation in (store.survey(None), store.postpone(["a"], [1.0]), store.invalidate(["a"])):
        with suppress(StoreError):
            await operation
    return time.monotonic() - began


async def test_a_request_to_a_store_that_hangs_waits_about_once(store, redis_server):
    os.kill(redis_server.process.pid, signal.SIGSTOP)
    try:
        with allowed(0.3):
            once = await seconds_of_a_request(store)
        each = await seconds_of_a_request(store)
    finally:
        os.kill(redis_server.process.pid, signal.SIGCONT)
    assert once < each / 2
