"""What is told of every answer: one line in the access log, the counts of metrics and dashboard, and its span."""

import asyncio
from collections.abc import Callable
from weakref import WeakValueDictionary

from policies.model import Why
from proxy.access import AccessLog, Again
from proxy.metrics import Metrics
from proxy.notes import Answered, Notes
from proxy.tally import Tally
from proxy.tracing import Tracing

SOON = 0.25
"""Seconds after which answers are counted: counting many at once costs each of them less."""


class Alike:
    """Answers that are counted together: how many `seconds` each took that was not told yet.

    For so many of these seconds Jira was `waited` for, by those for whose sake it was asked. `saved` is to be told how
    many answers there were.
    """

    __slots__ = ("__weakref__", "notes", "saved", "seconds", "waited", "why")

    def __init__(self, why: Why, notes: Notes, saved: Callable[[int], None] | None) -> None:
        self.why = why
        self.notes = notes
        self.saved = saved
        self.seconds: list[float] = []
        self.waited: list[float] = []

    def taken(self) -> tuple[list[float], list[float]]:
        """Take what was not told yet."""
        taken = self.seconds, self.waited
        self.seconds, self.waited = [], []
        return taken


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
        self._alike: WeakValueDictionary[tuple[str | None, ...], Alike] = WeakValueDictionary()
        self._uncounted: list[Alike] = []
        self._others: list[Callable[[], None]] = []
        self._unlogged: list[tuple[Again, float, float]] = []  # in how many seconds, at which Unix time

    def answered(self, answered: Answered, notes: Notes) -> None:
        """Tell of one answer."""
        alike = self._alike_of(answered.why, notes, "", None)
        self._add(alike, answered.seconds)
        if notes.upstream is not None:
            alike.waited.append(notes.upstream)
        if self._tracing is not None:
            self._tracing.answered(answered, notes)
        self._access.tell(answered, notes, self._clock())

    def again(
        self, answered: Answered, notes: Notes, *, stored: float, client: str, saved: Callable[[int], None]
    ) -> tuple[Alike, Again | None]:
        """Begin to tell of an answer that `client` may be given again and again; `saved` as Alike has it.

        Returns those it is counted with, and what its lines in the log say if it is to have some.
        """
        alike = self._alike_of(answered.why, notes, client, saved)
        return alike, Again(answered, notes, stored) if self._access.wants(answered.why, notes.key) else None

    def hit(self, alike: Alike, again: Again | None, now: float, seconds: float) -> None:
        """Tell, soon and together with others, of an answer that was given again at `now`, in so many seconds."""
        self._add(alike, seconds)
        if again is not None:
            self._unlogged.append((again, seconds, now))

    def keep(self, count: Callable[[], None]) -> None:
        """Have somebody who saw what happened meanwhile `count` it whenever answers are counted."""
        self._others.append(count)

    def flush(self) -> None:
        """Tell what is still to be told."""
        # All is taken before any is told: what fails takes along what would be told after it, but nothing of later.
        uncounted, self._uncounted = [(alike, *alike.taken()) for alike in self._uncounted], []
        unlogged, self._unlogged = self._unlogged, []
        for alike, seconds, waited in uncounted:
            self._count(alike, seconds, waited)
        for count in self._others:
            count()
        for again, took, at in unlogged:
            self._access.repeat(again, took, at)

    def _alike_of(self, why: Why, notes: Notes, client: str, saved: Callable[[int], None] | None) -> Alike:
        labels = why.word, notes.tenant, notes.type, notes.route, notes.caller, client
        alike = self._alike.get(labels)
        if alike is None:
            alike = self._alike[labels] = Alike(why, notes, saved)
        return alike

    def _add(self, alike: Alike, seconds: float) -> None:
        if not alike.seconds:
            if not self._uncounted:
                asyncio.get_running_loop().call_later(SOON, self.flush)
            self._uncounted.append(alike)
        alike.seconds.append(seconds)

    def _count(self, alike: Alike, seconds: list[float], waited: list[float]) -> None:
        notes, word = alike.notes, alike.why.word
        self._metrics.requests.labels(notes.tenant, notes.type, word).inc(len(seconds))
        self._metrics.seconds.labels(notes.tenant, word).observe_all(seconds)
        self._tally.requests(
            notes.tenant, notes.type, word, route=notes.route, caller=notes.caller, seconds=seconds, waited=waited
        )
        if alike.saved is not None:
            alike.saved(len(seconds))
