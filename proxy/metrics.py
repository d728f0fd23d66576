"""Counts for Prometheus, in a registry of the app's own.

Where several processes answer together, each of them counts in files of a folder that they share, and one of them
shows the sums (`share_counts`). What a process does not count but knows, such as what its memory holds, it writes down
when it is asked to `refresh`.
"""

import os
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self, cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest, values
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from proxy.report import spread

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

_DELAYS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 1800.0)


Sample = tuple[Mapping[str, str], float]
"""Labels, and what was counted under them."""


class Usage(NamedTuple):
    """What a memory store holds: answers, their bytes, and how many answers had to make room for others so far."""

    entries: int
    bytes: int
    evictions: int


class _Refresher(Collector):
    """Has figures written down before anything is read; it shows nothing of its own."""

    def __init__(self, refresh: Callable[[], None]) -> None:
        self._refresh = refresh

    def collect(self) -> Iterable[Metric]:
        self._refresh()
        return ()


class Governed(Protocol):
    """How a governor is: calls that wait for Jira, calls that wait to be made, and whether Jira is left alone."""

    @property
    def in_flight(self) -> int: ...

    @property
    def queued(self) -> int: ...

    @property
    def breaker_open(self) -> bool: ...


def share_counts(folder: Path, process: str) -> None:
    """Count in files of `folder` from now on, under the name of a process that no other living one has.

    A process that takes the place of another, and its name, goes on where that one stopped counting. Takes effect for
    all metrics that this process makes later.
    """
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    values.ValueClass = values.MultiProcessValue(lambda: process)  # type: ignore[no-untyped-call]


def forget_figures(folder: Path, process: str) -> None:
    """Forget what a process that has died held; what it has counted stays counted."""
    mark_process_dead(process, str(folder))  # type: ignore[no-untyped-call]


class _Quick(MetricWrapperBase):
    """Finds at once what counts under labels that were counted before: each request asks for several."""

    def labels(self, *labelvalues: Any, **labelkwargs: Any) -> Self:
        known = cast("Self | None", self._metrics.get(labelvalues))
        return known or super().labels(*labelvalues, **labelkwargs)


class _Counter(_Quick, Counter):
    """A count."""


class _Durations(_Quick, Histogram):
    """A histogram that takes many durations at once, for less than each of them would cost alone."""

    def observe_all(self, durations: Collection[float]) -> None:
        """Observe each of `durations`."""
        self._sum.inc(sum(durations))
        for bucket, count in spread(durations, self._upper_bounds, closed=True).items():
            self._buckets[bucket].inc(count)


