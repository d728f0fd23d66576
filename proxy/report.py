"""What one process saw within some time, in a form that adds up and fits through a pipe.

Reports of one process and those of several are put together alike, so whoever reads them (proxy.history) need not know
how many processes there are. Must not be kept here: anything that grows with the traffic.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from math import sqrt
from typing import Any

from policies.cachestatus import HITS
from policies.model import Forwarded, Why
from proxy.busiest import Busiest

HIT, MISS, PASSED, WRITE, REFUSED, OWN = "hit", "miss", "passed", "write", "refused", "own"

_FORWARDED: Mapping[Forwarded | None, str] = {
    None: REFUSED,
    Forwarded.BYPASS: PASSED,
    Forwarded.METHOD: WRITE,
    Forwarded.REQUEST: MISS,
    Forwarded.STALE: MISS,
    Forwarded.URI_MISS: MISS,
}


def _outcome(why: Why) -> str:
    if why is Why.OWN:
        return OWN
    return HIT if why in HITS else _FORWARDED[why.forwarded]


OUTCOMES: Mapping[str, str] = {why.word: _outcome(why) for why in Why}
"""What became of a request, by the word of its Why."""

BOUNDS = tuple(8e-6 * sqrt(2) ** step for step in range(47))
"""Seconds below which the requests of each bucket were answered, but for the last bucket: 8 microseconds to 67 s."""

NAMED = 50
"""Tags that are told of a change, and changes that one report tells; of more only the number."""


CALLS, SECONDS, POINTS, SAVED = "calls", "seconds", "points", "saved"
CHANGES, UPSTREAM_SECONDS = "changes", "upstream_seconds"
SPENT = (CALLS, SECONDS, POINTS, SAVED)
"""What is summed up by type: calls of Jira that a client waited for and how long that took, the points of Jira's quota
that were spent, and calls that were not made because the answer was there."""


def spread(durations: Collection[float], bounds: Sequence[float] = BOUNDS, *, closed: bool = False) -> dict[int, int]:
    """Count durations by bucket, of which each ends at one of `bounds`; one that is just as long is in it if `closed`.

    Put in order first, they are counted a bucket at a time: most hits share two or three.
    """
    into, past = (bisect_left, bisect_right) if closed else (bisect_right, bisect_left)
    ordered, counted, at = sorted(durations), dict[int, int](), 0
    while at < len(ordered):
        bucket = into(bounds, ordered[at])
        end = past(ordered, bounds[bucket], at) if bucket < len(bounds) else len(ordered)
        counted[bucket], at = end - at, end
    return counted


def quantile(times: Sequence[int], share: float) -> float | None:
    """Tell within how many seconds a share of requests was answered, to a fifth; None if there were none."""
    total = sum(times)
    if not total:
        return None
    at = next(at for at, below in enumerate(accumulate(times)) if below >= share * total)
    return BOUNDS[0] if at == 0 else BOUNDS[at - 1] * sqrt(sqrt(2))


@dataclass(frozen=True, slots=True)
class Seen:
    """A change: when it was recorded (Unix time), what told of it, some of the tags it made old and how many more."""

    when: float
    source: str
    tags: list[str]
    more: int = 0


def _times() -> list[int]:
    return [0] * (len(BOUNDS) + 1)


@dataclass(slots=True)
class Part:
    """What was seen of one tenant: all of it numbers that add up, and what is busiest and newest.

    `requests` counts by "type why", `upstream` by Jira's status; `hits` and `misses` are times by bucket. `sums` has
    the number of `changes`, of which the first are told, and what was spent on Jira, by "type what" (SPENT). `known`
    has credential and holder (policies.callers) of some callers, by the name that `callers` has for them.
    """

    requests: Counter[str] = field(default_factory=Counter)
    hits: list[int] = field(default_factory=_times)
    misses: list[int] = field(default_factory=_times)
    upstream: Counter[str] = field(default_factory=Counter)
    sums: dict[str, float] = field(default_factory=dict)
    routes: Busiest = field(default_factory=Busiest)
    callers: Busiest = field(default_factory=Busiest)
    known: dict[str, list[str]] = field(default_factory=dict)
    changes: list[Seen] = field(default_factory=list)

    def sum_up(self, name: str, amount: float) -> None:
        """Add to one of `sums`."""
        self.sums[name] = self.sums.get(name, 0) + amount

    def add(self, other: "Part") -> None:
        """Take in what another part saw, but for `changes` and `known`, which are not summed up."""
        self.requests.update(other.requests)
        self.upstream.update(other.upstream)
        self.hits = list(map(sum, zip(self.hits, other.hits, strict=True)))
        self.misses = list(map(sum, zip(self.misses, other.misses, strict=True)))
        for name, amount in other.sums.items():
            self.sum_up(name, amount)
        self.routes.add(other.routes)
        self.callers.add(other.callers)

    def spent(self) -> dict[str, dict[str, float]]:
        """Tell what was spent on Jira and what was saved, by type."""
        types: dict[str, dict[str, float]] = {}
        for name, amount in self.sums.items():
            type_, _, what = name.rpartition(" ")
            if what in SPENT:
                types.setdefault(type_, dict.fromkeys(SPENT, 0.0))[what] = amount
        return types

    def outcomes(self) -> Counter[str]:
        """Count the requests by what became of them."""
        counted: Counter[str] = Counter()
        for name, count in self.requests.items():
            counted[OUTCOMES.get(name.rpartition(" ")[2], REFUSED)] += count
        return counted


@dataclass(slots=True)
class Report:
    """What was seen of each tenant within `seconds` until `time` (Unix), and how each process is: its gauges."""

    time: float = 0.0
    seconds: float = 0.0
    parts: dict[str, Part] = field(default_factory=dict)
    gauges: dict[str, dict[str, Any]] = field(default_factory=dict)

    def part(self, tenant: str) -> Part:
        """Find the part of a tenant, or begin it."""
        part = self.parts.get(tenant)
        if part is None:
            part = self.parts[tenant] = Part()
        return part

    def add(self, other: "Report") -> None:
        """Take in another report: of the same time by another process, or of the time after. Seconds do not add up."""
        self.time = max(self.time, other.time)
        for tenant, part in other.parts.items():
            self.part(tenant).add(part)
        self.gauges.update(other.gauges)


def merged(reports: Iterable[Report]) -> Report:
    """Put reports together to a new one."""
    whole = Report()
    for report in reports:
        whole.add(report)
    return whole


def parsed(told: dict[str, Any]) -> Report:
    """Make a report of parsed JSON, as which another process of the same version told it (orjson.dumps)."""
    parts = {tenant: _part(**part) for tenant, part in told.pop("parts").items()}
    return Report(parts=parts, **told)


def _part(
    requests: dict[str, int],
    upstream: dict[str, int],
    routes: dict[str, Any],
    callers: dict[str, Any],
    changes: list[dict[str, Any]],
    **others: Any,
) -> Part:
    return Part(
        requests=Counter(requests),
        upstream=Counter(upstream),
        routes=Busiest(**routes),
        callers=Busiest(**callers),
        changes=[Seen(**seen) for seen in changes],
        **others,
    )
