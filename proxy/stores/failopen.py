"""A store that may break without breaking anything else: every failure becomes the answer that leads to Jira.

What an operation answers while the backend cannot be asked errs to the safe side:

    read            no entry and no fence: nothing is served from the cache and nothing kept in it
    write           False: late passengers of the trip do not take its answer for a true one
    get             None: no lease, so Jira is asked
    add             True: a delivery seen twice is applied twice, which does no harm; one taken for seen would be lost
    claim, wait     granted, over: this process makes its own trip
    put, landed     nothing
    postpone        StoreError: as for an invalidation, of which it is a part; it is owed
    repeat          nothing is due
    drop            nothing yet: it is owed
    invalidate      StoreError, so that a webhook can ask Jira to deliver it again: it is owed
    survey          StoreError: nobody knows which queries an event concerns
    forget          StoreError: the operator tries again

A debt is what must not be forgotten: an invalidation that was not recorded, or a lease that was not ended. While there
is one, nothing is served from the cache; it is paid by the first operation after the pause that reaches the backend,
by making the whole tenant old and dropping the names.
"""

from collections.abc import Awaitable, Callable, Collection
from enum import StrEnum
from typing import Protocol, TypeVar

from policies.model import EVERYTHING, Entry, Fence, Live, Lookup, Survey
from proxy.errors import StoreError
from proxy.stores import Echoes, Landings, Shelf, Store, Sweep

T = TypeVar("T")

UNKNOWN = Lookup(None, alive=False, fence=None)

DROPS_OWED = 10_000
"""How many names are remembered for dropping. More than that are a flood of credentials that never had a lease."""


class Backend(Store, Sweep, Echoes, Shelf, Landings, Protocol):
    """All that a store does for one tenant."""


class State(StrEnum):
    """How the store is: asked; not asked for a while after a failure; not served from until a debt is paid."""

    OK = "ok"
    OPEN = "open"
    OWING = "owing"


class FailOpen:
    """Store, Sweep, Shelf and Landings over `backend`, of which only what says so ever raises (StoreError).

    After a failure the backend is left alone for `pause` seconds of `clock`, then one operation tries it. `on_error` is
    told the name of each operation that failed.
    """

    def __init__(
        self, backend: Backend, *, clock: Callable[[], float], on_error: Callable[[str], None], pause: float = 1.0
    ) -> None:
        self._backend = backend
        self._clock = clock
        self._on_error = on_error
        self._pause = pause
        self._retry_at: float | None = None  # None: the last operation went well
        self._owed = 0  # invalidations that were not recorded, of all time ...
        self._paid = 0  # ... and how many of them were made good: one that fails meanwhile stays owed
        self._drops_owed: dict[str, None] = {}  # in order of arrival

    def __repr__(self) -> str:
        return f"<FailOpen {self.state} {self._backend!r}>"

    @property
    def state(self) -> State:
        """How the store is (proxy.health)."""
        if self._owed > self._paid or self._drops_owed:
            return State.OWING
        return State.OK if self._retry_at is None else State.OPEN

    def glance(self, key: str) -> Lookup | None:
        return self._backend.glance(key) if self.state is State.OK else None

    async def read(self, key: str, live: Live | None = None, lock: bytes = b"") -> Lookup:
        return await self._attempt("read", lambda: self._backend.read(key, live, lock), UNKNOWN)

    async def write(self, key: str, entry: Entry, fence: Fence, lock: bytes = b"") -> bool:
        return await self._attempt("write", lambda: self._backend.write(key, entry, fence, lock), otherwise=False)

    async def invalidate(self, tags: Collection[str], surveyed: Fence | None = None) -> None:
        """Make `tags` old, or owe it and raise StoreError.

        Tried even when the backend has just failed: other processes serve on until it is recorded.
        """
        await self._record("invalidate", lambda: self._backend.invalidate(tags, surveyed))
        self._retry_at = None

    async def survey(self, since: Fence | None) -> Survey:
        """List live queries, or raise StoreError. Tried even when the backend has just failed, as `invalidate` is."""
        try:
            return await self._backend.survey(since)
        except StoreError:
            self._fail("survey")
            raise

    async def postpone(self, tags: Collection[str], delays: Collection[float], surveyed: Fence | None = None) -> None:
        """Note what to invalidate again, or owe it and raise StoreError."""
        await self._record("postpone", lambda: self._backend.postpone(tags, delays, surveyed))

    async def repeat(self) -> float | None:
        return await self._attempt("repeat", self._backend.repeat, None)

    async def forget(self, pattern: str) -> int:
        """Drop answers by pattern, or raise StoreError: then some may be gone and some not."""
        try:
            return await self._backend.forget(pattern)
        except StoreError:
            self._fail("forget")
            raise

    async def close(self) -> None:
        await self._backend.close()

    async def get(self, name: str) -> bytes | None:
        return await self._attempt("get", lambda: self._backend.get(name), None)

    async def put(self, name: str, value: bytes, ttl: float) -> None:
        await self._attempt("put", lambda: self._backend.put(name, value, ttl), None)

    async def add(self, name: str, value: bytes, ttl: float) -> bool:
        return await self._attempt("add", lambda: self._backend.add(name, value, ttl), otherwise=True)

    async def drop(self, name: str) -> None:
        dropped = False
        try:
            dropped = await self._attempt("drop", lambda: _done(self._backend.drop(name)), otherwise=False)
        finally:
            if not dropped:
                self._owe_drop(name)

    async def claim(self, key: str, ttl: float) -> bool:
        return await self._attempt("claim", lambda: self._backend.claim(key, ttl), otherwise=True)

    async def landed(self, key: str, kept: bool) -> None:
        await self._attempt("landed", lambda: self._backend.landed(key, kept), None)

    async def wait(self, key: str, timeout: float) -> None:  # noqa: ASYNC109 - as the protocol has it
        await self._attempt("wait", lambda: self._backend.wait(key, timeout), None)

    async def _record(self, operation: str, deed: Callable[[], Awaitable[None]]) -> None:
        recorded = False
        try:
            await deed()
            recorded = True
        except StoreError:
            self._fail(operation)
            raise
        finally:
            if not recorded:  # also when cancelled in the middle: nobody knows
                self._owed += 1

    async def _attempt(self, operation: str, deed: Callable[[], Awaitable[T]], otherwise: T) -> T:
        if not self._admits():
            return otherwise
        try:
            await self._pay()
            result = await deed()
        except StoreError:
            self._fail(operation)
            return otherwise
        self._retry_at = None
        return otherwise if self.state is State.OWING else result  # owed since we asked

    def _admits(self) -> bool:
        if self._retry_at is None:
            return True
        now = self._clock()
        if now < self._retry_at:
            return False
        self._retry_at = now + self._pause  # one tries, the others wait for how it fares
        return True

    async def _pay(self) -> None:
        if (owed := self._owed) > self._paid:
            await self._backend.invalidate({EVERYTHING})
            self._paid = max(self._paid, owed)
        for name in tuple(self._drops_owed):
            await self._backend.drop(name)
            self._drops_owed.pop(name, None)

    def _owe_drop(self, name: str) -> None:
        self._drops_owed[name] = None
        if len(self._drops_owed) > DROPS_OWED:
            del self._drops_owed[next(iter(self._drops_owed))]

    def _fail(self, operation: str) -> None:
        self._retry_at = self._clock() + self._pause
        self._on_error(operation)


async def _done(deed: Awaitable[None]) -> bool:
    await deed
    return True
