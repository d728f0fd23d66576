"""The register of live queries: which queries may have cached answers, in one process.

live.lua is the same rule for the processes that share a Redis. A query that is forgotten must be invalidated by whoever
asked for it in the same step: then no answer is ever true whose query an event could have missed, whatever clocks do.
"""

from collections import OrderedDict
from dataclasses import dataclass

from policies.model import Live

ROOM = 8 * 1024 * 1024
"""Bytes that live queries may weigh together. A process, which has them compiled, spends about forty times as much."""

WEIGHT = 256
"""Bytes that a query weighs besides its text."""


def weight_of(live: Live) -> int:
    """Weigh a query, in bytes."""
    return WEIGHT + len(live.jql.encode("utf-8", "surrogateescape"))


@dataclass(frozen=True, slots=True)
class _Registered:
    live: Live
    stamp: int
    at: float


class Register:
    """Live queries and the stamps of their registrations; at most `limit`, of `room` bytes. Times are seconds."""

    def __init__(self, limit: int, room: int = ROOM) -> None:
        self._limit = limit
        self._room = room
        self._weight = 0
        self._queries: OrderedDict[str, _Registered] = OrderedDict()  # oldest registration first

    def __repr__(self) -> str:
        return f"<Register {len(self._queries)} queries>"

    def is_due(self, live: Live, now: float) -> bool:
        """Tell whether `live` is not registered, or not for as long as an answer asked for now may be of use."""
        held = self._queries.get(live.tag)
        return held is None or now - held.at > held.live.life or live.life > held.live.life

    def add(self, live: Live, stamp: int, now: float) -> list[str]:
        """Register `live` at `stamp`; return the tags of the queries that were forgotten for it."""
        if live.tag not in self._queries:
            self._weight += weight_of(live)
        self._queries[live.tag] = _Registered(live, stamp, now)
        self._queries.move_to_end(live.tag)
        return self._forget(now)

    def since(self, stamp: int) -> tuple[Live, ...]:
        """List what was registered after `stamp`, newest first."""
        found = []
        for held in reversed(self._queries.values()):
            if held.stamp <= stamp:
                break
            found.append(held.live)
        return tuple(found)

    def _forget(self, now: float) -> list[str]:
        gone: list[str] = []
        while self._queries:
            tag, oldest = next(iter(self._queries.items()))
            fits = len(self._queries) <= self._limit and self._weight <= self._room
            if fits and now - oldest.at <= 2 * oldest.live.life:
                break
            del self._queries[tag]
            self._weight -= weight_of(oldest.live)
            gone.append(tag)
        return gone
