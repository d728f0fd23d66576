"""Counts for Prometheus, in a registry of the app's own."""

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


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
        self.store_errors = Counter(
            "jira_cache_store_errors", "Operations that the store failed.", ("operation",), registry=self.registry
        )

    def text(self) -> bytes:
        """Render all counts in Prometheus' text format."""
        return generate_latest(self.registry)
