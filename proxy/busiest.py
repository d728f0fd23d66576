"""Counting the busiest of very many without remembering all of them."""

from collections import Counter
from dataclasses import dataclass, field
from heapq import nlargest
from operator import itemgetter

MOST = 100


@dataclass(slots=True)
class Busiest:
    """How often each of many names was counted; only the MOST counted are kept when two of these are put together.

    A mergeable summary as of Space-Saving (Metwally et al. 2005, Agarwal et al. 2012): a count may be too high by
    `floor` at most, and never too low; whatever was counted more than `floor` times is listed. While there are no more
    than MOST names, `floor` is 0 and all counts are exact.
    """

    counts: Counter[str] = field(default_factory=Counter)
    floor: int = 0

    def __post_init__(self) -> None:
        self.counts = Counter(self.counts)

    def add(self, other: "Busiest") -> None:
        """Take in what another one counted."""
        if self.floor or other.floor:
            for name in self.counts.keys() | other.counts.keys():
                self.counts[name] = self.of(name) + other.of(name)
            self.floor += other.floor
        else:
            self.counts.update(other.counts)
        self.cut()

    def cut(self) -> None:
        """Forget all but the MOST counted."""
        if len(self.counts) > MOST:
            *kept, (_, highest) = nlargest(MOST + 1, self.counts.items(), key=itemgetter(1))
            self.counts = Counter(dict(kept))
            self.floor = max(self.floor, highest)

    def first(self, number: int) -> list[tuple[str, int]]:
        """List the most counted and their counts, the highest first; of equals the first in the alphabet."""
        return sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))[:number]

    def of(self, name: str) -> int:
        """Tell how often a name may have been counted."""
        return self.counts.get(name, self.floor)