class Metrics:
    """What the proxy counts. Labels are tenants, types, Whys and statuses: all bounded.

    What is shown is what this process has counted, or, with the `folder` of `share_counts`, what all together have.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._figures: list[Callable[[], None]] = []
        self._asks: list[Callable[[], Awaitable[None]]] = []
        self.registry = self._shown = CollectorRegistry()
        self.registry.register(_Refresher(self.refresh))
        if folder is not None:
            self._shown = CollectorRegistry()
            self._shown.register(_Refresher(self.refresh))
            MultiProcessCollector(self._shown, str(folder))  # type: ignore[no-untyped-call]
        self.requests = _Counter(
            "jira_cache_requests", "Requests answered, by reason.", ("tenant", "type", "why"), registry=self.registry
        )
        self.seconds = _Durations(
            "jira_cache_request_seconds",
            "Time until a request was answered.",
            ("tenant", "why"),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.upstream = _Counter(
            "jira_cache_upstream_requests",
            "Requests sent to Jira, by status; `none` where no answer came.",
            ("tenant", "status"),
            registry=self.registry,
        )
        self.upstream_seconds = _Durations(
            "jira_cache_upstream_seconds",
            "Time until Jira's answer began.",
            ("tenant",),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.calls = _Counter(
            "jira_cache_upstream_calls",
            "Calls to Jira, by what they ask for.",
            ("tenant", "type"),
            registry=self.registry,
        )
        self.points = _Counter(
            "jira_cache_upstream_points",
            "What the calls cost of Jira's quota: a point each, and one for each object read.",
            ("tenant", "type"),
            registry=self.registry,
        )
        self.saved = _Counter(
            "jira_cache_upstream_calls_saved",
            "Questions that were answered without a call of their own.",
            ("tenant", "type"),
            registry=self.registry,
        )
        self.governed = Counter(
            "jira_cache_governor_events",
            "What the governor met: a retry, an opened breaker, or a limit of Jira's, by its reach.",
            ("tenant", "event"),
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "jira_cache_upstream_in_flight",
            "Calls that wait for Jira's answer.",
            ("tenant",),
            multiprocess_mode="livesum",
            registry=self.registry,
        )
        self.queued = Gauge(
            "jira_cache_upstream_queued",
            "Calls that wait to be made.",
            ("tenant",),
            multiprocess_mode="livesum",
            registry=self.registry,
        )
        self.breaker_open = Gauge(
            "jira_cache_upstream_breaker_open",
            "1 while Jira is left alone because it has failed.",
            ("tenant",),
            multiprocess_mode="livemax",
            registry=self.registry,
        )
        self.invalidations = Counter(
            "jira_cache_invalidations",
            "Invalidations recorded, by what announced the change.",
            ("tenant", "source"),
            registry=self.registry,
        )
        self.webhooks = Counter(
            "jira_cache_webhooks",
            "Webhooks received, by event (`unknown`: one without a row) and by what became of them.",
            ("tenant", "event", "outcome"),
            registry=self.registry,
        )
        self.webhooks_missed = Counter(
            "jira_cache_webhook_missed",
            "Changes that a repair poll found and no webhook had announced.",
            ("tenant",),
            registry=self.registry,
        )
        self.webhook_delay = Histogram(
            "jira_cache_webhook_delay_seconds",
            "Time from the making of a webhook in Jira to its receipt.",
            ("tenant",),
            buckets=_DELAYS,
            registry=self.registry,
        )
        self.webhooks_healthy = Gauge(
            "jira_cache_webhook_healthy",
            "1 while repair polls prove that webhooks announce every change.",
            ("tenant",),
            multiprocess_mode="livemin",
            registry=self.registry,
        )
        self.repair_polls = Counter(
            "jira_cache_repair_polls", "Repair polls, by how they went.", ("tenant", "outcome"), registry=self.registry
        )
        self.store_errors = Counter(
            "jira_cache_store_errors", "Operations that the store failed.", ("operation",), registry=self.registry
        )
        self.workers = Gauge(
            "jira_cache_workers",
            "Processes that answer Jira's clients.",
            multiprocess_mode="livemax",  # one process knows; the others say 0
            registry=self.registry,
        )
        self.tasks = Gauge(
            "jira_cache_tasks",
            "Tasks of the event loops: requests under way, and what runs all the time.",
            multiprocess_mode="livesum",
            registry=self.registry,
        )
        self.worker_restarts = Counter(
            "jira_cache_worker_restarts",
            "Workers that ended unasked, so that another had to take their place.",
            registry=self.registry,
        )
        self._entries = Gauge(
            "jira_cache_entries",
            "Answers in memory.",
            ("tenant",),
            multiprocess_mode="livesum",
            registry=self.registry,
        )
        self._bytes = Gauge(
            "jira_cache_bytes",
            "What the answers in memory weigh.",
            ("tenant",),
            multiprocess_mode="livesum",
            registry=self.registry,
        )
        self._evictions = Counter(
            "jira_cache_evictions",
            "Answers that had to make room for others in memory.",
            ("tenant",),
            registry=self.registry,
        )

    def keep(self, figure: Callable[[], None]) -> None:
        """Have `figure` write down what it knows whenever the counts are refreshed."""
        self._figures.append(figure)

    def refresh(self) -> None:
        """Write down what is known but not counted: for a scrape, or for another process that is scraped."""
        for figure in self._figures:
            figure()

    def watch(self, tenant: str, usage: Callable[[], Usage]) -> None:
        """Show what a tenant's memory store holds, by asking `usage`."""
        entries, size = self._entries.labels(tenant), self._bytes.labels(tenant)
        evictions = self._evictions.labels(tenant)
        evicted = 0

        def note() -> None:
            nonlocal evicted
            now = usage()
            entries.set(now.entries)
            size.set(now.bytes)
            evictions.inc(now.evictions - evicted)
            evicted = now.evictions

        self.keep(note)

    def govern(self, tenant: str, governed: Governed) -> None:
        """Show how the governor of a tenant's Jira is."""
        in_flight, queued = self.in_flight.labels(tenant), self.queued.labels(tenant)
        breaker_open = self.breaker_open.labels(tenant)

        def note() -> None:
            in_flight.set(governed.in_flight)
            queued.set(governed.queued)
            breaker_open.set(governed.breaker_open)

        self.keep(note)

    def consult(self, collector: Collector, ask: Callable[[], Awaitable[None]]) -> None:
        """Show what `collector` knows, and before each scrape `ask` it to find out what is new."""
        self._shown.register(collector)
        self._asks.append(ask)

    async def scrape(self) -> bytes:
        """Ask whoever has to be asked, and render all."""
        for ask in self._asks:
            await ask()
        return self.text()

    def text(self) -> bytes:
        """Render all counts in Prometheus' text format."""
        return generate_latest(self._shown)

    def read(self) -> Mapping[str, list[Sample]]:
        """Read all counts, by the names of their samples."""
        counts: dict[str, list[Sample]] = {}
        for family in self._shown.collect():
            for sample in family.samples:
                counts.setdefault(sample.name, []).append((sample.labels, sample.value))
        return counts
