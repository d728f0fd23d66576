"""A JQL query as values. `str` of any of them is canonical JQL that parses to the same value again.

Only the shape lives here. What a query means for an issue is told by matcher.py.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from policies.jql.words import spell_name, spell_text


class Operator(StrEnum):
    """What a clause does with its field."""

    EQUALS = "="
    NOT_EQUALS = "!="
    LIKE = "~"
    NOT_LIKE = "!~"
    LESS = "<"
    LESS_EQUAL = "<="
    GREATER = ">"
    GREATER_EQUAL = ">="
    IN = "IN"
    NOT_IN = "NOT IN"
    IS = "IS"
    IS_NOT = "IS NOT"
    WAS = "WAS"
    WAS_NOT = "WAS NOT"
    WAS_IN = "WAS IN"
    WAS_NOT_IN = "WAS NOT IN"
    CHANGED = "CHANGED"


@dataclass(frozen=True, slots=True)
class Property:
    """A look into a structured field: `[key].path.to.value`. Paths are kept without their leading dot."""

    key: str
    paths: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"[{spell_name(self.key)}]" + " ".join(spell_name(f".{path}") for path in self.paths)


@dataclass(frozen=True, slots=True)
class Field:
    """A field by the name the query gives it; a custom field by number is named `cf[10001]`."""

    name: str
    properties: tuple[Property, ...] = ()

    @property
    def number(self) -> str:
        """The number of a custom field that is named by number, else empty."""
        digits = self.name[3:-1]
        return digits if self.name == f"cf[{digits}]" and digits.isdecimal() and digits.isascii() else ""

    def __str__(self) -> str:
        name = self.name if self.number else spell_name(self.name)
        return name + "".join(map(str, self.properties))


@dataclass(frozen=True, slots=True)
class Empty:
    """EMPTY or NULL."""

    def __str__(self) -> str:
        return "EMPTY"


@dataclass(frozen=True, slots=True)
class Text:
    """A word or a quoted text."""

    text: str

    def __str__(self) -> str:
        return spell_text(self.text)


@dataclass(frozen=True, slots=True)
class Number:
    """A bare whole number. Jira takes it for an id first, for a name second."""

    number: int

    def __str__(self) -> str:
        return str(self.number)


@dataclass(frozen=True, slots=True)
class Call:
    """A function: only Jira knows what it stands for."""

    name: str
    arguments: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{spell_name(self.name)}({', '.join(map(spell_name, self.arguments))})"


Value = Empty | Text | Number | Call


@dataclass(frozen=True, slots=True)
class Values:
    """A list. A list within a list means the same as its members, so there are none."""

    values: tuple[Value, ...]

    def __str__(self) -> str:
        return f"({', '.join(map(str, self.values))})"


Operand = Value | Values


@dataclass(frozen=True, slots=True)
class Predicate:
    """What narrows a look into history: AFTER, BEFORE, ON, DURING, BY, FROM or TO something."""

    word: str
    operand: Operand

    def __str__(self) -> str:
        return f"{self.word} {self.operand}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A field as it is now, compared with an operand."""

    field: Field
    operator: Operator
    operand: Operand

    def __str__(self) -> str:
        return f"{self.field} {self.operator} {self.operand}"


@dataclass(frozen=True, slots=True)
class History:
    """A field as it once was (WAS, with an operand) or whether it changed (CHANGED, without)."""

    field: Field
    operator: Operator
    operand: Operand | None = None
    predicates: tuple[Predicate, ...] = ()

    def __str__(self) -> str:
        operand = () if self.operand is None else (self.operand,)
        return " ".join(map(str, (self.field, self.operator, *operand, *self.predicates)))


@dataclass(frozen=True, slots=True)
class Not:
    """What the clause does not match; see matcher.py for what that means of an empty field."""

    clause: "Clause"
    depth: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", depth(self.clause) + 1)

    def __str__(self) -> str:
        return f"NOT {_grouped(self.clause)}"


@dataclass(frozen=True, slots=True)
class And:
    """All of two or more clauses."""

    clauses: tuple["Clause", ...]
    depth: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", max(map(depth, self.clauses)) + 1)

    def __str__(self) -> str:
        return " AND ".join(map(_grouped, self.clauses))


@dataclass(frozen=True, slots=True)
class Or:
    """Any of two or more clauses."""

    clauses: tuple["Clause", ...]
    depth: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", max(map(depth, self.clauses)) + 1)

    def __str__(self) -> str:
        return " OR ".join(map(_grouped, self.clauses))


Clause = Comparison | History | Not | And | Or


@dataclass(frozen=True, slots=True)
class Sort:
    """One field to order by; `direction` is ASC, DESC or empty."""

    field: Field
    direction: str = ""

    def __str__(self) -> str:
        return f"{self.field} {self.direction}".rstrip()


@dataclass(frozen=True, slots=True)
class Query:
    """A whole query. Without `where` it asks for every issue there is."""

    where: Clause | None = None
    order: tuple[Sort, ...] = ()

    def __str__(self) -> str:
        where = () if self.where is None else (str(self.where),)
        order = (f"ORDER BY {', '.join(map(str, self.order))}",) if self.order else ()
        return " ".join(where + order)


def depth(clause: Clause) -> int:
    """How many levels of NOT, AND and OR stand above the deepest comparison."""
    match clause:
        case Not() | And() | Or():
            return clause.depth
        case Comparison() | History():
            return 0


def _grouped(clause: Clause) -> str:
    return f"({clause})" if isinstance(clause, And | Or) else str(clause)
