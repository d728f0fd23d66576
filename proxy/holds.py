"""Until when Jira wants to be left alone, and where. What one process was told all processes of a tenant know.

What is shared may get lost: then another process has to be told by Jira itself.
"""

from collections.abc import Callable, Iterable

import orjson

from policies.throttle import LONGEST, backoff
from proxy.stores import Shelf

_NAME = "holds"
_MOST = 1000
# Seconds for which what the other processes were told may be unknown here.
_BEHIND = 1.0
# A limit told again and again is worth noting again when it lasts longer by this share of its wait.
_WORTH = 0.2


class Holds:
    """The holds of one tenant, by scope (policies.throttle). `clock` is Unix time, `draw` gives chance from 0 to 1."""

    def __init__(self, shelf: Shelf, clock: Callable[[], float], draw: Callable[[], float]) -> None:
        self._shelf = shelf
        self._clock = clock
        self._draw = draw
        self._until: dict[str, float] = {}
        self._times: dict[str, int] = {}  # how often in a row Jira left it to us how long to wait
        self._learned = -float("inf")

    def __repr__(self) -> str:
        return f"<Holds {len(self._until)}>"

    def left(self, scopes: Iterable[str]) -> float:
        """Tell for how many seconds the longest of some holds lasts; 0: none does."""
        if not self._until:
            return 0.0
        return max(0.0, max((self._until.get(scope, 0.0) for scope in scopes), default=0.0) - self._clock())

    async def learn(self) -> None:
        """Hear what the other processes were told, unless that was done just now."""
        now = self._clock()
        if 0 <= now - self._learned < _BEHIND:
            return
        self._learned = now
        self._take_in(await self._shared())

    async def hold(self, scope: str, wait: float | None) -> None:
        """Hold calls within `scope` back for `wait` seconds; None: for longer each time. The others get to know."""
        now, until = self._clock(), self._until.get(scope, 0.0)
        if wait is None:
            if until > now:
                return  # told once more by a call that had left before
            times = self._times[scope] = self._times.get(scope, -1) + 1
            wait = backoff(times, self._draw())
        if now + wait - until < wait * _WORTH:
            return
        self._take_in({scope: now + wait})  # at once: others of this process may be refused at the same time
        self._take_in(await self._shared())
        await self._shelf.put(_NAME, orjson.dumps(self._until), max(1.0, max(self._until.values()) - now))

    def relax(self, scopes: Iterable[str]) -> None:
        """Forget how often Jira throttled within some scopes: it answers again."""
        for scope in scopes if self._times else ():
            self._times.pop(scope, None)

    def longest(self) -> dict[str, float]:
        """Tell for how many seconds the longest hold of each reach lasts."""
        now, left = self._clock(), dict[str, float]()
        for scope, until in self._until.items():
            reach = scope.partition(" ")[0]
            left[reach] = max(left.get(reach, 0.0), until - now)
        return {reach: round(seconds, 1) for reach, seconds in left.items() if seconds > 0}

    async def _shared(self) -> dict[str, float]:
        try:
            shared = orjson.loads(await self._shelf.get(_NAME) or b"{}")
            return {str(scope): float(until) for scope, until in shared.items()}
        except (ValueError, TypeError, AttributeError):
            return {}  # another version's, perhaps

    def _take_in(self, holds: dict[str, float]) -> None:
        now = self._clock()
        for scope, until in holds.items():
            # Another machine's clock may be wrong by years.
            self._until[scope] = max(self._until.get(scope, 0.0), min(until, now + LONGEST))
        lasting = sorted(((until, scope) for scope, until in self._until.items() if until > now), reverse=True)
        self._until = {scope: until for until, scope in lasting[:_MOST]}
        if len(self._times) > _MOST:
            self._times.clear()
