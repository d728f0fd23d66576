"""One trip to Jira per question at a time, in this process. It knows nothing of what a trip does.

Between processes the same is done by a store's Landings (proxy.stores), from inside the trip.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from policies.model import Fence
from proxy.eager import started
from proxy.errors import UpstreamError


@dataclass(frozen=True, slots=True)
class Landing:
    """What every trip says when it is back: whether its answer was still true at that moment."""

    alive: bool


L = TypeVar("L", bound=Landing)
Seal = Callable[[], None]
Depart = Callable[[Seal], Awaitable[L]]


@dataclass(slots=True)
class _Flight(Generic[L]):
    fence: Fence | None
    task: asyncio.Task[L] = field(init=False)
    passengers: int = 0


@dataclass(frozen=True, slots=True)
class Boarded(Generic[L]):
    """A passenger's arrival; `led` tells whether the trip was made for this passenger's own question."""

    landing: L
    led: bool


class Missed(Exception):  # noqa: N818 - not an error: the passenger has to take the next trip
    """The trip's answer may be older than this passenger's question."""


class Flights(Generic[L]):
    """The trips that are under way, by question."""

    def __init__(self) -> None:
        self._flights: dict[str, _Flight[L]] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def __contains__(self, key: str) -> bool:
        return key in self._flights

    async def board(self, key: str, fence: Fence | None, depart: Depart[L]) -> Boarded[L]:
        """Wait for the trip that is under way for `key`, or make it by `depart`.

        `depart` gets a function to call before it asks the store whether its answer is still true: from then on nobody
        boards any more. Raises Missed where the answer may be older than the question behind `fence`:

            1. trip departs behind fence 7   2. a change is acknowledged as 8   3. we ask, behind fence 8
            4. trip lands: its answer was fetched before the change, and its write to the store says so (not alive)

        Raises what the trip raised. A passenger that is cancelled leaves; the trip ends with its last passenger.
        """
        flight = self._flights.get(key)
        led = flight is None
        if flight is None:
            flight = self._depart(key, fence, depart)
        flight.passengers += 1
        try:
            landing = await asyncio.shield(flight.task)
        except UpstreamError as error:
            if led or error.timeout:
                raise
            raise Missed from error
        finally:
            flight.passengers -= 1
            if not flight.passengers and not flight.task.done():
                flight.task.cancel()
                self._seal(key, flight)
        if led or landing.alive or (fence is not None and fence == flight.fence):
            return Boarded(landing, led)
        raise Missed

    def _depart(self, key: str, fence: Fence | None, depart: Depart[L]) -> _Flight[L]:
        def seal() -> None:
            self._seal(key, flight)

        async def trip() -> L:
            try:
                return await depart(seal)
            finally:
                seal()

        self._flights[key] = flight = _Flight[L](fence)
        flight.task = started(trip())  # so that Jira is asked before all who ask the same at once have been looked at
        return flight

    def _seal(self, key: str, flight: _Flight[L]) -> None:
        """Let nobody board any more: whoever asks from here on departs anew.

            1. the store says: still true   2. a change is acknowledged   3. somebody asks
            4. we hear what the store said

        Had 3 boarded, it would have taken 1 for an answer to its own question.
        """
        if self._flights.get(key) is flight:
            del self._flights[key]
