"""What a webhook's body shows of one field: nothing, emptiness, or identifiers that a literal may be held against."""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from typing import Any

from policies.jql.likeness import exact, fold
from policies.jql.wanted import HUGE, NOTHING, Kind, project_of

Fields = Mapping[str, Any]

ANY = frozenset(Kind)
_NO_KIND: frozenset[Kind] = frozenset()


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """A field that holds something.

    `exact` and `folds` are its identifiers, as in Wanted; `open` are the kinds of identifier it may have besides, not
    shown; `instant` is Unix time, of a field that is a date.
    """

    exact: frozenset[str] = NOTHING
    folds: frozenset[str] = NOTHING
    open: frozenset[Kind] = _NO_KIND
    instant: float | None = None

    def __or__(self, other: "Shown") -> "Shown":
        return Shown(self.exact | other.exact, self.folds | other.folds, self.open | other.open)


HIDDEN = Shown(open=ANY)
"""The body does not tell."""
VACANT = Shown()
"""The field is there and empty."""
OPAQUE = Shown(open=ANY)
"""The field holds something that we cannot read."""

# What Jira also calls the four status categories, by id: they differ between versions.
_CATEGORIES = {
    "1": ("undefined", "no category"),
    "2": ("new", "to do", "open"),
    "3": ("done", "complete", "completed"),
    "4": ("indeterminate", "in progress"),
}
_SPRINT = "greenhopper.service.sprint.Sprint@"
_SPRINT_ID = re.compile(r"[\[,]id=([0-9]+)[,\]]")
_SPRINT_NAME = re.compile(r",name=(.*?),(?:goal|startDate)=")
_OFFSET = re.compile(r"([+-][0-9]{2})([0-9]{2})$")


def show_entity(value: Any) -> Shown:
    """Show something with an id and a name: a status, a version, a component."""
    if not isinstance(value, dict):
        return OPAQUE
    return _identity("id", value.get("id"), Kind.ID) | _identity("name", value.get("name"), Kind.NAME)


def show_project(value: Any) -> Shown:
    """Show a project by id, key and name."""
    if not isinstance(value, dict):
        return OPAQUE
    return show_entity(value) | _identity("key", value.get("key"), Kind.KEY)


def show_issue(value: Any) -> Shown:
    """Show an issue by id and key."""
    if not isinstance(value, dict):
        return OPAQUE
    return _identity("id", value.get("id"), Kind.ID) | _identity("key", value.get("key"), Kind.KEY)


def show_category(value: Any) -> Shown:
    """Show the category of a status."""
    if not isinstance(value, dict):
        return OPAQUE
    aliases = frozenset(_CATEGORIES.get(str(value.get("id")), ()))
    key = value.get("key")
    keyed = Shown(folds=frozenset((fold(key),))) if isinstance(key, str) else OPAQUE
    return show_entity(value) | keyed | Shown(folds=aliases)


def show_label(value: Any) -> Shown:
    """Show a label, case and all."""
    return Shown(frozenset((f"name:{value}",)), frozenset((fold(value),))) if isinstance(value, str) else OPAQUE


def show_user(value: Any) -> Shown:
    """Show a user. On Cloud only account ids can be told apart; elsewhere login, full name and address say it all."""
    if not isinstance(value, dict):
        return OPAQUE
    names = [value.get(each) for each in ("accountId", "name", "key", "emailAddress", "displayName")]
    account, login, *_ = names
    sure = f"account:{account}" if account else f"login:{exact(login)}" if isinstance(login, str) else None
    folds = frozenset(fold(name) for name in names if isinstance(name, str))
    return Shown(frozenset((sure,)) if sure else NOTHING, folds, _unseen_of_user(value))


def _unseen_of_user(user: dict[str, Any]) -> frozenset[Kind]:
    """Say by what else the user may be called. An address may stand in the place of a login or a full name, too."""
    named = bool(user.get("displayName"))
    addressed = frozenset(() if named and "@" in str(user.get("emailAddress")) else (Kind.EMAIL,))
    if user.get("accountId"):
        return addressed | {Kind.LOGIN}
    return addressed if named and user.get("name") and user.get("key") else ANY


