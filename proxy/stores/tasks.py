"""Ending a task for certain."""

import asyncio

PATIENCE = 0.1
"""Seconds after which a cancellation counts as swallowed."""


async def stop(task: asyncio.Task[None]) -> None:
    """Cancel `task` and return when it has ended.

    Once may not do: when what is waited for comes in the same moment, asyncio.wait_for of Python 3.11 returns it and
    swallows the cancellation, and the Redis client waits in just this way.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=PATIENCE)
