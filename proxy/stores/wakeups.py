"""Hearing that a trip to Jira has landed elsewhere: one subscription for all who wait in this process."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator

import redis.asyncio
from redis.exceptions import RedisClusterException

from proxy.stores.clients import AsyncClient, bounded
from proxy.stores.tasks import begin, stop

CHANNEL = "jira-cache:landed"
"""Where landed.lua publishes the name of the claim that was given up."""


class Wakeups:
    """Wakes tasks of this process when any process publishes what they wait for.

    Hearing is a help, not a promise: whoever waits looks for itself now and then.
    """

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._settled = asyncio.Event()  # subscribed, or failed to
        self._listener: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Wakeups {'on' if self._listener else 'off'}, {sum(map(len, self._waiting.values()))} waiting>"

    @contextlib.asynccontextmanager
    async def hearing(self, name: str) -> AsyncIterator[asyncio.Event]:
        """Listen for `name`: the event is set each time it is published from now on.

        Begins only when the subscription stands, so what is published after the caller's next look is not missed.
        Raises TimeoutError if the server takes longer for it than for a command.
        """
        await self._start()
        woken = asyncio.Event()
        self._waiting[name].add(woken)
        try:
            yield woken
        finally:
            self._waiting[name].discard(woken)
            if not self._waiting[name]:
                del self._waiting[name]

    async def close(self) -> None:
        """Stop listening."""
        if self._listener is not None:
            await stop(self._listener)
            self._listener = None

    async def _start(self) -> None:
        if self._listener is None or self._listener.done():
            self._settled.clear()
            self._listener = begin(self._listen())
        async with bounded(self._client):
            await self._settled.wait()

    async def _listen(self) -> None:
        # A failure makes us deaf until the next one who waits; those who wait now look for themselves.
        try:
            with contextlib.suppress(redis.RedisError, RedisClusterException, OSError):
                await self._hear()
        finally:
            self._settled.set()

    async def _hear(self) -> None:
        async with self._client.pubsub() as subscription:
            await subscription.subscribe(CHANNEL)
            async for message in subscription.listen():
                if message["type"] == "subscribe":
                    self._settled.set()
                else:
                    self._wake(message["data"].decode())

    def _wake(self, name: str) -> None:
        for woken in self._waiting.get(name, ()):
            woken.set()
