"""Turns what the grammar recognised into the values of query.py, as it is recognised: there is no tree in between."""

from typing import cast

from lark import Token, Transformer

from policies.jql.errors import JqlError
from policies.jql.query import (
    And,
    Call,
    Clause,
    Comparison,
    Empty,
    Field,
    History,
    Not,
    Number,
    Operand,
    Operator,
    Or,
    Predicate,
    Property,
    Query,
    Sort,
    Text,
    Value,
    Values,
    depth,
)
from policies.jql.words import unescape

DEEPEST = 100
"""Levels of NOT, AND and OR that are read. Everything that walks a query recurses; no person nests so deep."""

_LONG = range(-(2**63), 2**63)
_START = Token("WORD", "", line=1, column=1)


class Builder(Transformer[Token, Query]):
    """One method per rule of the grammar."""

    def start(self, children: list[object]) -> Query:
        where, order = children
        return Query(cast("Clause | None", where), cast("tuple[Sort, ...] | None", order) or ())

    def disjunction(self, clauses: list[Clause]) -> Clause:
        return clauses[0] if len(clauses) == 1 else _bounded(Or(tuple(clauses)))

    def conjunction(self, clauses: list[Clause]) -> Clause:
        return clauses[0] if len(clauses) == 1 else _bounded(And(tuple(clauses)))

    def negated(self, children: list[Clause]) -> Clause:
        return _bounded(Not(children[-1]))

    def comparison(self, children: list[object]) -> Comparison:
        field, operator, operand = children
        return Comparison(cast("Field", field), cast("Operator", operator), cast("Operand", operand))

    def history(self, children: list[object]) -> History:
        field, operator, *rest = children
        predicates = tuple(each for each in rest if isinstance(each, Predicate))
        operand = cast("Operand", rest[0]) if len(rest) > len(predicates) else None
        return History(cast("Field", field), cast("Operator", operator), operand, predicates)

    def predicate(self, children: list[object]) -> Predicate:
        word, operand = children
        return Predicate(str(word).upper(), cast("Operand", operand))

    def operator(self, tokens: list[Token]) -> Operator:
        return Operator(" ".join(tokens).upper())

    def values(self, operands: list[Operand]) -> Values:
        return Values(tuple(value for operand in operands for value in _flat(operand)))

    def call(self, children: list[object]) -> Call:
        name, arguments = children
        return Call(_nonblank(name, "a function"), cast("tuple[str, ...] | None", arguments) or ())

    def arguments(self, names: list[Token]) -> tuple[str, ...]:
        return tuple(map(str, names))

    def empty(self, _: list[Token]) -> Empty:
        return Empty()

    def text(self, tokens: list[Token]) -> Text:
        return Text(_plain(tokens[0]))

    def number(self, tokens: list[Token]) -> Number:
        number = int(tokens[0])
        if number not in _LONG:
            raise _error(f"{tokens[0]} is too large a number", tokens[0])
        return Number(number)

    def name(self, tokens: list[Token]) -> Token:
        return tokens[0].update(value=_plain(tokens[0]))

    def named_field(self, children: list[object]) -> Field:
        name, *properties = children
        return Field(_nonblank(name, "a field"), tuple(cast("list[Property]", properties)))

    def numbered_field(self, children: list[object]) -> Field:
        number, *properties = children
        return Field(f"cf[{int(str(number))}]", tuple(cast("list[Property]", properties)))

    def property(self, tokens: list[Token]) -> Property:
        key, *paths = tokens
        return Property(str(key), tuple(map(_path, paths)))

    def sorting(self, children: list[object]) -> tuple[Sort, ...]:
        return tuple(each for each in children if isinstance(each, Sort))

    def sort(self, children: list[object]) -> Sort:
        field, direction = children
        return Sort(cast("Field", field), str(direction or "").upper())


def _bounded(clause: Clause) -> Clause:
    if depth(clause) > DEEPEST:
        raise _error(f"the query nests more than {DEEPEST} levels", _START)
    return clause


def _plain(token: Token) -> str:
    return unescape(token[1:-1] if token.type == "QUOTED" else token)


def _flat(operand: Operand) -> tuple[Value, ...]:
    return operand.values if isinstance(operand, Values) else (operand,)


def _nonblank(name: object, what: str) -> str:
    token = cast("Token", name)
    if not token.strip():
        raise _error(f"expected {what}, found a blank name", token)
    return str(token)


def _path(token: Token) -> str:
    plain = _plain(token)
    if not plain.startswith(".") or plain[1:2] in {"", "."}:
        raise _error(f'expected an operator or a path such as ".name", found {token}', token)
    return plain[1:]


def _error(problem: str, token: Token) -> JqlError:
    return JqlError(problem, token.line or 1, token.column or 1)
