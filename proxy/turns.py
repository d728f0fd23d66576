"""Turns at something that only so many may do at a time: callers come in turn, however much one of them asks."""

import asyncio
from collections import OrderedDict, deque

_Waiting = OrderedDict[str, deque[asyncio.Future[None]]]


class Turns:
    """Lets `at_once` at it. What runs in the background waits until nobody else does."""

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._at_once = at_once
        self._waiting: _Waiting = OrderedDict()  # by caller, whose turn is next first
        self._in_background: _Waiting = OrderedDict()

    def __len__(self) -> int:
        """How many wait."""
        return sum(map(len, (*self._waiting.values(), *self._in_background.values())))

    @property
    def taken(self) -> int:
        """How many are at it."""
        return self._at_once - self._free

    async def take(self, caller: str, *, background: bool = False) -> None:
        """Wait for a turn. Whoever has one gives it back by `leave`."""
        if self._free:
            self._free -= 1
            return
        ring = self._in_background if background else self._waiting
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        ring.setdefault(caller, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()  # it was our turn just then
            else:
                _withdraw(ring, caller, turn)
            raise

    def leave(self) -> None:
        """Give a turn back: it is the next caller's."""
        following = _next(self._waiting) or _next(self._in_background)
        if following is None:
            self._free += 1
        else:
            following.set_result(None)


def _next(ring: _Waiting) -> asyncio.Future[None] | None:
    while ring:
        caller, turns = ring.popitem(last=False)
        turn = turns.popleft()
        if turns:
            ring[caller] = turns  # behind all others
        if not turn.done():
            return turn
    return None


def _withdraw(ring: _Waiting, caller: str, turn: asyncio.Future[None]) -> None:
    turns = ring.get(caller)
    if turns is not None and turn in turns:
        turns.remove(turn)
        if not turns:
            del ring[caller]
