"""The rulebook: which requests may be answered from cache, and what a change makes old.

Must live here: the reading of a request against the rows. Must not: any resource of Jira; those are rows.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from policies.announcements import Announcements
from policies.change import Change
from policies.model import Freshness, Match, Pass, Policy, Read, Request, Why, Write
from policies.paths import segments, suspected
from policies.routing import Pattern, Routes
from policies.rows import (
    OTHER,
    Columns,
    EventRow,
    PolicyError,
    ReadRow,
    Row,
    WriteRow,
    parse_event,
    parse_read,
    parse_write,
    read_table,
)
from policies.templates import Named, Sources, parameters
from policies.unknown import SAFE, mentioned, once, somewhere, unknown, unknown_write

__all__ = ["PolicyError", "Rulebook"]

_READING = {"GET": "GET", "HEAD": "GET"}
_SIDE_EFFECT = "updateHistory"
_REPEATED, _LONGEST_REPEATED = 4_096, 512  # requests, and characters of each, that are remembered
_OVERRIDE = "x-http-method-override"
_FORM_GUARD = "atl_token"  # against forged requests: only what changes something has to carry it
_KIND = re.compile(r"^[a-z]+|^\*")
_OWN_KINDS = ("*", "answer", "search", "searches", "type", "uri")  # of tags that no row names
_ENCODED_NAME = re.compile(r"&[^=&%+]*[%+]")


@dataclass(frozen=True, slots=True)
class _Rule:
    """A row under one of its patterns."""

    row: Row
    pattern: Pattern


class Rulebook:
    """All rows, compiled once."""

    def __init__(
        self,
        rules: Routes[_Rule],
        writes: Mapping[str, WriteRow],
        announcements: Announcements,
        policies: Mapping[str, Policy],
        *,
        by_origin: tuple[str, ...],
        kinds: frozenset[str],
    ) -> None:
        self._rules = rules
        self._writes = writes
        self._announcements = announcements
        self._policies = policies
        # Clients repeat themselves, and what a request is does not change.
        self._repeated = lru_cache(maxsize=_REPEATED)(self._classify)
        self.types = frozenset(policies)
        self.events = announcements.events
        self.by_origin = by_origin
        self.kinds = kinds

    @classmethod
    def load(
        cls, resources: str, events: str, policies: Mapping[str, Policy], routes: Sequence[Mapping[str, Any]] = ()
    ) -> "Rulebook":
        """Compile the texts of resources.yaml and events.yaml, and the operator's own rows, which win.

        An operator's row with a `type` (or `never`) reads, any other writes. Raises PolicyError.
        """
        builder = _Builder(policies)
        for name, columns in read_table("resources.yaml", resources).items():
            builder.add("resources.yaml", name, columns, reads=True)
        for name, columns in read_table("events.yaml", events).items():
            if "event" in columns:
                builder.events.append(parse_event("events.yaml", name, columns))
                builder.kinds.update(_kinds(columns))
            else:
                builder.add("events.yaml", name, columns, reads=False)
        for at, columns in enumerate(routes):
            builder.add("routes", f"routes[{at}]", columns, reads=_reads(columns), rank=1)
        announcements = Announcements(builder.events)
        by_origin, kinds = tuple(builder.by_origin), frozenset(builder.kinds)
        return cls(builder.rules, builder.writes, announcements, builder.used, by_origin=by_origin, kinds=kinds)

    def classify(self, request: Request) -> Match:
        """Tell what a request is, from its method, path and query."""
        if request.method == "POST" and _OVERRIDE in request.headers:
            return self._doubtful(request)
        if len(request.path) + len(request.query) > _LONGEST_REPEATED:
            return self._classify(request.method, request.path, request.query)
        return self._repeated(request.method, request.path, request.query)

    def _classify(self, method: str, path: str, query: str) -> Match:
        method, parts = _meant(method, path, query), segments(path)
        if parts is None:
            return self._doubtful(Request(method, path, query))
        rule = self._rules.find(_READING.get(method, method), parts)
        match = unknown(method, parts) if rule is None else self._ruled(rule, parts, query)
        return self._addressed(match, parts) if isinstance(match, Write) else match

    def touched(self, write: Write, body: Any | None, answer: Any | None, named: Iterable[str] = ()) -> frozenset[str]:
        """Name every tag a write made old, from its path and from the parsed JSON of its body and of the answer.

        None means unknown or unread; the row's `otherwise` then says what to assume. `named` are the paths that the
        answer's headers name (policies.addressed).
        """
        tags = frozenset(write.tags) | {tag for path in named for tag in self._address(suspected(path))}
        row = self._writes.get(write.row)
        if row is None:
            return tags | mentioned(body)
        unread = (body is None and row.needs("body")) or (answer is None and row.needs("answer"))
        sources = {"path": write.params, "query": {}, "body": body, "answer": answer}
        deep = (tag for template in row.deep for tag in template.fill(sources))
        return tags.union(deep, row.otherwise if unread else ())

    def announced(self, event: str | None, body: Any | None, query: Mapping[str, str]) -> Change:
        """Tell what a webhook says has changed, from the event's name, the parsed JSON of its body and its URL's query.

        None stands for what it lacks. An event that is unknown, or that does not say enough, may have changed whatever
        it names, and everything if it names nothing.
        """
        return self._announcements.change(event, body, query)

    def _ruled(self, rule: _Rule, parts: tuple[str, ...], query: str) -> Match:
        row, pattern = rule.row, rule.pattern
        params = {name: parts[at] for name, at in pattern.names}
        if isinstance(row, WriteRow):
            return _write(row, pattern.path, params, query)
        if (query or row.never) and (refusal := _refusal(row, query)) is not None:
            return Pass(row.name, pattern.path, row.type, refusal)
        return self._read(row, pattern, parts, params, query)

    def _read(
        self, row: ReadRow, pattern: Pattern, parts: tuple[str, ...], params: Mapping[str, str], query: str
    ) -> Read:
        tags = (*[tag for named in row.named if (tag := named.fill(params))], *row.fixed) if row.named else row.fixed
        if row.asked or (query and any(_may_have(query, name) for name, _ in row.if_query)):
            tags = (*_asked_tags(row, params, query), *tags)
        entity = _entity(row, params, query)
        policy = self._policies[row.type]
        if row.freshness is Freshness.ORIGIN:
            tags, policy = (*tags, _address(parts)), replace(policy, freshness=row.freshness)
        return Read(row.name, pattern.path, row.type, entity, tags, policy, pattern.method == "POST", row.jql)

    def _doubtful(self, request: Request) -> Match:
        """Judge a request that Jira may read as another than we do: nothing of it is kept, all it may name is old."""
        parts = suspected(request.path)
        if request.method in SAFE:
            rest = parts[:1] == ("rest",)
            return Pass("-", somewhere(parts), OTHER, Why.UNCLEAN_PATH if rest else Why.NOT_REST)
        write = unknown_write(parts)
        for method in once((request.method, request.headers.get(_OVERRIDE, request.method).upper())):
            rule = self._rules.find(method, parts)
            known = None if rule is None else self._ruled(rule, parts, request.query)
            if isinstance(known, Write):
                write = replace(known, why=Why.UNKNOWN_WRITE, tags=once((*known.tags, *write.tags)))
        return self._addressed(write, parts)

    def _addressed(self, write: Write, parts: tuple[str, ...]) -> Write:
        """Add what RFC 9111 section 4.4 has an unsafe request make old: whatever is kept under its own address."""
        return replace(write, tags=once((*write.tags, *self._address(parts))))

    def _address(self, parts: tuple[str, ...]) -> tuple[str, ...]:
        """Name the tag of what is kept by the origin's rules at a path, if anything there is."""
        rule = self._rules.find("GET", parts)
        by_origin = rule is not None and isinstance(rule.row, ReadRow) and rule.row.freshness is Freshness.ORIGIN
        return (_address(parts),) if by_origin else ()


