"""The first half of the thinking: what to do with a cacheable request, given what the store knows.

The other half, what to make of Jira's answer, is policies.settle.
"""

from dataclasses import dataclass, replace

from policies.directives import NOTHING, Asked
from policies.early import calm, due
from policies.model import Entry, Lookup, Policy, Why
from policies.validation import validatable

NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class Serve:
    """Answer from the cache; `refresh` asks Jira in the background."""

    entry: Entry
    why: Why
    refresh: bool = False


@dataclass(frozen=True, slots=True)
class LastResort:
    """An entry that may stand in only if Jira is down, not where it merely throttles; and `why` it is no better."""

    entry: Entry
    why: Why


@dataclass(frozen=True, slots=True)
class Fetch:
    """Ask Jira, perhaps on a trip shared with others, and keep the answer. `fallback` may stand in if Jira fails.

    With `held`, Jira is asked only whether that answer is still the current one.
    """

    why: Why
    fallback: Entry | None = None
    shared: bool = True
    held: Entry | None = None
    last_resort: LastResort | None = None


@dataclass(frozen=True, slots=True)
class Forward:
    """Pass the request through as it is and keep nothing."""

    why: Why


@dataclass(frozen=True, slots=True)
class Refuse:
    """Do not ask Jira: the client said that it wants a cached answer or none."""

    why: Why


Decision = Serve | Fetch | Forward | Refuse


def decide(
    asked: Asked,
    found: Lookup,
    policy: Policy,
    now: float,
    *,
    leased: bool,
    outage_leased: bool = False,
    ranged: bool = False,
    draw: float = 1.0,
) -> Decision:
    """Decide by the client's directives, the entry found, and whether Jira accepted this caller within the lease.

    `outage_leased` tells whether it did so lately enough to be believed while Jira is down. `draw`, by chance from 0 to
    1, decides whether what is about to expire is fetched early (policies.early); with 1 it is not.
    """
    if asked.no_store:
        return Forward(Why.NO_STORE)
    if ranged:
        return Forward(Why.RANGE)
    decision = _by_entry(asked, found, policy, now, leased=leased, draw=draw)
    if isinstance(decision, Fetch) and found.entry is not None and (leased or outage_leased):
        decision = replace(decision, last_resort=_last_resort(decision.why, found.entry, policy, now))
    if asked.only_if_cached and isinstance(decision, Fetch):
        return Refuse(Why.ONLY_IF_CACHED)
    return decision


def stands_until(decision: Decision, asked: Asked, policy: Policy, now: float) -> float:
    """Tell until when (Unix time) the same look-up leads to the same decision; `now` where nobody can tell."""
    match decision:
        case Serve(entry, Why.FRESH | Why.NEGATIVE, refresh=False) if asked == NOTHING:
            return entry.stored + calm(lifetime(entry, policy), entry.cost)
        case _:
            return now


def in_force(policy: Policy, stored: float, trusted_since: float | None) -> Policy:
    """Tell the policy that rules what was stored at a moment.

    `trusted_since` is since when every change is sure to have been noticed; None while nothing proves that webhooks
    announce them all (policies.channel).
    """
    if policy.ttl_with_webhooks is None or trusted_since is None or stored < trusted_since:
        return policy
    return replace(policy, ttl=policy.ttl_with_webhooks)


def age_of(stored: float, now: float) -> float:
    """Tell how many seconds ago an answer was `stored`.

    One from the future was stored by another clock, or before ours was set back: it is as likely to be too old.
    """
    return abs(now - stored)


def lifetime(entry: Entry, policy: Policy) -> float:
    """Seconds for which `entry` is fresh: as promised when it was kept, or less if policy has become stricter."""
    return min(entry.ttl, policy.negative_ttl if entry.status == NOT_FOUND else policy.ttl)


def _last_resort(why: Why, entry: Entry, policy: Policy, now: float) -> LastResort | None:
    if not _may_stand_in(entry, policy, lifetime(entry, policy) - age_of(entry.stored, now)):
        return None
    if why is Why.INVALIDATED and policy.serve_invalidated_on_error:
        return LastResort(entry, Why.INVALIDATED_ERROR)
    return LastResort(entry, Why.OUTAGE_LEASE) if why is Why.NO_LEASE else None


def _by_entry(asked: Asked, found: Lookup, policy: Policy, now: float, *, leased: bool, draw: float) -> Serve | Fetch:
    entry = found.entry
    if found.fence is None:
        return Fetch(Why.STORE_DOWN)
    if asked.refresh:
        # A forced answer must not be older than the force: a trip that is already on its way may be.
        return Fetch(Why.REFRESH, shared=False)
    if entry is None or not found.alive:
        return Fetch(Why.MISS if entry is None else Why.INVALIDATED)
    if not leased:
        return Fetch(Why.NO_LEASE)
    age = age_of(entry.stored, now)
    left = lifetime(entry, policy) - age
    fallback = entry if _may_stand_in(entry, policy, left) else None
    if asked.max_age is not None and age > asked.max_age:
        return Fetch(Why.TOO_OLD, fallback, held=validatable(entry))
    early = due(age, lifetime(entry, policy), entry.cost, draw)
    return _by_age(asked, entry, policy, left, fallback, early=early)


def _by_age(
    asked: Asked, entry: Entry, policy: Policy, left: float, fallback: Entry | None, *, early: bool
) -> Serve | Fetch:
    if left > 0:
        if asked.min_fresh is not None and left < asked.min_fresh:
            return Fetch(Why.TOO_OLD, fallback, held=validatable(entry))
        return Serve(entry, Why.NEGATIVE if entry.status == NOT_FOUND else Why.FRESH, refresh=early)
    strict = entry.origin is not None and entry.origin.strict
    if asked.min_fresh is None and asked.max_stale is not None and -left <= asked.max_stale and not strict:
        return Serve(entry, Why.MAX_STALE)
    # A client that bounds the age or the freshness itself has not agreed to anything stale.
    agreed = asked.min_fresh is None and asked.max_age is None and entry.status != NOT_FOUND
    if agreed and -left < policy.stale_while_revalidate:
        return Serve(entry, Why.STALE_REVALIDATE, refresh=True)
    return Fetch(Why.EXPIRED, fallback, held=validatable(entry))


def _may_stand_in(entry: Entry, policy: Policy, left: float) -> bool:
    return entry.status != NOT_FOUND and -left < policy.stale_if_error
