"""When two texts are surely the same to Jira, and when they might be.

Jira compares most names without case, by rules that differ between products, databases and languages. So we compare
twice: texts whose `fold` differs are different to every Jira, texts whose `exact` agrees are the same to every Jira;
what lies between is unknown.
"""

import re
import unicodedata

_DIGITS = re.compile(r"[0-9]{1,18}")


def fold(text: str) -> str:
    """Give the coarsest form: no case, no accents, no compatibility forms, no odd spaces."""
    if text.isascii():
        return " ".join(text.lower().split())
    bare = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    return " ".join(bare.upper().casefold().split())


def exact(text: str) -> str:
    """Give the finest form: case is ignored only where every language agrees on it."""
    return text.lower() if text.isascii() else text


def spellings(text: str) -> frozenset[str]:
    """Give the folds of a text: its own, and the number that Jira reads in it when no name fits."""
    number = str(int(text)) if _DIGITS.fullmatch(text.strip()) else fold(text)
    return frozenset((fold(text), number))


def home(text: str) -> frozenset[str]:
    """Spell a project's key, id or name as the index of live searches does: in upper case."""
    return frozenset(spelling.upper() for spelling in spellings(text))
