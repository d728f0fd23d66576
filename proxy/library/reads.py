"""Looking values up. What has tags is served only if the ledger still holds it true."""

import math
from collections.abc import Iterable, Mapping
from types import NoneType
from typing import Any

from proxy.errors import StoreError
from proxy.library.keys import Keys
from proxy.library.ledger import Ledger
from proxy.library.steps import Commands, Steps
from proxy.library.tally import Tally
from proxy.library.trouble import Trouble, fails_as
from proxy.library.values import decode, unseal

ABSENT = -2
"""What Redis says of the TTL of what is not there; -1 is for what never ends."""


class Reads:
    """The steps of all look-ups in one namespace. What they mean to a caller stands in proxy.library.blocking."""

    def __init__(self, keys: Keys, ledger: Ledger, tally: Tally, trouble: Trouble) -> None:
        self._keys = keys
        self._ledger = ledger
        self._tally = tally
        self._trouble = trouble

    @fails_as(NoneType)
    def get(self, key: str) -> Steps[Any]:
        found = yield from self.look_up([key])
        return found.get(key)

    @fails_as(dict[str, Any])
    def get_many(self, keys: Iterable[str]) -> Steps[dict[str, Any]]:
        return (yield from self.look_up(list(dict.fromkeys(keys))))

    @fails_as(bool)
    def exists(self, key: str) -> Steps[bool]:
        ((raw,),) = yield Commands((("MGET", self._keys.name(key)),))
        (coded,) = yield from self._true([raw])
        return coded is not None

    @fails_as(lambda: ABSENT)
    def get_ttl(self, key: str) -> Steps[int]:
        name = self._keys.name(key)
        left, (raw,) = yield Commands((("PTTL", name), ("MGET", name)))
        (coded,) = yield from self._true([raw])
        if coded is None:
            return ABSENT
        return math.ceil(left / 1000) if left >= 0 else int(left)

    @fails_as(NoneType)
    def take(self, key: str) -> Steps[Any]:
        (raw,) = yield Commands((("GETDEL", self._keys.name(key)),))
        (coded,) = yield from self._true([raw])
        return None if coded is None else self._decoded({key: coded}).get(key)

    @fails_as(dict[str, Any])
    def info(self) -> Steps[dict[str, Any]]:
        (told,) = yield Commands((("INFO",),), beside=self._keys.prefix)
        return dict(told)

    def look_up(self, keys: list[str]) -> Steps[dict[str, Any]]:
        """Find what exists of `keys`, with one MGET, and count. Raises StoreError."""
        if not keys:
            return {}
        # MGET also for a single key: it takes what is no string, such as an answer of the proxy, for absent.
        (raws,) = yield Commands((("MGET", *map(self._keys.name, keys)),))
        coded = yield from self._true(raws)
        found = self._decoded({key: value for key, value in zip(keys, coded, strict=True) if value is not None})
        self._tally.looked_up(hits=len(found), misses=len(keys) - len(found))
        return found

    def _true(self, raws: Iterable[bytes | str | None]) -> Steps[list[bytes | None]]:
        """Select the JSON of what is there and true. The ledger is asked later than the values, which errs to old."""
        coded = [raw.encode() if isinstance(raw, str) else raw for raw in raws]  # str: from a client that decodes
        sealed = {place: value for place, raw in enumerate(coded) if (value := unseal(raw)) is not None}
        verdicts = yield from self._ledger.judge(list(sealed.values()))
        for (place, value), alive in zip(sealed.items(), verdicts, strict=True):
            coded[place] = value.coded if alive else None
        return coded

    def _decoded(self, coded: Mapping[str, bytes]) -> dict[str, Any]:
        """Decode. What somebody else put under a key and is no JSON is a failure of its own, and left out."""
        found = {}
        for key, value in coded.items():
            try:
                found[key] = decode(value)
            except ValueError as error:
                damage = StoreError(f"{key}: is not a value of this cache: {error}")
                if self._trouble.raises:
                    raise damage from error
                self._trouble.met("decode", damage)
        return found