def _reads(columns: Columns) -> bool:
    """Tell what an operator's row is meant to be, also where a column is forgotten or misspelt."""
    matches = columns.get("match")
    gets = any(str(text).startswith("GET ") for text in (matches if isinstance(matches, list) else [matches]))
    return gets or not {"type", "never"}.isdisjoint(columns)


class _Builder:
    """Collects rows from all files; the first mistake is a PolicyError."""

    def __init__(self, policies: Mapping[str, Policy]) -> None:
        self.rules: Routes[_Rule] = Routes()
        self.writes: dict[str, WriteRow] = {}
        self.events: list[EventRow] = []
        self.used: dict[str, Policy] = {}
        self.by_origin: list[str] = []
        self.kinds = set(_OWN_KINDS)
        self._policies = policies

    def add(self, file: str, name: str, columns: Columns, *, reads: bool, rank: int = 0) -> None:
        patterns, row = parse_read(file, name, columns) if reads else parse_write(file, name, columns)
        self.kinds.update(_kinds(columns))
        if isinstance(row, WriteRow):
            self.writes[name] = row
        elif row.type != OTHER:
            self._use(file, row)
            if row.freshness is Freshness.ORIGIN:
                self.by_origin.append(name)
        for pattern in patterns:
            other = self.rules.add(pattern, _Rule(row, pattern), rank)
            if other is not None:
                raise PolicyError(f"{file}: row {name}: column match: row {other.row.name} has the same {pattern.path}")

    def _use(self, file: str, row: ReadRow) -> None:
        if row.type not in self._policies:
            raise PolicyError(f"{file}: row {row.name}: column type: there is no policy for {row.type!r}")
        self.used[row.type] = self._policies[row.type]


