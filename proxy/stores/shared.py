"""Equal look-ups at the same time are one look-up, without anybody getting an answer older than their question."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Shared(Generic[T]):
    """Lets those who ask for the same thing while it is being looked up wait for one more look, made for all of them.

    The look that is under way is not theirs: it may have seen the store before they asked.

        1. a look-up is under way, and has seen answer A   2. a change makes A old, and is acknowledged
        3. somebody asks   4. the look-up returns A
    """

    def __init__(self) -> None:
        self._under_way: set[Hashable] = set()
        self._next: dict[Hashable, asyncio.Future[T]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<Shared {len(self._under_way)} under way, {len(self._next)} to follow>"

    async def look(self, what: Hashable, look: Callable[[], Awaitable[T]]) -> T:
        """Look by `look`, at once or after the look that is under way for `what`; raise what it raises."""
        if what in self._under_way:
            return await asyncio.shield(self._next.setdefault(what, asyncio.get_running_loop().create_future()))
        self._under_way.add(what)
        try:
            return await look()
        finally:
            self._go_on(what, look)

    def _go_on(self, what: Hashable, look: Callable[[], Awaitable[T]]) -> None:
        waiting = self._next.pop(what, None)
        if waiting is None:
            self._under_way.remove(what)
            return
        task = asyncio.create_task(self._look_for(waiting, what, look))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _look_for(self, waiting: asyncio.Future[T], what: Hashable, look: Callable[[], Awaitable[T]]) -> None:
        try:
            waiting.set_result(await look())
        except Exception as error:  # noqa: BLE001 - whatever it is, it is for those who wait
            waiting.set_exception(error)
            waiting.exception()  # they may all have gone
        finally:
            self._go_on(what, look)
