"""What is told of every answer: one line in the access log, and the counts of the metrics."""

from collections.abc import Callable

from proxy.access import AccessLog
from proxy.metrics import Metrics
from proxy.notes import Answered, Notes


class Recorder:
    """Tells log and metrics of each request that was answered on the main listener. `clock` tells Unix time."""

    def __init__(self, metrics: Metrics, access: AccessLog, clock: Callable[[], float]) -> None:
        self._metrics = metrics
        self._access = access
        self._clock = clock

    def answered(self, answered: Answered, notes: Notes) -> None:
        """Tell of one answer."""
        word = answered.why.word
        self._metrics.requests.labels(notes.tenant, notes.type, word).inc()
        self._metrics.seconds.labels(notes.tenant, word).observe(answered.seconds)
        self._access.tell(answered, notes, self._clock())
