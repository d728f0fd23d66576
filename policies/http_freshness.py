"""How long an answer is fresh, and what may be done with it, by its own headers: RFC 9111, RFC 5861 and RFC 9110.

Where headers contradict each other, or cannot be read, the stricter reading counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from policies.cache_control import Arguments, arguments, delta_seconds
from policies.callers import Audience
from policies.headers import field_names
from policies.http_date import http_date
from policies.model import Entry, Origin, Policy, Why
from policies.vary import selecting

OK, NOT_FOUND = 200, 404
HEURISTIC = frozenset({OK, 203, 204, 300, 301, 308, NOT_FOUND, 405, 410, 414})
"""Statuses of which an answer may be fresh without saying so (RFC 9110 section 15.1)."""

UNDERSTOOD = HEURISTIC | {302, 303, 307}
"""Statuses whose answers are kept. Parts (206), and what is said of a credential or in trouble, never are."""

_LONGEST = float(2**31)  # seconds, as RFC 9111 section 1.2.2 has it
_HEURISTIC_SHARE = 0.1  # of the time since the last modification

Headers = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Usable:
    """An answer that may be kept: how old it was when it came, up to which age it is fresh, and its other terms."""

    age: float
    lifetime: float
    origin: Origin


@dataclass(frozen=True, slots=True)
class Arrival:
    """When an answer came, in Unix time, and how many seconds after it was asked for."""

    at: float
    delay: float


def usable(status: int, headers: Headers, arrival: Arrival, audience: Audience, policy: Policy) -> Usable | Why:
    """Judge an answer of an understood status; the reason if it may not be kept.

    `policy` says what the operator agrees to where the origin is silent: stale windows, and its TTL as the longest life
    that is guessed.
    """
    control = arguments(headers.get("cache-control", ""))
    if _forbidden(control, audience):
        return Why.ORIGIN_FORBIDS
    if "*" in field_names(headers.get("vary", "")):
        return Why.VARIES
    fresh_for = lifetime(status, headers, arrival.at, audience, policy.ttl)
    return Usable(initial_age(headers, arrival), fresh_for, _terms(headers, control, arrival.at, policy))


def lifetime(status: int, headers: Headers, now: float, audience: Audience, longest_guess: float) -> float:
    """Tell for how many seconds from its making an answer is fresh (RFC 9111 section 4.2.1)."""
    control = arguments(headers.get("cache-control", ""))
    if "no-cache" in control:
        return 0.0
    stated = _stated(control, audience)
    if stated is not None:
        return stated
    made = http_date(headers.get("date", ""), now)
    made = now if made is None else made
    if "expires" in headers:
        expires = http_date(headers["expires"], now)
        return 0.0 if expires is None else min(max(0.0, expires - made), _LONGEST)
    modified = http_date(headers.get("last-modified", ""), now)
    if modified is None or not (status in HEURISTIC or "public" in control):
        return 0.0
    return min(max(0.0, made - modified) * _HEURISTIC_SHARE, longest_guess)


def initial_age(headers: Headers, arrival: Arrival) -> float:
    """Tell how old an answer was when it came (RFC 9111 section 4.2.3). Of several ages the first counts."""
    stated = delta_seconds(headers.get("age", "").partition(",")[0].strip()) or 0.0
    made = http_date(headers.get("date", ""), arrival.at)
    apparent = 0.0 if made is None else max(0.0, arrival.at - made)
    return min(max(apparent, stated + arrival.delay), _LONGEST)


def ruling(policy: Policy, entry: Entry | None) -> Policy:
    """Tell the policy that rules a kept answer: the origin's terms in the place of `policy`'s, if it set any."""
    if entry is None or entry.origin is None:
        return policy
    return replace(
        policy,
        ttl=entry.ttl,
        negative_ttl=entry.ttl,
        stale_while_revalidate=entry.origin.stale_while_revalidate,
        stale_if_error=entry.origin.stale_if_error,
    )


def _forbidden(control: Arguments, audience: Audience) -> bool:
    # must-understand is for those who understand the status, and all that are kept are (RFC 9111 section 5.2.2.3).
    if "no-store" in control and "must-understand" not in control:
        return True
    match audience:
        case Audience.CALLER:
            return False
        case Audience.AUTHORIZED:
            return "private" in control or control.keys().isdisjoint({"public", "s-maxage", "must-revalidate"})
        case Audience.ANYBODY:
            return "private" in control


def _stated(control: Arguments, audience: Audience) -> float | None:
    """Read the lifetime that Cache-Control states. What is one caller's own is kept for the shorter of the two."""
    own, shared = _seconds(control, "max-age"), _seconds(control, "s-maxage")
    if own is None or shared is None:
        return own if shared is None else shared
    return min(own, shared) if audience is Audience.CALLER else shared


def _seconds(control: Arguments, name: str) -> float | None:
    """Read a directive's seconds: the fewest if it comes twice, none at all if they cannot be read."""
    if name not in control:
        return None
    return min([_LONGEST, *(delta_seconds(argument or "") or 0.0 for argument in control[name])])


def _terms(headers: Headers, control: Arguments, now: float, policy: Policy) -> Origin:
    modified = headers.get("last-modified", "")
    terms = Origin(
        etag=headers.get("etag", ""),
        last_modified="" if http_date(modified, now) is None else modified,
        vary=selecting(field_names(headers.get("vary", ""))),
        strict=not control.keys().isdisjoint({"no-cache", "must-revalidate", "proxy-revalidate", "s-maxage"}),
    )
    if terms.strict:
        return terms
    while_revalidating, if_error = (_seconds(control, name) for name in ("stale-while-revalidate", "stale-if-error"))
    return replace(
        terms,
        stale_while_revalidate=policy.stale_while_revalidate if while_revalidating is None else while_revalidating,
        stale_if_error=policy.stale_if_error if if_error is None else if_error,
    )
