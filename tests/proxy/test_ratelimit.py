"""Counting a client's requests, when the clock moves and when the store fails."""

import pytest

from policies import links
from policies.model import Request
from proxy.errors import StoreError
from proxy.greeting import Greeting
from proxy.incoming import Body, Incoming
from proxy.ratelimit import RateLimit
from proxy.service import AsyncCacheService, Memory
from tests.clocks import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def failures() -> list[None]:
    return []


@pytest.fixture
def new_limit(clock, failures):
    def make(cache, most=2):
        return RateLimit(cache, most, None, b"secret", clock=clock, on_error=lambda: failures.append(None))

    return make


def request() -> Incoming:
    async def read():
        return b""

    site = links.site("http://jira", "http://proxy")
    greeting = Greeting([("Authorization", "Basic abc")], "proxy")
    law = Request("GET", "/rest/api/2/issue/A-1", headers=greeting.headers)
    return Incoming(law, greeting, Body(read, present=False), site, "127.0.0.1", "http")


async def seconds(limit) -> list[str]:
    """For how long three requests are to wait; "" for those that may go on."""
    refusals = [await limit.refuse(request()) for _ in range(3)]
    return [dict(refused.headers)["Retry-After"] if refused else "" for refused in refusals]


async def test_a_minute_begins_with_its_first_request(new_limit, clock):
    limit = new_limit(AsyncCacheService(Memory(clock=clock), on_error="raise"))
    assert await seconds(limit) == ["", "", "60"]
    clock.now += 59.5
    assert await seconds(limit) == ["1", "1", "1"]
    clock.now += 0.5
    assert await seconds(limit) == ["", "", "60"]


class Failing:
    """A cache that fails for as long as it is told to, and counts how often it was asked."""

    def __init__(self, error=None):
        self.error = error
        self.asked = 0

    async def increment(self, key, *, ttl):
        self.asked += 1
        if self.error is not None:
            raise self.error
        return 100

    async def get_ttl(self, key):
        return -2  # the minute ended in between


@pytest.mark.parametrize("error", [StoreError("INCRBY: refused"), TypeError("cannot be counted")])
async def test_a_store_that_fails_is_left_alone_for_a_second_and_refuses_nobody(new_limit, clock, failures, error):
    cache = Failing(error)
    limit = new_limit(cache)
    assert await seconds(limit) == ["", "", ""]
    assert (cache.asked, len(failures)) == (1, 1)
    clock.now += 1
    assert await seconds(limit) == ["", "", ""]
    assert (cache.asked, len(failures)) == (2, 2)
    cache.error = None
    clock.now += 1
    assert await seconds(limit) == ["1", "1", "1"]
