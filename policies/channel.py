"""How well a tenant's webhooks announce what changes, judged by polls that look for changes themselves.

Times are Unix seconds: those that Jira tells (`updated`) are by its clock, `now` is by ours. What this decides about
truth, which issues to make old, leans on neither: only Jira's times are compared with each other. What it decides about
health allows for clocks that differ a little.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Any

from policies.change import Change, Changed
from policies.jql import Issue

POLLS = 3
"""How many polls in a row must find nothing missed before the channel counts as healthy."""

LONGEST_GRACE = 30.0
"""Seconds within which Jira means to deliver a webhook."""

# Databases that keep whole seconds round what the webhook told in milliseconds.
_ROUNDING = 1.0
# A write's time is by our clock, and Jira may go on working on it after it has answered.
_WRITE_SLACK = 5.0
_SKEW = 60.0
_ROUNDS = 60
_MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class Terms:
    """How often Jira is polled, and how far each poll looks back beyond the one before, for its index lags."""

    interval: float
    overlap: float

    @property
    def grace(self) -> float:
        """For how long after a change its webhook may still be on its way."""
        return min(LONGEST_GRACE, self.interval / 2)

    @property
    def patience(self) -> float:
        """For how long after a poll its findings say something about now."""
        return 3 * self.interval


@dataclass(frozen=True, slots=True)
class Found:
    """An issue as a poll found it, changed last at `updated`."""

    id: str
    key: str
    updated: float


@dataclass(frozen=True, slots=True)
class Told:
    """What was heard of an issue: the last state that a webhook announced, and when it was last said to have changed.

    The latter is by a write that passed, or by a webhook that did not tell which state it speaks of.
    """

    announced: float = -math.inf
    touched: float = -math.inf

    def __or__(self, other: "Told") -> "Told":
        return Told(max(self.announced, other.announced), max(self.touched, other.touched))


class Verdict(Enum):
    """What to think of a change that a poll found."""

    ANNOUNCED = auto()  # by a webhook
    TOUCHED = auto()  # not known by a webhook, but known: neither for nor against the channel
    WAITING = auto()  # its webhook may still be on its way
    MISSED = auto()


@dataclass(frozen=True, slots=True)
class Round:
    """What one poll found."""

    announced: int
    missed: int


@dataclass(frozen=True, slots=True)
class Channel:
    """What is known after the last poll.

    Since `since`, no change can have gone unnoticed. The last `clean` polls succeeded and found nothing missed, and
    `proofs` changes that had been announced. `seen` is which changes the last poll saw: `updated` by issue id.
    `waiting` are the changes whose webhook was still awaited, as they were first found.
    """

    polled: float | None = None
    since: float | None = None
    clean: int = 0
    proofs: int = 0
    rounds: tuple[Round, ...] = ()
    seen: Mapping[str, float] = field(default_factory=dict)
    waiting: tuple[Found, ...] = ()


@dataclass(frozen=True, slots=True)
class Review:
    """What follows from a poll: what is known now, which issues to make old, and how many changes were missed."""

    channel: Channel
    repair: tuple[Found, ...]
    missed: int


def minutes(channel: Channel, now: float, terms: Terms) -> int:
    """How far back to look, in the unit of JQL: so that nothing since the last poll goes unseen."""
    last = now - terms.interval if channel.polled is None else min(channel.polled, now)
    return math.ceil((now - last + terms.overlap) / _MINUTE)


def candidates(channel: Channel, found: Iterable[Found]) -> tuple[Found, ...]:
    """Select what has to be judged: the changes not seen before, and those whose webhook was awaited."""
    fresh = {each.id: each for each in found if channel.seen.get(each.id) != each.updated}
    return (*fresh.values(), *(each for each in channel.waiting if each.id not in fresh))


def review(channel: Channel, found: Sequence[Found], told: Mapping[str, Told], now: float, terms: Terms) -> Review:
    """Judge a successful poll, by what was `told` of the issues found, by id.

    Every change that was not surely announced is repaired at once, whatever is thought of it.
    """
    first = {each.id: each for each in channel.waiting}
    judged = [
        _judge(first.get(each.id, each), each, told.get(each.id, Told()), now, terms)
        for each in candidates(channel, found)
    ]
    round_ = Round(_count(judged, Verdict.ANNOUNCED), _count(judged, Verdict.MISSED))
    after = Channel(
        polled=now,
        since=now if channel.since is None else channel.since,
        clean=0 if round_.missed else channel.clean + 1,
        proofs=0 if round_.missed else channel.proofs + round_.announced,
        rounds=(*channel.rounds, round_)[-_ROUNDS:],
        seen={each.id: each.updated for each in found},
        waiting=tuple(each.awaited for each in judged if each.verdict is Verdict.WAITING),
    )
    fresh = (each for each in found if channel.seen.get(each.id) != each.updated)
    repair = tuple(each for each in fresh if told.get(each.id, Told()).announced < each.updated)
    return Review(after, repair, round_.missed)


def failed(channel: Channel) -> Channel:
    """Conclude from a poll that failed: nothing is proven. What changed meanwhile, a later poll will find."""
    return replace(channel, clean=0, proofs=0)


def flooded(channel: Channel, now: float) -> Channel:
    """Conclude from a poll that found too much to look through, after which everything was made old."""
    return replace(failed(channel), polled=now, since=now, seen={}, waiting=())


def trusted_since(channel: Channel, now: float, terms: Terms) -> float | None:
    """Tell since when answers may be kept by `ttl_with_webhooks`: None unless the channel is proven healthy.

    Proof are POLLS polls, the last one of late, that found changes, and every change they found had been announced.
    """
    recent = channel.polled is not None and now - channel.polled <= terms.patience
    overdue = any(now - each.updated >= terms.grace for each in channel.waiting)
    healthy = recent and not overdue and channel.clean >= POLLS and channel.proofs > 0
    return channel.since if healthy else None


def missed_share(channel: Channel) -> float | None:
    """Of the changes that the last polls found, how many no webhook had announced; None if they found none."""
    missed = sum(each.missed for each in channel.rounds)
    total = missed + sum(each.announced for each in channel.rounds)
    return missed / total if total else None


@dataclass(frozen=True, slots=True)
class _Judged:
    """What to think of the changes of an issue, and the first of them that is not announced."""

    verdict: Verdict
    awaited: Found


def _judge(first: Found, last: Found, told: Told, now: float, terms: Terms) -> _Judged:
    """Judge the last change of an issue, and the `first` one whose webhook was awaited before it.

    A later announcement makes up for one that was lost: it told the issue's state since. An issue that changes again
    and again must not be waited for without end.
    """
    awaited = last if told.announced >= first.updated - _ROUNDING else first
    if told.announced >= last.updated - _ROUNDING:
        return _Judged(Verdict.ANNOUNCED, awaited)
    if told.touched >= last.updated - _WRITE_SLACK:
        return _Judged(Verdict.TOUCHED, awaited)
    overdue = now - awaited.updated >= terms.grace
    return _Judged(Verdict.MISSED if overdue else Verdict.WAITING, awaited)


def _count(judged: Iterable[_Judged], verdict: Verdict) -> int:
    return sum(each.verdict is verdict for each in judged)


# What a webhook says of itself.


def jira_time(text: object) -> float | None:
    """Read a time as Jira writes it, `2024-05-01T10:00:00.000+0200`; None if it is none."""
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    if moment is None:
        return None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


def event_time(body: Mapping[str, Any] | None) -> float | None:
    """Read when Jira made a webhook, from its body's `timestamp` in milliseconds."""
    told = (body or {}).get("timestamp")
    return told / 1000 if isinstance(told, int | float) and not isinstance(told, bool) else None


