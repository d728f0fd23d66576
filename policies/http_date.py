"""Dates as HTTP writes them (RFC 9110 section 5.6.7), read strictly: what is none of the three forms is no date."""

import re
from datetime import UTC, datetime, timedelta

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH, _TIME = rf"(?P<month>{'|'.join(_MONTHS)})", r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>[0-5]\d|60)"
_SHORT, _LONG = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)", "(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day"
_FORMS = tuple(
    re.compile(form, re.ASCII)
    for form in (
        rf"{_SHORT}, (?P<day>\d\d) {_MONTH} (?P<year>\d{{4}}) {_TIME} GMT",
        rf"{_LONG}, (?P<day>\d\d)-{_MONTH}-(?P<year>\d\d) {_TIME} GMT",
        rf"{_SHORT} {_MONTH} (?P<day>[ \d]\d) {_TIME} (?P<year>\d{{4}})",
    )
)
_CENTURY, _PAST_AFTER = 100, 50


def http_date(text: str, now: float) -> float | None:
    """Read a date as Unix time; None for what is no date. `now` tells which century a year of two digits means."""
    found = next((match for form in _FORMS if (match := form.fullmatch(text.strip()))), None)
    if found is None:
        return None
    day, hour, minute, second = (int(found[name]) for name in ("day", "hour", "minute", "second"))
    try:
        midnight = datetime(_year(found["year"], now), _MONTHS.index(found["month"]) + 1, day, tzinfo=UTC)
        return (midnight.replace(hour=hour, minute=minute) + timedelta(seconds=second)).timestamp()
    except (ValueError, OverflowError):
        return None


def spelled(moment: float) -> str:
    """Write a Unix time as HTTP prefers it."""
    utc = datetime.fromtimestamp(moment, UTC)
    day = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[utc.weekday()]
    return f"{day}, {utc.day:02} {_MONTHS[utc.month - 1]} {utc.year:04} {utc:%H:%M:%S} GMT"


def _year(digits: str, now: float) -> int:
    if len(digits) > 2:  # noqa: PLR2004 - digits
        return int(digits)
    this = datetime.fromtimestamp(now, UTC).year
    ahead = (int(digits) - this) % _CENTURY
    return this + ahead - (_CENTURY if ahead > _PAST_AFTER else 0)
