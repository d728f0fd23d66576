"""A store that may break without breaking anything else: every failure becomes the answer that leads to Jira.

What an operation answers while the backend cannot be asked errs to the safe side:

    read            no entry and no fence: nothing is served from the cache and nothing kept in it
    write           False: late passengers of the trip do not take its answer for a true one
    get             None: no lease, so Jira is asked
    add             True: a delivery seen twice is applied twice, which does no harm; one taken for seen would be lost
    claim, wait     granted, over: this process makes its own trip
    put             nothing
    landed          nothing yet: it is done later, lest others wait for a trip that is over, or for one that was claimed
                    by a look-up whose answer never came
    postpone        StoreError: as for an invalidation, of which it is a part; it is owed
    repeat          nothing is due before it can be asked again
    drop            nothing yet: it is owed
    invalidate      StoreError, so that a webhook can ask Jira to deliver it again: it is owed
    survey          StoreError: nobody knows which queries an event concerns
    forget          StoreError: the operator tries again

While it cannot be asked, other processes may be owing to it as well what they could not record. So for some time after
it is back nothing that it has is taken for true: by then each of them has paid, or still cannot reach it and serves
nothing. A store that is merely full (StoreFullError) is not left alone: it answers what it has.

A debt is what must not be forgotten: an invalidation that was not recorded, or a lease that was not ended. While there
is one, nothing is served from the cache; it is paid by the first operation after the pause that reaches the backend,
by making the whole tenant old and dropping the names.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from enum import StrEnum
from functools import partial
from typing import Protocol, TypeVar

from policies.model import EVERYTHING, Entry, Fence, Live, Lookup, Survey
from proxy.errors import StoreError, StoreFullError
from proxy.pause import Pause
from proxy.stores import Echoes, Landings, Shelf, Store, Sweep
from proxy.stores.allowance import unhurried

T = TypeVar("T")

UNKNOWN = Lookup(None, alive=False, fence=None)

NAMES_OWED = 10_000
"""How many names are remembered for dropping. More than that are a flood of credentials that never had a lease."""


class Backend(Store, Sweep, Echoes, Shelf, Landings, Protocol):
    """All that a store does for one tenant."""


class State(StrEnum):
    """How the store is.

    From best to worst: asked; asked again after a failure, but not yet believed; not asked for a while; not served from
    until a debt is paid.
    """

    OK = "ok"
    DOUBTED = "doubted"
    OPEN = "open"
    OWING = "owing"


class FailOpen:
    """Store, Sweep, Shelf and Landings over `backend`, of which only what says so ever raises (StoreError).

    After a failure the backend is left alone for `pause` seconds of `clock`, then one operation tries it. `on_error` is
    told the name of each operation that failed. What is found within `doubt` seconds after it is back counts as old.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        clock: Callable[[], float],
        on_error: Callable[[str], None],
        pause: float = 0.5,
        doubt: float = 1.5,
    ) -> None:
        self._backend = backend
        self._clock = clock
        self._on_error = on_error
        self._pause = Pause(pause, clock)
        self._doubt = doubt  # three times as long as the others take to try again
        self._doubted_until: float | None = None
        self._failed = asyncio.Event()
        self._owed = 0  # invalidations that were not recorded, of all time ...
        self._paid = 0  # ... and how many of them were made good: one that fails meanwhile stays owed
        self._drops_owed: dict[str, None] = {}  # in order of arrival
        self._landings_owed: dict[str, None] = {}  # the same; nothing is withheld for their sake

    def __repr__(self) -> str:
        return f"<FailOpen {self.state} {self._backend!r}>"

    @property
    def state(self) -> State:
        """How the store is (proxy.health)."""
        if self._is_owing():
            return State.OWING
        if self._pause.is_on:
            return State.OPEN
        return State.DOUBTED if self._doubts() else State.OK

    def _is_owing(self) -> bool:
        return self._owed > self._paid or bool(self._drops_owed)

    def glance(self, key: str) -> Lookup | None:
        return self._backend.glance(key) if self._is_believed() else None

    def moment(self) -> Fence | None:
        return self._backend.moment() if self._is_believed() else None

    def _is_believed(self) -> bool:
        # Each hit comes by here, and a look at the state takes as long as all the rest.
        troubled = self._drops_owed or self._pause.is_on or self._doubted_until is not None or self._owed != self._paid
        return not troubled or self.state is State.OK

    async def read(self, key: str, live: Live | None = None, lock: bytes = b"", claim: str = "") -> Lookup:
        async def look() -> Lookup:
            try:
                return await self._backend.read(key, live, lock, claim)
            except StoreError:
                if claim:  # which was perhaps made all the same
                    _owe(self._landings_owed, claim)
                raise

        found = await self._attempt("read", look, UNKNOWN)
        return replace(found, alive=False) if found.alive and self._doubts() else found

    async def write(self, key: str, entry: Entry, fence: Fence, lock: bytes = b"", landing: str = "") -> bool:
        deed = partial(self._backend.write, key, entry, fence, lock, landing)
        return await self._attempt("write", deed, otherwise=False) and not self._doubts()

    async def invalidate(self, tags: Collection[str], surveyed: Fence | None = None) -> None:
        """Make `tags` old, or owe it and raise StoreError.

        Tried even when the backend has just failed, with all of its own time, whatever an allowance has left, and then
        once more: other processes serve on until it is recorded.
        """

        async def insist() -> None:
            try:
                with unhurried():
                    await self._backend.invalidate(tags, surveyed)
            except StoreError:  # a connection that broke, say; what took too long fails at once now
                await self._backend.invalidate(tags, surveyed)

        await self._record("invalidate", insist)
        self._succeeded()

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
        """Invalidate what is due; tell in how many seconds to come again, which is also how a debt is paid in time."""
        coming = await self._attempt("repeat", self._backend.repeat, None)
        return self._pause.left if self._pause.is_on else coming

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
        await self._attempt_or_owe("drop", self._backend.drop, name, self._drops_owed)

    async def claim(self, key: str) -> bool:
        return await self._attempt("claim", lambda: self._backend.claim(key), otherwise=True)

    async def landed(self, key: str, *, brought: bool = False) -> None:
        await self._attempt_or_owe("landed", partial(self._backend.landed, brought=brought), key, self._landings_owed)

    async def wait(self, key: str, timeout: float) -> None:  # noqa: ASYNC109 - as the protocol has it
        """Wait for a landing, or until the backend fails anybody here: it may not be able to tell of the landing."""
        waiting = asyncio.ensure_future(self._attempt("wait", lambda: self._backend.wait(key, timeout), None))
        failing = asyncio.ensure_future(self._failed.wait())
        try:
            await asyncio.wait({waiting, failing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            failing.cancel()
            await asyncio.wait({waiting, failing})

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
        if not self._pause.admits():
            return otherwise
        try:
            if self._is_owing() or self._landings_owed:
                await self._pay()
            result = await deed()
        except StoreFullError:
            self._on_error(operation)
            return otherwise
        except StoreError:
            self._fail(operation)
            return otherwise
        self._succeeded()
        return otherwise if self._is_owing() else result  # owed since we asked

    async def _attempt_or_owe(
        self, operation: str, deed: Callable[[str], Awaitable[None]], name: str, owed: dict[str, None]
    ) -> None:
        done = False
        try:
            done = await self._attempt(operation, lambda: _done(deed(name)), otherwise=False)
        finally:  # also when cancelled in the middle: nobody knows
            if not done:
                _owe(owed, name)

    async def _pay(self) -> None:
        if (owed := self._owed) > self._paid:
            await self._backend.invalidate({EVERYTHING})
            self._paid = max(self._paid, owed)
        for name in tuple(self._drops_owed):
            await self._backend.drop(name)
            self._drops_owed.pop(name, None)
        for key in tuple(self._landings_owed):
            await self._backend.landed(key)
            self._landings_owed.pop(key, None)

    def _succeeded(self) -> None:
        if self._pause.is_on:
            self._pause.end()
            self._failed.clear()
            self._doubted_until = self._clock() + self._doubt

    def _doubts(self) -> bool:
        if self._doubted_until is not None and self._clock() >= self._doubted_until:
            self._doubted_until = None
        return self._doubted_until is not None

    def _fail(self, operation: str) -> None:
        self._pause.begin()
        self._failed.set()
        self._on_error(operation)


def _owe(names: dict[str, None], name: str) -> None:
    names[name] = None
    if len(names) > NAMES_OWED:
        del names[next(iter(names))]


async def _done(deed: Awaitable[None]) -> bool:
    await deed
    return True
