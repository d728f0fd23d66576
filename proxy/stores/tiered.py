"""Ready-to-send answers in this process, in front of a Redis that all processes share (`coherence: relaxed`).

An answer that is near is served without a trip if the tenant's ledger was heard from within `max_lag` and held the
answer true. So what another process changed may go unseen for as long as `max_lag`, and usually for a millisecond; what
this process changed never does.

When nothing can be heard, nothing near is served after `max_lag` and every look-up goes to Redis, whose failures are
FailOpen's business. FailOpen does not ask us while it leaves Redis alone: then nothing near is served at all.
"""

from collections.abc import Callable, Collection, Mapping

from policies.model import Entry, Fence, Live, Lookup, Survey
from proxy.stores.near import Near
from proxy.stores.redis import RedisStore
from proxy.stores.tail import Tail


class Tiered:
    """Store, Sweep, Echoes, Shelf and Landings over `far`, with at most `max_bytes` of its answers near.

    `clock` gives seconds of which only the differences matter, `unix` those that the age of answers is measured by.
    """

    def __init__(
        self,
        far: RedisStore,
        *,
        max_bytes: int,
        max_lag: float,
        clock: Callable[[], float],
        unix: Callable[[], float],
    ) -> None:
        self._far = far
        self._near = Near(max_bytes, clock, unix)
        self._tail = Tail(far.ear(), self._near, clock=clock, max_lag=max_lag)

    def __repr__(self) -> str:
        return f"<Tiered {self._near!r} {self._tail!r} {self._far!r}>"

    def __len__(self) -> int:
        return len(self._near)

    @property
    def weight(self) -> int:
        """How many bytes the answers that are near weigh."""
        return self._near.weight

    @property
    def types(self) -> Mapping[str, int]:
        """How many answers that are near there are of each type."""
        return self._near.types

    @property
    def evictions(self) -> int:
        """How many answers had to make room for others so far."""
        return self._near.evictions

    def glance(self, key: str) -> Lookup | None:
        # A query whose answer is near is registered: had it been forgotten since, its tag would be invalidated.
        return self._near.find(key) if self._tail.follow() else None

    def moment(self) -> Fence | None:
        return self._near.heard if self._tail.follow() else None

    async def read(self, key: str, live: Live | None = None, lock: bytes = b"", claim: str = "") -> Lookup:
        if found := self.glance(key):
            return found
        found = await self._far.read(key, live, lock, claim)
        if found.entry and found.alive and found.fence:
            self._near.admit(key, found.entry, found.fence)
        return found

    async def write(self, key: str, entry: Entry, fence: Fence, lock: bytes = b"", landing: str = "") -> bool:
        alive = await self._far.write(key, entry, fence, lock, landing)
        if alive:
            self._near.admit(key, entry, fence)
        return alive

    async def invalidate(self, tags: Collection[str], surveyed: Fence | None = None) -> None:
        try:
            await self._far.invalidate(tags, surveyed)
        finally:  # also when it failed or was cancelled: nobody knows whether it was recorded
            self._tail.doubt()
        await self._tail.settle()

    async def survey(self, since: Fence | None) -> Survey:
        return await self._far.survey(since)

    async def forget(self, pattern: str) -> int:
        try:
            dropped = await self._far.forget(pattern)
        finally:
            self._tail.doubt()
        await self._tail.settle()
        return dropped

    async def close(self) -> None:
        await self._tail.close()
        self._near.clear()
        await self._far.close()

    async def postpone(self, tags: Collection[str], delays: Collection[float], surveyed: Fence | None = None) -> None:
        await self._far.postpone(tags, delays, surveyed)

    async def repeat(self) -> float | None:
        return await self._far.repeat()

    async def get(self, name: str) -> bytes | None:
        return await self._far.get(name)

    async def put(self, name: str, value: bytes, ttl: float) -> None:
        await self._far.put(name, value, ttl)

    async def add(self, name: str, value: bytes, ttl: float) -> bool:
        return await self._far.add(name, value, ttl)

    async def drop(self, name: str) -> None:
        await self._far.drop(name)

    async def claim(self, key: str) -> bool:
        return await self._far.claim(key)

    async def landed(self, key: str, *, brought: bool = False) -> None:
        await self._far.landed(key, brought=brought)

    async def wait(self, key: str, timeout: float) -> None:  # noqa: ASYNC109 - as the protocol has it
        await self._far.wait(key, timeout)
