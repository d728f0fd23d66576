"""How JQL is spelled: keywords, reserved words, escapes, and when a text needs quotes.

The lists are those of Jira's published JQL grammar (Data Center's and Cloud's agree but for single words).
"""

import re

KEYWORDS = {
    "and": "_AND",
    "or": "_OR",
    "not": "NOT",
    "in": "IN",
    "is": "IS",
    "empty": "EMPTY",
    "null": "EMPTY",
    "was": "WAS",
    "changed": "CHANGED",
    "before": "BEFORE",
    "after": "AFTER",
    "on": "ON",
    "during": "DURING",
    "by": "BY",
    "from": "FROM",
    "to": "TO",
    "order": "_ORDER",
    "asc": "ASC",
    "desc": "DESC",
    "cf": "_CF",
}
"""Lower-case word -> terminal of the grammar."""

RESERVED = frozenset(
    """
    abort access add alias all alter any as audit avg begin between boolean break byte catch char character check
    checkpoint collate collation column commit connect continue count create current date decimal declare decrement
    default defaults define delete delimiter difference distinct divide do double drop else encoding end equals escape
    exclusive exec execute exists explain false fetch field file first float for function go goto grant greater group
    having identified if immediate increment index initial inner inout input insert int integer intersect intersection
    into isempty isnull join last left less like limit lock long max min minus mode modify modulo more multiply next
    noaudit notin nowait number object of option outer output power previous prior privileges public raise raw
    remainder rename resource return returns revoke right row rowid rownum rows select session set share size sqrt
    start strict string subtract sum synonym table then trans transaction trigger true uid union unique update user
    validate values view when whenever where while with
    """.split()  # noqa: SIM905 - 160 words read better as prose than as 160 quoted lines
)
"""Words that mean nothing in JQL today and still must be quoted."""

_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))", re.DOTALL)
_ESCAPED = {"t": "\t", "n": "\n", "r": "\r"}
_BARE = re.compile(r"""[^ \\\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff"'=!<>()~,\[\]|&{}*/%+^$#@?;]+""")
_NUMBER = re.compile(r"-?[0-9]+")
_UNSAFE = re.compile(r"""[\\"\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]""")
_SPELLED = {"\\": "\\\\", '"': '\\"', "\t": "\\t", "\n": "\\n", "\r": "\\r"}


def is_number(text: str) -> bool:
    """Tell whether JQL takes the bare word for a whole number."""
    return _NUMBER.fullmatch(text) is not None


def is_reserved(text: str) -> bool:
    """Tell whether `text` may only be written in quotes because Jira keeps the word for itself."""
    return text.lower() in RESERVED or text.lower() in KEYWORDS


def unescape(text: str) -> str:
    """Undo JQL's escapes. Two escaped halves of a surrogate pair become the one character they stand for."""
    if "\\" not in text:
        return text
    plain = _ESCAPE.sub(lambda match: chr(int(match[1], 16)) if match[1] else _ESCAPED.get(match[2], match[2]), text)
    return plain.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def spell_name(text: str) -> str:
    """Write a field, a function or an argument as JQL; numbers stay bare."""
    return text if _BARE.fullmatch(text) and not is_reserved(text) else _quoted(text)


def spell_text(text: str) -> str:
    """Write a value that is a text as JQL: a number is put in quotes, for Jira looks it up as a name first."""
    return _quoted(text) if is_number(text) else spell_name(text)


def _quoted(text: str) -> str:
    return '"' + _UNSAFE.sub(lambda match: _SPELLED.get(match[0]) or f"\\u{ord(match[0]):04x}", text) + '"'
