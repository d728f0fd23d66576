"""Rows of resources.yaml and events.yaml: read strictly, so that a typing error stops the start and names its place."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

import yaml

from policies.model import EVERYTHING, Freshness
from policies.routing import Pattern
from policies.templates import UNREAD, Named, Template

READ_COLUMNS = frozenset(
    {"match", "type", "entity", "tags", "never", "body", "jql", "unless_query", "if_query", "freshness"}
)
WRITE_COLUMNS = frozenset({"match", "tags", "otherwise", "nothing", "if_query"})
EVENT_COLUMNS = frozenset({"event", "tags", "issue", "issues", "searches", "nothing"})
W = TypeVar("W", bound=StrEnum)

OTHER = "other"
"""The type of everything that is not kept."""

QueryTags = tuple[tuple[str, tuple[Template, ...]], ...]
"""Query parameter -> templates that count when the question has that parameter."""


class PolicyError(Exception):
    """A rulebook cannot be used. The message names the file, the row and the column, in one line."""


@dataclass(frozen=True, slots=True)
class ReadRow:
    """A resource whose answers may be kept, or, where `never` gives a reason, must not be."""

    name: str
    type: str
    entity: Named | Template | None
    named: tuple[Named, ...]  # tags that the path names
    asked: tuple[Template, ...]  # tags that need the query too
    fixed: tuple[str, ...]  # tags without holes, the ones that every read has included
    unless_query: tuple[str, ...]
    if_query: QueryTags
    never: str
    jql: bool
    freshness: Freshness


@dataclass(frozen=True, slots=True)
class WriteRow:
    """A change: what its path and query name, what its body and answer name, and what to assume without these."""

    name: str
    plain: tuple[Template, ...]
    deep: tuple[Template, ...]
    otherwise: tuple[str, ...]
    if_query: QueryTags
    nothing: str

    def needs(self, source: str) -> bool:
        """Tell whether the row looks into "body" or "answer"."""
        return any(template.looks_at((source,)) for template in self.deep)


class Shown(StrEnum):
    """Which states of an issue the `issue` member of an event's body tells of."""

    CREATED = "created"  # there was none, and this is how it is now
    CHANGED = "changed"  # this is how it is now, and the changelog tells how it was
    DELETED = "deleted"  # this is how it was
    TOUCHED = "touched"  # this is how it was and is, what came with the event apart


@dataclass(frozen=True, slots=True)
class EventRow:
    """A webhook event: what its body names, and what it shows of issues."""

    name: str
    events: tuple[str, ...]
    tags: tuple[Template, ...]
    issue: Shown | None
    issues: tuple[Template, ...]  # ids or keys of issues of which no more is told
    all_searches: bool
    nothing: str


Row = ReadRow | WriteRow
Columns = Mapping[str, Any]


def read_table(file: str, text: str) -> dict[str, Columns]:
    """Read one YAML table: row name -> columns. Raises PolicyError."""
    try:
        table = yaml.load(text, Loader=_Loader) or {}  # noqa: S506 - a subclass of the safe loader
    except yaml.YAMLError as error:
        raise PolicyError(f"{file}: {' '.join(str(error).split())}") from error
    if not isinstance(table, dict):
        raise PolicyError(f"{file}: not a table of rows")
    for name, columns in table.items():
        if not isinstance(name, str) or not isinstance(columns, dict):
            raise PolicyError(f"{file}: row {name}: not a row of columns")
    return table


def parse_read(file: str, name: str, columns: Columns) -> tuple[list[Pattern], ReadRow]:
    """Read one row of resources.yaml. Raises PolicyError."""
    cells = _Cells(file, name, columns, READ_COLUMNS)
    patterns = cells.patterns()
    never = cells.text("never", "")
    type_ = cells.text("type", OTHER if never else "")
    if not type_:
        raise cells.error("type", "is missing")
    if any(p.method not in ("GET", "POST") for p in patterns):
        raise cells.error("match", "only GET, and POST that reads, can be answered from cache")
    if not never and cells.flag("body") != any(p.method == "POST" for p in patterns):
        raise cells.error("body", "is true exactly where a POST only reads")
    freshness = cells.one_of("freshness", Freshness) or Freshness.POLICY
    if freshness is Freshness.ORIGIN and (never or any(p.method == "POST" for p in patterns)):
        raise cells.error("freshness", "is the origin's only of GETs that may be kept")
    tags = cells.templates("tags", patterns, ("path", "query"))
    entity = cells.templates("entity", patterns, ("path", "query"))
    return patterns, ReadRow(
        name=name,
        type=type_,
        entity=(Named.of(entity[0]) or entity[0]) if entity else None,
        named=tuple(named for t in tags if (named := Named.of(t))),
        asked=tuple(t for t in tags if t.holes and not Named.of(t)),
        fixed=(*(t.literals[0] for t in tags if not t.holes), f"type:{type_}", EVERYTHING),
        unless_query=cells.texts("unless_query"),
        if_query=cells.query_tags(patterns),
        never=never,
        jql=cells.flag("jql"),
        freshness=freshness,
    )


