"""Two names of one thing: issues and projects have an id and a key, and a change may tell only one of them."""

from collections import OrderedDict
from collections.abc import Collection, Iterable

from policies.model import EVERYTHING

MANY = "many"
"""The tag of answers that speak of too many things to name them all; every change makes them old."""

UNRESOLVED = "issues:unresolved"
"""The tag of answers that name an issue by one name only; a change that tells one name only makes them old."""

_ISSUE, _INDEXED = "issue:", "indexed:"
_FROM_INDEX = (_INDEXED, "search", "issues")
_ALL_FROM_INDEX = frozenset({"issues", "searches"})  # every answer from the index carries one of them
_LIMIT = 200_000


class Names:
    """Pairs of tags, `issue:10001` and `issue:PROJ-1`, as seen in Jira's answers and webhooks; the latest ones.

    An id keeps all its keys: Jira goes on to take the former ones of what was moved or renamed, and an answer from
    before a move may be the last to come in.
    """

    def __init__(self, limit: int = _LIMIT) -> None:
        self._limit = limit
        self._id_of: OrderedDict[str, str] = OrderedDict()
        self._key_of: dict[str, str] = {}  # the last seen
        self._former_keys_of: dict[str, tuple[str, ...]] = {}  # of the few that were moved: the last seen comes last

    def learn(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Remember pairs of tags, by id and by key."""
        for by_id, by_key in pairs:
            if self._id_of.get(by_key) != by_id:  # else the strings that are held go on to serve both ways
                self._id_of[by_key] = by_id
            self._id_of.move_to_end(by_key)
            if self._key_of.get(by_id) != by_key:
                self._call(by_id, (*self._other_keys(by_id, by_key), by_key))
        while len(self._id_of) > self._limit:
            by_key, by_id = self._id_of.popitem(last=False)
            self._call(by_id, self._other_keys(by_id, by_key))

    def _other_keys(self, by_id: str, by_key: str) -> tuple[str, ...]:
        return tuple(key for key in self._keys_of(by_id) if key != by_key)

    def _call(self, by_id: str, keys: tuple[str, ...]) -> None:
        self._key_of.pop(by_id, None)
        self._former_keys_of.pop(by_id, None)
        if keys:
            self._key_of[by_id] = keys[-1]
        if keys[:-1]:
            self._former_keys_of[by_id] = keys[:-1]

    def key_of(self, by_id: str) -> str | None:
        """Return the key last seen with an id, both as tags."""
        return self._key_of.get(by_id)

    def keys_of(self, name: str) -> tuple[str, ...]:
        """Return all keys of what a tag names by its id or by one of its keys, as tags; none if no pair was seen."""
        return self._keys_of(self._id_of.get(name, name))

    def _keys_of(self, by_id: str) -> tuple[str, ...]:
        last = self._key_of.get(by_id)
        return () if last is None else (*self._former_keys_of.get(by_id, ()), last)

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
        """Complete the tags of a change: with the other names, and with what may have them where it does not tell both.

        What we remember of names may be older than a move that another instance heard of; only a change that tells an
        issue's id and key itself is sure of both.
        """
        issues = [tag for tag in tags if _names_issue(tag)]
        ids = {tag: self._id_of.get(tag, tag) for tag in issues}
        told = {ids[tag] for tag in issues if ids[tag] != tag and ids[tag] in tags}
        completed = frozenset(tags).union(ids.values(), *map(self.keys_of, issues)) | {MANY}
        completed |= by_index(completed)
        return completed if told.issuperset(ids.values()) else completed | {UNRESOLVED}


def by_index(tags: Collection[str]) -> frozenset[str]:
    """Name issues as Jira's index knows them, which lags: so that lists of them can be made old once more, later."""
    return frozenset(_INDEXED + tag.removeprefix(_ISSUE) if _names_issue(tag) else tag for tag in tags)


def lagging(tags: Collection[str]) -> frozenset[str]:
    """Select of a change's tags those of answers that come from Jira's index; where all is old, of all these."""
    late = frozenset(tag for tag in tags if tag.startswith(_FROM_INDEX) or tag.endswith(":issues"))
    return late | _ALL_FROM_INDEX if EVERYTHING in tags else late


def _names_issue(tag: str) -> bool:
    return tag.startswith(_ISSUE)
