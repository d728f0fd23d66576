"""Mappings bounded by bytes that forget what has expired, and of the rest what was not used for long.

Which that is they find by giving a second chance (the clock algorithm, Corbato 1968): what is found is only marked, and
when there is no room, the oldest that has not been marked since it was looked at last has to go. So a use costs next to
nothing, and hardly more is evicted wrongly than if an exact order of uses were kept.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from math import inf
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(slots=True)
class _Item(Generic[V]):
    value: V
    size: int
    expires: float
    used: bool = False


def _timeless() -> float:
    return 0.0


class Lru(Generic[K, V]):
    """Values under keys, `max_bytes` of them; the caller says how many bytes a value weighs.

    `clock` gives seconds of which only the differences matter; nothing expires without one.
    """

    def __init__(self, max_bytes: int, clock: Callable[[], float] = _timeless) -> None:
        self._max_bytes = max_bytes
        self._clock = clock
        self._items: OrderedDict[K, _Item[V]] = OrderedDict()  # whose turn it is to go comes first
        self.weight = 0
        self.evictions = 0

    def __repr__(self) -> str:
        return f"<Lru {len(self._items)} items, {self.weight} of {self._max_bytes} bytes>"

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: K) -> V | None:
        """Find an unexpired value and mark it as just used."""
        item = self._items.get(key)
        if item is None:
            return None
        if item.expires < inf and item.expires <= self._clock():
            self.drop(key)
            return None
        item.used = True
        return item.value

    def put(self, key: K, value: V, size: int, ttl: float = inf) -> None:
        """Keep `value`, which weighs `size` bytes, for `ttl` seconds; one that is heavier than all room is not kept."""
        self.drop(key)
        if size > self._max_bytes or ttl <= 0:
            return
        while self.weight + size > self._max_bytes:
            self._make_room()
        self._items[key] = _Item(value, size, inf if ttl == inf else self._clock() + ttl)
        self._came(key, size)

    def drop(self, key: K) -> None:
        """Forget a value, if there is one."""
        if (item := self._items.pop(key, None)) is not None:
            self._gone(key, item.size)

    def __iter__(self) -> Iterator[K]:
        return iter(tuple(self._items))  # so that what is found may be dropped meanwhile

    def clear(self) -> None:
        """Forget everything."""
        self._items.clear()
        self.weight = 0

    def _make_room(self) -> None:
        key, item = self._items.popitem(last=False)
        if item.used:
            item.used = False
            self._items[key] = item
        else:
            self._gone(key, item.size)
            self.evictions += 1

    def _came(self, key: K, size: int) -> None:  # noqa: ARG002 - who counts by key overrides this
        self.weight += size

    def _gone(self, key: K, size: int) -> None:  # noqa: ARG002 - who counts by key overrides this
        self.weight -= size


GONE = 4_096
"""How many keys of which a value went are remembered; of more, any may be one of them."""


class LruByKind(Lru[str, V]):
    """Counts its values by `kinds`: by what stands before the key's first colon. It knows what it had and has not."""

    def __init__(self, max_bytes: int, clock: Callable[[], float]) -> None:
        super().__init__(max_bytes, clock)
        self.kinds: Counter[str] = Counter()
        self._lost: set[int] = set()  # hashes of keys

    def had(self, key: str) -> bool:
        """Tell whether another value may have been under `key` since this was last affirmed of any key."""
        may_have = hash(key) in self._lost or len(self._lost) > GONE
        if may_have:
            self._lost.clear()
        return may_have

    def clear(self) -> None:
        super().clear()
        self.kinds.clear()

    def _came(self, key: str, size: int) -> None:
        super()._came(key, size)
        self.kinds[_kind(key)] += 1

    def _gone(self, key: str, size: int) -> None:
        super()._gone(key, size)
        self.kinds[_kind(key)] -= 1
        self._lost.add(hash(key))


def _kind(key: str) -> str:
    return key.partition(":")[0]
