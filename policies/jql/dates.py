"""Dates in a query: which moments they may mean.

Jira reads a date in the time zone of whoever asks, which we do not know: a date means any moment from 14 hours before
to 12 hours after what it would be in UTC. We leave more than twice that, and the day itself.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

_ABSOLUTE = re.compile(r"([0-9]{4})([-/])([0-9]{1,2})\2([0-9]{1,2})(?: ([0-9]{1,2}):([0-9]{1,2}))?")
_HOUR = 3600.0
_ZONE = 26 * _HOUR
_DAY = 24 * _HOUR


@dataclass(frozen=True, slots=True)
class Window:
    """All that a date may mean, as Unix time, both ends included."""

    earliest: float
    latest: float


def window(text: str) -> Window | None:
    """Read an absolute date; None for a relative one and whatever else only Jira can read."""
    match = _ABSOLUTE.fullmatch(text.strip())
    if match is None:
        return None
    year, _, month, day, hour, minute = match.groups(default="0")
    try:
        middle = datetime(int(year), int(month), int(day), int(hour), int(minute), tzinfo=UTC).timestamp()
    except ValueError:
        return None
    return Window(middle - _ZONE, middle + _DAY + _ZONE)
