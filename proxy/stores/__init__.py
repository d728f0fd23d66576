"""What the proxy needs of a store: five small protocols, all of one tenant.

A store holds answers and the ledger that says which of them are still true (docs/coherence.md). Echoes repeat
invalidations. A shelf holds small shared values that expire. Landings let processes share one trip to Jira. A failure
of any of them is a StoreError.
"""

from collections.abc import Collection
from typing import Protocol

from policies.model import Entry, Fence, Live, Lookup, Survey

CLAIMED_FOR = 3.0
"""Seconds for which a process may claim a trip. Should it die on the way, the others wait no longer than this; a trip
that takes longer costs one more call from each of them.
"""


class Store(Protocol):
    """Answers of one tenant, and the ledger of what made them old."""

    async def read(self, key: str, live: Live | None = None, lock: bytes = b"", claim: str = "") -> Lookup:
        """Look up the entry under `key`, the ledger's verdict on it, and the fence, as of one moment.

        In that same moment `live` is registered as a query that may have answers, unless it is. `lock` is what the
        entry was kept with: another one finds nothing in a store that encrypts. Where there is no true entry, the trip
        called `claim` is claimed in this moment too, if it can be, for whoever asks for that next (Landings): it saves
        asking so apart. If nobody does, it is given up soon.
        """

    def glance(self, key: str) -> Lookup | None:
        """Look up a true answer without waiting for anything; None where only `read` can tell."""

    def moment(self) -> Fence | None:
        """Tell the moment that `glance` looks from; None where only `read` can tell.

        It is the fence of what a glance finds. As long as it is the very same object, nothing was made old, and no
        answer was put in another's place: what was found is what would be found, but for what has expired or had to
        make room.
        """

    async def write(self, key: str, entry: Entry, fence: Fence, lock: bytes = b"", landing: str = "") -> bool:
        """Keep `entry`, fetched behind `fence`, for `entry.keep` seconds; tell whether it is true at this moment.

        A dead answer is never put in the place of a live one. A store that encrypts does it so that `lock`, unless it
        is empty, is needed to read. Where it is true, the trip that was claimed for `landing` has landed in this same
        moment (Landings), which saves telling so apart.
        """

    async def invalidate(self, tags: Collection[str], surveyed: Fence | None = None) -> None:
        """Make every entry old that carries one of `tags` and was fetched behind an earlier fence.

        With `surveyed`, also the answers to every query that became live after that fence: whoever chose `tags` by a
        survey did not see it.
        """

    async def survey(self, since: Fence | None) -> Survey:
        """List the queries that became live since a fence; all of them for None or another incarnation."""

    async def close(self) -> None:
        """Let go of connections and memory."""


class Echoes(Protocol):
    """Invalidations that are repeated later, because Jira's index lags behind what it announced."""

    async def postpone(self, tags: Collection[str], delays: Collection[float], surveyed: Fence | None = None) -> None:
        """Invalidate `tags` again after each of `delays` seconds, by whichever process is there to do it.

        With `surveyed`, also the answers to every query that became live between that fence and then.
        """

    async def repeat(self) -> float | None:
        """Invalidate what is due; tell in how many seconds the next is, None if nothing is postponed."""


class Sweep(Protocol):
    """Forgetting answers by the look of their keys."""

    async def forget(self, pattern: str) -> int:
        """Drop all answers whose keys match a pattern of Redis (`issue:PROJ-*`); return how many were dropped.

        When this returns, no answer under such a key that was asked for before the call is served or kept. Trips that
        are in the air, to whatever key, end without keeping what they bring: nobody knows their keys here. Answers
        under other keys that show the same entities live on; making those old is what `invalidate` is for.
        """


class Shelf(Protocol):
    """Small values that all processes of a tenant share: leases, delivery ids, counters. Times are seconds."""

    async def get(self, name: str) -> bytes | None: ...

    async def put(self, name: str, value: bytes, ttl: float) -> None: ...

    async def add(self, name: str, value: bytes, ttl: float) -> bool:
        """Put only where nothing is; tell whether it was put."""

    async def drop(self, name: str) -> None: ...


class Landings(Protocol):
    """One trip to Jira per question among all processes that share the store."""

    async def claim(self, key: str) -> bool:
        """Try to become the process that makes the trip for `key`; the claim lapses after CLAIMED_FOR.

        Refused while another's claim stands, and where a trip has just brought an answer: whoever is refused waits, and
        looks again.
        """

    async def landed(self, key: str, *, brought: bool = False) -> None:
        """Give the claim up and wake whoever waits; tell whether the trip `brought` a true answer into the store."""

    async def wait(self, key: str, timeout: float) -> None:  # noqa: ASYNC109 - the bound is part of the protocol
        """Return when the trip for `key` has landed or its claim has lapsed, or after `timeout` seconds."""
