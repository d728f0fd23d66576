"""Following the changes of one tenant, and knowing for how long what was heard may be relied on."""

import asyncio
import contextlib
from collections.abc import Callable

from proxy.errors import StoreError
from proxy.stores.hearing import Ear
from proxy.stores.near import Near
from proxy.stores.tasks import begin, stop

ROUNDS = 3
"""How often within `max_lag` the ledger is looked at when the stream is silent: silence must be heard from, too."""

IDLE = 60.0
"""Seconds without a look-up after which nobody needs to be kept up to date."""


class Tail:
    """Keeps `near` up to date through `ear`, in a task of its own that the first look-up starts.

    What is near may be served while the ledger was heard from within `max_lag` seconds of `clock` (monotonic), and
    since the last change that this process made itself.
    """

    def __init__(self, ear: Ear, near: Near, *, clock: Callable[[], float], max_lag: float) -> None:
        self._ear = ear
        self._near = near
        self._clock = clock
        self._max_lag = max_lag
        self._heard_at: float | None = None
        self._last = b"0-0"  # where the stream ended when we last heard
        self._doubts = 0  # changes of our own, ...
        self._cleared = 0  # ... and how many of them a hearing that began after them has taken in
        self._one_at_a_time = asyncio.Lock()
        self._wanted_at = 0.0
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Tail {'on' if self._is_on else 'off'}, {'current' if self._is_current() else 'behind'}>"

    def follow(self) -> bool:
        """Note that somebody looks, and tell whether what is near may be served to them now."""
        self._wanted_at = self._clock()
        if not self._is_on:
            self._task = begin(self._keep_up())
        return self._is_current()

    def doubt(self) -> None:
        """Serve nothing until a hearing that begins now or later has ended: this process has changed something."""
        self._doubts += 1

    async def settle(self) -> None:
        """Hear what this process changed. If that fails, the doubt stays until it can be heard."""
        if self._is_on:
            with contextlib.suppress(StoreError):
                await self._clear(self._doubts)

    async def close(self) -> None:
        """Stop following."""
        if self._task is not None:
            await stop(self._task)
        await self._ear.close()

    @property
    def _is_on(self) -> bool:
        return self._task is not None and not self._task.done()

    def _is_current(self) -> bool:
        recent = self._heard_at is not None and self._clock() - self._heard_at <= self._max_lag
        return recent and self._cleared == self._doubts

    async def _clear(self, doubts: int) -> None:
        async with self._one_at_a_time:
            if self._cleared < doubts:
                await self._hear()

    async def _keep_up(self) -> None:
        while self._clock() - self._wanted_at <= IDLE:
            try:
                async with self._one_at_a_time:
                    await self._hear()
                await self._ear.wait(self._last, self._max_lag / ROUNDS)
            except StoreError:
                await asyncio.sleep(self._max_lag / ROUNDS)

    async def _hear(self) -> None:
        # Both are taken before we ask: what happens while the answer is under way is not in it.
        began, doubts = self._clock(), self._doubts
        hearing = await self._ear.hear(self._near.heard)
        self._near.learn(hearing)
        self._heard_at, self._last, self._cleared = began, hearing.last, doubts
