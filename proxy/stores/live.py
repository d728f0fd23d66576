"""The register of live queries: which queries may have cached answers, in one process.

live.lua is the same rule for the processes that share a Redis. A query that is forgotten must be invalidated by whoever
asked for it in the same step: then no answer is ever true whose query an event could have missed, whatever clocks do.
"""

from collections import OrderedDict
from dataclasses import dataclass

from policies.model import Live


@dataclass(frozen=True, slots=True)
class _Registered:
    live: Live
    stamp: int
    at: float


class Register:
    """Live queries and the stamps of their registrations; at most `limit`. Times are seconds."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._queries: OrderedDict[str, _Registered] = OrderedDict()  # oldest registration first

    def __repr__(self) -> str:
        return f"<Register {len(self._queries)} queries>"

    def is_due(self, live: Live, now: float) -> bool:
        """Tell whether `live` is not registered, or not for as long as an answer asked for now may be of use."""
        held = self._queries.get(live.tag)
        return held is None or now - held.at > held.live.life or live.life > held.live.life

    def add(self, live: Live, stamp: int, now: float) -> list[str]:
        """Register `live` at `stamp`; return the tags of the queries that were forgotten for it."""
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
            if len(self._queries) <= self._limit and now - oldest.at <= 2 * oldest.live.life:
                break
            del self._queries[tag]
            gone.append(tag)
        return gone
