"""What is told of every answer: one line in the access log, and the counts of the metrics."""

import logging
from collections.abc import Mapping

from policies.model import Why
from proxy.metrics import Metrics

access = logging.getLogger("jira_cache.access")


class Recorder:
    """Tells log and metrics of each request that was answered on the main listener."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def answered(self, method: str, status: int, why: Why, notes: Mapping[str, str], seconds: float) -> None:
        """Tell of one answer. `notes` name its tenant, type and route; `seconds` is how long it took."""
        word = why.word
        self._metrics.requests.labels(notes["tenant"], notes["type"], word).inc()
        self._metrics.seconds.labels(notes["tenant"], word).observe(seconds)
        fields = {**notes, "method": method, "status": status, "why": word, "ms": round(seconds * 1000, 2)}
        access.info("%s %s", method, notes["route"], extra=fields)
