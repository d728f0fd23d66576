"""Where an issue shows the fields that queries name, and how the literals compared with them are read."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from policies.jql.dates import window
from policies.jql.issue import CUSTOM
from policies.jql.query import Call, Comparison, Empty, Field, Operand, Operator, Text, Values
from policies.jql.wanted import (
    EMPTY,
    UNDECIDED,
    Literal,
    Wanted,
    want_custom,
    want_entity,
    want_epic,
    want_issue,
    want_label,
    want_project,
    want_resolution,
    want_user,
)


@dataclass(frozen=True, slots=True)
class Site:
    """What may be taken for granted about a Jira site.

    `names_are_canonical`: statuses, types, priorities, resolutions and options have one name each, in whatever language
    it is asked or told; on a site with translations only their ids are compared.
    `keys_are_stable`: queries name issues by their present keys; Jira also finds a moved issue by its former key,
    which no event tells. Either may be set False, which makes more unknown.
    """

    names_are_canonical: bool = True
    keys_are_stable: bool = True


USUAL = Site()


@dataclass(frozen=True, slots=True)
class Source:
    """Where an issue shows a field of JQL, and how the literals compared with it are read.

    `vague`: what is shown is more than the field, good only for ruling an issue out.
    `optional`: EMPTY may also not match an empty field, because the issue's project does not have it.
    """

    shown: str
    want: Callable[[Literal], Wanted]
    is_date: bool = False
    is_issue: bool = False
    translated: bool = False
    vague: bool = False
    optional: bool = False


def want_date(literal: Literal) -> Wanted:
    """Read an absolute date; relative ones move without any event."""
    moments = window(literal.text) if isinstance(literal, Text) else None
    return UNDECIDED if moments is None else Wanted(windows=(moments,))


def want_text(_: Literal) -> Wanted:
    """Read a search for text: how words are taken apart is Jira's to know."""
    return UNDECIDED


_ISSUE = Source("key", want_issue, is_issue=True)
_TYPE = Source("issuetype", want_entity, translated=True)
_COMPONENT = Source("components", want_entity)

SOURCES = {
    "project": Source("project", want_project),
    "key": _ISSUE,
    "id": _ISSUE,
    "issue": _ISSUE,
    "issuekey": _ISSUE,
    "type": _TYPE,
    "issuetype": _TYPE,
    "status": Source("status", want_entity, translated=True),
    "statuscategory": Source("statusCategory", want_entity, translated=True),
    "resolution": Source("resolution", want_resolution, translated=True),
    "priority": Source("priority", want_entity, translated=True),
    "assignee": Source("assignee", want_user),
    "reporter": Source("reporter", want_user),
    "creator": Source("creator", want_user),
    "labels": Source("labels", want_label),
    "component": _COMPONENT,
    "components": _COMPONENT,
    "fixversion": Source("fixVersions", want_entity),
    "affectedversion": Source("versions", want_entity),
    "parent": Source("parent", want_issue, is_issue=True),
    "epic link": Source("epic", want_epic, is_issue=True, vague=True),
    "sprint": Source("sprint", want_entity),
    "created": Source("created", want_date, is_date=True),
    "createddate": Source("created", want_date, is_date=True),
    "updated": Source("updated", want_date, is_date=True),
    "updateddate": Source("updated", want_date, is_date=True),
    "due": Source("duedate", want_date, is_date=True),
    "duedate": Source("duedate", want_date, is_date=True),
    "resolved": Source("resolutiondate", want_date, is_date=True),
    "resolutiondate": Source("resolutiondate", want_date, is_date=True),
    "summary": Source("summary", want_text),
    "description": Source("description", want_text),
    "environment": Source("environment", want_text),
}
"""JQL's name of a field, lower case -> its source."""


def source_of(field: Field) -> Source | None:
    """Find where an issue shows `field`; None where we cannot tell: custom fields are known by number only."""
    if field.properties:
        return None
    name = field.name.lower()
    number = field.number or (name.removeprefix(CUSTOM) if name.startswith(CUSTOM) else "")
    if number:
        return Source(f"{CUSTOM}{number}", want_custom, translated=True, optional=True)
    return SOURCES.get(name)


def asked(operand: Operand, source: Source, site: Site) -> Wanted:
    """Read all that an operand asks for."""
    values = operand.values if isinstance(operand, Values) else (operand,)
    return Wanted.any_of([_asked_one(value, source, site) for value in values])


def _asked_one(value: Operand, source: Source, site: Site) -> Wanted:
    match value:
        case Empty():
            return EMPTY
        case Call() | Values():
            return UNDECIDED
        case Text() if source.translated and not site.names_are_canonical:
            return UNDECIDED
        case Text() if source.is_issue and not site.keys_are_stable:
            return replace(source.want(value), undecided=True)
        case _:
            return source.want(value)


def is_undecidable(comparison: Comparison, site: Site) -> bool:
    """Tell whether nothing that an issue shows could rule the comparison out."""
    source = source_of(comparison.field)
    if source is None or comparison.operator in _BY_JIRA_ALONE:
        return True
    return (comparison.operator in ORDERINGS and not source.is_date) or asked(
        comparison.operand, source, site
    ).undecided


ORDERINGS = frozenset((Operator.LESS, Operator.LESS_EQUAL, Operator.GREATER, Operator.GREATER_EQUAL))
_BY_JIRA_ALONE = frozenset((Operator.LIKE, Operator.NOT_LIKE))
