"""A mapping bounded by bytes that forgets what was used longest ago, and what has expired."""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class _Item(Generic[V]):
    value: V
    size: int
    expires: float


class Lru(Generic[V]):
    """Values under string keys, `max_bytes` of them; the caller says how many bytes a value weighs."""

    def __init__(self, max_bytes: int, clock: Callable[[], float]) -> None:
        self._max_bytes = max_bytes
        self._clock = clock
        self._items: OrderedDict[str, _Item[V]] = OrderedDict()  # least recently used first
        self.kinds: Counter[str] = Counter()  # how many values there are, by what stands before the key's first colon
        self.weight = 0
        self.evictions = 0

    def __repr__(self) -> str:
        return f"<Lru {len(self._items)} items, {self.weight} of {self._max_bytes} bytes>"

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: str) -> V | None:
        """Find an unexpired value and mark it as just used."""
        item = self._items.get(key)
        if item is None:
            return None
        if item.expires <= self._clock():
            self.drop(key)
            return None
        self._items.move_to_end(key)
        return item.value

    def put(self, key: str, value: V, size: int, ttl: float) -> None:
        """Keep `value`, which weighs `size` bytes, for `ttl` seconds; one that is heavier than all room is not kept."""
        self.drop(key)
        if size > self._max_bytes or ttl <= 0:
            return
        self._items[key] = _Item(value, size, self._clock() + ttl)
        self.weight += size
        self.kinds[_kind(key)] += 1
        self._make_room()

    def drop(self, key: str) -> None:
        """Forget a value, if there is one."""
        if (item := self._items.pop(key, None)) is not None:
            self._gone(key, item)

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._items))  # so that what is found may be dropped meanwhile

    def clear(self) -> None:
        """Forget everything."""
        self._items.clear()
        self.kinds.clear()
        self.weight = 0

    def _make_room(self) -> None:
        while self.weight > self._max_bytes:
            self._gone(*self._items.popitem(last=False))
            self.evictions += 1

    def _gone(self, key: str, item: _Item[V]) -> None:
        self.weight -= item.size
        self.kinds[_kind(key)] -= 1


def _kind(key: str) -> str:
    return key.partition(":")[0]
