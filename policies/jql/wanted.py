"""What a literal of a query may stand for, by the kind of field it is compared with."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from policies.jql.dates import Window
from policies.jql.likeness import exact, fold, spellings
from policies.jql.query import Number, Text

NOTHING: frozenset[str] = frozenset()


class Kind(Enum):
    """The kinds of identifier by which a query may name a thing."""

    ID = "id"
    KEY = "key"
    NAME = "name"
    ACCOUNT = "account"
    EMAIL = "email"
    LOGIN = "login"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a clause asks for, of one literal or of a whole list.

    `exact` are identifiers that settle it when the issue shows one of them, tagged by kind; `folds` those that might;
    `kinds` is what the literals may be meant as; `windows` are the moments that dates may mean; `undecided` says
    that nothing can rule the clause out; `empty` that an empty field is asked for.
    """

    exact: frozenset[str] = NOTHING
    folds: frozenset[str] = NOTHING
    kinds: frozenset[Kind] = frozenset()
    windows: tuple[Window, ...] = ()
    undecided: bool = False
    empty: bool = False

    @classmethod
    def any_of(cls, wanted: Sequence["Wanted"]) -> "Wanted":
        """Ask for what any of `wanted` asks for. At once, since lists of thousands of keys are not rare."""
        return cls(
            NOTHING.union(*(one.exact for one in wanted)),
            NOTHING.union(*(one.folds for one in wanted)),
            frozenset[Kind]().union(*(one.kinds for one in wanted)),
            tuple(window for one in wanted for window in one.windows),
            any(one.undecided for one in wanted),
            any(one.empty for one in wanted),
        )


Literal = Text | Number

UNDECIDED = Wanted(undecided=True)
EMPTY = Wanted(empty=True)

HUGE = 1e300
"""Numbers that are not smaller than this are not compared."""

_ID_OR_NAME = frozenset((Kind.ID, Kind.NAME))
_ISSUE_KEY = re.compile(r"\s*([A-Za-z][A-Za-z0-9_]*)-([0-9]+)\s*")
_ACCOUNT = re.compile(r"[0-9a-f]{24}|[0-9]+:[0-9a-f-]{36}|(?:qm|ug|unknown):.+")


def is_account(text: str) -> bool:
    """Tell whether `text` has the shape of an Atlassian account id."""
    return _ACCOUNT.fullmatch(text) is not None


def project_of(key: str) -> str:
    """Take the project's key out of an issue's key, upper case; empty when it is not one."""
    match = _ISSUE_KEY.fullmatch(key)
    return match[1].upper() if match else ""


def want_entity(literal: Literal) -> Wanted:
    """Read something with an id and a name. A bare number is an id first; a text is a name first."""
    if isinstance(literal, Number):
        return Wanted(frozenset((f"id:{literal.number}",)), frozenset((str(literal.number),)), _ID_OR_NAME)
    return Wanted(frozenset((f"name:{exact(literal.text)}",)), spellings(literal.text), _ID_OR_NAME)


def want_resolution(literal: Literal) -> Wanted:
    """Read a resolution. `Unresolved` stands for no resolution, unless the site has a resolution of that name."""
    entity = want_entity(literal)
    if "unresolved" not in entity.folds:
        return entity
    return Wanted(folds=entity.folds, kinds=entity.kinds, empty=True)


def want_project(literal: Literal) -> Wanted:
    """Read a project by key, name or id; a name that another project's key could shadow is never certain."""
    if isinstance(literal, Number):
        return want_entity(literal)
    text = literal.text
    certain = {f"key:{exact(text)}"} | ({f"name:{exact(text)}"} if " " in text else set())
    return Wanted(frozenset(certain), spellings(text), frozenset((Kind.KEY, Kind.NAME, Kind.ID)))


def want_issue(literal: Literal) -> Wanted:
    """Read an issue by key or by id."""
    if isinstance(literal, Number):
        return Wanted(frozenset((f"id:{literal.number}",)), frozenset((str(literal.number),)), frozenset((Kind.ID,)))
    certain = frozenset((f"key:{exact(literal.text)}",)) if project_of(literal.text) else NOTHING
    return Wanted(certain, spellings(literal.text), frozenset((Kind.KEY, Kind.ID)))


def want_epic(literal: Literal) -> Wanted:
    """Read an epic: only its key can be told apart from what an issue shows, for epics have names as well."""
    if isinstance(literal, Number) or not project_of(literal.text):
        return UNDECIDED
    return Wanted(folds=spellings(literal.text), kinds=frozenset((Kind.KEY,)))


def want_label(literal: Literal) -> Wanted:
    """Read a label. Whether case counts differs between products."""
    text = str(literal.number) if isinstance(literal, Number) else literal.text
    return Wanted(frozenset((f"name:{text}",)), frozenset((fold(text),)), frozenset((Kind.NAME,)))


def want_user(literal: Literal) -> Wanted:
    """Read a user, by whatever the site lets users be called."""
    text = str(literal.number) if isinstance(literal, Number) else literal.text
    certain = frozenset((f"account:{text}", f"login:{exact(text)}"))
    return Wanted(certain, frozenset((fold(text),)), frozenset((_user_kind(text),)))


def want_custom(literal: Literal) -> Wanted:
    """Read a value of a custom field whose type is seen only when an issue shows it."""
    if isinstance(literal, Number):
        text, named = str(literal.number), Wanted(folds=frozenset((str(literal.number),)), kinds=_ID_OR_NAME)
    else:
        text, named = literal.text, want_entity(literal)
    return Wanted.any_of([named, want_user(literal), want_amount(text)])


def want_amount(text: str) -> Wanted:
    """Read a number, if `text` is one. Jira's index keeps fewer digits than its answers: near numbers may be equal."""
    try:
        number = float(text) + 0.0
    except ValueError:
        return Wanted()
    if not abs(number) < HUGE:
        return UNDECIDED
    tenth = math.floor(number * 10)
    return Wanted(frozenset((f"amount:{number!r}",)), frozenset(f"~{each}" for each in (tenth - 1, tenth, tenth + 1)))


def _user_kind(text: str) -> Kind:
    if is_account(text):
        return Kind.ACCOUNT
    return Kind.EMAIL if "@" in text else Kind.LOGIN
