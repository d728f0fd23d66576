"""What the service counts, and what it says of itself."""

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Stats:
    """How the cache fares.

    `hits`, `misses` and `errors` are this service's since it was made. `evictions` and `memory_bytes` are the whole
    server's, since it started `uptime_seconds` ago; None where it does not tell.
    """

    hits: int
    misses: int
    errors: int
    evictions: int | None
    memory_bytes: int | None
    uptime_seconds: float | None

    @property
    def hit_rate(self) -> float:
        """Hits in all look-ups, 0 to 1; 0 before the first."""
        return self.hits / max(1, self.hits + self.misses)

    @property
    def miss_rate(self) -> float:
        """Misses in all look-ups, 0 to 1; 0 before the first."""
        return self.misses / max(1, self.hits + self.misses)

    @property
    def eviction_rate(self) -> float | None:
        """Evictions per second since the server started."""
        if self.evictions is None or self.uptime_seconds is None:
            return None
        return self.evictions / max(1.0, self.uptime_seconds)


class Tally:
    """Counts hits, misses and errors, from any thread."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def looked_up(self, *, hits: int, misses: int) -> None:
        """Count look-ups."""
        with self._lock:
            self._counts.update(hits=hits, misses=misses)

    def failed(self) -> None:
        """Count a failure of the store."""
        with self._lock:
            self._counts["errors"] += 1

    def stats(self, told: Mapping[str, Any]) -> Stats:
        """Put the counts beside what the server's INFO tells."""
        with self._lock:
            counts = self._counts.copy()
        return Stats(
            hits=counts["hits"],
            misses=counts["misses"],
            errors=counts["errors"],
            evictions=told.get("evicted_keys"),
            memory_bytes=told.get("used_memory"),
            uptime_seconds=told.get("uptime_in_seconds"),
        )