def announced(change: Change, made: float | None, received: float) -> dict[str, Told]:
    """Tell of which issues, by tag, a webhook announced which state.

    Not more than the body's own `updated`: events also come of what does not count as an update, late, and then say
    nothing of an update in between that was lost.
    """
    return dict(_announced(changed, made, received) for changed in change.issues if _last(changed) is not None)


def _announced(changed: Changed, made: float | None, received: float) -> tuple[str, Told]:
    state = _last(changed) or Issue("", "", {})
    told = None if changed.after is None else jira_time(state.fields.get("updated"))
    at = made if told is None else told
    # Nobody can announce the future, and so keep what happens then from being repaired.
    state_told = Told(touched=received) if at is None else Told(announced=min(at, received + _SKEW))
    return f"issue:{state.id or state.key}", state_told


def _last(changed: Changed) -> Issue | None:
    return changed.after or changed.before


def touched(tags: Iterable[str], now: float) -> Iterator[tuple[str, Told]]:
    """Tell of the issues that a write's tags name."""
    return ((tag, Told(touched=now)) for tag in tags if tag.startswith("issue:"))


def quantile(values: Iterable[float], share: float) -> float | None:
    """Find the value that `share` of all values do not exceed; None of none."""
    ordered = sorted(values)
    return ordered[math.ceil(share * len(ordered)) - 1] if ordered else None
