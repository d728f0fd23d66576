"""What has been counted since the start, for each tenant: as JSON, and as tables for people.

The numbers are those of the metrics, so that the two never disagree.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from itertools import chain
from typing import Any

from policies.cachestatus import HITS
from policies.model import Forwarded, Why
from proxy.checkup import aligned
from proxy.governor import Governor
from proxy.metrics import Metrics, Sample
from proxy.stores.failopen import FailOpen

_HITS = frozenset(why.word for why in HITS)
_MISSED = frozenset({Forwarded.URI_MISS, Forwarded.STALE, Forwarded.REQUEST})
_MISSES = frozenset(why.word for why in Why if why.forwarded in _MISSED)

_SPENT = {"calls": "calls", "points": "points", "saved": "calls_saved"}
_HELD = {"entries": "entries", "bytes": "bytes", "evictions": "evictions_total"}
_COLUMNS = ("tenant", "requests", "hits", "hit ratio", "to Jira", "invalidations", "store", *_HELD)
_ASKING = ("tenant", "Jira", "breaker", "in flight", "queued", "calls", "points", "saved")
_GOVERNED = ("state", "breaker", "in_flight", "queued")
_TABLES = {"type why": "requests", "status": "upstream", "source": "invalidations"}

_Row = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stats:
    """Tells what the counters say. `stores` and `governors` have those of each tenant."""

    metrics: Metrics
    stores: Mapping[str, FailOpen]
    governors: Mapping[str, Governor]

    def tell(self, uptime: float) -> dict[str, Any]:
        """Tell everything. `uptime` is seconds."""
        counts = self.metrics.read()
        tenants = {
            name: _tenant(_Counts(counts, name), store) | {"governor": self._governed(_Counts(counts, name))}
            for name, store in self.stores.items()
        }
        return {"version": version("jira-cache-proxy"), "uptime": round(uptime, 1), "tenants": tenants}

    def _governed(self, counts: "_Counts") -> dict[str, Any]:
        """Tell how this process's governor is, what calls to Jira were made and saved, and who asks most of it."""
        governor = self.governors[counts.tenant]
        spent = {key: counts.by("type", f"upstream_{name}_total") for key, name in _SPENT.items()}
        return governor.report() | spent | {"callers": governor.spending.callers()}


@dataclass(frozen=True, slots=True)
class _Counts:
    """What was counted for one tenant."""

    samples: Mapping[str, list[Sample]]
    tenant: str

    def of(self, name: str) -> Iterator[Sample]:
        """List what one metric counted."""
        return (sample for sample in self.samples.get(f"jira_cache_{name}", ()) if sample[0]["tenant"] == self.tenant)

    def by(self, label: str, name: str) -> dict[str, int]:
        """Tell what one metric counted, by the values of a label."""
        return {labels[label]: int(count) for labels, count in self.of(name)}


def _tenant(counts: _Counts, store: FailOpen) -> dict[str, Any]:
    requests = _requests(counts)
    words = list(chain.from_iterable(whys.items() for whys in requests.values()))
    hits = sum(count for why, count in words if why in _HITS)
    asked = hits + sum(count for why, count in words if why in _MISSES)
    held = {key: int(count) for key, name in _HELD.items() for _, count in counts.of(name)}
    return {
        "requests": requests,
        "total": sum(count for _, count in words),
        "hits": hits,
        "hit_ratio": round(hits / asked, 4) if asked else None,  # of what may be answered from cache
        "upstream": counts.by("status", "upstream_requests_total"),
        "invalidations": counts.by("source", "invalidations_total"),
        "store": {"state": str(store.state), **held},
    }


def _requests(counts: _Counts) -> dict[str, dict[str, int]]:
    requests: dict[str, dict[str, int]] = {}
    for labels, count in counts.of("requests_total"):
        requests.setdefault(labels["type"], {})[labels["why"]] = int(count)
    return requests


def as_text(told: Mapping[str, Any]) -> Iterator[str]:
    """Write what `Stats.tell` told as tables, a line at a time."""
    yield f"jira-cache {told['version']}, up {told['uptime']:.0f}s"
    yield ""
    yield from aligned([_COLUMNS, *(_summary(name, tenant) for name, tenant in told["tenants"].items())])
    yield ""
    yield from aligned([_ASKING, *(_asking(name, tenant["governor"]) for name, tenant in told["tenants"].items())])
    for title, key in _TABLES.items():
        rows = [row for name, tenant in told["tenants"].items() for row in _rows(name, tenant[key])]
        if rows:
            yield ""
            yield from aligned([("tenant", *title.split(), "count"), *rows])


def _summary(name: str, tenant: Mapping[str, Any]) -> _Row:
    ratio, store = tenant["hit_ratio"], tenant["store"]
    sent, announced = (sum(tenant[key].values()) for key in ("upstream", "invalidations"))
    held = (str(store.get(key, "-")) for key in _HELD)
    shown = "-" if ratio is None else f"{ratio:.1%}"
    return (name, str(tenant["total"]), str(tenant["hits"]), shown, str(sent), str(announced), store["state"], *held)


def _asking(name: str, governed: Mapping[str, Any]) -> _Row:
    return (name, *(str(governed[key]) for key in _GOVERNED), *(str(sum(governed[key].values())) for key in _SPENT))


def _rows(name: str, counts: Mapping[str, Any]) -> Iterator[_Row]:
    """Spread counts, nested or not, over rows of labels and count."""
    for label, count in counts.items():
        if isinstance(count, Mapping):
            yield from ((name, label, *row[1:]) for row in _rows(name, count))
        else:
            yield (name, label, str(count))
