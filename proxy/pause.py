"""Leaving alone what has just failed, so that one finds out how it is and not everybody has to wait for it."""

from collections.abc import Callable


class Pause:
    """Lasts from a failure to the next success; every `seconds` of `clock`, one may try."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._retry_at: float | None = None

    @property
    def is_on(self) -> bool:
        """Whether the last try failed."""
        return self._retry_at is not None

    @property
    def left(self) -> float:
        """Seconds until somebody may try."""
        return 0.0 if self._retry_at is None else max(0.0, self._retry_at - self._clock())

    def admits(self) -> bool:
        """Tell whether to try; after a failure only one may, while the others wait for how it fares."""
        if self._retry_at is None:
            return True
        if self._clock() < self._retry_at:
            return False
        self.begin()
        return True

    def begin(self) -> None:
        """Note a failure."""
        self._retry_at = self._clock() + self._seconds

    def end(self) -> None:
        """Note a success."""
        self._retry_at = None
