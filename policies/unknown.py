"""What to make of a write that no row knows: its path and its body at least say what it is about."""

import json
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from policies.model import EVERYTHING, Match, Pass, Why, Write
from policies.references import references
from policies.rows import OTHER
from policies.templates import ISSUE_KEY

SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""The methods that change nothing."""

_REST = "/rest/**"
_PAGE = "/**"
_ALL_ISSUES = frozenset({"issues", "type:issue"})
# The word before a name in a path -> what a write to that name may have made old.
_TOLD_BY = {
    "issue": ("issue:{}", "issues"),
    "request": ("issue:{}", "issues"),
    "epic": ("issue:{}", "epic:{}", "issues"),
    "project": ("project:{}", "project:{}:issues", "projects", "issues"),
    "board": ("board:{}", "boards"),
    "sprint": ("sprint:{}", "sprints", "issues"),
    "version": ("version:{}", "versions", "issues"),
    "component": ("component:{}", "components", "issues"),
    "filter": ("filter:{}", "filters", "issues"),
    "dashboard": ("dashboard:{}", "dashboards"),
}


def unknown(method: str, parts: tuple[str, ...]) -> Match:
    """Judge a request that no row knows."""
    if method not in SAFE:
        return unknown_write(parts)
    rest = parts[:1] == ("rest",)
    return Pass("-", somewhere(parts), OTHER, Why.UNKNOWN_ROUTE if rest else Why.NOT_REST)


def unknown_write(parts: tuple[str, ...]) -> Write:
    """Judge a write that no row knows: what its path names is old, and everything after a page's form."""
    tags = _named(parts) if parts[:1] == ("rest",) else (EVERYTHING,)
    return Write("-", somewhere(parts), OTHER, "-", Why.UNKNOWN_WRITE, tags, {})


def mentioned(body: Any | None) -> frozenset[str]:
    """Name what such a write may have made old by what its parsed JSON speaks of: apps tell there which issue is meant.

    None stands for a body that is no JSON.
    """
    if body is None:
        return frozenset()
    found = references(json.dumps(body, ensure_ascii=False).encode(errors="replace"))
    if found.collapsed:
        return _ALL_ISSUES
    issues = frozenset(tag for tag in found.tags if tag.startswith("issue:"))
    return issues | {"issues"} if issues else issues


def somewhere(parts: tuple[str, ...]) -> str:
    """Name the route of a path that has none; there are only two such names."""
    return _REST if parts[:1] == ("rest",) else _PAGE


def once(tags: Iterable[str]) -> tuple[str, ...]:
    """Drop repeated tags, keep their order."""
    return tuple(dict.fromkeys(tags))


def _named(parts: tuple[str, ...]) -> tuple[str, ...]:
    told = [tag.format(name.upper()) for word, name in pairwise(parts) for tag in _TOLD_BY.get(word, ())]
    for key in (part.upper() for part in parts if ISSUE_KEY.fullmatch(part)):
        told += [f"issue:{key}", f"project:{key.rpartition('-')[0]}:issues", "issues"]
    return once(told)
