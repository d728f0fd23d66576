"""What this process sees, counted while it works: a report a second (proxy.report).

Counting a request costs a few additions. Whatever has to look at all that was counted happens once a second, in `take`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from heapq import nsmallest
from typing import Any

from policies.callers import Credentialed
from policies.model import Why
from proxy.busiest import MOST
from proxy.notes import SHORT
from proxy.report import (
    CALLS,
    CHANGES,
    HIT,
    MISS,
    NAMED,
    OUTCOMES,
    POINTS,
    SAVED,
    SECONDS,
    UPSTREAM_SECONDS,
    Report,
    Seen,
    spread,
)

Gauges = Callable[[], dict[str, Any]]
"""Tells how the process is at this moment."""

Sleep = Callable[[float], Awaitable[None]]

EVERY = 1.0
"""Seconds of one report."""

# What a change is about comes first in what is told of it: issues before what they belong to, searches last.
_RANKS = {"issue": 0, "project": 1, "search": 3, "answer": 4}
_OTHERS = 2

# Of those who did not make Jira be asked, who would have, were it not for what was there: answers and trips of others.
_FOUND = {why.word for why in (Why.FRESH, Why.NEGATIVE, Why.MAX_STALE)}
_SAVING = _FOUND | {word for word, outcome in OUTCOMES.items() if outcome == MISS}


class Tally:
    """Counts for one process, which `process` names among those that share a listener. `clock` tells Unix time."""

    def __init__(self, process: str, gauges: Gauges, clock: Callable[[], float]) -> None:
        self._process = process
        self._gauges = gauges
        self._clock = clock
        self._report = Report(time=clock())
        self._late: list[Callable[[], None]] = []

    def keep(self, tell: Callable[[], None]) -> None:
        """Have somebody who counts late tell what is to be told before each report is taken."""
        self._late.append(tell)

    def requests(
        self,
        tenant: str,
        type_: str,
        why: str,
        *,
        route: str,
        caller: str | None,
        seconds: Collection[float],
        waited: Collection[float] = (),
    ) -> None:
        """Count requests that were answered alike, each in its number of `seconds`.

        `caller` is a hash, cut short, None for nobody in particular; of the seconds `waited` were for Jira, by those
        requests for whose sake it was asked.
        """
        part, count = self._report.part(tenant), len(seconds)
        part.requests[f"{type_} {why}"] += count
        part.routes.counts[route] += count
        times = {HIT: part.hits, MISS: part.misses}.get(OUTCOMES[why])
        if times is not None:
            for at, some in spread(seconds).items():
                times[at] += some
        if waited:
            part.sum_up(f"{type_} {CALLS}", len(waited))
            part.sum_up(f"{type_} {SECONDS}", sum(waited))
        if why in _SAVING and count > len(waited):
            part.sum_up(f"{type_} {SAVED}", count - len(waited))
        if caller is not None:
            part.callers.counts[caller] += count

    def seen(self, tenant: str, caller: Credentialed) -> None:
        """Note by which hashes a caller is known, so that what they would be answered can be explained."""
        known = self._report.part(tenant).known
        if len(known) < MOST:
            known[caller.credential[:SHORT]] = [caller.credential, caller.holder]

    def upstream(self, tenant: str, status: str, seconds: Collection[float]) -> None:
        """Count calls of Jira, each of which took so many seconds to begin its answer."""
        part = self._report.part(tenant)
        part.upstream[status] += len(seconds)
        part.sum_up(UPSTREAM_SECONDS, sum(seconds))

    def points(self, tenant: str, type_: str, points: int) -> None:
        """Count points of Jira's quota that were spent."""
        self._report.part(tenant).sum_up(f"{type_} {POINTS}", points)

    def change(self, tenant: str, source: str, tags: Collection[str]) -> None:
        """Note a change that was recorded, and what it made old."""
        part = self._report.part(tenant)
        part.sum_up(CHANGES, 1)
        if len(part.changes) < NAMED:
            named = nsmallest(NAMED, tags, key=_rank)
            part.changes.append(Seen(self._clock(), source, named, len(tags) - len(named)))

    async def report(self, hand_over: Callable[[Report], None], sleep: Sleep = asyncio.sleep) -> None:
        """Hand a report over each second. Never ends."""
        while True:
            await sleep(EVERY)
            hand_over(self.take())

    def take(self) -> Report:
        """Take the report of the time since the last one, and begin another."""
        for tell in self._late:
            tell()
        report, now = self._report, self._clock()
        self._report = Report(time=now)
        report.seconds, report.time = max(0.0, now - report.time), now
        for part in report.parts.values():
            part.routes.cut()
            part.callers.cut()
        report.gauges[self._process] = self._gauges()
        return report


def _rank(tag: str) -> tuple[int, str]:
    return _RANKS.get(tag.partition(":")[0], _OTHERS), tag
