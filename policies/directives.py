"""What a client asks of caches: the request directives of RFC 9111 section 5.2.1."""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

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

_Directives = Mapping[str, list[str | None]]
_SPOKEN = ("cache-control", "pragma", "x-jira-cache")
# One element of a comma-separated list; a comma inside a quoted string does not end it. No branch can fail once
# entered, so a hostile header costs no backtracking.
_ELEMENT = re.compile(r'(?:[^,"]+|"(?:[^"\\]|\\.?)*"?)+', re.DOTALL)
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)


def asked(request: Request, mode: Directives) -> Asked:
    """Tell which directives of `request` count under `mode`.

    Where a directive comes twice the stricter counts, and a number that cannot be read is taken in the strictest sense.
    """
    headers = request.headers
    if mode is Directives.NONE or headers.keys().isdisjoint(_SPOKEN):
        return NOTHING
    control = _directives(headers.get("cache-control", ""))
    return Asked(
        no_store="no-store" in control,
        refresh=_refresh(headers, control, mode),
        only_if_cached="only-if-cached" in control,
        max_age=_seconds(control.get("max-age"), _MAX_AGE),
        min_fresh=_seconds(control.get("min-fresh"), _MIN_FRESH),
        max_stale=_seconds(control.get("max-stale"), _MAX_STALE),
    )


def _directives(header: str) -> dict[str, list[str | None]]:
    """Read a list header: the arguments each directive came with, None where it came without; names in lower case."""
    found: dict[str, list[str | None]] = {}
    for element in _ELEMENT.findall(header):
        name, equals, argument = element.partition("=")
        found.setdefault(name.strip().lower(), []).append(_unquoted(argument.strip()) if equals else None)
    return found


def _unquoted(argument: str) -> str:
    if len(argument) > 1 and argument[0] == argument[-1] == '"':
        return _QUOTED_PAIR.sub(r"\1", argument[1:-1])
    return argument


def _refresh(headers: Mapping[str, str], control: _Directives, mode: Directives) -> bool:
    """Tell whether the client wants Jira asked again.

    The most used Python client sends no-cache with every request, out of habit. So by default it counts only with what
    a browser's forced reload adds to it, or in a header of our own that nobody sends by habit.
    """
    if "refresh" in _directives(headers.get("x-jira-cache", "")):
        return True
    pragma = "no-cache" in _directives(headers.get("pragma", ""))
    if mode is Directives.ALL:
        return "no-cache" in control or (pragma and "cache-control" not in headers)
    return pragma and "no-cache" in control


def _seconds(arguments: list[str | None] | None, numbers: _Numbers) -> float | None:
    if arguments is None:
        return None
    return numbers.strictest(_number(argument, numbers) for argument in arguments)


def _number(argument: str | None, numbers: _Numbers) -> float:
    if argument is None:
        return numbers.bare
    return float(argument) if argument.isascii() and argument.isdigit() else numbers.unreadable
