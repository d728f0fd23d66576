"""A tenant's answers, ledger and small values in this process's memory. Nothing to install, nothing survives."""

import heapq
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import count
from math import ceil

from policies.model import EVERYTHING, Entry, Fence, Live, Lookup, Origin, Survey
from policies.tags import Tags
from proxy.stores.coding import pack_key
from proxy.stores.glob import compile_glob
from proxy.stores.ledger import Ledger, new_incarnation
from proxy.stores.live import ROOM, Register
from proxy.stores.lru import Lru, LruByKind

SHELF_BYTES = 8 * 1024 * 1024  # room of its own, so that a burst of large answers does not push out the leases
_AROUND = 640  # what CPython spends on an entry, its strings and its place in a store, about
OBJECT = 64  # what CPython spends on a string, its reference and its share of a container, about


@dataclass(slots=True)
class _Kept:
    entry: Entry
    fence: Fence
    found: Lookup | None = None  # what the last look found, for as long as nothing is invalidated after it


def size_of(key: str, entry: Entry) -> int:
    """Weigh an entry under its key, in bytes: what is written in it, and what CPython spends around that."""
    told = sum(len(name) + len(value) for name, value in entry.headers)  # nearly all have the same, so held but once
    return len(key) + len(entry.etag) + len(entry.tags.packed) + len(entry.body) + told + _AROUND + _size(entry.origin)


def _size(origin: Origin | None) -> int:
    if origin is None:
        return 0
    texts = (origin.etag, origin.last_modified, origin.selected, *origin.vary)
    return sum(len(text) + OBJECT for text in texts) + 4 * OBJECT


