"""Which projects the answers of a query can come from: the index by which live searches are found."""

from policies.jql.likeness import home
from policies.jql.query import And, Clause, Comparison, Number, Operand, Operator, Or, Query, Text, Values
from policies.jql.sources import USUAL, Site
from policies.jql.wanted import project_of

_ANY_OF = frozenset((Operator.EQUALS, Operator.IN))
_ISSUE_FIELDS = frozenset(("key", "id", "issue", "issuekey"))


def projects(query: Query, site: Site = USUAL) -> frozenset[str] | None:
    """Name the only projects that `query` can answer from, or None where that is not known.

    A project is named as the query does: by key, id or name, in upper case. An issue concerns the query only if one of
    `Issue.homes` is among them, or if its homes are not known.
    """
    return None if query.where is None else _projects(query.where, site)


def _projects(clause: Clause, site: Site) -> frozenset[str] | None:
    match clause:
        case And(clauses):
            return min(_known(clauses, site), key=len, default=None)
        case Or(clauses):
            known = _known(clauses, site)
            return frozenset().union(*known) if len(known) == len(clauses) else None
        case Comparison(field, operator, operand) if operator in _ANY_OF and not field.properties:
            return _named(field.name.lower(), operand, site)
        case _:
            return None


def _known(clauses: tuple[Clause, ...], site: Site) -> list[frozenset[str]]:
    """List what each of the clauses allows. Two names may be of one project: such sets cannot be intersected."""
    return [allowed for each in clauses if (allowed := _projects(each, site)) is not None]


def _named(field: str, operand: Operand, site: Site) -> frozenset[str] | None:
    values = operand.values if isinstance(operand, Values) else (operand,)
    if field == "project":
        names = [_project(value) for value in values]
    elif field in _ISSUE_FIELDS and site.keys_are_stable:
        names = [_project_of_issue(value) for value in values]
    else:
        return None
    return frozenset().union(*names) if all(names) else None


def _project(value: Operand) -> frozenset[str]:
    match value:
        case Text(text):
            return home(text)
        case Number(number):
            return home(str(number))
        case _:
            return frozenset()


def _project_of_issue(value: Operand) -> frozenset[str]:
    key = project_of(value.text) if isinstance(value, Text) else ""
    return frozenset((key,)) if key else frozenset()
