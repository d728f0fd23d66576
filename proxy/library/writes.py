"""Keeping, counting and removing values."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from policies.model import EVERYTHING, Fence
from proxy.errors import StoreError
from proxy.library.keys import Keys
from proxy.library.ledger import Ledger, checked
from proxy.library.lifetimes import Lifetimes, milliseconds
from proxy.library.steps import Commands, Steps, Word
from proxy.library.trouble import Trouble, fails_as
from proxy.library.values import encode

SCANNED_AT_ONCE = 1000
_NO_NUMBER = ("not an integer", "would overflow")  # Redis says why only in words


class Writes:
    """The steps of all changes in one namespace. What they mean to a caller stands in proxy.library.blocking."""

    def __init__(self, keys: Keys, lifetimes: Lifetimes, ledger: Ledger, trouble: Trouble) -> None:
        self._keys = keys
        self._lifetimes = lifetimes
        self._ledger = ledger
        self._trouble = trouble

    @fails_as(bool)
    def set_many(
        self, values: Mapping[str, Any], ttl: float | None, tags: Collection[str], fence: Fence | None
    ) -> Steps[bool]:
        coded = {key: encode(key, value) for key, value in values.items()}
        return (yield from self.keep(coded, ttl, tags, fence))

    @fails_as(bool)
    def keep(
        self, coded: Mapping[str, bytes], ttl: float | None, tags: Collection[str], fence: Fence | None
    ) -> Steps[bool]:
        """Keep JSON by its keys, in one trip."""
        lives = {self._keys.name(key): (value, self._lifetimes.milliseconds(key, ttl)) for key, value in coded.items()}
        if not lives:
            return True
        if checked(tags) or fence is not None:
            return (yield from self._ledger.keep(lives, tags, fence))
        yield Commands(tuple(("SET", name, value, *_px(life)) for name, (value, life) in lives.items()))
        return True

    @fails_as(int)
    def delete_many(self, keys: Iterable[str]) -> Steps[int]:
        return (yield from self._unlink(list(map(self._keys.name, keys))))

    @fails_as(int)
    def increment(self, key: str, amount: int, ttl: float | None) -> Steps[int]:
        name = self._keys.name(key)
        # A count begins and gets its TTL in one step, so that none is left behind without an end.
        begin = () if ttl is None else (("SET", name, 0, "PX", milliseconds(key, ttl), "NX"),)
        try:
            replies = yield Commands((*begin, ("INCRBY", name, amount)), atomic=True)
        except StoreError as error:
            if any(words in str(error) for words in _NO_NUMBER):
                raise TypeError(f"{key}: cannot be counted: {error}") from error
            raise
        return int(replies[-1])

    @fails_as(bool)
    def expire(self, key: str, ttl: float) -> Steps[bool]:
        (set_,) = yield Commands((("PEXPIRE", self._keys.name(key), milliseconds(key, ttl)),))
        return bool(set_)

    @fails_as(int)
    def clear_namespace(self) -> Steps[int]:
        """Remove all but the ledger: it is what tells the proxy's processes, and loads under way, that all is old."""
        cursor, gone, has_ledger = "0", 0, False
        while True:
            scan = ("SCAN", cursor, "MATCH", self._keys.pattern, "COUNT", SCANNED_AT_ONCE)
            ((at, found),) = yield Commands((scan,), beside=self._keys.prefix)
            values = [name for name in found if _text(name) not in self._keys.ledger]
            has_ledger |= len(values) < len(found)
            gone += yield from self._unlink(values)
            cursor = _text(at)
            if cursor == "0":
                break
        if has_ledger:
            yield from self._ledger.hit({EVERYTHING})
        return gone

    def _unlink(self, names: Collection[Word]) -> Steps[int]:
        if not names:
            return 0
        (gone,) = yield Commands((("UNLINK", *names),))
        return int(gone)


def _px(life: int | None) -> tuple[Word, ...]:
    return () if life is None else ("PX", life)


def _text(reply: bytes | str | int) -> str:
    return reply.decode(errors="replace") if isinstance(reply, bytes) else str(reply)
