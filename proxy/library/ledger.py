"""The ledger as the library uses it: the same one, by the same rule, as the proxy of the tenant (docs/coherence.md)."""

from collections.abc import Collection, Mapping

from policies.model import EVERYTHING, Fence
from policies.names import Names
from policies.searches import SEARCHES, of_write
from policies.tags import Tags
from proxy.library.keys import Keys
from proxy.library.steps import Run, Steps, Word
from proxy.library.trouble import Trouble, fails_as
from proxy.library.values import Sealed
from proxy.stores.ledger import new_incarnation

NEVER = Fence(-1, -1)
"""A fence of no history: what is kept behind it is dead on arrival."""

_TAGS_REMEMBERED = 100_000


def checked(tags: Collection[str]) -> frozenset[str]:
    """Take tags; raise TypeError for a single text, whose letters are not meant, and for what is no text."""
    if isinstance(tags, str) or not all(isinstance(tag, str) for tag in tags):
        raise TypeError(f"tags are a list of texts, not {tags!r}")
    return frozenset(tags)


def completed(tags: Collection[str]) -> bytes:
    """Give a value's tags the others that an answer of Jira would carry beside them, and pack them."""
    return Tags.of(sorted(Names().for_answer(tags, ()) | {EVERYTHING})).packed


def concerned(tags: Collection[str]) -> frozenset[str]:
    """Name all that a change of `tags` makes old, as proxy.changes does; here which searches is not looked into."""
    names = Names()  # knows no pairs, so that what goes by one name only is made old as well
    change = of_write(tags, names)
    searches = {SEARCHES} if change.everything or change.projects else set()
    return names.for_change(change.tags) | searches


class Ledger:
    """The steps over one namespace's ledger."""

    def __init__(self, keys: Keys, trouble: Trouble) -> None:
        self._keys = keys
        self._trouble = trouble

    @fails_as(lambda: NEVER)
    def fence(self) -> Steps[Fence]:
        incarnation, stamp = yield self._run("fence")
        return Fence(incarnation, stamp)

    @fails_as(bool)
    def invalidate(self, tags: Collection[str]) -> Steps[bool]:
        if checked(tags):
            yield from self.hit(concerned(tags))
        return True

    def hit(self, tags: Collection[str]) -> Steps[None]:
        """Make these old and no others. Raises StoreError."""
        yield self._run("invalidate", Tags.of(sorted(tags)).packed, _TAGS_REMEMBERED)

    def judge(self, values: Collection[Sealed]) -> Steps[list[int]]:
        """Tell of each value whether it is still true. Raises StoreError."""
        if not values:
            return []
        words = [(value.fence.incarnation, value.fence.stamp, value.packed_tags) for value in values]
        return list((yield self._run("judge", *(word for each in words for word in each))))

    def keep(
        self, values: Mapping[str, tuple[bytes, int | None]], tags: Collection[str], fence: Fence | None
    ) -> Steps[bool]:
        """Keep JSON for so many milliseconds, by full names, unless it is old already. Raises StoreError."""
        stamped = ("", "") if fence is None else (fence.incarnation, fence.stamp)
        words = [word for coded, life in values.values() for word in (coded, "" if life is None else life)]
        return bool((yield self._run("keep", *stamped, completed(tags), *words, names=tuple(values))))

    def _run(self, script: str, *values: Word, names: tuple[str, ...] = ()) -> Run:
        return Run(script, (*self._keys.ledger, *names), (new_incarnation(), *values))
