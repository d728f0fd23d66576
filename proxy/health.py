"""Whether the process lives, and whether it should be sent requests, part by part."""

from collections.abc import Callable, Mapping

import orjson

from policies.model import Why
from proxy.answers import Whole

OK, UNAVAILABLE = 200, 503


class Health:
    """Answers /live and /ready. `parts` tells the state of each part, by name."""

    def __init__(self, parts: Callable[[], Mapping[str, object]]) -> None:
        self._parts = parts
        self.draining = False

    def answer(self, path: str) -> Whole | None:
        """Answer a path below the prefix; None if it is not one of ours."""
        if path == "/live":
            return _json(OK, {"status": "live"})
        if path == "/ready":
            # A store that is down costs speed, not answers: requests still reach Jira, so we stay ready.
            status, word = (UNAVAILABLE, "draining") if self.draining else (OK, "ready")
            return _json(status, {"status": word, **self._parts()})
        return None


def _json(status: int, body: Mapping[str, object]) -> Whole:
    headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
    return Whole(status, headers, orjson.dumps(body), Why.OWN)
