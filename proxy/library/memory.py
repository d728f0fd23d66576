"""As much of Redis as the library uses, in this process's memory: for programs and tests that have none."""

import re
import threading
import time
from collections.abc import Callable
from typing import Any, assert_never, cast

from policies.model import Fence
from policies.tags import Tags
from proxy.errors import StoreError
from proxy.library.steps import Commands, Run, Trip, Word
from proxy.library.values import Sealed
from proxy.stores.glob import compile_glob
from proxy.stores.ledger import Ledger, new_incarnation
from proxy.stores.lru import Lru
from proxy.stores.memory import OBJECT

_COUNT = re.compile(rb"-?[0-9]{1,19}")
_MOST = 2**63


class _Room(Lru[str, bytes]):
    """Values that tell their names and until when they are kept."""

    def names(self) -> list[str]:
        return [name for name in tuple(self._items) if self.get(name) is not None]

    def expires(self, name: str) -> float:
        return self._items[name].expires


class Memory:
    """Values and ledgers of any number of namespaces; services that are given the same Memory share them.

    `max_bytes` bounds the values: those used longest ago make room. `clock` gives seconds of which only the differences
    matter. May be used by any thread and any task.
    """

    def __init__(self, *, max_bytes: int = 64 * 1024**2, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._clock = clock
        self._began = clock()
        self._room = _Room(max_bytes, clock)
        self._ledgers: dict[str, Ledger] = {}
        self._commands: dict[Word, Callable[..., Any]] = {
            "SET": self._set,
            "MGET": lambda *names: [self._room.get(name) for name in names],
            "GETDEL": self._getdel,
            "UNLINK": lambda *names: sum(self._drop(name) for name in names),
            "INCRBY": self._incrby,
            "PTTL": self._pttl,
            "PEXPIRE": self._pexpire,
            "SCAN": self._scan,
            "INFO": self._info,
            "PING": lambda: True,
        }
        self._scripts: dict[str, Callable[..., Any]] = {
            "keep": self._keep,
            "judge": self._judge,
            "fence": self._fence,
            "invalidate": self._invalidate,
        }

    def __repr__(self) -> str:
        return f"<Memory {self._room!r}>"

    def take(self, trip: Trip) -> Any:
        """Do what Redis does; the whole trip is one atomic step."""
        with self._lock:
            match trip:
                case Commands(each):
                    return [self._commands[word](*rest) for word, *rest in each]
                case Run(script, names, values):
                    ledger = self._ledgers.setdefault(names[0], Ledger(new_incarnation(), 100_000))
                    return self._scripts[script](ledger, names, *values[1:])
                case never:
                    assert_never(never)

    # commands

    def _set(self, name: str, value: bytes | int, *options: Word) -> bool | None:
        if "NX" in options and self._room.get(name) is not None:
            return None
        life = cast(int, options[options.index("PX") + 1]) / 1000 if "PX" in options else float("inf")
        self._put(name, value if isinstance(value, bytes) else b"%d" % value, life)
        return True

    def _put(self, name: str, value: bytes, life: float) -> None:
        self._room.put(name, value, len(name) + len(value) + 2 * OBJECT, life)

    def _drop(self, name: str) -> bool:
        held = self._room.get(name) is not None
        self._room.drop(name)
        return held

    def _getdel(self, name: str) -> bytes | None:
        value = self._room.get(name)
        self._room.drop(name)
        return value

    def _incrby(self, name: str, amount: int) -> int:
        held = self._room.get(name)
        if not isinstance(amount, int) or not _COUNT.fullmatch(held or b"0"):
            raise StoreError("INCRBY: value is not an integer or out of range")
        total = int(held or b"0") + amount
        if not -_MOST <= total < _MOST:
            raise StoreError("INCRBY: increment or decrement would overflow")
        self._put(name, b"%d" % total, float("inf") if held is None else self._room.expires(name) - self._clock())
        return total

    def _pttl(self, name: str) -> int:
        if self._room.get(name) is None:
            return -2
        left = self._room.expires(name) - self._clock()
        return -1 if left == float("inf") else round(left * 1000)

    def _pexpire(self, name: str, life: int) -> bool:
        value = self._room.get(name)
        if value is not None:
            self._put(name, value, life / 1000)
        return value is not None

    def _scan(self, _cursor: str, _match: str, pattern: str, *_count: Word) -> tuple[str, list[str]]:
        matching = compile_glob(pattern)
        return "0", [name for name in (*self._room.names(), *self._ledgers) if matching.fullmatch(name.encode())]

    def _info(self) -> dict[str, float]:
        uptime = self._clock() - self._began
        return {"evicted_keys": self._room.evictions, "used_memory": self._room.weight, "uptime_in_seconds": uptime}

    # scripts

    def _keep(
        self, ledger: Ledger, names: tuple[str, ...], incarnation: Word, stamp: Word, tags: bytes, *lives: Any
    ) -> bool:
        fence = ledger.fence if incarnation == "" else Fence(cast(int, incarnation), cast(int, stamp))
        alive = ledger.is_true(fence, Tags.read(tags))
        if alive:
            values = lives[::2]
            for name, coded, life in zip(names[-len(values) :], values, lives[1::2], strict=True):
                self._put(name, Sealed(fence, tags, coded).pack(), float("inf") if life == "" else life / 1000)
        return alive

    def _judge(self, ledger: Ledger, _names: tuple[str, ...], *words: Any) -> list[bool]:
        each = zip(words[::3], words[1::3], words[2::3], strict=True)
        return [ledger.is_true(Fence(incarnation, stamp), Tags.read(tags)) for incarnation, stamp, tags in each]

    def _fence(self, ledger: Ledger, _names: tuple[str, ...]) -> tuple[int, int]:
        return ledger.fence.incarnation, ledger.fence.stamp

    def _invalidate(self, ledger: Ledger, _names: tuple[str, ...], tags: bytes, _remembered: int) -> None:
        ledger.invalidate(Tags.read(tags))
