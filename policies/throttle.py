"""What Jira's answers say of its limits: what is to be left alone, for how long, and whether a limit is near.

Jira Cloud says why it throttles in RateLimit-Reason; Data Center counts tokens for each user and says how they refill.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum

from policies.calls import Call

TOO_MANY_REQUESTS, UNAVAILABLE = 429, 503

LONGEST = 3600.0
"""Seconds after which Jira is asked again whatever it said: its quotas begin anew each hour."""

NEAR_FOR = 30.0
"""Seconds for which a limit counts as near after Jira said so."""

_NEAR_SHARE = 0.2
_FIRST, _CAP = 1.0, 60.0  # of the waits that Jira leaves to us


class Reach(StrEnum):
    """What a limit holds back."""

    APP = "app"  # everything of one app: its quota of points is used up
    CALLER = "caller"  # everything of one caller: Data Center counts for each user
    ENDPOINT = "endpoint"  # one method of one endpoint
    QUESTION = "question"  # one caller at one endpoint: Jira does not say what it counts, so nobody else is to suffer
    ISSUE = "issue"  # writes to one issue
    BACKGROUND = "background"  # what nobody waits for, while a limit is near


BACKGROUND = f"{Reach.BACKGROUND} all"
"""The scope of what nobody waits for."""

_REASONS = {
    "jira-quota-global-based": Reach.APP,
    "jira-quota-tenant-based": Reach.APP,
    "jira-burst-based": Reach.ENDPOINT,
    "jira-per-issue-on-write": Reach.ISSUE,
}


@dataclass(frozen=True, slots=True)
class Throttled:
    """Jira wants to be left alone within `reach` for `wait` seconds; None where it does not say how long."""

    reach: Reach
    wait: float | None


def heard(status: int, headers: Mapping[str, str], now: float) -> Throttled | None:
    """Read from an answer whether Jira throttles. Header names are lower case, `now` is Unix time in seconds."""
    if status == TOO_MANY_REQUESTS:
        return Throttled(_reach(headers), _wait(headers, now))
    if status == UNAVAILABLE and (wait := retry_after(headers.get("retry-after", ""), now)):
        return Throttled(Reach.ENDPOINT, min(wait, LONGEST))
    return None


def near_limit(headers: Mapping[str, str]) -> bool:
    """Tell whether an answer says that little is left before Jira throttles."""
    if headers.get("x-ratelimit-nearlimit", "").lower() == "true":
        return True
    left, most = _number(headers.get("x-ratelimit-remaining", "")), _number(headers.get("x-ratelimit-limit", ""))
    return left is not None and most is not None and left < most * _NEAR_SHARE


def scope(reach: Reach, call: Call) -> str:
    """Name what a limit holds back, as seen from a call that met it. One without an issue is held at its endpoint."""
    names = {
        Reach.APP: call.app,
        Reach.CALLER: call.caller,
        Reach.QUESTION: f"{call.caller} {call.endpoint}",
        Reach.ISSUE: call.issue,
    }
    return f"{reach} {named}" if (named := names.get(reach)) else f"{Reach.ENDPOINT} {call.endpoint}"


def scopes(call: Call) -> Iterator[str]:
    """Name every limit that may hold a call back, one by one: mostly there is none, and nobody needs to hear a name.

    Reading an issue is not held back by writes to it.
    """
    reaches = (Reach.APP, Reach.CALLER, Reach.ENDPOINT, Reach.QUESTION, *((Reach.ISSUE,) if call.issue else ()))
    return (scope(reach, call) for reach in reaches)


def backoff(times: int, draw: float, first: float = _FIRST, cap: float = _CAP) -> float:
    """Tell how long to wait after `times` failures in a row: doubling, and half of it by chance (`draw`, 0 to 1).

    Without the chance all who failed together would come back together.
    """
    whole = min(cap, first * 2.0 ** min(times, 30))
    return whole * (0.5 + draw / 2)


def retry_after(value: str, now: float) -> float:
    """Read how many seconds a Retry-After header asks for (RFC 9110 section 10.2.3); 0 for none."""
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    return _until(until, now)


def _reach(headers: Mapping[str, str]) -> Reach:
    by_user = "x-ratelimit-interval-seconds" in headers or "x-ratelimit-fillrate" in headers
    otherwise = Reach.CALLER if by_user else Reach.QUESTION
    return _REASONS.get(headers.get("ratelimit-reason", "").strip().lower(), otherwise)


def _wait(headers: Mapping[str, str], now: float) -> float | None:
    """Read how long to wait. Jira may say 0: whoever believed that would ask without a pause, for ever."""
    told = (
        retry_after(headers.get("retry-after", ""), now),
        _reset(headers.get("x-ratelimit-reset", ""), now),
        _number(headers.get("x-ratelimit-interval-seconds", "")) or 0.0,
    )
    return next((min(wait, LONGEST) for wait in told if wait > 0), None)


def _reset(value: str, now: float) -> float:
    try:
        return _until(datetime.fromisoformat(value), now)
    except ValueError:
        return 0.0


def _until(moment: datetime, now: float) -> float:
    zoned = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return max(0.0, zoned.timestamp() - now)


def _number(value: str) -> float | None:
    return float(value) if value.isascii() and value.isdigit() else None
