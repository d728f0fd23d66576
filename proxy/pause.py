"""Leaving alone what has just failed, so that one finds out how it is and not everybody has to wait for it."""

from collections.abc import Callable


class Pause:
    """Lasts from a failure to the next success; every `seconds` of `clock`, one may try.

    `is_on` tells whether the last try failed.
    """

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._retry_at = 0.0
        self.is_on = False

    @property
    def left(self) -> float:
        """Seconds until somebody may try."""
        return max(0.0, self._retry_at - self._clock()) if self.is_on else 0.0

    def admits(self) -> bool:
        """Tell whether to try; after a failure only one may, while the others wait for how it fares."""
        if not self.is_on:
            return True
        if self._clock() < self._retry_at:
            return False
        self.begin()
        return True

    def begin(self) -> None:
        """Note a failure."""
        self._retry_at = self._clock() + self._seconds
        self.is_on = True

    def end(self) -> None:
        """Note a success."""
        self.is_on = False
