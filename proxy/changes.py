"""From a change to what is old: the one way in which anything is ever invalidated.

Webhooks, writes, repairs and purges all end here. What a change concerns is the law's business (policies.searches,
policies.names); here it is made durable.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from policies.change import Change
from policies.model import Fence, Survey
from policies.names import Names, lagging
from policies.searches import SEARCHES, Index, of_write
from proxy.errors import StoreError
from proxy.recent import Recent
from proxy.stores import Echoes, Store

_AT_ONCE = 200
"""New queries that an event waits for: reading one takes some tenths of a millisecond."""

_PAUSE = 1.0
_ROOM = 16 * 1024 * 1024
"""What queries may weigh, live or long forgotten by the store, before we ask it anew for those that are live."""


@dataclass(slots=True)
class _Reading:
    """The queries that were live at `fence`. Whoever surveys adds to the reading whose fence it asked by."""

    index: Index = field(default_factory=Index)
    fence: Fence | None = None


class Ledger(Store, Echoes, Protocol):
    """The store of a tenant, and its echoes."""


class Changes:
    """Records the changes of one tenant. `tell` is told the source of each that was recorded, and what it made old.

    `settle` is how many seconds after a change, once or several times, what comes from Jira's index is made old again.
    """

    def __init__(
        self,
        store: Ledger,
        names: Names,
        recent: Recent,
        settle: tuple[float, ...],
        tell: Callable[[str, frozenset[str]], None],
    ) -> None:
        self._store = store
        self._names = names
        self._recent = recent
        self._settle = settle
        self._tell = tell
        self._reading = _Reading()
        self._behind = False  # more queries became live than an event can wait for

    def follow(self, settle: tuple[float, ...]) -> None:
        """Repeat changes after other delays, from the next one on."""
        self._settle = settle

    async def wrote(self, tags: frozenset[str], *, certain: bool) -> None:
        """Record what a write may have changed; unless `certain`, it may yet do so. Raises StoreError."""
        await self.record(of_write(tags, self._names), "write", certain=certain)

    async def record(self, change: Change, source: str, *, certain: bool = True) -> None:
        """Make old what `change` concerns, before anyone is told that it was heard of. Raises StoreError."""
        self._names.learn(_both_names(change))
        tags = self._names.for_change(change.tags)
        self._recent.note(tags)
        searches, surveyed = await self._concerned(change)
        try:
            # First what is to be done later: whoever crashes in between has done too much, not too little.
            await self._postpone(tags | searches, surveyed, certain=certain)
        finally:  # what cannot be done again later has to be done now all the more
            await self._store.invalidate(tags | searches, surveyed)
        self._tell(source, tags | searches)

    def forgot(self, pattern: str) -> None:
        """Tell that answers were forgotten by the look of their keys."""
        self._tell("purge", frozenset({f"keys like {pattern}"}))

    async def _postpone(self, tags: frozenset[str], surveyed: Fence | None, *, certain: bool) -> None:
        late = lagging(tags) if certain else tags
        if late and self._settle:
            await self._store.postpone(late, self._settle, surveyed)

    async def _concerned(self, change: Change) -> tuple[frozenset[str], Fence | None]:
        """Name the searches concerned, and the fence up to which they were looked through."""
        if not (change.issues or change.projects):
            return frozenset({SEARCHES} if change.everything else ()), None
        if self._behind:
            return frozenset({SEARCHES}), None
        try:
            reading, survey = await self._survey()
        except StoreError:
            return frozenset({SEARCHES}), None
        if len(survey.searches) > _AT_ONCE:
            # Reading so many would hold everybody up; keep_up reads them by and by, and until then all are concerned.
            self._behind = True
            return frozenset({SEARCHES}), None
        self._take_in(reading, survey)
        return reading.index.concerned(change, self._names), survey.fence

    async def _survey(self) -> tuple[_Reading, Survey]:
        """Ask which queries became live since the last time, or, where that does not help any more, which are."""
        reading = self._reading
        survey = await self._store.survey(reading.fence)
        return (_Reading() if survey.whole else reading), survey

    def _take_in(self, reading: _Reading, survey: Survey) -> None:
        reading.index.add(survey.searches)
        reading.fence = survey.fence
        self._reading = reading if reading.index.weight <= _ROOM else _Reading()

    async def keep_up(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Read the queries that became live, on whichever instance, before an event asks for them. Never ends."""
        while True:
            with suppress(StoreError):
                await self._read_new()
            await sleep(_PAUSE)

    async def _read_new(self) -> None:
        reading, survey = await self._survey()
        for search in survey.searches:
            reading.index.add((search,))  # of use already, though not yet relied on: the fence follows when all are in
            await asyncio.sleep(0)  # a request takes several turns of the loop, so each turn reads one
        self._take_in(reading, survey)
        self._behind = False


def _both_names(change: Change) -> list[tuple[str, str]]:
    """Pair the names of each issue. Of a moved one the present key comes last: that is what its id leads to."""
    states = [state for changed in change.issues for state in (changed.before, changed.after) if state is not None]
    return [(f"issue:{state.id}", f"issue:{state.key}") for state in states if state.id and state.key]
