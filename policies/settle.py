"""The second half of the thinking: what to send and what to keep, given how Jira answered."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from policies.login import Accepted, Login, Refused, Silent
from policies.model import Entry, Policy, Why

OK, NOT_FOUND, TOO_MANY_REQUESTS, SERVER_ERROR = 200, 404, 429, 500
_CODINGS = frozenset({"", "identity", "gzip"})


@dataclass(frozen=True, slots=True)
class Reply:
    """What Jira answered. Header names are lower case; `body` is None when it was too large to be read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes | None
    readable: bool  # the body decodes, and is JSON where it says so


@dataclass(frozen=True, slots=True)
class Failure:
    """Jira did not answer, or not to the end."""

    why: Why


@dataclass(frozen=True, slots=True)
class Keep:
    """Send the answer, and keep it fresh for `ttl` and useful for `keep` seconds."""

    ttl: float
    keep: float


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


def settle(outcome: Reply | Failure, login: Login, fallback: Entry | None, policy: Policy, type_: str) -> Settlement:
    """Settle the trip. `login` is what the answer says of the caller, `type_` the type of the resource asked for."""
    match outcome:
        case Failure(why):
            return Fail(why) if fallback is None else StandIn(fallback)
        case Reply():
            if fallback is not None and _in_trouble(outcome.status):
                return StandIn(fallback)
            why_not = _why_not_kept(outcome, login, type_)
            ttl = policy.negative_ttl if outcome.status == NOT_FOUND else policy.ttl
            if why_not is not None or ttl <= 0:
                return Relay(why_not or Why.STATUS)
            return Keep(ttl, ttl + _stale_window(outcome, policy))
        case never:
            assert_never(never)


def _in_trouble(status: int) -> bool:
    return status >= SERVER_ERROR or status == TOO_MANY_REQUESTS


def _stale_window(reply: Reply, policy: Policy) -> float:
    if reply.status == NOT_FOUND:
        return 0.0
    return max(policy.stale_while_revalidate, policy.stale_if_error)


def _why_not_kept(reply: Reply, login: Login, type_: str) -> Why | None:
    match login:
        case Refused(why) | Silent(why):
            return why if reply.status in (OK, NOT_FOUND) or isinstance(login, Refused) else Why.STATUS
        case Accepted():
            pass
        case never:
            assert_never(never)
    if reply.status not in (OK, NOT_FOUND):
        return Why.STATUS
    if "*" in reply.headers.get("vary", ""):
        return Why.VARIES
    return _why_not_readable(reply, type_)


def _why_not_readable(reply: Reply, type_: str) -> Why | None:
    if reply.body is None:
        return Why.TOO_LARGE
    if not _expected_content(reply, type_):
        # Sessions that ran out are answered 200 with a login page; gateways answer 404 with pages of their own.
        return Why.NOT_JSON
    if not reply.readable or reply.headers.get("content-encoding", "").lower() not in _CODINGS:
        return Why.UNREADABLE_ANSWER
    return None


def _expected_content(reply: Reply, type_: str) -> bool:
    media_type = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    if type_ == "media" and reply.status == OK:
        return media_type.startswith("image/") or is_json(media_type)
    return is_json(media_type)


def is_json(media_type: str) -> bool:
    """Tell whether a media type, without parameters and in lower case, says JSON."""
    return media_type == "application/json" or media_type.endswith("+json")
