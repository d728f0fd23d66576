"""Reads requests back from the access log, or from a trace that somebody recorded in its form.

A line is a JSON object. Needed are `time` (ISO 8601, or Unix seconds), `type`, and `key`, which is the same for equal
questions of callers who share answers. The rest may be missing: `tenant`; `why`, the log's word, by which `invalidated`
tells that the answer had changed since it was last asked for; `status`; `upstream_ms`; `points`; `age` in seconds;
`sample`, the share of keys whose hits were logged.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from policies.model import Why
from proxy.access import LOGGER, sampled

MALFORMED, OTHER, PASSED, LEFT_OUT = "malformed", "other", "passed", "left_out"
"""What a line is that is not replayed: no such line at all; one of another logger; a request for which nothing is
looked up in the cache, whatever the policy; or one of a key that is not in the sample."""

_BY_WORD = {why.word: why for why in Why}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that might be answered from the cache. Times are seconds, `time` is Unix time.

    `cost` is how long Jira took, None where it was not asked; `weight` is for how many such requests it stands.
    """

    time: float
    tenant: str
    type: str
    key: str
    why: Why
    status: int
    cost: float | None
    points: int | None
    age: float | None
    weight: float


class Trace:
    """The requests of some lines, in their order. `skipped` counts the other lines, by what they are."""

    def __init__(self, lines: Iterable[str | bytes]) -> None:
        self._lines = lines
        self.skipped: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Asked]:
        for line in self._lines:
            if not line.strip():
                continue
            read = _read(line)
            if isinstance(read, Asked):
                yield read
            else:
                self.skipped[read] += 1


def _read(line: str | bytes) -> Asked | str:
    try:
        told = orjson.loads(line)
    except orjson.JSONDecodeError:
        return MALFORMED
    if not isinstance(told, dict):
        return MALFORMED
    if told.get("logger", LOGGER) != LOGGER:
        return OTHER
    try:
        return _request(told)
    except (KeyError, TypeError, ValueError):
        return MALFORMED


def _request(told: dict[str, Any]) -> Asked | str:
    key, share = told["key"], float(told.get("sample", 1))
    if key is None:
        return PASSED
    if share < 1 and not sampled(key, share):
        return LEFT_OUT
    cost = told.get("upstream_ms")
    return Asked(
        time=_time(told["time"]),
        tenant=_text(told.get("tenant", "-")),
        type=_text(told["type"]),
        key=_text(key),
        why=_BY_WORD[told.get("why", Why.MISS.word)],
        status=int(told.get("status", 200)),
        cost=None if cost is None else float(cost) / 1000,
        points=_optional(told.get("points"), int),
        age=_optional(told.get("age"), float),
        weight=1 / share,
    )


def _time(value: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    at = datetime.fromisoformat(value)
    if at.tzinfo is None:
        raise ValueError("a time without a zone may be any")
    return at.timestamp()


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("not a text")
    return value


def _optional(value: Any, kind: Callable[[Any], Any]) -> Any:
    return None if value is None else kind(value)
