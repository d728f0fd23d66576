"""Counts for Prometheus, in a registry of the app's own."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

_DELAYS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 1800.0)


class Usage(NamedTuple):
    """What a memory store holds: answers, their bytes, and how many answers had to make room for others so far."""

    entries: int
    bytes: int
    evictions: int


class _Usages(Collector):
    """What memory stores hold, read when somebody asks."""

    def __init__(self, usages: Mapping[str, Callable[[], Usage]]) -> None:
        self._usages = usages

    def collect(self) -> Iterator[Metric]:
        entries = GaugeMetricFamily("jira_cache_entries", "Answers in memory.", labels=("tenant",))
        size = GaugeMetricFamily("jira_cache_bytes", "What the answers in memory weigh.", labels=("tenant",))
        evictions = CounterMetricFamily(
            "jira_cache_evictions", "Answers that had to make room for others in memory.", labels=("tenant",)
        )
        families: tuple[GaugeMetricFamily | CounterMetricFamily, ...] = (entries, size, evictions)
        for tenant, usage in self._usages.items():
            for family, value in zip(families, usage(), strict=True):
                family.add_metric((tenant,), value)
        yield from families


class Metrics:
    """What the proxy counts. Labels are tenants, types, Whys and statuses: all bounded."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "jira_cache_requests", "Requests answered, by reason.", ("tenant", "type", "why"), registry=self.registry
        )
        self.seconds = Histogram(
            "jira_cache_request_seconds",
            "Time until a request was answered.",
            ("tenant", "why"),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.upstream = Counter(
            "jira_cache_upstream_requests",
            "Requests sent to Jira, by status; `none` where no answer came.",
            ("tenant", "status"),
            registry=self.registry,
        )
        self.upstream_seconds = Histogram(
            "jira_cache_upstream_seconds",
            "Time until Jira's answer began.",
            ("tenant",),
            buckets=_BUCKETS,
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
            registry=self.registry,
        )
        self.repair_polls = Counter(
            "jira_cache_repair_polls", "Repair polls, by how they went.", ("tenant", "outcome"), registry=self.registry
        )
        self.store_errors = Counter(
            "jira_cache_store_errors", "Operations that the store failed.", ("operation",), registry=self.registry
        )

        self._asks: list[Callable[[], Awaitable[None]]] = []
        self._usages: dict[str, Callable[[], Usage]] = {}
        self.registry.register(_Usages(self._usages))

    def watch(self, tenant: str, usage: Callable[[], Usage]) -> None:
        """Ask `usage` what a tenant's memory store holds, whenever somebody wants to know."""
        self._usages[tenant] = usage

    def usage(self, tenant: str) -> Usage | None:
        """Tell what a tenant's memory store holds; None if its store is elsewhere."""
        return self._usages[tenant]() if tenant in self._usages else None

    def consult(self, collector: Collector, ask: Callable[[], Awaitable[None]]) -> None:
        """Show what `collector` knows, and before each scrape `ask` it to find out what is new."""
        self.registry.register(collector)
        self._asks.append(ask)

    async def scrape(self) -> bytes:
        """Ask whoever has to be asked, and render all."""
        for ask in self._asks:
            await ask()
        return self.text()

    def text(self) -> bytes:
        """Render all counts in Prometheus' text format."""
        return generate_latest(self.registry)


def counted(counter: Counter) -> Iterator[tuple[Mapping[str, str], int]]:
    """List a counter's labels and what was counted under them."""
    for family in counter.collect():
        yield from ((sample.labels, int(sample.value)) for sample in family.samples if sample.name.endswith("_total"))
