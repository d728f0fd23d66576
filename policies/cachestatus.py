"""The Cache-Status header (RFC 9211): what this cache did with a request, in one line."""

import math
from collections.abc import Iterator

from policies.model import Why

HITS = frozenset(
    {
        Why.FRESH,
        Why.NEGATIVE,
        Why.STALE_REVALIDATE,
        Why.STALE_ERROR,
        Why.MAX_STALE,
        Why.OUTAGE_LEASE,
        Why.INVALIDATED_ERROR,
    }
)
"""Why an answer came from the cache."""

_LARGEST = 999_999_999_999_999  # of an integer in a structured field (RFC 8941 section 3.3.1)


def cache_status(
    why: Why,
    *,
    ttl: float | None = None,
    status: int | None = None,
    stored: bool = False,
    collapsed: bool = False,
) -> str:
    """Say what was done with a request, and `why`.

    `ttl` is for how many seconds the answer is still fresh, negative when it is stale; `status` is Jira's; `collapsed`
    tells that the request shared another one's trip.
    """
    return "; ".join(["jira-cache", *_parameters(why, ttl, status, stored, collapsed)])


def _parameters(why: Why, ttl: float | None, status: int | None, stored: bool, collapsed: bool) -> Iterator[str]:
    hit = why in HITS
    if hit:
        yield "hit"
    if why.forwarded:
        yield f"fwd={why.forwarded}"
        yield from _forward(status, stored, collapsed)
    if ttl is not None and (hit or (stored and why.forwarded)):
        yield f"ttl={math.floor(max(-_LARGEST, min(ttl, _LARGEST)))}"
    yield f"detail={why.word}"


def _forward(status: int | None, stored: bool, collapsed: bool) -> Iterator[str]:
    if status is not None:
        yield f"fwd-status={status}"
    if stored:
        yield "stored"
    if collapsed:
        yield "collapsed"
