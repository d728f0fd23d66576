"""What is told of every answer: one line in the access log, the counts of metrics and dashboard, and its span."""

import asyncio
from collections.abc import Callable

from policies.model import Why
from proxy.access import AccessLog, Again
from proxy.metrics import Metrics
from proxy.notes import Answered, Notes
from proxy.tally import Tally
from proxy.tracing import Tracing

SOON = 0.1
"""Seconds after which hits of the fast lane are told: telling of many at once costs each of them less."""


class Recorder:
    """Tells log, metrics and tally of each request that was answered on the main listener. `clock` tells Unix time."""

    def __init__(
        self,
        metrics: Metrics,
        access: AccessLog,
        tally: Tally,
        clock: Callable[[], float],
        tracing: Tracing | None = None,
    ) -> None:
        self._metrics = metrics
        self._access = access
        self._tally = tally
        self._clock = clock
        self._tracing = tracing
        self._hits: list[tuple[Again, float, float]] = []  # at which Unix time, in how many seconds

    def answered(self, answered: Answered, notes: Notes) -> None:
        """Tell of one answer."""
        self._count(answered.why, notes, [answered.seconds], waited=notes.upstream)
        if self._tracing is not None:
            self._tracing.answered(answered, notes)
        self._access.tell(answered, notes, self._clock())

    def hit(self, again: Again, now: float, seconds: float) -> None:
        """Tell, soon and together with others, of an answer that was given `again` at `now`, in so many seconds."""
        if not self._hits:
            asyncio.get_running_loop().call_later(SOON, self.flush)
        self._hits.append((again, now, seconds))

    def flush(self) -> None:
        """Tell what is still to be told."""
        hits, self._hits = self._hits, []
        spent: dict[tuple[object, ...], tuple[Again, list[float]]] = {}
        for again, at, seconds in hits:
            group = spent.get(again.alike)
            if group is None:
                group = spent[again.alike] = again, []
            group[1].append(seconds)
            self._access.repeat(again, seconds, at)
        for again, each in spent.values():
            self._count(again.answered.why, again.notes, each)
            again.saved(len(each))

    def _count(self, why: Why, notes: Notes, seconds: list[float], waited: float | None = None) -> None:
        """Count requests that were answered alike, each in its number of `seconds`."""
        word = why.word
        self._metrics.requests.labels(notes.tenant, notes.type, word).inc(len(seconds))
        self._metrics.seconds.labels(notes.tenant, word).observe_all(seconds)
        self._tally.requests(
            notes.tenant, notes.type, word, route=notes.route, caller=notes.caller, seconds=seconds, waited=waited
        )
