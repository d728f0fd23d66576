"""One tenant's ledger of invalidations: the whole rule of coherence, in one process.

ledger.lua is the same rule for the processes that share a Redis. Neither ever reads a clock.
"""

from collections import OrderedDict
from collections.abc import Iterable
from secrets import randbits

from policies.model import Fence


def new_incarnation() -> int:
    """Make up the name of a new history: 48 bits, which a Redis score and a Lua number still hold exactly."""
    return randbits(48)


class Ledger:
    """When each tag was last invalidated, in stamps; it remembers `limit` tags and treats the rest as one floor."""

    def __init__(self, incarnation: int, limit: int, *, begun: int = 0) -> None:
        self.fence = Fence(incarnation, begun)
        """The present moment in the history of invalidations: another object after each change, whatever it was."""
        self._limit = limit
        self._floor = begun
        self._swept = 0
        self._stamps: OrderedDict[str, int] = OrderedDict()  # oldest invalidation first

    def __repr__(self) -> str:
        incarnation, stamp = self.fence.incarnation, self.fence.stamp
        return f"<Ledger {incarnation:x} at {stamp}, floor {self._floor}, {len(self._stamps)} tags>"

    def is_true(self, fence: Fence, tags: Iterable[str]) -> bool:
        """Tell whether what was fetched behind `fence` and depends on `tags` is still what Jira would say."""
        return (
            fence.incarnation == self.fence.incarnation
            and fence.stamp >= self._floor
            and self._untouched(fence.stamp, tags)
        )

    def _untouched(self, stamp: int, tags: Iterable[str]) -> bool:
        tags = tuple(tags)
        # Nearly always none was ever invalidated, and that is told without a look at each.
        return self._stamps.keys().isdisjoint(tags) or all(self._stamps.get(tag, 0) <= stamp for tag in tags)

    def takes(self, fence: Fence) -> bool:
        """Tell whether what was asked for behind `fence` may be kept: nothing from before the last sweep may."""
        return fence.stamp >= self._swept

    def invalidate(self, tags: Iterable[str]) -> None:
        """Give `tags` the next stamp, which makes everything old that was fetched before and carries one of them."""
        self.learn(self.fence.stamp + 1, tags)

    def learn(self, stamp: int, tags: Iterable[str]) -> None:
        """Take in that `tags` were invalidated at `stamp`, which is not before what was learnt last."""
        tags = tuple(tags)
        if tags or stamp != self.fence.stamp:
            self.fence = Fence(self.fence.incarnation, stamp)
        for tag in tags:
            self._stamps[tag] = stamp
            self._stamps.move_to_end(tag)
        self._trim()

    def move(self) -> None:
        """Go on to another moment, in which all is as true as it was: whoever has looked has to look again."""
        self.fence = Fence(self.fence.incarnation, self.fence.stamp)

    def sweep(self) -> None:
        """Let nothing be kept that was asked for before now."""
        self.learn(self.fence.stamp + 1, ())
        self._swept = self.fence.stamp

    def raise_floor(self, stamp: int) -> None:
        """Make everything old that was fetched before `stamp`."""
        if stamp > self._floor:
            self._floor = stamp
            self.move()

    def _trim(self) -> None:
        # What is forgotten must not come back to life: the floor makes old whatever the forgotten stamps might have.
        while len(self._stamps) > self._limit:
            self.raise_floor(self._stamps.popitem(last=False)[1])
