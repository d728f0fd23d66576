"""What an operator wants Jira to be asked for anew.

A purge by tag, type or project, or of everything, is a change like any other: it costs a line in the ledger for each
tag, whatever the cache holds, and also what is under way is not served as fresh. Only a pattern looks through all keys.
"""

import difflib
import logging
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, assert_never

import orjson

from policies.change import Change
from policies.model import EVERYTHING
from policies.names import Names
from policies.searches import ISSUES
from proxy.changes import Changes
from proxy.stores.failopen import FailOpen
from proxy.units import shown

log = logging.getLogger(__name__)

_TAG = re.compile(r"\*|[a-z]+(:[^\s:*][^*\x00-\x1f\x7f]*)?")  # a glob is not a tag
_IN_CAPITALS = re.compile(r"(issue|project):[^:]+")
_ISSUES_OF = re.compile(r"project:(\w+):issues")
_PROJECT = re.compile(r"\w+")
_LONGEST = 512
_MOST_TAGS = 1000


class PurgeError(ValueError):
    """A purge that cannot be done as it was ordered. The message says why, in one line."""


@dataclass(frozen=True, slots=True)
class Tags:
    """All that carries one of these tags."""

    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Type:
    """All answers of one type."""

    name: str


@dataclass(frozen=True, slots=True)
class Project:
    """All that speaks of a project, by key or id, and all searches that may show an issue of it."""

    key: str


