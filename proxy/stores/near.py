"""Answers of a far store at hand, judged by what was heard of the far store's ledger."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from policies import early
from policies.model import Entry, Fence, Lookup
from proxy.stores.hearing import Hearing
from proxy.stores.ledger import Ledger
from proxy.stores.lru import LruByKind
from proxy.stores.memory import size_of


@dataclass(slots=True)
class _Kept:
    entry: Entry
    fence: Fence  # the entry was true at this moment; moves on with each look that finds it still is
    found: Lookup | None = None  # what the last look found, for as long as nothing is heard after it


class Near:
    """At most `max_bytes` of one tenant's fresh and true answers that are not about to expire, as of the last hearing.

    `clock` gives seconds of which only the differences matter, `unix` those that the age of answers is measured by.
    """

    def __init__(
        self, max_bytes: int, clock: Callable[[], float], unix: Callable[[], float], ledger_limit: int = 100_000
    ) -> None:
        self._answers: LruByKind[_Kept] = LruByKind(max_bytes, clock)
        self._unix = unix
        self._ledger_limit = ledger_limit
        self._ledger: Ledger | None = None  # nothing heard yet

    def __repr__(self) -> str:
        return f"<Near {self._answers!r} {self._ledger!r}>"

    def __len__(self) -> int:
        return len(self._answers)

    @property
    def weight(self) -> int:
        """How many bytes the answers weigh."""
        return self._answers.weight

    @property
    def types(self) -> Mapping[str, int]:
        """How many answers there are of each type."""
        return +self._answers.kinds

    @property
    def evictions(self) -> int:
        """How many answers had to make room for others so far."""
        return self._answers.evictions

    @property
    def heard(self) -> Fence | None:
        """The moment up to which everything was heard."""
        return self._ledger.fence if self._ledger else None

    def learn(self, hearing: Hearing) -> None:
        """Take in what was invalidated between the last hearing and this one; begin empty with another incarnation."""
        if self._ledger is None or self._ledger.fence.incarnation != hearing.fence.incarnation:
            self._answers.clear()
            self._ledger = Ledger(hearing.fence.incarnation, self._ledger_limit, begun=hearing.fence.stamp)
        for tag, stamp in hearing.invalidated:
            self._ledger.learn(stamp, (tag,))
        self._ledger.learn(hearing.fence.stamp, ())
        self._ledger.raise_floor(hearing.floor)

    def find(self, key: str) -> Lookup | None:
        """Look up a fresh answer that is true as far as was heard."""
        kept, ledger = self._answers.get(key), self._ledger
        if kept is None or ledger is None:
            return None
        heard = ledger.fence
        if kept.found is None or kept.found.fence is not heard:
            if not ledger.is_true(kept.fence, kept.entry.tags):
                self._answers.drop(key)
                return None
            if kept.fence.stamp < heard.stamp:
                kept.fence = heard
            kept.found = Lookup(kept.entry, alive=True, fence=heard)
        return kept.found

    def admit(self, key: str, entry: Entry, fence: Fence) -> None:
        """Keep an answer that was true at `fence`, unless a later one of Jira's is held.

        1. A look-up leaves for the far store. 2. A trip to Jira lands and its answer is admitted. 3. The look-up
        returns with the answer from before. Both are true, but somebody may have asked for the new one expressly.
        """
        held = self._answers.get(key)
        if held is None or held.entry.stored <= entry.stored or self.find(key) is None:
            # When it may have to be fetched early, somebody else may have done so: the far store knows.
            fresh_for = min(entry.keep, entry.stored + early.calm(entry.ttl, entry.cost) - self._unix())
            self._answers.put(key, _Kept(entry, fence), size_of(key, entry), fresh_for)
            if self._answers.had(key) and self._ledger is not None:
                self._ledger.move()

    def clear(self) -> None:
        """Forget everything, also what was heard."""
        self._answers.clear()
        self._ledger = None
