"""What a webhook says has changed, by the rows of events.yaml that have an `event`.

Must live here: how a row is laid over a body. Must not: any event of Jira; those are rows.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from policies.change import Change, Changed
from policies.jql import Issue, before, issue_view, untouched
from policies.jql.issue import CUSTOM
from policies.model import EVERYTHING
from policies.rows import EventRow, Shown
from policies.templates import ISSUE_KEY, Sources, Template

NAMELESS: Final = "-"
"""In a row: the body does not name its event."""

ANY: Final = "*"
"""In a row: whatever the event, if no row of its own applies."""

LIMIT = 2000
"""More tags than this are as many as everything."""

ANYTHING = Change(frozenset({EVERYTHING}), everything=True)
"""What may have changed when nobody can tell."""

_ID = re.compile(r"[0-9]+")
# Types of issue events that come without a changelog because no field changed.
_ONLY_SAID = frozenset({"issue_commented", "issue_comment_edited", "issue_comment_deleted"})


class Announcements:
    """The rows, by event. Of the rows of one event the first that applies counts, then the rows for any event."""

    def __init__(self, rows: Iterable[EventRow]) -> None:
        self._rows: defaultdict[str, list[EventRow]] = defaultdict(list)
        for row in rows:
            for event in row.events:
                self._rows[event].append(row)
        self.events = frozenset(self._rows) - {NAMELESS, ANY}

    def change(self, event: str | None, body: Any | None, query: Mapping[str, str]) -> Change:
        """Tell what an event says has changed."""
        sources = {"path": {}, "query": _expanded(query), "body": body, "answer": None}
        rows = (*self._rows.get(event or NAMELESS, ()), *self._rows.get(ANY, ()))
        changes = (_read(row, sources) for row in rows)
        return next((_bounded(change) for change in changes if change is not None), ANYTHING)


def _expanded(query: Mapping[str, str]) -> dict[str, list[str]]:
    """Leave out variables of the webhook's URL that Jira did not fill in: ${issue.key} of an event without an issue."""
    return {name: [value] for name, value in query.items() if "{" not in value}


def _bounded(change: Change) -> Change:
    return change if len(change.tags) <= LIMIT else ANYTHING


def _read(row: EventRow, sources: Sources) -> Change | None:
    """Lay a row over a body; None if the body does not name what the row is about."""
    if row.nothing:
        return Change(frozenset())
    shown = _shown(row, sources["body"])
    issues = frozenset().union(*(_tags_of(state) for state in _states(shown)))
    names = (name for template in row.issues for name in template.fill(sources))
    named = frozenset(f"issue:{name.upper()}" for name in names if _is_name(name))
    tags = frozenset(tag for template in row.tags for tag in template.fill(sources))
    if not (issues | named if row.issue or row.issues else _says_something(row.tags, tags)):
        return None
    everything = row.all_searches or not named <= issues
    subtasks = _subtasks(shown, sources["body"])
    tags = tags | issues | named | subtasks | ({"issues"} if issues or everything else frozenset())
    projects = _projects(shown) if subtasks else frozenset()
    return Change(tags, () if shown is None else (shown,), projects, everything=everything)


def _says_something(templates: Sequence[Template], tags: frozenset[str]) -> bool:
    """Tell whether any hole found something, or there is none."""
    fixed = {template.literals[0] for template in templates if not template.holes}
    return bool(tags - fixed) or len(fixed) == len(templates)


# The issue that the body shows. Of one that is only named nobody can tell what it is like, nor by its id where it is.


def _is_name(text: str) -> bool:
    return bool(_ID.fullmatch(text) or ISSUE_KEY.fullmatch(text))


def _shown(row: EventRow, body: Any) -> Changed | None:
    issue = body.get("issue") if isinstance(body, dict) else None
    view = _view(issue) if isinstance(issue, dict) else None
    return None if row.issue is None or view is None else _STATES[row.issue](view, body)


