"""Headers that are lists of directives: Cache-Control of requests and of answers (RFC 9111 section 5.2)."""

import re
from collections.abc import Mapping

Arguments = Mapping[str, list[str | None]]
"""Directive, in lower case -> the arguments it came with, one for each time; None where it came without."""

# One element of a comma-separated list; a comma inside a quoted string does not end it. No branch can fail once
# entered, so a hostile header costs no backtracking.
_ELEMENT = re.compile(r'(?:[^,"]+|"(?:[^"\\]|\\.?)*"?)+', re.DOTALL)
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)


def arguments(header: str) -> Arguments:
    """Read a list of directives."""
    found: dict[str, list[str | None]] = {}
    for element in _ELEMENT.findall(header):
        name, equals, argument = element.partition("=")
        found.setdefault(name.strip().lower(), []).append(_unquoted(argument.strip()) if equals else None)
    return found


def delta_seconds(argument: str) -> float | None:
    """Read a number of seconds (RFC 9111 section 1.2.2); None for what is none."""
    return float(argument) if argument.isascii() and argument.isdigit() else None


def _unquoted(argument: str) -> str:
    if len(argument) > 1 and argument[0] == argument[-1] == '"':
        return _QUOTED_PAIR.sub(r"\1", argument[1:-1])
    return argument
