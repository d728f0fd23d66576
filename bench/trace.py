"""A trace in the form of the access log: an afternoon of a team's clients, made up the same each time.

People open issues, the popular ones over and over; dashboards and a bot poll searches and boards; scripts begin by
asking for fields and metadata. Issues change all the while, and with them the searches that show them.
"""

from collections.abc import Callable, Iterator
from itertools import accumulate
from random import Random
from typing import Any

from policies.model import Why

HOURS, CALLERS, ISSUES, SEARCHES, BOARDS = 4, 20, 2_000, 120, 12
OWN, _OWN = 15, 0.6  # issues that somebody works on, and the share of what they open
_BEGAN = 1_700_000_000.0
_OPENED, _CHANGED = 1.5, 0.05  # issues a second
_SHOWN = 0.02  # the share of searches that an issue's change concerns
_COSTS = {"issue": 180, "search": 620, "board": 450, "field": 240, "metadata": 120, "user": 90}  # ms that Jira takes
_POINTS = {"search": 26, "board": 21}

Event = tuple[float, int, str, str]  # when, whose, what kind, what


def lines() -> Iterator[dict[str, Any]]:
    """Make up the trace, a request a line, in order of time."""
    dice = Random(7)
    seen: dict[str, None] = {}  # in order, so that the same is made up each time
    changed: set[str] = set()
    for at, caller, type_, what in sorted(_events(dice)):
        if type_ == "change":
            changed |= {question for question in seen if _concerns(dice, what, question)}
            continue
        question = f"{what}:{caller}"
        why = Why.INVALIDATED if question in changed else Why.FRESH if question in seen else Why.MISS
        seen[question] = None
        changed.discard(question)
        cost = _COSTS[type_] * dice.lognormvariate(0, 0.4)
        asked = {"time": _BEGAN + at, "type": type_, "key": question, "why": why.word, "status": 200}
        yield asked | {"upstream_ms": cost, "points": _POINTS.get(type_, 1)}


def _concerns(dice: Random, issue: str, question: str) -> bool:
    what, _, _ = question.rpartition(":")
    return what == issue or (what.startswith(("search", "board")) and dice.random() < _SHOWN)


def _events(dice: Random) -> Iterator[Event]:
    popular = list(accumulate(1 / rank for rank in range(1, ISSUES + 1)))  # Zipf's law
    own = [dice.choices(range(ISSUES), cum_weights=popular, k=OWN) for _ in range(CALLERS)]

    def issue(caller: int) -> str:
        (number,) = dice.choices(range(ISSUES), cum_weights=popular)
        return f"issue-{dice.choice(own[caller]) if dice.random() < _OWN else number}"

    yield from _by_chance(dice, _OPENED, "issue", issue)
    yield from _by_chance(dice, _CHANGED, "change", issue)
    yield from _by_chance(dice, _OPENED / 10, "user", lambda _: f"user-{dice.randrange(60)}")
    yield from _by_chance(dice, 0.02, "field", lambda _: "fields")
    yield from _by_chance(dice, 0.05, "metadata", lambda _: f"metadata-{dice.randrange(5)}")
    for type_, many, every in (("search", SEARCHES, 60.0), ("board", BOARDS, 30.0)):
        for number in range(many):
            yield from _polls(dice, every, type_, f"{type_}-{number}")


def _by_chance(dice: Random, rate: float, type_: str, what: Callable[[int], str]) -> Iterator[Event]:
    at = dice.expovariate(rate)
    while at < HOURS * 3600:
        caller = dice.randrange(CALLERS)
        yield at, caller, type_, what(caller)
        at += dice.expovariate(rate)


def _polls(dice: Random, every: float, type_: str, what: str) -> Iterator[Event]:
    """Poll while somebody's screen is on: for some minutes, now and then, and one of a few people."""
    people = dice.sample(range(CALLERS), 3)
    at = dice.expovariate(1 / 1800)
    while at < HOURS * 3600:
        caller = dice.choice(people)
        for _ in range(dice.randint(5, 30)):
            yield at, caller, type_, what
            at += every
        at += dice.expovariate(1 / 1800)
