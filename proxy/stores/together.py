"""Questions asked at the same time go on one trip, without anybody getting an answer older than their question.

Redis answers a hundred look-ups in hardly more time than one: what is dear is the way there, on our side of it too.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextvars import Context
from itertools import islice
from typing import Generic, TypeVar

from proxy.eager import started

Q = TypeVar("Q", bound=Hashable)
A = TypeVar("A")

TRIPS = 4
"""How many trips may be under way at a time. Whoever asks meanwhile waits for the next one."""

MOST = 64
"""How many questions a trip takes with it."""


class Together(Generic[Q, A]):
    """Takes questions to `answer`, which gives an answer to each in their order, or fails for all of them.

    Equal questions are one, unless a trip with the first of them is under way: it may have seen what they ask about
    before they asked.

        1. a trip is under way, and has seen answer A   2. a change makes A old, and is acknowledged
        3. somebody asks   4. the trip returns with A
    """

    def __init__(self, answer: Callable[[Sequence[Q]], Awaitable[Sequence[A]]]) -> None:
        self._answer = answer
        self._waiting: dict[Q, asyncio.Future[A]] = {}
        self._departing = False
        self._trips: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<Together {len(self._trips)} trips, {len(self._waiting)} waiting>"

    async def ask(self, question: Q) -> A:
        """Have a question answered by a trip that has not begun yet; raise what it raises."""
        loop = asyncio.get_running_loop()
        answer = self._waiting.get(question)
        if answer is None:
            answer = self._waiting[question] = loop.create_future()
            if not self._departing and len(self._trips) < TRIPS:
                self._departing = True
                loop.call_soon(self._depart)  # with all who ask in this turn of the loop
        return await asyncio.shield(answer)

    def _depart(self) -> None:
        self._departing = False
        while self._waiting and len(self._trips) < TRIPS:
            taken = {question: self._waiting.pop(question) for question in tuple(islice(self._waiting, MOST))}
            trip = started(self._travel(taken), Context())
            self._trips.add(trip)
            trip.add_done_callback(self._arrived)

    def _arrived(self, trip: asyncio.Task[None]) -> None:
        self._trips.remove(trip)
        self._depart()

    async def _travel(self, taken: dict[Q, asyncio.Future[A]]) -> None:
        try:
            for answer, told in zip(taken.values(), await self._answer(tuple(taken)), strict=True):
                answer.set_result(told)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is for those who asked
            for answer in taken.values():
                answer.set_exception(error)
                answer.exception()  # they may all have gone
        finally:
            for answer in taken.values():
                answer.cancel()  # where the trip was; done ones stay as they are
