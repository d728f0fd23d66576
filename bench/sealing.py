"""What `store.encrypt` costs: sealing and opening an answer, and making the key to a caller's own.

Told are the fastest of many runs, in microseconds. A look-up that reaches Redis opens two parts, head and body; one
that finds its answer near opens none.
"""

import os
import timeit
from collections.abc import Callable, Iterator

from bench.tables import Table
from policies.callers import identify, lock
from policies.model import Request, Scope
from proxy.stores.sealing import Sealing

_SIZES = (400, 5_000, 50_000, 500_000)
_PLACE, _LOCK = b"tenant:default:issue:PROJ-1:" + b"0" * 100, b"k" * 32
_ASKED = Request("GET", "/", headers={"authorization": "Basic YWxpY2U6c2VzYW1l"})


def measure() -> Iterator[Table]:
    """Measure answers of several sizes, and the key."""
    sealing = Sealing(b"a secret of the bench's own", "default")
    rows = []
    for size in _SIZES:
        plain = os.urandom(size)
        sealed = sealing.seal(plain, _PLACE, _LOCK)
        seal = _microseconds(lambda plain=plain: sealing.seal(plain, _PLACE, _LOCK))
        opened = _microseconds(lambda sealed=sealed: sealing.open(sealed, _PLACE, _LOCK))
        rows.append((f"{size / 1000:g} KB", f"{seal:.1f}", f"{opened:.1f}"))
    caller = identify(_ASKED, b"s" * 16)
    key = _microseconds(lambda: lock(_ASKED, Scope.CREDENTIAL, caller, b"s" * 16, "acc"))
    yield Table(f"Encryption: a caller's key {key:.1f} us", ("", "seal, us", "open, us"), rows)


def _microseconds(work: Callable[[], object]) -> float:
    return min(timeit.repeat(work, number=50, repeat=40)) / 50 * 1e6
