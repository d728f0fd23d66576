"""From a change to what is old: the one way in which anything is ever invalidated.

Webhooks, writes, repairs and purges all end here. What a change concerns is the law's business (policies.searches,
policies.names); here it is made durable.
"""

from collections.abc import Callable

from policies.change import Change
from policies.model import Fence
from policies.names import Names
from policies.searches import SEARCHES, Index, of_write
from proxy.errors import StoreError
from proxy.recent import Recent
from proxy.stores import Store


class Changes:
    """Records the changes of one tenant. `count` is told the source of each that was recorded."""

    def __init__(self, store: Store, names: Names, recent: Recent, count: Callable[[str], None]) -> None:
        self._store = store
        self._names = names
        self._recent = recent
        self._count = count
        self._searches = Index()
        self._surveyed: Fence | None = None

    async def wrote(self, tags: frozenset[str]) -> None:
        """Record what a write through the proxy may have changed. Raises StoreError."""
        await self.record(of_write(tags, self._names), "write")

    async def record(self, change: Change, source: str) -> None:
        """Make old what `change` concerns, before anyone is told that it was heard of. Raises StoreError."""
        self._names.learn(_both_names(change))
        tags = self._names.for_change(change.tags)
        self._recent.note(tags)
        searches, surveyed = await self._concerned(change)
        await self._store.invalidate(tags | searches, surveyed)
        self._count(source)

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
