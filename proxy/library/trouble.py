"""What becomes of the store's failures: counted, logged once a minute, and raised only where that is wanted."""

import functools
import logging
import threading
from collections.abc import Callable
from typing import Concatenate, Literal, ParamSpec, Protocol, TypeVar

from proxy.errors import StoreError
from proxy.library.steps import Steps
from proxy.library.tally import Tally

log = logging.getLogger(__name__)

OnError = Literal["miss", "raise"]

LOG_EVERY = 60.0

P = ParamSpec("P")
T = TypeVar("T")


class Trouble:
    """Hears of every failure. `clock` gives seconds of which only the differences matter."""

    def __init__(self, on_error: OnError, tally: Tally, clock: Callable[[], float]) -> None:
        if on_error not in ("miss", "raise"):
            raise ValueError(f'on_error is "miss" or "raise", not {on_error!r}')
        self.raises = on_error == "raise"
        self._tally = tally
        self._clock = clock
        self._lock = threading.Lock()
        self._logged: float | None = None
        self._unlogged = 0

    def met(self, operation: str, error: Exception) -> None:
        """Count a failure, and log it unless one was logged within the last minute."""
        self._tally.failed()
        with self._lock:
            now = self._clock()
            if self._logged is not None and now - self._logged < LOG_EVERY:
                self._unlogged += 1
                return
            self._logged, unlogged, self._unlogged = now, self._unlogged, 0
        more = f" (and {unlogged} times more since the last such line)" if unlogged else ""
        log.warning("the cache failed: %s%s", error, more, extra={"operation": operation})


class Troubled(Protocol):
    """Has somebody to tell of failures."""

    _trouble: Trouble


S = TypeVar("S", bound=Troubled)


def fails_as(
    otherwise: Callable[[], T],
) -> Callable[[Callable[Concatenate[S, P], Steps[T]]], Callable[Concatenate[S, P], Steps[T]]]:
    """Make an operation answer `otherwise()` where the store fails, unless failures are to be raised."""

    def decorate(operation: Callable[Concatenate[S, P], Steps[T]]) -> Callable[Concatenate[S, P], Steps[T]]:
        @functools.wraps(operation)
        def guarded(self: S, /, *args: P.args, **kwargs: P.kwargs) -> Steps[T]:
            try:
                return (yield from operation(self, *args, **kwargs))
            except StoreError as error:
                self._trouble.met(operation.__name__, error)
                if self._trouble.raises:
                    raise
                return otherwise()

        return guarded

    return decorate
