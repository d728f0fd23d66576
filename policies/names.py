"""Two names of one thing: issues and projects have an id and a key, and a change may tell only one of them."""

from collections import OrderedDict
from collections.abc import Collection, Iterable

MANY = "many"
"""The tag of answers that speak of too many things to name them all; every change makes them old."""

UNRESOLVED = "issues:unresolved"
"""The tag of answers that name an issue by one name only; a change that tells one name only makes them old."""

_ISSUE, _INDEXED = "issue:", "indexed:"
_FROM_INDEX = (_INDEXED, "search", "issues")
_LIMIT = 200_000


class Names:
    """Pairs of tags, `issue:10001` and `issue:PROJ-1`, as seen in Jira's answers and webhooks; the latest ones."""

    def __init__(self, limit: int = _LIMIT) -> None:
        self._limit = limit
        self._id_of: OrderedDict[str, str] = OrderedDict()
        self._key_of: dict[str, str] = {}

    def learn(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Remember pairs of tags, by id and by key."""
        for by_id, by_key in pairs:
            self._id_of[by_key] = by_id
            self._id_of.move_to_end(by_key)
            self._key_of[by_id] = by_key
        while len(self._id_of) > self._limit:
            by_key, by_id = self._id_of.popitem(last=False)
            if self._key_of.get(by_id) == by_key:
                del self._key_of[by_id]

    def key_of(self, by_id: str) -> str | None:
        """Return the key last seen with an id, both as tags."""
        return self._key_of.get(by_id)

    def id_of(self, by_key: str) -> str | None:
        """Return the id that a key stands for, both as tags."""
        return self._id_of.get(by_key)

    def for_answer(self, tags: Collection[str], paired: Collection[str]) -> frozenset[str]:
        """Complete the tags of an answer that shows both names of the issues in `paired`.

        A key stands for one id for ever, so a key that is known is as good as both. An id may get another key, by a
        move we have not heard of; so what is named by id alone stays unresolved.
        """
        ids = {tag: self._id_of.get(tag) for tag in tags if _names_issue(tag) and tag not in paired}
        completed = frozenset(tags).union(by_id for by_id in ids.values() if by_id)
        return completed | {UNRESOLVED} if None in ids.values() else completed

    def for_change(self, tags: Collection[str]) -> frozenset[str]:
        """Complete the tags of a change: with the other names, and where one is unknown, with what it may stand for."""
        issues = [tag for tag in tags if _names_issue(tag)]
        others = {tag: self._id_of.get(tag) or self._key_of.get(tag) for tag in issues}
        completed = frozenset(tags).union(other for other in others.values() if other) | {MANY}
        completed |= by_index(completed)
        return completed | {UNRESOLVED} if None in others.values() else completed


def by_index(tags: Collection[str]) -> frozenset[str]:
    """Name issues as Jira's index knows them, which lags: so that lists of them can be made old once more, later."""
    return frozenset(_INDEXED + tag.removeprefix(_ISSUE) if _names_issue(tag) else tag for tag in tags)


def lagging(tags: Collection[str]) -> frozenset[str]:
    """Select of a change's tags those of answers that come from Jira's index."""
    return frozenset(tag for tag in tags if tag.startswith(_FROM_INDEX) or tag.endswith(":issues"))


def _names_issue(tag: str) -> bool:
    return tag.startswith(_ISSUE)