def _states(changed: Changed | None) -> tuple[Issue, ...]:
    return () if changed is None else tuple(state for state in (changed.before, changed.after) if state is not None)


def _view(issue: Mapping[str, Any]) -> Issue | None:
    id_, key, fields = (issue.get(each) for each in ("id", "key", "fields"))
    id_ = str(id_) if _ID.fullmatch(str(id_)) else ""
    key = key.upper() if isinstance(key, str) and ISSUE_KEY.fullmatch(key) else ""
    return issue_view(fields if isinstance(fields, dict) else {}, id=id_, key=key) if id_ or key else None


def _created(issue: Issue, _: Mapping[str, Any]) -> Changed:
    return Changed(None, issue)


def _changed(issue: Issue, body: Mapping[str, Any]) -> Changed:
    items = _items(body)
    if not items and body.get("issue_event_type_name") in _ONLY_SAID:
        return Changed(untouched(issue), issue)
    return Changed(before(issue, items), issue)


def _deleted(issue: Issue, _: Mapping[str, Any]) -> Changed:
    return Changed(issue, None)


def _touched(issue: Issue, _: Mapping[str, Any]) -> Changed:
    return Changed(untouched(issue), issue)


_STATES: Mapping[Shown, Callable[[Issue, Mapping[str, Any]], Changed]] = {
    Shown.CREATED: _created,
    Shown.CHANGED: _changed,
    Shown.DELETED: _deleted,
    Shown.TOUCHED: _touched,
}


def _items(body: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """Take the changelog's items; None unless all of them are as Jira writes them."""
    changelog = body.get("changelog")
    items = changelog.get("items") if isinstance(changelog, dict) else None
    return items if isinstance(items, list) and all(map(_is_item, items)) else None


def _is_item(item: Any) -> bool:
    return isinstance(item, dict) and all(isinstance(value, str | None) for value in item.values())


def _tags_of(issue: Issue) -> Iterator[str]:
    """Name an issue in every way that is known of it, and the lists of its project."""
    yield from _names(issue)
    if issue.key:
        yield f"project:{_project(issue)}:issues"
    project = issue.fields.get("project")
    if isinstance(project, dict) and _ID.fullmatch(str(project.get("id"))):
        yield f"project:{project['id']}:issues"


def _names(issue: Issue) -> list[str]:
    return [f"issue:{name}" for name in (issue.id, issue.key) if name]


def _project(issue: Issue) -> str:
    return issue.key.rpartition("-")[0]


# Subtasks are deleted and moved with their issue, and share its sprint and security level. Jira need not announce it.


def _subtasks(changed: Changed | None, body: Any) -> frozenset[str]:
    if changed is None or not (_is_gone(changed) or any(map(_is_inherited, _items(body) or ()))):
        return frozenset()
    listed = [state.fields.get("subtasks") for state in _states(changed)]
    several = [each for subtasks in listed if isinstance(subtasks, list) for each in subtasks]
    views = [_view(each) for each in several if isinstance(each, dict)]
    return frozenset(tag for view in views if view is not None for tag in _names(view))


def _is_gone(changed: Changed) -> bool:
    """Tell whether an issue was deleted or moved. One of which no former key is known may have been moved."""
    if changed.before is None:
        return False
    return changed.after is None or changed.before.key != changed.after.key


def _is_inherited(item: Mapping[str, Any]) -> bool:
    """Tell whether a field that was changed may be one that subtasks share. The sprint is one of the custom fields."""
    told = {str(item.get(name)).lower() for name in ("fieldId", "field")}
    return item.get("fieldtype") == "custom" or "security" in told or any(name.startswith(CUSTOM) for name in told)


def _projects(changed: Changed | None) -> frozenset[str]:
    """Name the projects that subtasks are in, and those that they left."""
    return frozenset(_project(state) for state in _states(changed) if state.key)
