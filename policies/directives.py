"""What a client asks of caches: the request directives of RFC 9111 section 5.2.1."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from policies.cache_control import Arguments, arguments, delta_seconds
from policies.model import Directives, Request


@dataclass(frozen=True, slots=True)
class Asked:
    """The directives that count. Times are seconds; None where nothing was asked."""

    no_store: bool = False
    refresh: bool = False  # ask Jira again, whatever is kept
    only_if_cached: bool = False
    max_age: float | None = None
    min_fresh: float | None = None
    max_stale: float | None = None  # infinite for a max-stale without a number


NOTHING = Asked()
"""What nearly every client asks."""


class _Numbers(NamedTuple):
    """How a directive's number is read: without an argument, with one that is no number, and of several."""

    bare: float
    unreadable: float
    strictest: Callable[[Iterable[float]], float]


_MAX_AGE = _Numbers(bare=0, unreadable=0, strictest=min)
_MIN_FRESH = _Numbers(bare=math.inf, unreadable=math.inf, strictest=max)
_MAX_STALE = _Numbers(bare=math.inf, unreadable=0, strictest=min)

_SPOKEN = ("cache-control", "pragma", "x-jira-cache")


def asked(request: Request, mode: Directives) -> Asked:
    """Tell which directives of `request` count under `mode`.

    Where a directive comes twice the stricter counts, and a number that cannot be read is taken in the strictest sense.
    """
    headers = request.headers
    if mode is Directives.NONE or headers.keys().isdisjoint(_SPOKEN):
        return NOTHING
    control = arguments(headers.get("cache-control", ""))
    return Asked(
        no_store="no-store" in control,
        refresh=_refresh(headers, control, mode),
        only_if_cached="only-if-cached" in control,
        max_age=_seconds(control.get("max-age"), _MAX_AGE),
        min_fresh=_seconds(control.get("min-fresh"), _MIN_FRESH),
        max_stale=_seconds(control.get("max-stale"), _MAX_STALE),
    )


def _refresh(headers: Mapping[str, str], control: Arguments, mode: Directives) -> bool:
    """Tell whether the client wants Jira asked again.

    The most used Python client sends no-cache with every request, out of habit. So by default it counts only with what
    a browser's forced reload adds to it, or in a header of our own that nobody sends by habit.
    """
    if "refresh" in arguments(headers.get("x-jira-cache", "")):
        return True
    pragma = "no-cache" in arguments(headers.get("pragma", ""))
    if mode is Directives.ALL:
        return "no-cache" in control or (pragma and "cache-control" not in headers)
    return pragma and "no-cache" in control


def _seconds(given: list[str | None] | None, numbers: _Numbers) -> float | None:
    if given is None:
        return None
    return numbers.strictest(_number(argument, numbers) for argument in given)


def _number(argument: str | None, numbers: _Numbers) -> float:
    if argument is None:
        return numbers.bare
    seconds = delta_seconds(argument)
    return numbers.unreadable if seconds is None else seconds
