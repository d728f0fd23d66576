"""An issue as a webhook shows it: every field known, empty or hidden."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from policies.jql.likeness import home
from policies.jql.shown import (
    HIDDEN,
    Fields,
    Shown,
    show,
    show_category,
    show_custom,
    show_date,
    show_entity,
    show_epic,
    show_issue,
    show_label,
    show_project,
    show_sprints,
    show_text,
    show_user,
)

CUSTOM = "customfield_"

_SHAPES: dict[str, Callable[[Any], Shown]] = {
    "project": show_project,
    "issuetype": show_entity,
    "status": show_entity,
    "resolution": show_entity,
    "priority": show_entity,
    "assignee": show_user,
    "reporter": show_user,
    "creator": show_user,
    "labels": show_label,
    "components": show_entity,
    "fixVersions": show_entity,
    "versions": show_entity,
    "parent": show_issue,
    "created": show_date,
    "updated": show_date,
    "duedate": show_date,
    "resolutiondate": show_date,
    "summary": show_text,
    "description": show_text,
    "environment": show_text,
}
"""Field of an issue's body -> how its value is shown."""


class _Views(dict[str, Shown]):
    """What the issue shows, by field: worked out when a query first asks, for most fields are never asked for."""

    __slots__ = ("_fields", "_whole")

    def __init__(self, identity: Shown, fields: Fields, *, whole: bool) -> None:
        super().__init__({"key": identity})
        self._fields = fields
        self._whole = whole

    def __missing__(self, name: str) -> Shown:
        self[name] = shown = self._show(name)
        return shown

    def _show(self, name: str) -> Shown:
        match name:
            case "statusCategory":
                status = self._fields.get("status")
                category = status.get("statusCategory") if isinstance(status, dict) else None
                return show_category(category) if category else HIDDEN
            case "sprint":
                return show_sprints(self._fields)
            case "epic":
                return show_epic(self._fields) if self._whole else HIDDEN
            case _ if name in self._fields:
                return show(_SHAPES.get(name, show_custom), self._fields[name])
            case _:
                return HIDDEN


@dataclass(frozen=True, slots=True, eq=False)
class Issue:
    """One state of an issue. `key` is empty where it is not known; a field that `fields` lacks is hidden, not empty.

    `whole` says that every custom field that holds something is among `fields`.
    """

    id: str
    key: str
    fields: Fields
    whole: bool = False
    shown: Mapping[str, Shown] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        identity = show_issue({"id": self.id, "key": self.key})
        object.__setattr__(self, "shown", _Views(identity, self.fields, whole=self.whole))

    @property
    def homes(self) -> frozenset[str] | None:
        """The project's key, id and name as `projects` of a query spells them; None where one of them is hidden."""
        project = self.fields.get("project")
        names = [project.get(each) for each in ("id", "key", "name")] if isinstance(project, dict) else [None]
        if not all(names):
            return None
        return frozenset().union(*(home(str(name)) for name in names))


def issue_view(fields: Fields, *, id: str, key: str) -> Issue:  # noqa: A002 - Jira's own word for it
    """Show the issue of a webhook's body: its `fields`, `id` and `key`."""
    return Issue(id, key, fields, whole=any(name.startswith(CUSTOM) for name in fields))