def show_date(value: Any) -> Shown:
    """Show a date or a date with time and offset, as Jira writes them."""
    if not isinstance(value, str):
        return OPAQUE
    try:
        moment = datetime.fromisoformat(_OFFSET.sub(r"\1:\2", value))
    except ValueError:
        return OPAQUE
    return Shown(instant=(moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def show_text(_: Any) -> Shown:
    """Show only that there is text: how Jira's search reads it is Jira's to know."""
    return OPAQUE


def show_custom(value: Any) -> Shown:
    """Show a custom field by the shape of its value; shapes that apps may have made up stay opaque."""
    match value:
        case bool():
            return OPAQUE
        case int() | float() if abs(value) < HUGE:
            number = float(value) + 0.0
            return Shown(frozenset((f"amount:{number!r}",)), frozenset((f"~{math.floor(number * 10)}",)))
        case {"self": str() as link}:
            return next((field(value) for part, field in _BY_LINK.items() if part in link), OPAQUE)
        case _:
            return OPAQUE


def _show_option(value: Any) -> Shown:
    """Show an option. Its id proves nothing, for another option's value may be spelt like it."""
    named = _identity("name", value.get("value", value.get("name")), Kind.NAME)
    folds = named.folds | _identity("id", value.get("id"), Kind.ID).folds
    return Shown(folds=folds, open=ANY) if "child" in value else Shown(named.exact, folds, named.open)


def show_sprints(fields: Fields) -> Shown:
    """Show the sprints of whichever custom field looks like them: its number differs from site to site."""
    found = [show_sprint(each) for value in fields.values() if is_sprints(value) for each in value]
    return reduce(Shown.__or__, found) if found else HIDDEN


def is_sprints(value: Any) -> bool:
    """Tell whether a custom field's value is a list of sprints, in the old form or the new."""
    return isinstance(value, list) and bool(value) and all(map(_is_sprint, value))


def _is_sprint(value: Any) -> bool:
    return (
        _SPRINT in value
        if isinstance(value, str)
        else isinstance(value, dict) and {"id", "name", "state"} <= set(value)
    )


def show_sprint(value: Any) -> Shown:
    """Show one sprint. Sprints of different boards may share a name."""
    if isinstance(value, dict):
        return show_entity(value)
    identifier, name = _SPRINT_ID.search(value), _SPRINT_NAME.search(value)
    shown = _identity("id", identifier and identifier[1], Kind.ID)
    return shown | _identity("name", name and name[1], Kind.NAME)


def show_epic(fields: Fields) -> Shown:
    """Show every issue that could be the epic: the parent and each custom field that holds an issue's key."""
    parent = fields.get("parent")
    keys = {str(parent.get("key"))} if isinstance(parent, dict) else set()
    keys |= {value for name, value in fields.items() if name.startswith("customfield_") and is_key(value)}
    return Shown(folds=frozenset(map(fold, keys)))


def is_key(value: Any) -> bool:
    """Tell whether a custom field's value is an issue's key."""
    return isinstance(value, str) and bool(project_of(value))


def show(field: Callable[[Any], Shown], value: Any) -> Shown:
    """Show a field's value, or each value of a field that holds several."""
    if value is None or value in ([], ""):
        return VACANT
    return every(field, value) if isinstance(value, list) else field(value)


def every(field: Callable[[Any], Shown], values: Iterable[Any]) -> Shown:
    """Show several values as one: each of them may be the one asked for."""
    return reduce(Shown.__or__, map(field, values))


def _identity(tag: str, value: Any, kind: Kind) -> Shown:
    if value is None or value == "":
        return Shown(open=frozenset((kind,)))
    text = str(value)
    return Shown(frozenset((f"{tag}:{exact(text)}",)), frozenset((fold(text),)))


_BY_LINK = {"/customFieldOption/": _show_option, "/version/": _show_option, "/user?": show_user}
