"""From a change to what is old: the one way in which anything is ever invalidated.

Webhooks, writes, repairs and purges all end here. What a change concerns is the law's business (policies.searches,
policies.names); here it is made durable.
"""

from collections.abc import Callable
from typing import Protocol

from policies.change import Change
from policies.model import Fence
from policies.names import Names, lagging
from policies.searches import SEARCHES, Index, of_write
from proxy.errors import StoreError
from proxy.recent import Recent
from proxy.stores import Echoes, Store


class Ledger(Store, Echoes, Protocol):
    """The store of a tenant, and its echoes."""


class Changes:
    """Records the changes of one tenant. `count` is told the source of each that was recorded.

    `settle` is how many seconds after a change, once or several times, what comes from Jira's index is made old again.
    """

    def __init__(
        self, store: Ledger, names: Names, recent: Recent, settle: tuple[float, ...], count: Callable[[str], None]
    ) -> None:
        self._store = store
        self._names = names
        self._recent = recent
        self._settle = settle
        self._count = count
        self._searches = Index()
        self._surveyed: Fence | None = None

    async def wrote(self, tags: frozenset[str], *, certain: bool) -> None:
        """Record what a write may have changed; unless `certain`, it may yet do so. Raises StoreError."""
        await self.record(of_write(tags, self._names), "write", certain=certain)

    async def record(self, change: Change, source: str, *, certain: bool = True) -> None:
        """Make old what `change` concerns, before anyone is told that it was heard of. Raises StoreError."""
        self._names.learn(_both_names(change))
        tags = self._names.for_change(change.tags)
        self._recent.note(tags)
        searches, surveyed = await self._concerned(change)
        # First what is to be done later: whoever crashes in between has done too much, not too little.
        await self._postpone(tags | searches, certain=certain)
        await self._store.invalidate(tags | searches, surveyed)
        if surveyed is not None:
            unseen, _ = await self._concerned(change)
            await self._postpone(unseen - searches)
        self._count(source)

    async def _postpone(self, tags: frozenset[str], *, certain: bool = True) -> None:
        late = lagging(tags) if certain else tags
        if late and self._settle:
            await self._store.postpone(late, self._settle)

    async def _concerned(self, change: Change) -> tuple[frozenset[str], Fence | None]:
        """Name the searches concerned, and the fence up to which they were looked through."""
        if not (change.issues or change.projects):
            return frozenset({SEARCHES} if change.everything else ()), None
        try:
            survey = await self._store.survey(self._surveyed)
        except StoreError:
            return frozenset({SEARCHES}), None
        if survey.whole:
            self._searches = Index()
        self._searches.add(survey.searches)
        self._surveyed = survey.fence
        return self._searches.concerned(change, self._names), survey.fence


def _both_names(change: Change) -> set[tuple[str, str]]:
    states = [state for changed in change.issues for state in (changed.before, changed.after) if state is not None]
    return {(f"issue:{state.id}", f"issue:{state.key}") for state in states if state.id and state.key}