def parse_write(file: str, name: str, columns: Columns) -> tuple[list[Pattern], WriteRow]:
    """Read one write row of events.yaml. Raises PolicyError."""
    cells = _Cells(file, name, columns, WRITE_COLUMNS)
    patterns = cells.patterns()
    if any(p.method == "GET" for p in patterns):
        raise cells.error("match", "a GET changes nothing")
    tags = cells.templates("tags", patterns, ("path", "query", *UNREAD))
    nothing = cells.text("nothing", "")
    if bool(nothing) == bool(tags):
        raise cells.error("tags", "a write names tags, or says why nothing depends on it")
    deep = tuple(t for t in tags if t.looks_at(UNREAD))
    otherwise = cells.texts("otherwise")
    if bool(deep) != bool(otherwise):
        raise cells.error("otherwise", "says what to assume where the body or the answer is unknown, and only there")
    plain = tuple(t for t in tags if t not in deep)
    return patterns, WriteRow(name, plain, deep, otherwise, cells.query_tags(patterns), nothing)


def parse_event(file: str, name: str, columns: Columns) -> EventRow:
    """Read one webhook row of events.yaml. Raises PolicyError."""
    cells = _Cells(file, name, columns, EVENT_COLUMNS)
    row = EventRow(
        name=name,
        events=cells.texts("event"),
        tags=cells.templates("tags", (), ("query", "body")),
        issue=cells.one_of("issue", Shown),
        issues=cells.templates("issues", (), ("query", "body")),
        all_searches=cells.one_of("searches", _Searches) is not None,
        nothing=cells.text("nothing", ""),
    )
    if bool(row.nothing) == bool(row.tags or row.issue or row.issues):
        raise cells.error("tags", "an event names what it makes old, or says why nothing depends on it")
    return row


class _Searches(StrEnum):
    ALL = "all"


class _Cells:
    """The columns of one row, and errors that name their place."""

    def __init__(self, file: str, name: str, columns: Columns, known: Collection[str]) -> None:
        self._place = f"{file}: row {name}"
        self._columns = columns
        for column in columns:
            if column not in known:  # YAML 1.1 reads a column named on or yes as true: it ends here too
                raise self.error(str(column), f"is no column; there are {', '.join(sorted(known))}")

    def error(self, column: str, message: str) -> PolicyError:
        return PolicyError(f"{self._place}: column {column}: {message}")

    def text(self, column: str, default: str) -> str:
        value = self._columns.get(column, default)
        if not isinstance(value, str):
            raise self.error(column, f"{value!r} is not text")
        return value

    def texts(self, column: str) -> tuple[str, ...]:
        value = self._columns.get(column, [])
        return tuple(self._listed(column, value))

    def flag(self, column: str) -> bool:
        value = self._columns.get(column, False)
        if not isinstance(value, bool):
            raise self.error(column, f"{value!r} is not true or false")
        return value

    def one_of(self, column: str, words: type[W]) -> W | None:
        value = self._columns.get(column)
        if value is not None and value not in list(words):
            raise self.error(column, f"{value!r} is none of {', '.join(words)}")
        return None if value is None else words(value)

    def patterns(self) -> list[Pattern]:
        try:
            patterns = [Pattern.parse(text) for text in self.texts("match")]
        except ValueError as error:
            raise self.error("match", str(error)) from error
        if not patterns:
            raise self.error("match", "is missing")
        return patterns

    def templates(self, column: str, patterns: Sequence[Pattern], sources: Sequence[str]) -> tuple[Template, ...]:
        return self._compiled(column, self.texts(column), patterns, sources)

    def query_tags(self, patterns: Sequence[Pattern]) -> QueryTags:
        value = self._columns.get("if_query", {})
        if not isinstance(value, dict):
            raise self.error("if_query", f"{value!r} is not a table of parameters")
        listed = {str(name): self._listed("if_query", texts) for name, texts in value.items()}
        return tuple((name, self._compiled("if_query", texts, patterns, ("path",))) for name, texts in listed.items())

    def _compiled(
        self, column: str, texts: Sequence[str], patterns: Sequence[Pattern], sources: Sequence[str]
    ) -> tuple[Template, ...]:
        placeholders = [{name for name, _ in pattern.names} for pattern in patterns]
        named = set.intersection(*placeholders) if placeholders else set()
        try:
            templates = tuple(Template.compile(text, named) for text in texts)
        except ValueError as error:
            raise self.error(column, str(error)) from error
        if any(hole.source not in sources for template in templates for hole in template.holes):
            raise self.error(column, f"may look only at {', '.join(sources)}")
        return templates

    def _listed(self, column: str, value: Any) -> list[str]:
        values = value if isinstance(value, list) else [value]
        for one in values:
            if not isinstance(one, str) or not one:
                raise self.error(column, f"{one!r} is not text")
        return values


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # chosen at run time
    """The safe loader, except that a name used twice is an error: the second row would silently replace the first."""


def _unique_mapping(loader: Any, node: yaml.MappingNode) -> Iterator[dict[Any, Any]]:
    seen: dict[Any, Any] = {}
    yield seen
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"{key!r} occurs twice", key_node.start_mark)
        seen[key] = loader.construct_object(value_node, deep=True)


_Loader.add_constructor("tag:yaml.org,2002:map", _unique_mapping)
