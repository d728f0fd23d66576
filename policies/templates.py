"""Tag templates: text with holes, such as "issue:{issue}" or "issue:{body.issues[]}", filled from one request.

A hole names a placeholder of the route (`{issue}`), a query parameter (`{query.accountId}`), or a place in the JSON of
the request's body or of the answer (`{body.fields.parent.key}`, `{answer.issues[].id}`). `[]` means each element of a
list, or each value of an object. A hole that finds nothing yields no tag; one that finds many yields many.

What is found may be narrowed: `|project` takes the project's key out of an issue's key, `|key` keeps only what is an
issue's key, `|issue` and `|attachment` take the id out of a link to one.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

Sources = Mapping[str, Any]
"""Where holes look: "path" and "query" (name -> text, name -> texts), "body" and "answer" (parsed JSON)."""

UNREAD = ("body", "answer")
"""The sources that may be unknown."""

ISSUE_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_]*-[0-9]+")
"""The shape of an issue's key. Jira takes keys in any case and writes them in capitals."""

_HOLE = re.compile(r"\{([^{}]*)\}")
_PLACE = re.compile(r"[A-Za-z_][\w-]*(?:\[\])?(?:\.[A-Za-z_][\w-]*(?:\[\])?)*(?:\|(?:project|key|issue|attachment))?")
_STEP = re.compile(r"\[\]|[^.\[\]]+")
_KEYED = frozenset({"issue", "project", "epic"})  # kinds that are named by key or by id


@dataclass(frozen=True, slots=True)
class Hole:
    """One place to look, and how to write what is found there."""

    source: str
    steps: tuple[str, ...]
    upper: bool
    part: str  # what is taken of the text found: one of _PARTS, or "" for all of it

    def values(self, sources: Sources) -> list[str]:
        """Every text or whole number found at this place."""
        found = [sources[self.source]]
        for step in self.steps:
            found = _each(found) if step == "[]" else [value[step] for value in found if _has(value, step)]
        return [text for value in found if (text := self._written(_text(value)))]

    def _written(self, text: str) -> str:
        text = _PARTS[self.part](text) if self.part else text
        return text.upper() if self.upper else text


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled template: literal text around holes."""

    literals: tuple[str, ...]
    holes: tuple[Hole, ...]

    @classmethod
    def compile(cls, text: str, placeholders: Iterable[str]) -> "Template":
        """Compile `text`; raise ValueError where a hole names neither a placeholder of the route nor a source."""
        pieces = _HOLE.split(text)
        if not text or any(c in literal for literal in pieces[::2] for c in "{}"):
            raise ValueError(f"{text!r} is not a template")
        kind = text.partition(":")[0]
        known = frozenset(placeholders)
        return cls(tuple(pieces[::2]), tuple(_hole(place, kind, known) for place in pieces[1::2]))

    def looks_at(self, sources: Sequence[str]) -> bool:
        """Tell whether any hole looks into one of `sources`."""
        return any(hole.source in sources for hole in self.holes)

    def fill(self, sources: Sources) -> list[str]:
        """Write every tag that the template stands for."""
        filled = [self.literals[0]]
        for hole, literal in zip(self.holes, self.literals[1:], strict=True):
            values = hole.values(sources)
            filled = [text + value + literal for text in filled for value in values]
        return filled


@dataclass(frozen=True, slots=True)
class Named:
    """A template whose only hole is a placeholder of the route: the few that every hit fills, so they are quick."""

    before: str
    name: str
    after: str
    upper: bool
    project: bool

    @classmethod
    def of(cls, template: Template) -> "Named | None":
        """Take the quick form of a template, where it has one."""
        if len(template.holes) != 1 or template.holes[0].source != "path":
            return None
        (hole,) = template.holes
        if hole.part not in ("", "project"):
            return None
        return cls(template.literals[0], hole.steps[0], template.literals[1], hole.upper, hole.part == "project")

    def fill(self, params: Mapping[str, str]) -> str:
        """Write the tag, or nothing."""
        value = params[self.name]
        if self.project:
            value = _project(value)
        if self.upper:
            value = value.upper()
        return self.before + value + self.after if value else ""


def parameters(query: str) -> dict[str, list[str]]:
    """Read a query string: name -> values, in order. An empty value counts."""
    found: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        found.setdefault(name, []).append(value)
    return found


def _hole(place: str, kind: str, placeholders: frozenset[str]) -> Hole:
    if not _PLACE.fullmatch(place):
        raise ValueError(f"{{{place}}} is not a place")
    where, _, part = place.partition("|")
    first, *steps = _STEP.findall(where)
    if first in placeholders and not steps:
        return Hole("path", (first,), first in _KEYED or kind in _KEYED, part)
    if first == "query" and len(steps) == 1:
        return Hole("query", (*steps, "[]"), kind in _KEYED, part)
    if first in UNREAD:
        return Hole(first, tuple(steps), kind in _KEYED, part)
    raise ValueError(f"{{{place}}} is no placeholder of the route")


def _project(key: str) -> str:
    return key.rpartition("-")[0] if ISSUE_KEY.fullmatch(key) else ""


def _key(text: str) -> str:
    return text if ISSUE_KEY.fullmatch(text) else ""


def _linked(kind: str) -> Callable[[str], str]:
    link = re.compile(rf"/{kind}/([0-9]+)(?:[/?#]|$)")
    return lambda text: found[1] if (found := link.search(text)) else ""


_PARTS: Mapping[str, Callable[[str], str]] = {
    "project": _project,
    "key": _key,
    "issue": _linked("issue"),
    "attachment": _linked("attachment"),
}


def _text(value: Any) -> str:
    if type(value) is int:  # not isinstance: JSON's true is no id
        return str(value)
    return value if isinstance(value, str) else ""


def _has(value: Any, step: str) -> bool:
    return isinstance(value, Mapping) and step in value


def _each(found: list[Any]) -> list[Any]:
    return [one for value in found for one in _elements(value)]


def _elements(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, list) else ()
