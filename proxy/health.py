"""Whether the process lives, and whether it should be sent requests, part by part.

Anybody may ask, so whose parts they are is told on the admin listener alone (/api/parts).
"""

from collections.abc import Callable, Iterable, Mapping

import orjson

from policies.model import Why
from proxy.answers import Whole
from proxy.stores.failopen import State

OK, UNAVAILABLE = 200, 503

STATES: Mapping[str, tuple[str, ...]] = {
    "stores": tuple(State),
    "webhooks": ("off", "healthy", "unproven"),
    "upstreams": ("ok", "near-limit", "throttled", "down"),
}
"""The parts, and the states of each from the best to the worst."""


class Health:
    """Answers /live and /ready. `states` tells the states of a part, of which there is one for each tenant."""

    def __init__(self, states: Callable[[str], Iterable[str]]) -> None:
        self._states = states
        self.draining = False

    def answer(self, path: str) -> Whole | None:
        """Answer a path below the prefix; None if it is not one of ours."""
        if path == "/live":
            return _json(OK, {"status": "live"})
        if path == "/ready":
            # A store that is down costs speed, not answers: requests still reach Jira, so we stay ready.
            status, word = (UNAVAILABLE, "draining") if self.draining else (OK, "ready")
            return _json(status, {"status": word, **{part: self._worst(part) for part in STATES}})
        return None

    def _worst(self, part: str) -> str:
        return max(self._states(part), key=STATES[part].index)


def _json(status: int, body: Mapping[str, object]) -> Whole:
    headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
    return Whole(status, headers, orjson.dumps(body), Why.OWN)
