"""Tasks that begin at once, not when all that is ready before them has had its turn.

asyncio has them from Python 3.12 on. What stands in for them before is made of what asyncio offers to those who make
tasks of their own (https://docs.python.org/3/library/asyncio-extending.html#task-lifetime-support).
"""

import asyncio
import sys
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Coroutine, Generator
from contextvars import Context, copy_context
from typing import Any, TypeVar

T = TypeVar("T")


def started(work: Coroutine[Any, Any, T], context: Context | None = None) -> asyncio.Task[T]:
    """Start a task, and return when it has come to where it has to wait for the first time, or to its end.

    It runs in a copy of the context that it is started in, unless it is given another one.
    """
    loop = asyncio.get_running_loop()
    if sys.version_info >= (3, 12):
        return asyncio.Task(work, loop=loop, eager_start=True, context=context)
    context = context or copy_context()
    begun = _Begun(work)
    task: asyncio.Task[T] = asyncio.Task(begun, loop=loop, context=context)
    before = asyncio.current_task(loop)
    if before is not None:
        _leave_task(loop, before)
    _enter_task(loop, task)
    try:
        context.run(begun.begin)
    finally:
        _leave_task(loop, task)
        if before is not None:
            _enter_task(loop, before)
    return task


class _Begun(Coroutine[Any, Any, T]):
    """A coroutine that has begun before its task has its first turn, which then finds what it waits for, or its end."""

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        self._work = work
        self._waited_for: Any = None
        self._end: BaseException | None = None

    def begin(self) -> None:
        """Let the work go on until it has to wait."""
        try:
            self._waited_for = self._work.send(None)
        except BaseException as end:  # noqa: BLE001 - its end, good or bad, is for the task to hear of
            self._end = end

    def send(self, value: Any) -> Any:
        if self._end is not None:
            end, self._end = self._end, None  # which knows where it was raised, and that us
            raise end
        if self._waited_for is not None:
            waited_for, self._waited_for = self._waited_for, None
            return waited_for
        return self._work.send(value)

    def throw(self, *error: Any) -> Any:
        if self._end is not None:
            raise error[0]  # what was to be interrupted is over
        waited_for, self._waited_for = self._waited_for, None
        if waited_for is not None and waited_for.cancel():
            return waited_for  # its end, which a task that waits would wait for, interrupts the work
        return self._work.throw(*error)

    def close(self) -> None:
        self._work.close()

    def __await__(self) -> Generator[Any, Any, T]:
        raise NotImplementedError("only its task runs it")
