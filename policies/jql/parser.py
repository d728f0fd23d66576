"""From JQL text to a Query, or to an error that says where and what was expected.

The grammar is package data, read and built once at first use: the one thing in the law that touches a file.
"""

from functools import cache
from importlib.resources import files

from lark import Lark, Token, UnexpectedCharacters, UnexpectedToken

from policies.jql.builder import Builder
from policies.jql.errors import JqlError, bad_character, bad_token
from policies.jql.query import Query
from policies.jql.words import KEYWORDS, is_number, is_reserved, unescape


def parse(text: str) -> Query:
    """Read `text` as Jira would; raise JqlError where Jira would refuse it."""
    try:
        query = _lark().parse(text)
    except UnexpectedToken as error:
        raise bad_token(text, error.token, error.accepts or error.expected) from error
    except UnexpectedCharacters as error:
        raise bad_character(error.char, error.line, error.column) from error
    assert isinstance(query, Query)  # noqa: S101 - the builder makes it; lark's types cannot know
    return query


@cache
def _lark() -> Lark:
    grammar = files(__package__).joinpath("grammar.lark").read_text(encoding="utf-8")
    return Lark(
        grammar,
        parser="lalr",
        lexer="basic",
        transformer=Builder(),
        lexer_callbacks={"WORD": _classify},
        maybe_placeholders=True,
    )


def _classify(token: Token) -> Token:
    """Give a bare word its terminal, as Jira's lexer does: by the whole word."""
    keyword = KEYWORDS.get(token.lower())
    if keyword is not None:
        return token.update(type=keyword)
    if is_number(token):
        return token.update(type="NEGATIVE" if token.startswith("-") else "POSITIVE")
    if is_reserved(unescape(token)):
        raise JqlError(f'"{token}" is a reserved word and must be quoted', token.line or 1, token.column or 1)
    return token.update(type="PATH") if token.startswith(".") else token
