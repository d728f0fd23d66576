"""What is told of every answer: one line in the access log, the counts of metrics and dashboard, and its span."""

from collections.abc import Callable

from proxy.access import AccessLog
from proxy.metrics import Metrics
from proxy.notes import Answered, Notes
from proxy.tally import Tally
from proxy.tracing import Tracing


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

    def answered(self, answered: Answered, notes: Notes) -> None:
        """Tell of one answer."""
        word = answered.why.word
        self._metrics.requests.labels(notes.tenant, notes.type, word).inc()
        self._metrics.seconds.labels(notes.tenant, word).observe(answered.seconds)
        self._tally.request(
            notes.tenant,
            notes.type,
            word,
            route=notes.route,
            caller=notes.caller,
            seconds=answered.seconds,
            waited=notes.upstream,
        )
        if self._tracing is not None:
            self._tracing.answered(answered, notes)
        self._access.tell(answered, notes, self._clock())
