"""What it costs to make answers old, at a thousand and at a million that the change concerns."""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from statistics import median

import redis

from bench import peers
from bench.tables import Table
from policies.model import EVERYTHING, Entry
from policies.tags import Tags
from proxy.stores.memory import MemoryStore
from proxy.stores.redis import RedisStore, connect

FEW, MANY, TIMES = 1_000, 1_000_000, 200
ROOM = 8 * 1024**3
TAGS = ("project:PROJ", "issues", "type:issue", EVERYTHING)
_COPIES = """
for number = tonumber(ARGV[1]), tonumber(ARGV[2]) do
  redis.call('COPY', KEYS[1], KEYS[1] .. number)
end
"""
_AT_ONCE = 50_000  # copies that a script makes


def measure() -> Iterator[Table]:
    """Measure both stores at both sizes."""
    rows = [_row("memory", asyncio.run(_in_memory())), _row("Redis", asyncio.run(_in_redis()))]
    columns = ("", f"µs at {FEW:,} answers", f"µs at {MANY:,} answers", "ratio")
    yield Table("Invalidation: a tag that all answers carry", columns, rows)


def _row(name: str, seconds: tuple[float, float]) -> tuple[str, ...]:
    few, many = seconds
    return name, f"{few * 1e6:.1f}", f"{many * 1e6:.1f}", f"{many / few:.2f}"


def _entry() -> Entry:
    headers = (("Content-Type", "application/json;charset=UTF-8"),)
    return Entry(200, headers, b"{}", "identity", '"e"', Tags.of(TAGS), stored=time.time(), ttl=3600, keep=7200)


async def _in_memory() -> tuple[float, float]:
    store = MemoryStore(max_bytes=ROOM, clock=time.monotonic)
    fence, entry = (await store.read("issue:PROJ-0:v")).fence, _entry()
    if fence is None:
        raise RuntimeError("the memory store has no fence")

    async def fill(start: int, end: int) -> None:
        for number in range(start, end):
            tags = (f"issue:PROJ-{number}", *TAGS)
            await store.write(f"issue:PROJ-{number}:v", replace(entry, tags=Tags.of(tags)), fence)

    gc.disable()  # it would go through the million again and again while they are made
    try:
        return await _compared(store, fill, f"issue:PROJ-{MANY - 1}:v")
    finally:
        gc.enable()


async def _in_redis() -> tuple[float, float]:
    with peers.tmpfs() as folder, peers.redis_server(folder) as server:
        store = RedisStore(connect(f"redis://127.0.0.1:{server.port}/0"), "bench")
        direct = redis.Redis(port=server.port)
        key = "issue:PROJ-1:v"
        fence = (await store.read(key)).fence
        if fence is None:
            raise RuntimeError("Redis has no fence")
        await store.write(key, _entry(), fence)

        async def fill(start: int, end: int) -> None:
            for first in range(start, end, _AT_ONCE):
                direct.eval(_COPIES, 1, f"tenant:bench:{key}", first, min(first + _AT_ONCE, end) - 1)

        try:
            return await _compared(store, fill, f"{key}{MANY - 1}")
        finally:
            await store.close()


async def _compared(
    store: MemoryStore | RedisStore, fill: Callable[[int, int], Awaitable[None]], last: str
) -> tuple[float, float]:
    await fill(0, FEW)
    few = await _invalidations(store)
    await fill(FEW, MANY)
    if not (await store.read(last)).entry:
        raise RuntimeError("the store did not keep them all")
    many = await _invalidations(store)
    if (await store.read(last)).alive:
        raise RuntimeError("an answer outlived its tag")
    return few, many


async def _invalidations(store: MemoryStore | RedisStore) -> float:
    """Tell the seconds that one takes."""
    took = []
    for _ in range(TIMES):
        began = time.perf_counter()
        await store.invalidate({"project:PROJ"})
        took.append(time.perf_counter() - began)
    return median(took)
