"""The second half of the thinking: what to send and what to keep, given how Jira answered."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from policies.callers import Audience
from policies.decide import LastResort
from policies.http_freshness import UNDERSTOOD, Arrival, Usable, usable
from policies.login import Accepted, Login, Refused, Silent
from policies.model import Entry, Freshness, Origin, Policy, Why

OK, NOT_FOUND, TOO_MANY_REQUESTS, SERVER_ERROR = 200, 404, 429, 500
_CODINGS = frozenset({"", "identity", "gzip"})
_KEPT = {Freshness.POLICY: frozenset({OK, NOT_FOUND}), Freshness.ORIGIN: UNDERSTOOD}
_NO_TIME = Arrival(0.0, 0.0)
_BODILESS = frozenset({204, 301, 302, 303, 307, 308})
_PAGES = frozenset({"", "text/html", "application/xhtml+xml"})
_OUTAGE = frozenset({Why.TIMEOUT, Why.UNREACHABLE, Why.BREAKER_OPEN})


@dataclass(frozen=True, slots=True)
class Reply:
    """What Jira answered. Header names are lower case; `body` is None when it was too large to be read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes | None
    readable: bool  # the body decodes, and is JSON where it says so
    arrival: Arrival = _NO_TIME


@dataclass(frozen=True, slots=True)
class Failure:
    """Jira did not answer, or not to the end."""

    why: Why


@dataclass(frozen=True, slots=True)
class Keep:
    """Send the answer, and keep it fresh for `ttl` and useful for `keep` seconds.

    Where the origin decides, `ttl` counts from when it made the answer, which was `age` seconds old when it came.
    """

    ttl: float
    keep: float
    age: float = 0.0
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class Relay:
    """Send the answer to the one who asked, and keep nothing."""

    why: Why


@dataclass(frozen=True, slots=True)
class StandIn:
    """Send the old answer instead: Jira has no better one now."""

    entry: Entry
    why: Why = Why.STALE_ERROR


@dataclass(frozen=True, slots=True)
class Fail:
    """There is nothing to send but an error of our own."""

    why: Why


Settlement = Keep | Relay | StandIn | Fail


def settle(
    outcome: Reply | Failure,
    login: Login,
    fallback: Entry | None,
    policy: Policy,
    type_: str,
    *,
    audience: Audience = Audience.AUTHORIZED,
    last_resort: LastResort | None = None,
) -> Settlement:
    """Settle the trip.

    `login` is what the answer says of the caller, `type_` the type of the resource asked for, and `audience` who would
    share what is kept, which only the origin's own rules ask about.
    """
    match outcome:
        case Failure(why):
            return _stand_in(fallback, last_resort if why in _OUTAGE else None) or Fail(why)
        case Reply():
            if _in_trouble(outcome.status) and not isinstance(login, Refused):
                down = outcome.status >= SERVER_ERROR
                if (old := _stand_in(fallback, last_resort if down else None)) is not None:
                    return old
            why_not = _why_not_kept(outcome, login, policy, type_)
            if why_not is not None:
                return Relay(why_not)
            if policy.freshness is Freshness.ORIGIN:
                return _by_origin(outcome, policy, audience)
            return _by_policy(outcome, policy)
        case never:
            assert_never(never)


def _by_policy(reply: Reply, policy: Policy) -> Keep | Relay:
    ttl = policy.negative_ttl if reply.status == NOT_FOUND else policy.ttl
    return Keep(ttl, ttl + _stale_window(reply, policy)) if ttl > 0 else Relay(Why.STATUS)


def _by_origin(reply: Reply, policy: Policy, audience: Audience) -> Keep | Relay:
    """Keep what is fresh or may be used stale by its own headers, and for the policy's TTL what can be validated."""
    found = usable(reply.status, reply.headers, reply.arrival, audience, policy)
    match found:
        case Why():
            return Relay(found)
        case Usable(age, lifetime, origin):
            left = max(0.0, lifetime - age)
            validated = policy.ttl if reply.status == OK and (origin.etag or origin.last_modified) else 0.0
            keep = left + max(origin.stale_while_revalidate, origin.stale_if_error, validated)
            useful = left > 0 or validated > 0
            return Keep(lifetime, keep, age, origin) if useful else Relay(Why.NO_FRESHNESS)
        case never:
            assert_never(never)


def _stand_in(fallback: Entry | None, last_resort: LastResort | None) -> StandIn | None:
    if fallback is not None:
        return StandIn(fallback)
    return None if last_resort is None else StandIn(last_resort.entry, last_resort.why)


def _in_trouble(status: int) -> bool:
    return status >= SERVER_ERROR or status == TOO_MANY_REQUESTS


def _stale_window(reply: Reply, policy: Policy) -> float:
    if reply.status == NOT_FOUND:
        return 0.0
    return max(policy.stale_while_revalidate, policy.stale_if_error)


def _why_not_kept(reply: Reply, login: Login, policy: Policy, type_: str) -> Why | None:
    match login:
        case Refused(why) | Silent(why):
            return why if reply.status in (OK, NOT_FOUND) or isinstance(login, Refused) else Why.STATUS
        case Accepted():
            pass
        case never:
            assert_never(never)
    if reply.status not in _KEPT[policy.freshness] or "content-range" in reply.headers:
        return Why.STATUS
    if "*" in reply.headers.get("vary", ""):
        return Why.VARIES
    return _why_not_readable(reply, policy, type_)


def _why_not_readable(reply: Reply, policy: Policy, type_: str) -> Why | None:
    if reply.body is None:
        return Why.TOO_LARGE
    if not _expected_content(reply, policy, type_):
        # Sessions that ran out are answered 200 with a login page; gateways answer 404 with pages of their own.
        return Why.NOT_JSON
    if not reply.readable or reply.headers.get("content-encoding", "").lower() not in _CODINGS:
        return Why.UNREADABLE_ANSWER
    return None


def _expected_content(reply: Reply, policy: Policy, type_: str) -> bool:
    if reply.status in _BODILESS:
        return "login" not in reply.headers.get("location", "").lower()
    media_type = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    if type_ == "media" and reply.status == OK:
        return media_type.startswith("image/") or is_json(media_type)
    if policy.freshness is Freshness.ORIGIN:
        return media_type not in _PAGES
    return is_json(media_type)


def is_json(media_type: str) -> bool:
    """Tell whether a media type, without parameters and in lower case, says JSON."""
    return media_type == "application/json" or media_type.endswith("+json")
