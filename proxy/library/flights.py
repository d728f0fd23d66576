"""One load per key at a time, in this process, for threads and tasks alike. It knows nothing of what is loaded.

Who waits for another's load must not get an answer that is older than their own question:

    1. a load departs   2. something changes and its tags are invalidated   3. we look up, and miss   4. it lands

So the load's answer is for those who asked before it departed, and for the others only if it is still true when it
lands. The rest wait for the next load, and all of them asked before that one departs.
"""

import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import count


@dataclass(frozen=True, slots=True)
class Landing:
    """What a load brought: JSON, None if it was given up; and whether it was still true when it was kept."""

    coded: bytes | None
    alive: bool


ABANDONED = Landing(None, alive=False)


@dataclass(frozen=True, slots=True, eq=False)
class Flight:
    """A load that is under way, and when it departed, on the flights' own count."""

    name: str
    departed: int
    landing: "Future[Landing]" = field(default_factory=Future)


class Flights:
    """The loads that are under way, by name."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._moments = count()
        self._under_way: dict[str, Flight] = {}

    def ask(self) -> int:
        """Note the moment of a question, to be taken before its look-up."""
        with self._lock:
            return next(self._moments)

    def board(self, name: str) -> tuple[Flight, bool]:
        """Join the load that is under way, or begin one; tell whether it is for the caller to make it."""
        with self._lock:
            flight = self._under_way.get(name)
            if flight is not None:
                return flight, False
            flight = self._under_way[name] = Flight(name, next(self._moments))
            return flight, True

    def seal(self, flight: Flight) -> None:
        """Let nobody join any more: to be done before the ledger is asked whether what was loaded is true."""
        with self._lock:
            if self._under_way.get(flight.name) is flight:
                del self._under_way[flight.name]
