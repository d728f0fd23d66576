"""The canonical spelling of a query string."""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from urllib.parse import unquote_plus

from policies.canon_jql import canonical_jql
from policies.canon_words import is_jiras_own, words

_Values = list[str | None]  # None: the parameter stood there without "="
_NONE: Mapping[str, str] = MappingProxyType({})
_PAGED = MappingProxyType({"startAt": "0"})
_SEARCH = MappingProxyType({"startAt": "0", "maxResults": "50", "validateQuery": "true"})
# A broken escape, or a character that does not belong into a query: how Jira reads it is unknown.
_UNREADABLE = re.compile(r"%(?![0-9A-Fa-f]{2})|[^!-~]")


@lru_cache(maxsize=1024)  # clients ask the same few things over and over, and it is most of a key's cost
def canonical_query(query: str, path: tuple[str, ...]) -> str:
    """Spell `query` as every equal query of `path` (decoded segments) is spelled; an unreadable one stays verbatim."""
    if not query:
        return ""
    if _UNREADABLE.search(query):
        return f"?{query}"
    parameters = _parse(query)
    if is_jiras_own(path):
        parameters = _settled(parameters, _defaults(path))
    return "".join([_spelled(name, value) for name in sorted(parameters) for value in parameters[name]])


def _parse(query: str) -> dict[str, _Values]:
    """Read the values of each parameter. The order of different ones is lost, that of repeated ones kept."""
    parameters: dict[str, _Values] = {}
    for piece in query.split("&"):
        name, equals, value = piece.partition("=")
        parameters.setdefault(_decoded(name), []).append(_decoded(value) if equals else None)
    return parameters


def _decoded(text: str) -> str:
    # Bytes that are no UTF-8 become lone surrogates, each byte its own.
    return unquote_plus(text, errors="surrogateescape") if "%" in text or "+" in text else text


def _spelled(name: str, value: str | None) -> str:
    return f"{len(name)}:{name}" + ("!" if value is None else f"={len(value)}:{value}")


def _defaults(path: tuple[str, ...]) -> Mapping[str, str]:
    """Tell which values mean the same as no value: in Cloud and in Data Center, or it is not told here."""
    match path:
        case ("rest", "api", _, "search"):
            return _SEARCH
        case ("rest", "agile", *_) | ("rest", "api", *_, "search"):
            return _PAGED
        case _:
            return _NONE


def _settled(parameters: dict[str, _Values], defaults: Mapping[str, str]) -> dict[str, _Values]:
    return {
        name: _RULES[name](values) if name in _RULES else values
        for name, values in parameters.items()
        if name not in defaults or values != [defaults[name]]
    }


def _one_list(values: _Values) -> _Values:
    """Join a list that may be given in pieces: fields=a&fields=b is fields=a,b."""
    joined = words([item for value in values for item in (value or "").split(",")])
    return values if joined is None else [",".join(joined)]


def _each_a_list(values: _Values) -> _Values:
    """Put each list in order. Which counts where several are given differs from route to route."""
    return [",".join(words(value.split(",")) or [value]) if value else value for value in values]


def _each_jql(values: _Values) -> _Values:
    return [canonical_jql(value) if value else value for value in values]


_RULES: Mapping[str, Callable[[_Values], _Values]] = {
    "fields": _one_list,
    "expand": _each_a_list,
    "properties": _each_a_list,
    "jql": _each_jql,
}
