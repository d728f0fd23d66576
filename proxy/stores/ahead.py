"""Claims that were made by a look-up, for a trip that is likely to follow: it saves a miss one way to the store.

One look-up at a time claims for a trip. Another one that is answered sooner may belong to who makes the trip, and then
waits for what the first is told.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from proxy.stores.tasks import begin, stop

KEPT = 0.1
"""Seconds for which a claim waits for its trip, which begins at once: unless whoever looked up has left meanwhile, or
goes by another answer after all. Then the others must not wait for a trip that nobody makes.
"""


class Ahead:
    """What look-ups claimed in this process; `give_up` is for the trips that nobody made."""

    def __init__(self, give_up: Callable[[str], Coroutine[Any, Any, None]]) -> None:
        self._give_up = give_up
        self._claims: dict[str, asyncio.Future[bool]] = {}
        self._given_up: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<Ahead {len(self._claims)} claims>"

    def begin(self, trip: str) -> asyncio.Future[bool] | None:
        """Have a look-up claim for `trip`, and tell `end` how it went; None if it is claimed for, or being so."""
        if not trip or trip in self._claims:
            return None
        claim = self._claims[trip] = asyncio.get_running_loop().create_future()
        return claim

    def end(self, trip: str, claim: asyncio.Future[bool], *, granted: bool) -> None:
        """Tell whether the look-up's claim was granted."""
        claim.set_result(granted)
        if granted:
            asyncio.get_running_loop().call_later(KEPT, self._lapse, trip, claim)
        else:
            self._forget(trip, claim)

    async def take(self, trip: str) -> bool:
        """Tell whether a look-up claimed for `trip`; from then on that claim is the caller's alone."""
        claim = self._claims.get(trip)
        if claim is None:
            return False
        if not claim.done():
            await asyncio.wait({claim})
        return claim.result() and self._forget(trip, claim)

    async def close(self) -> None:
        """Forget them all; they lapse by themselves."""
        self._claims.clear()
        for task in tuple(self._given_up):
            await stop(task)

    def _lapse(self, trip: str, claim: asyncio.Future[bool]) -> None:
        if self._forget(trip, claim):
            task = begin(self._give_up(trip))
            self._given_up.add(task)
            task.add_done_callback(self._given_up.discard)

    def _forget(self, trip: str, claim: asyncio.Future[bool]) -> bool:
        """Forget a claim; tell whether it was still there."""
        if self._claims.get(trip) is not claim:
            return False
        del self._claims[trip]
        return True
