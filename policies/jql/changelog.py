"""Winds an issue back to what it was before a change, by the changelog that a webhook brings.

A field is carried over only if every change of it would have been listed; what is listed is wound back only if the list
agrees with what the issue shows now. Everything else becomes hidden.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from policies.jql.issue import CUSTOM, Issue
from policies.jql.shown import is_key, is_sprints
from policies.jql.wanted import is_account, project_of

Item = Mapping[str, Any]

_PERMANENT = frozenset(("created", "creator"))
_LISTED = frozenset(
    (
        "assignee",
        "components",
        "duedate",
        "fixVersions",
        "issuetype",
        "labels",
        "parent",
        "priority",
        "project",
        "reporter",
        "resolution",
        "status",
        "versions",
    )
)
"""Fields that do not change without an item in the changelog. The date of resolution changes with the resolution."""

_NAMES = {
    "assignee": "assignee",
    "component": "components",
    "duedate": "duedate",
    "fix version": "fixVersions",
    "issuetype": "issuetype",
    "key": "key",
    "labels": "labels",
    "priority": "priority",
    "project": "project",
    "reporter": "reporter",
    "resolution": "resolution",
    "status": "status",
    "version": "versions",
    "issueparentassociation": "parent",
    "parent": "parent",
    "epic link": "parent",
    # no query is decided by these
    "attachment": "",
    "comment": "",
    "description": "",
    "environment": "",
    "link": "",
    "rank": "",
    "summary": "",
    "timeestimate": "",
    "timeoriginalestimate": "",
    "timespent": "",
    "workflow": "",
    "worklogid": "",
}
"""`field` of an item, lower case -> field of the issue, for items without `fieldId`: old Servers, and some on Cloud."""

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_UNSURE = object()
"""In place of a value that cannot be wound back."""


class _ContradictedError(Exception):
    """The issue shows another value than the changelog says it was given: it shows a later state."""


def before(issue: Issue, items: Sequence[Item] | None) -> Issue:
    """Wind `issue`, as shown after a change, back by `changelog.items`.

    Without items nothing is known but what never changes: updates come without a changelog, or with an empty one,
    though fields have changed. Where the event says that none has, use `untouched`.
    """
    changes = _by_field(items or ())
    try:
        return _wound_back(issue, changes) if changes else _unseen(issue)
    except _ContradictedError:
        return _unseen(issue)


def untouched(issue: Issue) -> Issue:
    """Wind `issue` back over an event that changes no field but `updated`: a comment, a worklog, an attachment."""
    return _wound_back(issue, {})


def _unseen(issue: Issue) -> Issue:
    return Issue(issue.id, "", {name: issue.fields[name] for name in _PERMANENT & issue.fields.keys()})


def _by_field(items: Iterable[Item]) -> dict[str, list[Item]]:
    """Group items by the field they change; nothing where one of them cannot be told."""
    changes: defaultdict[str, list[Item]] = defaultdict(list)
    for item in items:
        name = _field(item)
        if name is None:
            return {}
        changes[name].append(item)
    return dict(changes)


def _field(item: Item) -> str | None:
    named = _NAMES.get(str(item.get("field")).lower())
    if named == "key":
        return named
    identifier = item.get("fieldId")
    if isinstance(identifier, str) and identifier:
        return identifier
    return CUSTOM if item.get("fieldtype") == "custom" else named


def _wound_back(issue: Issue, changes: Mapping[str, Sequence[Item]]) -> Issue:
    key, place = _place(issue, changes)
    fields = {name: value for name, value in issue.fields.items() if _carries(name, value, changes)} | place
    for name, rewind in _REWINDS.items():
        if name in changes and name in issue.fields:
            fields[name] = rewind(changes[name], issue.fields[name])
    known = {name: value for name, value in fields.items() if value is not _UNSURE}
    whole = issue.whole and not any(name == "parent" or name.startswith(CUSTOM) for name in changes)
    return Issue(issue.id, key, known, whole)


def _place(issue: Issue, changes: Mapping[str, Sequence[Item]]) -> tuple[str, dict[str, Any]]:
    """Wind back the key and the project: they change together, in a move, or not at all."""
    if not {"key", "project"} & changes.keys():
        return issue.key, {}
    if not {"key", "project"} <= changes.keys() or "project" not in issue.fields:
        return "", {}
    key = changes["key"][0].get("fromString")
    project = _rewind_entity(changes["project"], issue.fields["project"])
    _agree(changes["key"][-1].get("toString"), issue.key)
    if not isinstance(key, str) or not project_of(key) or not isinstance(project, dict):
        return "", {}
    return key, {"project": project | {"key": project_of(key)}}


def _carries(name: str, value: Any, changes: Mapping[str, object]) -> bool:
    """Tell whether a field surely had the value before that it has now."""
    if name.startswith(CUSTOM):
        return name not in changes and CUSTOM not in changes and _is_chosen(value)
    if name == "resolutiondate":
        return not {"resolution", "status", name} & changes.keys()
    if name == "project":
        return not {"project", "key"} & changes.keys()
    return name in _PERMANENT or (name in _LISTED and name not in changes)


def _is_chosen(value: Any) -> bool:
    """Tell whether a custom field holds what somebody chose: a computed one changes without being listed."""
    match value:
        case list():
            return is_sprints(value) or (bool(value) and all(map(_is_chosen, value)))
        case {"self": str() as link}:
            return "/customFieldOption/" in link or "/version/" in link
        case _:
            return is_key(value)


def _rewind_entity(items: Sequence[Item], now: Any) -> Any:
    """Wind back a field that holds one thing. Its old name is trusted if the new one is told as the issue shows it."""
    first, last = items[0], items[-1]
    _agree(_text(last.get("to")), _text(_part(now, "id")))
    if first.get("from") is None:
        return None if not first.get("fromString") else _UNSURE
    named = now is None or _part(now, "name") == last.get("toString")
    return {"id": _text(first["from"])} | ({"name": first.get("fromString")} if named else {})


def _rewind_user(items: Sequence[Item], now: Any) -> Any:
    first, last = items[0], items[-1]
    told = {last.get("to"), last.get("tmpToAccountId")}
    if not told & ({_part(now, each) for each in ("accountId", "key", "name")} - {None} or {None}):
        raise _ContradictedError
    if first.get("from") is None:
        return None if not first.get("fromString") else _UNSURE
    account = first.get("tmpFromAccountId") or (first["from"] if is_account(str(first["from"])) else None)
    identity = {"accountId": account} if account else {"key": first["from"]}
    return identity | {"displayName": first.get("fromString")}


def _rewind_entities(items: Sequence[Item], now: Any) -> Any:
    """Wind back a field that holds many things: each item took one away, brought one, or both."""
    then = {_text(_part(each, "id")): each for each in _several(now)}
    for item in reversed(items):
        gone, come = _text(item.get("from")), _text(item.get("to"))
        if come is not None and then.pop(come, None) is None:
            raise _ContradictedError
        if gone is not None:
            then[gone] = {"id": gone, "name": item.get("fromString")}
        elif item.get("fromString"):
            return _UNSURE
    return list(then.values())


def _rewind_labels(items: Sequence[Item], now: Any) -> Any:
    _agree(sorted(str(items[-1].get("toString") or "").split()), sorted(map(str, _several(now))))
    return str(items[0].get("fromString") or "").split()


def _rewind_day(items: Sequence[Item], now: Any) -> Any:
    _agree(_day(items[-1], "to"), now)
    return _day(items[0], "from")


_REWINDS: dict[str, Callable[[Sequence[Item], Any], Any]] = {
    "issuetype": _rewind_entity,
    "status": _rewind_entity,
    "resolution": _rewind_entity,
    "priority": _rewind_entity,
    "assignee": _rewind_user,
    "reporter": _rewind_user,
    "components": _rewind_entities,
    "fixVersions": _rewind_entities,
    "versions": _rewind_entities,
    "labels": _rewind_labels,
    "duedate": _rewind_day,
}


def _day(item: Item, side: str) -> Any:
    """Read the date of one side of an item: in its id or at the head of its text."""
    told = [str(value) for value in (item.get(side), item.get(f"{side}String")) if value]
    match = _DAY.match(told[0]) if told else None
    return match[0] if match else (_UNSURE if told else None)


def _part(value: Any, name: str) -> Any:
    """Take a part of what may be nothing; anything but a thing with parts is no shape that Jira shows."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise _ContradictedError
    return value.get(name)


def _several(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _ContradictedError
    return value


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _agree(told: object, shown: object) -> None:
    if told != shown:
        raise _ContradictedError
