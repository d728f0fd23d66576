"""Both shells over every backend behind one fixture, all spoken to by awaiting."""

import inspect
from collections.abc import Callable

import fakeredis
import pytest
from fakeredis._commands import command  # fakeredis offers no public way to teach it a command
from fakeredis.commands_mixins.server_mixin import ServerCommandsMixin

from proxy.service import (
    AsyncCacheService,
    CacheService,
    Memory,
    create_async_redis_client,
    create_redis_client,
)
from tests.clocks import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


def info(_socket, *_section) -> bytes:
    return b"run_id:0123456789abcdef01234567\r\nmaster_replid:76543210fedcba9876543210\r\n"


@pytest.fixture
def telling_fakes(monkeypatch):
    """Let a fakeredis say which run of a server it is."""
    monkeypatch.setattr(ServerCommandsMixin, "info", command((), (bytes,), name="info")(info), raising=False)


class Awaited:
    """The blocking shell, to be awaited; its loaders are plain functions. `now` is the shell itself."""

    def __init__(self, service: CacheService) -> None:
        self.now = service

    def __getattr__(self, name):
        async def call(*args, **kwargs):
            return getattr(self.now, name)(*args, **kwargs)

        return call


class Plain:
    """The shell for asyncio, which takes plain functions for loaders as well. `now` is the shell itself."""

    def __init__(self, service: AsyncCacheService) -> None:
        self.now = service

    def __getattr__(self, name):
        return getattr(self.now, name)

    def get_or_load(self, key, loader, *args, **kwargs):
        async def load():
            value = loader()
            return await value if inspect.isawaitable(value) else value

        return self.now.get_or_load(key, load, *args, **kwargs)


@pytest.fixture(params=["blocking", "asyncio"])
def shell(request) -> str:
    return request.param


@pytest.fixture(params=["memory", "fakeredis", "redis"])
def kind(request) -> str:
    return request.param


@pytest.fixture
async def client(kind, shell, clock, request):
    """One client for all services of a test."""
    if kind == "memory":
        yield Memory(clock=clock)
    elif kind == "fakeredis":
        request.getfixturevalue("telling_fakes")
        made = fakeredis.FakeRedis() if shell == "blocking" else fakeredis.FakeAsyncRedis()
        yield made
        await _closed(made)
    else:
        url = request.getfixturevalue("redis_url")
        make = create_redis_client if shell == "blocking" else create_async_redis_client
        made = make(url, timeout=5.0)
        yield made
        await _closed(made)


async def _closed(client) -> None:
    if hasattr(client, "aclose"):
        await client.aclose()
    else:
        client.close()


@pytest.fixture
def new_cache(client, shell, tenant) -> Callable[..., Awaited | Plain]:
    """Make services over one backend; without a namespace, of this test's own tenant."""

    def make(namespace: str = f"tenant:{tenant}", **options):
        if shell == "blocking":
            return Awaited(CacheService(client, namespace, **options))
        return Plain(AsyncCacheService(client, namespace, **options))

    return make


@pytest.fixture
def cache(new_cache):
    return new_cache()