def _kinds(columns: Columns) -> Iterator[str]:
    """Tell what the tags of a row are of: `issue` of `issue:{issue}`."""
    for cell in (columns.get("tags"), columns.get("otherwise"), *(columns.get("if_query") or {}).values()):
        for tag in [cell] if isinstance(cell, str) else cell or ():
            yield from _KIND.findall(str(tag))[:1]


def _meant(method: str, path: str, query: str) -> str:
    """Take a link of Jira's pages that changes something (a transition without a screen, a vote) for its form."""
    linked = method == "GET" and not path.startswith("/rest/") and _may_have(query, _FORM_GUARD)
    return "POST" if linked and _FORM_GUARD in parameters(query) else method


def _address(parts: tuple[str, ...]) -> str:
    return f"uri:/{'/'.join(parts)}"


def _refusal(row: ReadRow, query: str) -> Why | None:
    if row.never:
        return Why.NEVER_KEEP
    if _switched_on(query, _SIDE_EFFECT):
        return Why.SIDE_EFFECT
    return Why.NEVER_KEEP if any(_switched_on(query, name) for name in row.unless_query) else None


def _may_have(query: str, name: str) -> bool:
    """Tell, much quicker than by reading it, that a query lacks a parameter: what is not there in plain is encoded."""
    return name in query or _ENCODED_NAME.search("&" + query) is not None


def _switched_on(query: str, name: str) -> bool:
    return _may_have(query, name) and any(value.lower() != "false" for value in parameters(query).get(name, ()))


def _asked_tags(row: ReadRow, params: Mapping[str, str], query: str) -> list[str]:
    sources = {"path": params, "query": parameters(query)}
    return [*(tag for template in row.asked for tag in template.fill(sources)), *_query_tags(row, sources)]


def _entity(row: ReadRow, params: Mapping[str, str], query: str) -> str:
    if isinstance(row.entity, Named):
        return row.entity.fill(params)
    if row.entity is None:
        return "-"
    return next(iter(row.entity.fill({"path": params, "query": parameters(query)})), "-")


def _query_tags(row: Row, sources: Sources) -> list[str]:
    asked = (templates for name, templates in row.if_query if name in sources["query"])
    return [tag for templates in asked for template in templates for tag in template.fill(sources)]


def _write(row: WriteRow, route: str, params: Mapping[str, str], query: str) -> Write:
    sources = {"path": params, "query": parameters(query)}
    tags = [tag for template in row.plain for tag in template.fill(sources)]
    tags += _query_tags(row, sources)
    kind, _, entity = tags[0].partition(":") if tags else (OTHER, "", "")
    why = Why.HARMLESS_WRITE if row.nothing else Why.WRITE
    return Write(row.name, route, kind.removesuffix("s"), entity or "-", why, once(tags), params)
