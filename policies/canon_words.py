"""Lists of words whose order and repetition Jira ignores: fields, expand, properties."""

import re
from collections.abc import Sequence

_JIRAS_OWN = frozenset({"api", "agile", "servicedeskapi"})
# A field that begins with "-" takes away from what was named, and so its place may matter: it is no such word.
_WORD = re.compile(r"[A-Za-z0-9_.*]+")


def words(items: Sequence[object]) -> list[str] | None:
    """Return the words in order and once each, or None where one is not of the kind whose place cannot matter."""
    found = [item for item in items if isinstance(item, str) and _WORD.fullmatch(item)]
    return sorted(set(found)) if len(found) == len(items) else None


def is_jiras_own(path: tuple[str, ...]) -> bool:
    """Tell whether `path` (decoded segments) is under a part of /rest/ whose parameters are known.

    What an app of a third party does with parameters of the same names is not.
    """
    return path[:1] == ("rest",) and path[1:2] != () and path[1] in _JIRAS_OWN