@dataclass(frozen=True, slots=True)
class Everything:
    """All answers of the tenant."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """All answers whose key (`issue:PROJ-1:...`) fits a glob."""

    glob: str


Tagged = Tags | Type | Project | Everything
"""The purges that are changes."""


class Purger:
    """Purges for one tenant."""

    def __init__(self, store: FailOpen, changes: Changes, names: Names) -> None:
        self._store = store
        self._changes = changes
        self._names = names

    async def purge(self, purge: Tagged | Pattern) -> int | None:
        """Do it. Returns how many answers were forgotten where they are counted: by pattern. Raises StoreError."""
        if isinstance(purge, Pattern):
            forgotten = await self._store.forget(purge.glob)
            self._changes.forgot(purge.glob)
            return forgotten
        await self._changes.record(change(purge, self._names), "purge")
        return None


class Known(Protocol):
    """What there is to be named: types of answers, and kinds of tags (`issue` of `issue:PROJ-1`)."""

    @property
    def types(self) -> Collection[str]: ...

    @property
    def kinds(self) -> Collection[str]: ...


class Purges:
    """Takes orders, which are parsed JSON: `{"tenant": ..., "tags": [...]}` and the like."""

    def __init__(self, purgers: Mapping[str, Purger], known: Callable[[], Known]) -> None:
        self._purgers = purgers
        self._known = known

    @property
    def tenants(self) -> Collection[str]:
        """Whose answers there are to purge."""
        return self._purgers.keys()

    @property
    def types(self) -> Collection[str]:
        """What types of answers there are to purge."""
        return self._known().types

    async def order(self, order: Any) -> dict[str, Any]:
        """Purge, and tell what was purged. Raises PurgeError, and nothing was done; StoreError."""
        if not isinstance(order, dict):
            raise PurgeError("a purge is a JSON object")
        given = {name: value for name, value in order.items() if name != "tenant"}
        purge = parse(given, self._known())
        tenant = self._tenant(order.get("tenant"))
        forgotten = await self._purgers[tenant].purge(purge)
        log.info("purged %s", orjson.dumps(given).decode(), extra={"tenant": tenant})
        return {"tenant": tenant, "purged": given, "forgotten": forgotten}

    def _tenant(self, name: Any) -> str:
        known = ", ".join(self._purgers)
        if name is None:
            if len(self._purgers) > 1:
                raise PurgeError(f"which tenant? (known: {known})")
            return next(iter(self._purgers))
        if not isinstance(name, str) or name not in self._purgers:
            raise PurgeError(f"tenant {shown(name)} is not known (known: {known})")
        return name


def parse(given: Mapping[str, Any], known: Known) -> Tagged | Pattern:
    """Read what is to be purged. PurgeError for anything but exactly one kind of purge, of the right form."""
    kinds = ", ".join(_KINDS)
    if unknown := ", ".join(sorted(name for name in given if name not in _KINDS)):
        raise PurgeError(f"{shown(unknown)} is not a kind of purge (known: {kinds})")
    if len(given) != 1:
        raise PurgeError(f"give exactly one of {kinds}")
    [(kind, value)] = given.items()
    purge = _KINDS[kind](value)
    if isinstance(purge, Type) and purge.name not in known.types:
        raise PurgeError(f"type {shown(purge.name)} is not known (known: {', '.join(sorted(known.types))})")
    if isinstance(purge, Tags):
        _refuse_unknown(purge.tags, known.kinds)
    return purge


def _refuse_unknown(tags: Iterable[str], kinds: Collection[str]) -> None:
    """Refuse a tag that no answer can carry, because no rule has any of its kind: that is a slip of the pen."""
    for tag in tags:
        kind = tag.partition(":")[0]
        if kind not in kinds:
            near = difflib.get_close_matches(kind, kinds, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise PurgeError(f"{shown(tag)} is no tag that an answer can have{hint}")


def _tags(value: Any) -> Tags:
    if not isinstance(value, list) or not value or len(value) > _MOST_TAGS:
        raise PurgeError(f"tags should be a list of 1 to {_MOST_TAGS} tags")
    for tag in value:
        if not isinstance(tag, str) or len(tag) > _LONGEST or not _TAG.fullmatch(tag):
            raise PurgeError(f"{shown(tag)} is not a tag (try issue:PROJ-1, project:PROJ, users)")
    return Tags(tuple(dict.fromkeys(_IN_CAPITALS.sub(_raised, tag, count=1) for tag in value)))


def _raised(named: re.Match[str]) -> str:
    kind, _, name = named[0].partition(":")
    return f"{kind}:{name.upper()}"


def _type(value: Any) -> Type:
    return Type(_text("type", value))


def _project(value: Any) -> Project:
    key = _text("project", value)
    if not _PROJECT.fullmatch(key):
        raise PurgeError(f"{shown(key)} is not a project's key")
    return Project(key.upper())


def _pattern(value: Any) -> Pattern:
    return Pattern(_text("pattern", value))


def _everything(value: Any) -> Everything:
    if value is not True:
        raise PurgeError("all should be true")
    return Everything()


def _text(kind: str, value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST or not value.isprintable():
        raise PurgeError(f"{kind} should be text, of 1 to {_LONGEST} characters")
    return value


_KINDS: Mapping[str, Callable[[Any], Tagged | Pattern]] = {
    "tags": _tags,
    "type": _type,
    "project": _project,
    "pattern": _pattern,
    "all": _everything,
}


def change(purge: Tagged, names: Names) -> Change:
    """Tell the change that a purge stands for."""
    match purge:
        case Everything():
            return Change(frozenset({EVERYTHING}))
        case Type(name):
            return Change(frozenset({f"type:{name}"}))
        case Tags(tags):
            # A search that we understand is a list of issues too, although it does not carry these tags.
            keys = {_key(f"project:{named[1]}", names) for tag in tags if (named := _ISSUES_OF.fullmatch(tag))}
            projects = frozenset(key for key in keys if key)
            return Change(frozenset(tags), projects=projects, everything=ISSUES in tags or None in keys)
        case Project(key):
            return _of_project(key, names)
        case never:
            assert_never(never)


def _of_project(key: str, names: Names) -> Change:
    """Name a project by key and id, its issues, and the lists of which nobody knows what they may show.

    Where its other name is unknown, anything of the type may speak of it by that.
    """
    given = f"project:{key}"
    other = names.key_of(given) or names.id_of(given)
    named = {given, other} if other else {given}
    tags = named | {f"{name}:issues" for name in named} | {ISSUES} | (set() if other else {"type:project"})
    its_key = _key(given, names)
    return Change(frozenset(tags), projects=frozenset({its_key} if its_key else ()), everything=its_key is None)


def _key(project: str, names: Names) -> str | None:
    """Tell the key of a project, named as a tag by key or id; None if unknown."""
    name = project.removeprefix("project:")
    by_key = names.key_of(project) if name.isdigit() else project
    return by_key and by_key.removeprefix("project:")
