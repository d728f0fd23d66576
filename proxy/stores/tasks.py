"""Beginning a task that is nobody's, and ending tasks for certain."""

import asyncio
from collections.abc import Collection, Coroutine
from contextvars import Context
from typing import Any

PATIENCE = 0.1
"""Seconds after which a cancellation counts as swallowed."""

LAST_WORDS = 1.0
"""Seconds that a task has, after its time is up, to make old what it may have changed."""


def begin(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Start a task that outlives the request at hand, and so has no part in its allowance."""
    return asyncio.create_task(work, context=Context())


async def stop(task: asyncio.Task[None]) -> None:
    """Cancel `task` and return when it has ended.

    Once may not do: when what is waited for comes in the same moment, asyncio.wait_for of Python 3.11 returns it and
    swallows the cancellation, and the Redis client waits in just this way.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=PATIENCE)


async def finish(tasks: Collection[asyncio.Task[Any]], patience: float | None) -> None:
    """Wait `patience` seconds (None: for ever) for tasks to end, then cancel them, once, and give them a moment."""
    waited_for = set(tasks)
    if waited_for:
        _, late = await asyncio.wait(waited_for, timeout=patience)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=LAST_WORDS)
