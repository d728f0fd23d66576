"""Every kind of store behind one fixture, and entries to put into it."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import redis.asyncio
from fakeredis import FakeAsyncRedis
from fakeredis._commands import command  # fakeredis offers no public way to teach it a command
from fakeredis.commands_mixins.server_mixin import ServerCommandsMixin

from policies.model import EVERYTHING, Entry, Live, Lookup
from policies.tags import Tags
from proxy.stores.memory import MemoryStore
from proxy.stores.redis import RedisStore, connect
from proxy.stores.sealing import Sealing
from proxy.stores.tiered import Tiered
from tests.clocks import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


def an_entry(*tags: str, body: bytes = b"{}", keep: float = 300.0, **fields) -> Entry:
    defaults = {
        "status": 200,
        "headers": (("content-type", "application/json"),),
        "coding": "identity",
        "etag": '"e"',
        "stored": 1_700_000_000.25,
        "ttl": 60.0,
    }
    return Entry(**{**defaults, **fields}, body=body, tags=Tags.of((*tags, EVERYTHING)), keep=keep)


@pytest.fixture
def make_entry() -> Callable[..., Entry]:
    return an_entry


def info(_socket, _section) -> bytes:
    return b"run_id:0123456789abcdef01234567\r\nmaster_replid:76543210fedcba9876543210\r\n"


@pytest.fixture
def fake_client(monkeypatch: pytest.MonkeyPatch) -> FakeAsyncRedis:
    """A fakeredis that can say which run of a server it is."""
    monkeypatch.setattr(ServerCommandsMixin, "info", command((bytes,), name="info")(info), raising=False)
    return FakeAsyncRedis()


class Attentive(Tiered):
    """Hears what there is to hear before each look-up, and by itself at no other time: so it lags behind nobody."""

    def __init__(self, far: RedisStore, **options) -> None:
        super().__init__(far, max_bytes=1_000_000, max_lag=1.0, **options)

    async def read(self, key: str, live: Live | None = None, lock: bytes = b"", claim: str = "") -> Lookup:
        await self.hear()
        return await super().read(key, live, lock, claim)

    async def hear(self) -> None:
        self._tail._task = self._tail._task or asyncio.get_running_loop().create_future()  # so none is started
        await self._tail._hear()


@pytest.fixture
def attentive() -> type[Attentive]:
    return Attentive


@pytest.fixture(params=["memory", "redis", "fakeredis", "sealed", "tiered"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
async def new_store(
    kind: str, clock: Clock, tenant: str, request: pytest.FixtureRequest
) -> AsyncIterator[Callable[..., MemoryStore | RedisStore | Tiered]]:
    """Make stores of one kind and one tenant, and close them at the end."""
    made = []

    def make(**options) -> MemoryStore | RedisStore | Tiered:
        if kind == "memory":
            store = MemoryStore(max_bytes=1_000_000, clock=clock, **options)
        elif kind == "redis":
            store = RedisStore(connect(request.getfixturevalue("redis_url"), timeout=2.0), tenant, **options)
        elif kind == "sealed":
            sealing = Sealing(b"a secret of the tests' own", tenant)
            client = connect(request.getfixturevalue("redis_url"), timeout=2.0)
            store = RedisStore(client, tenant, sealing=sealing, **options)
        elif kind == "tiered":
            far = RedisStore(connect(request.getfixturevalue("redis_url"), timeout=2.0), tenant, **options)
            store = Attentive(far, clock=clock, unix=lambda: 1_700_000_000.0)
        else:
            store = RedisStore(request.getfixturevalue("fake_client"), tenant, **options)
        made.append(store)
        return store

    yield make
    for store in made:
        await store.close()


@pytest.fixture
def store(new_store: Callable[..., MemoryStore | RedisStore | Tiered]) -> MemoryStore | RedisStore | Tiered:
    return new_store()


@pytest.fixture
async def raw(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    """A client that knows nothing of stores."""
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        yield client