class MemoryStore:
    """All that a store does for one tenant, in one process.

    `max_bytes` bounds the answers; the shelf has a small room of its own. `clock` gives seconds and only its
    differences matter. `ledger_limit` is how many invalidated tags are remembered one by one, `live_limit` how many
    queries, and `live_room` how many bytes of them. Of more than `echo_limit` echoes it is remembered only in which
    second they are due; then all is made old.
    """

    def __init__(
        self,
        *,
        max_bytes: int,
        clock: Callable[[], float],
        ledger_limit: int = 100_000,
        live_limit: int = 50_000,
        live_room: int = ROOM,
        echo_limit: int = 10_000,
        entropy: Callable[[], int] = new_incarnation,
    ) -> None:
        self._ledger = Ledger(entropy(), ledger_limit)
        self._queries = Register(live_limit, live_room)
        self._clock = clock
        self._answers: LruByKind[_Kept] = LruByKind(max_bytes, clock)
        self._shelf: Lru[str, bytes] = Lru(SHELF_BYTES, clock)
        self._echo_limit = echo_limit
        # A heap: due, in which order noted, tags, up to where queries were surveyed.
        self._echoes: list[tuple[float, int, frozenset[str], Fence | None]] = []
        self._floods: set[int] = set()  # seconds in which more is due than is remembered
        self._order = count()

    def __repr__(self) -> str:
        return f"<MemoryStore {self._answers!r} {self._ledger!r}>"

    def __len__(self) -> int:
        return len(self._answers)

    @property
    def weight(self) -> int:
        """How many bytes the kept answers weigh."""
        return self._answers.weight

    @property
    def types(self) -> Mapping[str, int]:
        """How many answers there are of each type."""
        return +self._answers.kinds

    @property
    def evictions(self) -> int:
        """How many answers had to make room for others so far."""
        return self._answers.evictions

    async def read(
        self,
        key: str,
        live: Live | None = None,
        lock: bytes = b"",  # noqa: ARG002 - there is no dump to open
        claim: str = "",  # noqa: ARG002 - within one process flights are shared above
    ) -> Lookup:
        if live is not None:
            self._register(live)
        return self._find(key) or Lookup(None, alive=False, fence=self._ledger.fence)

    def glance(self, key: str) -> Lookup | None:
        # A query with a true answer is registered: had it been forgotten since, its tag would be invalidated.
        found = self._find(key)
        return found if found is not None and found.alive else None

    def moment(self) -> Fence | None:
        return self._ledger.fence

    async def write(
        self,
        key: str,
        entry: Entry,
        fence: Fence,
        lock: bytes = b"",  # noqa: ARG002 - as for read
        landing: str = "",  # noqa: ARG002 - nobody waits
    ) -> bool:
        if not self._ledger.takes(fence):
            return False
        offered, held = _Kept(entry, fence), self._answers.get(key)
        alive = self._is_true(offered)
        if held is None or not self._is_true(held) or (alive and fence.stamp >= held.fence.stamp):
            self._answers.put(key, offered, size_of(key, entry), entry.keep)
            if self._answers.had(key):
                self._ledger.move()
        return alive

    async def invalidate(self, tags: Collection[str], surveyed: Fence | None = None) -> None:
        unseen = () if surveyed is None else self._since(surveyed)
        self._ledger.invalidate(Tags.of([*tags, *(live.tag for live in unseen)]))

    async def survey(self, since: Fence | None) -> Survey:
        now = self._ledger.fence
        return Survey(now, self._since(since), whole=since is None or since.incarnation != now.incarnation)

    async def postpone(self, tags: Collection[str], delays: Collection[float], surveyed: Fence | None = None) -> None:
        for delay in delays:
            due = self._clock() + delay
            if len(self._echoes) < self._echo_limit:
                heapq.heappush(self._echoes, (due, next(self._order), frozenset(tags), surveyed))
            else:
                self._floods.add(ceil(due))

    async def repeat(self) -> float | None:
        now = self._clock()
        if over := {second for second in self._floods if second <= now}:
            self._floods -= over
            await self.invalidate({EVERYTHING})
        while self._echoes and self._echoes[0][0] <= now:
            await self.invalidate(*heapq.heappop(self._echoes)[2:])
        coming = min([*self._floods, *(due for due, *_ in self._echoes[:1])], default=None)
        return None if coming is None else coming - now

    async def forget(self, pattern: str) -> int:
        self._ledger.sweep()
        matches = compile_glob(pattern).fullmatch
        found = [key for key in self._answers if matches(pack_key(key)) and self._answers.get(key)]
        for key in found:
            self._answers.drop(key)
        return len(found)

    async def close(self) -> None:
        self._answers.clear()
        self._shelf.clear()

    async def get(self, name: str) -> bytes | None:
        return self._shelf.get(name)

    async def put(self, name: str, value: bytes, ttl: float) -> None:
        self._shelf.put(name, value, len(name) + len(value) + 2 * OBJECT, ttl)

    async def add(self, name: str, value: bytes, ttl: float) -> bool:
        if self._shelf.get(name) is not None:
            return False
        await self.put(name, value, ttl)
        return True

    async def drop(self, name: str) -> None:
        self._shelf.drop(name)

    async def claim(self, key: str) -> bool:  # noqa: ARG002 - as for read
        return True

    async def landed(self, key: str, *, brought: bool = False) -> None:
        """Nobody waits: nobody was refused a claim."""

    async def wait(self, key: str, timeout: float) -> None:  # noqa: ASYNC109 - as the protocol has it
        """Return at once: nobody was refused a claim."""

    def _register(self, live: Live) -> None:
        now = self._clock()
        if self._queries.is_due(live, now):
            self._ledger.invalidate(Tags.of(self._queries.add(live, self._ledger.fence.stamp + 1, now)))

    def _since(self, fence: Fence | None) -> tuple[Live, ...]:
        known = fence is not None and fence.incarnation == self._ledger.fence.incarnation
        return self._queries.since(fence.stamp if fence and known else 0)

    def _find(self, key: str) -> Lookup | None:
        kept, now = self._answers.get(key), self._ledger.fence
        if kept is None:
            return None
        if kept.found is None or kept.found.fence is not now:
            kept.found = Lookup(kept.entry, self._is_true(kept), now)
        return kept.found

    def _is_true(self, kept: _Kept) -> bool:
        return self._ledger.is_true(kept.fence, kept.entry.tags)
