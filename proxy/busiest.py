"""Counting the busiest of very many without remembering all of them."""

from collections import Counter
from dataclasses import dataclass, field
from heapq import nlargest, nsmallest
from operator import itemgetter

MOST = 300
"""How many names are told. More are remembered only until they are some times as many."""

_SLACK = 4


@dataclass(slots=True)
class Busiest:
    """How often each of many names was counted: never too high, and too low by `short` at most.

    A mergeable summary as of Misra and Gries (Agarwal et al., Mergeable Summaries, 2012): whatever was counted more
    than `short` times is listed. While there are no more than MOST names, `short` is 0 and all counts are exact.
    """

    counts: Counter[str] = field(default_factory=Counter)
    short: int = 0

    def __post_init__(self) -> None:
        self.counts = Counter(self.counts)

    def add(self, other: "Busiest") -> None:
        """Take in what another one counted."""
        self.counts.update(other.counts)
        self.short += other.short
        if len(self.counts) > MOST * _SLACK:
            self.cut()

    def cut(self) -> None:
        """Forget all but the MOST counted, and of those as many counts as the first one forgotten had."""
        if len(self.counts) > MOST:
            *kept, (_, forgotten) = nlargest(MOST + 1, self.counts.items(), key=itemgetter(1))
            self.counts = Counter({name: count - forgotten for name, count in kept if count > forgotten})
            self.short += forgotten

    def first(self, number: int) -> list[tuple[str, int]]:
        """List the most counted and their counts, the highest first; of equals the first in the alphabet."""
        return nsmallest(number, self.counts.items(), key=lambda item: (-item[1], item[0]))
