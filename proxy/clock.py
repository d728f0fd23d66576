"""What time it is, for whatever must not last longer because somebody set the clock back."""

import time
from collections.abc import Callable


class Steady:
    """Unix time that goes on when the `wall` clock is set back, until that one has caught up.

    It never runs slower than `monotonic`, so that no lease and no answer lives longer than it was given. When the wall
    clock is set forward, it follows.
    """

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._began = wall() - monotonic()

    def __call__(self) -> float:
        """Tell the time, in seconds."""
        passed = self._monotonic()
        self._began = max(self._began, self._wall() - passed)
        return self._began + passed
