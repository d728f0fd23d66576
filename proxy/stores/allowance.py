"""How long one request waits for its store, all of its operations together.

Each operation may take `store.timeout`, and a request makes several. With an allowance they take no longer than that
together, however slow the store is: what is left over when it has been used up fails at once, and the request goes on
as if the store were down. What runs for nobody in particular has none, and waits operation by operation.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from types import TracebackType
from typing import Self

_allowance: ContextVar["Allowance | None"] = ContextVar("allowance", default=None)


class Allowance:
    """So many seconds of waiting, by a monotonic `clock`. After the request for which it was granted it is void."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._left = seconds
        self._clock = clock
        self._since = 0.0
        self._waiting = 0
        self.void = False

    @property
    def left(self) -> float:
        """How many seconds may still be waited. Operations that overlap use up the same seconds."""
        waited = self._clock() - self._since if self._waiting else 0.0
        return max(0.0, self._left - waited)

    def __enter__(self) -> Self:
        """Use it up from now on; operations may overlap."""
        if not self._waiting:
            self._since = self._clock()
        self._waiting += 1
        return self

    def __exit__(self, *_: object) -> None:
        left = self.left
        self._waiting -= 1
        if not self._waiting:
            self._left = left


@contextlib.contextmanager
def allowed(seconds: float) -> Iterator[Allowance]:
    """Grant whatever is done here for one request, in tasks of its own too, so many seconds."""
    allowance = Allowance(seconds)
    token = _allowance.set(allowance)
    try:
        yield allowance
    finally:
        _allowance.reset(token)
        allowance.void = True


@contextlib.contextmanager
def unhurried() -> Iterator[None]:
    """Let what is done here take all of its own time, at the expense of the allowance."""
    allowance = _current()
    token = _allowance.set(None)
    try:
        with allowance or contextlib.nullcontext():
            yield
    finally:
        _allowance.reset(token)


def bound(patience: float | None) -> float | None:
    """Tell how many seconds an operation may take here that may take `patience` (None: for ever) by itself."""
    allowance = _current()
    if allowance is None:
        return patience
    return allowance.left if patience is None else min(patience, allowance.left)


class within:  # noqa: N801 - used as a function is
    """Bound an operation by its own `patience`, in seconds, and by what is left. Raises TimeoutError.

    No generator: each command of each request comes by here, several times.
    """

    __slots__ = ("_allowance", "_timeout")

    def __init__(self, patience: float | None) -> None:
        self._allowance, seconds = _current(), bound(patience)
        if seconds is not None and seconds <= 0:
            raise TimeoutError("the request has waited for the store as long as it may")
        self._timeout = asyncio.timeout(seconds)

    async def __aenter__(self) -> None:
        if self._allowance is not None:
            self._allowance.__enter__()
        await self._timeout.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._timeout.__aexit__(kind, error, trace)
        finally:
            if self._allowance is not None:
                self._allowance.__exit__()


def _current() -> Allowance | None:
    allowance = _allowance.get()
    return None if allowance is None or allowance.void else allowance
