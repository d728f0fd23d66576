"""What is wrong with a query, in words for the person who wrote it."""

from collections.abc import Iterable

from lark import Token

_EXPECTED = (
    ({"EQUALS"}, "an operator"),
    ({"_AND", "ON"}, "AND, OR, a predicate or the end of the query"),
    ({"_AND", "_RPAR"}, 'AND, OR or ")"'),
    ({"_AND"}, "AND, OR or the end of the query"),
    ({"BANG"}, "a field"),
    ({"EMPTY", "IN"}, "a value or IN"),
    ({"EMPTY", "NOT"}, "EMPTY or NOT"),
    ({"EMPTY", "WORD"}, "a value"),
    ({"WORD", "_LPAR"}, "a list or a function"),
    ({"WORD", "_RPAR"}, 'an argument or ")"'),
    ({"WORD", "_CF"}, "a field"),
    ({"WORD"}, "a value"),
    ({"ASC", "_COMMA"}, 'ASC, DESC, "," or the end of the query'),
    ({"_COMMA", "_RPAR"}, '"," or ")"'),
    ({"_COMMA"}, '"," or the end of the query'),
    ({"_RPAR"}, 'AND, OR or ")"'),
    ({"_LPAR"}, '"("'),
    ({"$END"}, "the end of the query"),
    ({"EMPTY"}, "EMPTY"),
    ({"IN"}, "IN"),
    ({"BY"}, "BY"),
    ({"_LSQB"}, '"["'),
    ({"_RSQB"}, '"]"'),
    ({"POSITIVE"}, "the number of a custom field"),
)
"""What the parser could have gone on with -> how to say it. The first row whose terminals were all possible counts."""

_CHARACTERS = {
    '"': "the quoted text is not closed, or has an unknown escape or a control character in it",
    "'": "the quoted text is not closed, or has an unknown escape or a control character in it",
    "\\": "unknown escape",
}


class JqlError(ValueError):
    """A query that Jira would refuse. `line` and `column` count from 1; the message begins with them."""

    def __init__(self, problem: str, line: int, column: int) -> None:
        super().__init__(f"{line}:{column}: {problem}")
        self.line = line
        self.column = column


def bad_token(text: str, token: Token, accepted: Iterable[str]) -> JqlError:
    """Say what was expected in place of `token`."""
    could_be = set(accepted)
    expected = next((words for terminals, words in _EXPECTED if terminals <= could_be), "something else")
    if token.type == "$END":
        line, column = text.count("\n") + 1, len(text) - text.rfind("\n")
        return JqlError(f"expected {expected}, found the end of the query", line, column)
    return JqlError(f"expected {expected}, found {_shown(token)}", token.line or 1, token.column or 1)


def bad_character(char: str, line: int, column: int) -> JqlError:
    """Say why no word can begin with `char`."""
    problem = _CHARACTERS.get(char) or f"the character {char!a} must be inside quotes"
    return JqlError(problem, line, column)


def _shown(token: Token) -> str:
    return str(token) if token.type == "QUOTED" else f'"{token}"'
