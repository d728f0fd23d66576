"""Replays requests against policies, by the law itself: policies.decide and policies.settle.

What cannot be known is taken for granted: that nothing has to make room for others, and that an answer which the cache
had dropped when it was next asked for had not changed. How callers share answers (`scope`) stays as it was.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from policies import directives
from policies.cachestatus import HITS
from policies.decide import Fetch, LastResort, Serve, age_of, decide, in_force
from policies.login import Accepted
from policies.model import Entry, Fence, Freshness, Lookup, Policy, Why
from policies.settle import Keep, Reply, settle
from policies.tags import Tags
from proxy.whatif.figures import Figures
from proxy.whatif.trace import Asked

# Fetches whose answers were kept; those for the other reasons were not, and would not be.
_KEPT = HITS | {Why.MISS, Why.EXPIRED, Why.INVALIDATED, Why.NO_LEASE, Why.REFRESH, Why.TOO_OLD, Why.STORE_DOWN}
_FORCED = frozenset({Why.REFRESH, Why.TOO_OLD})
_OUTAGE = frozenset({Why.STALE_ERROR, Why.OUTAGE_LEASE, Why.INVALIDATED_ERROR})
_FAILED = frozenset(why for why in Why if why.forwarded is None) - HITS
_CHANGED = frozenset({Why.INVALIDATED, Why.INVALIDATED_ERROR})
_FENCE = Fence(0, 0)
_NOT_MODIFIED, _OK = 304, 200


@dataclass(slots=True)
class _Known:
    """What is known of an answer: how it is kept, and what Jira took for it the last time."""

    entry: Entry | None = None
    cost: float = 0.0
    points: int = 1

    def learn(self, asked: Asked) -> None:
        """Take over what a request tells of Jira's part."""
        self.cost = self.cost if asked.cost is None else asked.cost
        self.points = self.points if asked.points is None else asked.points


class Replay:
    """Replays against one set of policies. `webhooks` assumes that webhooks announce every change.

    `left_out` names the types met that no policy is for, or whose freshness is left to the origin.
    """

    def __init__(self, policies: Mapping[str, Policy], *, webhooks: bool = False) -> None:
        self._policies = policies
        self._trusted_since = float("-inf") if webhooks else None
        self._known: defaultdict[tuple[str, str], _Known] = defaultdict(_Known)
        self.figures: defaultdict[str, Figures] = defaultdict(Figures)
        self.left_out: set[str] = set()

    def feed(self, asked: Asked) -> None:
        """Take the next request."""
        policy = self._policies.get(asked.type)
        if policy is None or policy.freshness is not Freshness.POLICY:
            self.left_out.add(asked.type)
        elif asked.why not in _FAILED:
            known = self._known[asked.tenant, asked.key]
            known.learn(asked)
            self._answer(asked, policy, known, self.figures[asked.type])

    def _answer(self, asked: Asked, policy: Policy, known: _Known, figures: Figures) -> None:
        if known.entry is None and asked.why in HITS and asked.age is not None:
            known.entry = _entry(asked, policy, stored=asked.time - asked.age)  # from before the log began
        entry = known.entry
        ruling = policy if entry is None else in_force(policy, entry.stored, self._trusted_since)
        found = Lookup(entry, alive=asked.why not in _CHANGED, fence=_FENCE)
        wanted = directives.Asked(refresh=asked.why in _FORCED)
        leased = asked.why is not Why.NO_LEASE
        match decide(wanted, found, ruling, asked.time, leased=leased):
            case Serve(served, _, refresh) if asked.why in _KEPT:
                figures.hit(asked.weight, age_of(served.stored, asked.time), known.points, known.cost)
                if refresh:
                    figures.refreshed(asked.weight, known.points, known.cost)
                    known.entry = self._fetched(asked, policy)
            case Fetch(fallback=Entry() as old) | Fetch(last_resort=LastResort(old)) if asked.why in _OUTAGE:
                figures.hit(asked.weight, age_of(old.stored, asked.time), known.points, known.cost)
            case _:
                figures.missed(asked.weight)
                if asked.why in _KEPT - _OUTAGE:
                    known.entry = self._fetched(asked, policy)

    def _fetched(self, asked: Asked, policy: Policy) -> Entry | None:
        return _entry(asked, in_force(policy, asked.time, self._trusted_since), stored=asked.time)


class Logged:
    """Counts what did happen, in the same figures."""

    def __init__(self) -> None:
        self._known: defaultdict[tuple[str, str], _Known] = defaultdict(_Known)
        self.figures: defaultdict[str, Figures] = defaultdict(Figures)

    def feed(self, asked: Asked) -> None:
        """Take the next request."""
        if asked.why in _FAILED:
            return
        known, figures = self._known[asked.tenant, asked.key], self.figures[asked.type]
        known.learn(asked)
        if asked.why in HITS:
            figures.hit(asked.weight, asked.age or 0.0, known.points, known.cost)
        elif asked.cost is None:
            figures.shared(asked.weight, known.points, known.cost)
        else:
            figures.missed(asked.weight)


def _entry(asked: Asked, policy: Policy, *, stored: float) -> Entry | None:
    """Make the entry of an answer; None if the policy keeps none of its kind."""
    status = _OK if asked.status == _NOT_MODIFIED else asked.status
    reply = Reply(status, {"content-type": "application/json"}, b"", readable=True)
    match settle(reply, Accepted(""), None, policy, asked.type):
        case Keep(ttl, keep):
            return Entry(status, (), b"", "identity", "", Tags(), stored, ttl, keep)
        case _:
            return None
