"""Repeats what is due, as long as the process lives."""

import asyncio
from collections.abc import Awaitable, Callable

from proxy.stores import Echoes

Sleep = Callable[[float], Awaitable[None]]

_LONGEST = 1.0
"""Seconds between two looks: another process may have postponed something."""


async def repeat_forever(echoes: Echoes, sleep: Sleep = asyncio.sleep) -> None:
    """Let one tenant's echoes sound when they are due, whichever process postponed them."""
    while True:
        coming = await echoes.repeat()
        await sleep(_LONGEST if coming is None else min(coming, _LONGEST))
