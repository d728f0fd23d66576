"""Read-through: look up, else load once for all who ask, behind a fence, and keep what was loaded."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from proxy.library.flights import ABANDONED, Flight, Flights, Landing
from proxy.library.keys import Keys
from proxy.library.ledger import NEVER, Ledger, checked
from proxy.library.lifetimes import Lifetimes
from proxy.library.reads import Reads
from proxy.library.steps import Load, Steps, Wait
from proxy.library.trouble import Trouble, fails_as
from proxy.library.values import decode, encode
from proxy.library.writes import Writes


@dataclass(frozen=True, slots=True)
class Wanted:
    """A value, how it is computed, for how long it is of use (seconds; None: as its type), and what it depends on."""

    key: str
    loader: Callable[[], Any]
    ttl: float | None
    tags: Collection[str]


def _unreachable() -> dict[str, Any] | None:
    return None


class Loads:
    """The steps of get_or_load in one namespace."""

    def __init__(
        self,
        *,
        keys: Keys,
        lifetimes: Lifetimes,
        reads: Reads,
        writes: Writes,
        ledger: Ledger,
        trouble: Trouble,
    ) -> None:
        self._keys = keys
        self._lifetimes = lifetimes
        self._reads = reads
        self._writes = writes
        self._ledger = ledger
        self._trouble = trouble
        self._flights = Flights()

    def get_or_load(self, wanted: Wanted) -> Steps[Any]:
        self._check(wanted)
        asked = self._flights.ask()
        while True:
            found = yield from self._look_up(wanted.key)
            if found:
                return found[wanted.key]
            flight, leads = self._flights.board(self._keys.name(wanted.key))
            if leads:
                landing = yield from self._lead(flight, wanted, reachable=found is not None)
            else:
                landing = yield Wait(flight.landing)
            if landing.coded is not None and (leads or landing.alive or asked < flight.departed):
                return decode(landing.coded)

    def _check(self, wanted: Wanted) -> None:
        """Find a mistake before anything is loaded."""
        self._keys.name(wanted.key)
        self._lifetimes.milliseconds(wanted.key, wanted.ttl)
        checked(wanted.tags)

    @fails_as(_unreachable)
    def _look_up(self, key: str) -> Steps[dict[str, Any] | None]:
        return (yield from self._reads.look_up([key]))

    def _lead(self, flight: Flight, wanted: Wanted, *, reachable: bool) -> Steps[Landing]:
        try:
            landing = yield from self._load(flight, wanted, reachable=reachable)
        except Exception as error:
            self._flights.seal(flight)
            flight.landing.set_exception(error)
            raise
        except BaseException:  # cancelled or interrupted, which concerns nobody else: they go on with the next load
            self._flights.seal(flight)
            flight.landing.set_result(ABANDONED)
            raise
        flight.landing.set_result(landing)
        return landing

    def _load(self, flight: Flight, wanted: Wanted, *, reachable: bool) -> Steps[Landing]:
        fence = NEVER
        if wanted.tags and reachable:
            fence = yield from self._ledger.fence()
        value = yield Load(wanted.loader)
        coded = encode(wanted.key, value)
        self._flights.seal(flight)
        if not reachable:  # another attempt would only make the caller wait for another timeout
            return Landing(coded, alive=not wanted.tags)
        kept = yield from self._writes.keep(
            {wanted.key: coded}, wanted.ttl, wanted.tags, fence if wanted.tags else None
        )
        return Landing(coded, alive=kept or not wanted.tags)
