"""The last hour as reports told it, of however many processes: what the dashboard draws.

Times are Unix seconds. Bounded: a row of numbers for each tenant and STEP, and a report for each minute.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from policies.callers import Credentialed
from proxy.gauges import EVERYBODY, folded
from proxy.report import (
    CALLS,
    CHANGES,
    HIT,
    MISS,
    PASSED,
    POINTS,
    REFUSED,
    SAVED,
    SECONDS,
    SPENT,
    UPSTREAM_SECONDS,
    WRITE,
    Part,
    Report,
    Seen,
    merged,
    quantile,
)

STEP = 5
"""Seconds of one row."""

HOUR = 3600
KEPT_CHANGES = 200
KNOWN_CALLERS = 1000

SILENT = 5.0
"""Seconds after which a process that no longer reports does not count any more."""

COLUMNS = (
    *("time", HIT, MISS, PASSED, WRITE, REFUSED),
    *("hit_p50", "hit_p95", "hit_p99", "miss_p50", "miss_p95", "miss_p99"),
    *("calls", "saved"),
)
"""Of a row: when it began; requests a second by outcome; seconds until answered; calls of Jira a second, and unmade."""

Row = tuple[float | None, ...]

_MINUTE = 60
_LISTED = 12
_SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


class History:
    """Takes reports in as they come, and tells of the last hour."""

    def __init__(self) -> None:
        self._rows: deque[tuple[float, dict[str, Row]]] = deque(maxlen=HOUR // STEP)
        self._minutes: deque[Report] = deque(maxlen=HOUR // _MINUTE - 1)
        self._before = Report()  # all of `_minutes`
        self._minute = Report()  # the one under way, but for ...
        self._step = Report()  # ... the step under way,
        self._covered: dict[str, float] = {}  # of which each process has reported on so many seconds
        self._changes: deque[dict[str, Any]] = deque(maxlen=KEPT_CHANGES)
        self._callers: OrderedDict[tuple[str, str], Credentialed] = OrderedDict()
        self._gauges: dict[str, tuple[float, dict[str, Any]]] = {}

    def add(self, report: Report) -> list[dict[str, Any]]:
        """Take in a report. Returns the changes that it tells of."""
        if self._step.time and _begin(report.time, STEP) != _begin(self._step.time, STEP):
            self._turn(report.time)
        self._step.add(report)
        self._hear(report)
        for tenant, part in report.parts.items():
            self._know(tenant, part)
        news = [_told(tenant, seen) for tenant, part in report.parts.items() for seen in part.changes]
        self._changes.extend(news)
        return news

    def _know(self, tenant: str, part: Part) -> None:
        for name, (credential, holder) in part.known.items():
            self._callers[tenant, name] = Credentialed(credential, holder)
            self._callers.move_to_end((tenant, name))
            if len(self._callers) > KNOWN_CALLERS:
                self._callers.popitem(last=False)

    def _turn(self, now: float) -> None:
        """End the step under way, and the minute when it is over."""
        rows = {tenant: self._row(_whole(tenant, self._step)) for tenant in (EVERYBODY, *self._step.parts)}
        self._rows.append((_begin(self._step.time, STEP), rows))
        self._minute.add(self._step)
        self._step, self._covered = Report(), {}
        if _begin(now, _MINUTE) != _begin(self._minute.time, _MINUTE):
            self._minutes.append(self._minute)
            self._before, self._minute = merged(self._minutes), Report()

    def _hear(self, report: Report) -> None:
        for process, gauges in report.gauges.items():
            self._covered[process] = self._covered.get(process, 0.0) + report.seconds
            self._gauges[process] = report.time, gauges
        latest = sorted(self._gauges.items(), key=lambda item: item[1][0])
        self._gauges = {name: heard for name, heard in latest if heard[0] > report.time - SILENT}

    def past(self, tenant: str) -> dict[str, Any]:
        """Tell the rows of one tenant, or of EVERYBODY, and its changes, the oldest first."""
        rows = [rows.get(tenant) or _row_of_nothing(begun) for begun, rows in self._rows]
        return {"columns": COLUMNS, "step": STEP, "rows": rows, "changes": list(self.changes(tenant))}

    def changes(self, tenant: str) -> Iterator[dict[str, Any]]:
        """Tell the changes of one tenant, or of EVERYBODY, the oldest first."""
        yield from (change for change in self._changes if tenant in (EVERYBODY, change["tenant"]))

    def culprit(self, tenant: str, tags: Iterable[str], since: float) -> dict[str, Any] | None:
        """Find the first change since a moment that made old what carries `tags`; None if it is not remembered."""
        carried = frozenset(tags)
        return next(
            (
                {"when": change["when"], "source": change["source"], "tags": hit}
                for change in self.changes(tenant)
                if change["when"] >= since and (hit := sorted(carried.intersection(change["tags"])))
            ),
            None,
        )

    def caller(self, tenant: str, name: str) -> Credentialed | None:
        """Find a caller that was seen lately by the short name that the log has for it."""
        return self._callers.get((tenant, name))

    def present(self, tenant: str) -> dict[str, Any]:
        """Tell of one tenant, or of EVERYBODY, the row under way, the sums of the hour, and how its processes are."""
        return {
            "time": self._step.time,
            "row": self._row(_whole(tenant, self._step)),
            "hour": _summary(_whole(tenant, self._before, self._minute, self._step)),
            "gauges": folded([gauges for _, gauges in self._gauges.values()], tenant),
        }

    def _row(self, part: Part) -> Row:
        seconds = max(self._covered.values(), default=0.0) or float(STEP)
        counted = part.outcomes()
        rates = (counted[name] / seconds for name in (HIT, MISS, PASSED, WRITE, REFUSED))
        times = (quantile(each, share) for each in (part.hits, part.misses) for share in _SHARES.values())
        calls = (part.upstream.total() / seconds, sum(each[SAVED] for each in part.spent().values()) / seconds)
        return (_begin(self._step.time, STEP), *rates, *times, *calls)


def _whole(tenant: str, *reports: Report) -> Part:
    """Put together what reports say of one tenant, or of EVERYBODY."""
    whole = Part()
    for report in reports:
        for name, part in report.parts.items():
            if tenant in {EVERYBODY, name}:
                whole.add(part)
    return whole


def _begin(moment: float, length: int) -> float:
    return moment // length * length


def _row_of_nothing(begun: float) -> Row:
    return (begun, 0, 0, 0, 0, 0, None, None, None, None, None, None, 0, 0)


def _told(tenant: str, seen: Seen) -> dict[str, Any]:
    return {"tenant": tenant, "when": seen.when, "source": seen.source, "tags": seen.tags, "more": seen.more}


def _summary(part: Part) -> dict[str, Any]:
    """Sum an hour up. Counts of routes and callers may be too low by `..._short` at most (proxy.busiest)."""
    return {
        "outcomes": part.outcomes(),
        "types": _by_type(part),
        "latency": {HIT: _quantiles(part.hits), MISS: _quantiles(part.misses)},
        "upstream": {
            "calls": part.upstream.total(),
            "by_status": part.upstream,
            "seconds": part.sums.get(UPSTREAM_SECONDS, 0.0),
            "points": sum(each[POINTS] for each in part.spent().values()),
        },
        "saved": savings(part.spent()),
        "changes": part.sums.get(CHANGES, 0),
        "routes": part.routes.first(_LISTED),
        "routes_short": part.routes.short,
        "callers": part.callers.first(_LISTED),
        "callers_short": part.callers.short,
    }


def savings(spent: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Reckon what was saved: calls, and by what others of their type took, seconds and points (proxy.report.SPENT)."""
    whole = {what: sum(each[what] for each in spent.values()) for what in SPENT}
    saved = {CALLS: whole[SAVED], SECONDS: 0.0, POINTS: 0.0}
    for each in spent.values():
        alike = each if each[CALLS] else whole
        for what in (SECONDS, POINTS):
            saved[what] += each[SAVED] * alike[what] / alike[CALLS] if alike[CALLS] else 0.0
    return saved


def _by_type(part: Part) -> dict[str, dict[str, int]]:
    """Count the requests of each type by the word of their Why."""
    types: dict[str, dict[str, int]] = {}
    for name, count in part.requests.items():
        kind, _, why = name.rpartition(" ")
        types.setdefault(kind, {})[why] = count
    return types


def _quantiles(times: list[int]) -> dict[str, float | None]:
    return {name: quantile(times, share) for name, share in _SHARES.items()}
