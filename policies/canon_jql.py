"""The canonical spelling of a JQL text: white space and the case of keywords, and nothing inside quotes."""

import re

from policies.jql.words import KEYWORDS

# What stands together without white space is one token; so white space between two tokens is all that parts them, and
# "> =" does not become ">=". An escape keeps what follows it inside its word. The last line is what ends no token.
# What is possessive is single characters alone: Python before 3.11.5 loses its place in possessive groups (gh-106052).
_TOKEN = re.compile(
    r"""(?: [^ \t\r\n"'=!<>~(),\\]++ | \\. | "[^"\\]*+(?:\\.[^"\\]*+)*" | '[^'\\]*+(?:\\.[^'\\]*+)*' )+
      | [=!<>~]++
      | [(),]
      | ["'\\]""",
    re.DOTALL | re.VERBOSE,
)
_BROKEN = frozenset("\"'\\")


def canonical_jql(jql: str) -> str:
    """Spell `jql` as every text of the same tokens is spelled; one with a quote that does not end stays verbatim."""
    tokens = _TOKEN.findall(jql)
    if not _BROKEN.isdisjoint(tokens):
        return jql
    return " ".join([token.upper() if token.lower() in KEYWORDS else token for token in tokens])
