"""The Jira entities an answer speaks of, as tags.

An answer is old as soon as one entity in it changed, so a tag too few is a lie and a tag too many only a miss. Nothing
here parses JSON: making the objects of a search page and walking them takes twice as long as all these scans together.
Each scan knows one way in which Jira embeds an entity. Text that only mentions one (a summary) embeds nothing.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from urllib.parse import unquote_plus

LIMIT = 2000
"""How many tags an answer may have before they collapse to the collections they belong to."""


@dataclass(frozen=True, slots=True)
class References:
    """What an answer depends on.

    tags: `issue:10001`, `issue:PROJ-1`, `user:5b10...`, `project:PROJ`, ..., and `issues` where something is told that
    follows from issues which are not named; only collections (`issues`, ...) if `collapsed`, that is if there were more
    than the limit.
    aliases: pairs (by id, by key) of tags that name the same issue or the same project.
    unresolved: issue tags among `tags` whose other name this answer does not tell.
    """

    tags: frozenset[str]
    aliases: frozenset[tuple[str, str]]
    unresolved: frozenset[str]
    collapsed: bool = False


def references(body: bytes, *, limit: int = LIMIT) -> References:
    """Return every entity that `body` embeds: an answer of any of Jira's APIs, JSON in UTF-8, not compressed.

    Never fails: in a body that is not JSON it finds what looks like an entity.
    """
    text = _unescaped(_each_object_once(body))
    keyed, pairs, words = _keyed(text)
    members, more = _members(text)
    pairs += more
    tags = {*keyed, *members, *_links(text)}.union(*pairs)
    if not any(tag.startswith("user:") for tag in members):  # no account id, so it may be a Server's answer
        tags.update(_bare_users(text))
    if "@" in text:
        tags.update(_sprint_texts(text))
    if "<" in text:
        tags.update(_rendered(text))
    if "filter" in words:
        tags.update(_filters(body))
    if len(tags) > limit:
        collections = frozenset(tag.partition(":")[0] + "s" for tag in tags)
        return References(collections, frozenset(pairs), frozenset(), collapsed=True)
    if _is_worked_out(body, words):
        tags.add("issues")
    unresolved = [tag for tag in tags.difference(*pairs) if tag.startswith("issue:")]
    return References(frozenset(tags), frozenset(pairs), frozenset(unresolved))


# What the scans read: a body without repetitions, and without the escapes that could hide an entity.

_PAGE = 16_384  # bytes, from which on a body is likely to repeat itself
_HIDING = re.compile(rb"\\[/u]")
_ESCAPE = re.compile(rb"\\(?:u([0-9A-Fa-f]{4})|.)", re.DOTALL)
_SYNTAX = frozenset('"\\')


def _each_object_once(body: bytes) -> bytes:
    """Drop repetitions: a search page repeats its users, statuses and projects in every issue. A single issue does not.

    A brace inside a string is a cut as well. So what a scan looks for must stand between two braces, and contain no
    member that is free text.
    """
    return body if len(body) < _PAGE else b"{".join(dict.fromkeys(body.split(b"{")))


def _unescaped(body: bytes) -> str:
    r"""Write `\/` and `\uXXXX` out, which Jira seldom uses, and turn bytes into characters one to one, for speed."""
    if b"\\" in body and _HIDING.search(body):
        body = _ESCAPE.sub(_character, body)
    return body.decode("latin-1")


def _character(escape: re.Match[bytes]) -> bytes:
    if escape[0] == rb"\/":
        return b"/"
    character = chr(int(escape[1] or b"0", 16))
    return character.encode() if character.isprintable() and character not in _SYNTAX else escape[0]


def _utf8(text: str) -> str:
    return text if text.isascii() else text.encode("latin-1").decode(errors="replace")


# The scans. Each begins with a literal, which makes it fast, and allows for white space where JSON does. What is
# possessive is single characters alone: Python before 3.11.5 loses its place in possessive groups (gh-106052).

_KEY = r"[A-Z][A-Z0-9_]*+(?:-[0-9]++)?"
_STRING = r'"([^"\\]*+(?:\\.[^"\\]*+)*)"'
_SELF = r'(?:"(?:self|expand)"\s*:\s*"[^"]*"\s*,\s*){0,2}'

Pair = tuple[str, str]
"""Two tags of one entity: by id, by key."""

_WORD = "aggregate|filter|transitions"
_KEYED = re.compile(
    r'"(?=[A-Ziaft])'  # most strings are turned away by their first letter
    rf"(?:(?:({_KEY})"
    rf'|id"\s*:\s*(?:"([0-9]++)"\s*,\s*{_SELF}"key"\s*:\s*"({_KEY})'
    rf'|([0-9]++)\s*,\s*{_SELF}"(?:key"\s*:\s*"({_KEY})|(?:name|state|goal|rapidViewId|boardId|originBoardId))))'
    rf'(?:"(?!{_WORD})|(?="))'  # in what is not JSON, the quote that ends a key may begin a word
    rf"|({_WORD}))"
)


def _keyed(text: str) -> tuple[list[str], list[Pair], set[str]]:
    """Read objects that open with id and key, bare keys and bare ids.

    A bare key is any string that is a key and nothing else, such as an epic in a custom field. A bare id, a number and
    no string, is a sprint's: inside an issue it has neither key nor link.

    Told last is which words open a string, since other scans need not look where theirs is not, and it is this one
    that stops at every string.
    """
    tags: list[str] = []
    pairs: list[Pair] = []
    words: set[str] = set()
    for bare, quoted, its_key, number, key, word in _KEYED.findall(text):
        if bare:
            tags.append(f"issue:{bare}" if "-" in bare else f"project:{bare}")
        elif word:
            words.add(word)
        elif its_key or key:
            pairs.append(_pair(quoted or number, its_key or key))
        else:
            tags.append(f"sprint:{number}")
    return tags, pairs, words


def _pair(number: str, key: str) -> Pair:
    kind = "issue" if "-" in key else "project"
    return f"{kind}:{number}", f"{kind}:{key}"


_MEMBER = re.compile(
    rf'Id"(?<=([A-Za-z]{{5}})Id")\s*:\s*"?([^\s",}}\]]++)"?+(?:\s*,\s*"(?:issue|project)Key"\s*:\s*"({_KEY})")?'
)
_MEMBERS = {
    "count": "user",
    "issue": "issue",
    "oject": "project",
    "rsion": "version",
    "onent": "component",
    "ilter": "filter",
    "print": "sprint",
    "board": "board",
    "Board": "board",
    "dView": "board",
}
"""By the last five letters before Id: accountId, leadAccountId, issueId, originBoardId, rapidViewId, ..."""


def _members(text: str) -> tuple[list[str], list[Pair]]:
    """Read members that hold the id of something else, some with its key beside it."""
    tags: list[str] = []
    pairs: list[Pair] = []
    for letters, value, key in _MEMBER.findall(text):
        kind = _MEMBERS.get(letters)
        if kind == "user" and value != "null":
            tags.append(f"user:{_utf8(value)}")
        elif kind and value.isdigit():
            if key:
                pairs.append(_pair(value, key))
            else:
                tags.append(f"{kind}:{value}")
    return tags, pairs


_LINK = re.compile(
    r"/rest/(?:servicedeskapi|[a-z-]+/[0-9a-z.]+)/"
    r"(?:(issue|epic|request|project|version|component|filter|sprint|board)/([\w-]+)"
    rf'|user\?([^"]*)"(?:\s*,\s*"name"\s*:\s*"[^"]*"\s*,\s*"key"\s*:\s*{_STRING})?)',
    re.ASCII,
)
_ISSUES = frozenset({"issue", "epic", "request"})
_USER = re.compile(r"(?:accountId|username|key)=([^&#]+)")


def _links(text: str) -> list[str]:
    """Read `self` and other links: /rest/api/2/issue/10001/comment/5, /rest/api/3/user?accountId=5b10."""
    tags: list[str] = []
    for kind, name, query, key in _LINK.findall(text):
        if kind in _ISSUES:
            if name[-1].isdigit():  # not /issue/createmeta
                tags.append(f"issue:{name.upper()}")
        elif query:
            tags += [f"user:{unquote_plus(_utf8(value))}" for value in _USER.findall(query)]
            if key:
                tags.append(f"user:{_plain(key)}")
        elif name.isdigit() or name.isupper():
            tags.append(f"{kind}:{name}")
    return tags


_SPRINT_TEXT = re.compile(r'@[0-9a-f]++\[([^"]*)"')
_SPRINT_PART = re.compile(r"[\[,](id|rapidViewId)=([0-9]+)")


def _sprint_texts(text: str) -> Iterator[str]:
    """Read old Servers' com.atlassian...Sprint@1f2e[id=12,rapidViewId=3,state=ACTIVE,name=...]."""
    for parts in _SPRINT_TEXT.findall(text):
        for name, number in _SPRINT_PART.findall(f"[{parts}"):
            yield f"sprint:{number}" if name == "id" else f"board:{number}"


_RENDERED_ISSUE = re.compile(rf'data-issue-key=\\?["\']({_KEY})')
_RENDERED_USER = re.compile(r"ViewProfile\.jspa\?(?:accountId|name)=([^\"'\\&#]+)")


def _rendered(text: str) -> Iterator[str]:
    """Read rendered text: its links show the summary and state of an issue, and the name of a user."""
    yield from (f"issue:{key}" for key in _RENDERED_ISSUE.findall(text))
    yield from (f"user:{unquote_plus(_utf8(name))}" for name in _RENDERED_USER.findall(text))


_NAME = rf'\s*"(?:name|key)"\s*:\s*{_STRING}'
_BARE_USER = re.compile(rf"\{{{_NAME}(?:\s*,{_NAME})?")
_ROLE_ACTOR = re.compile(rf'-role-actor"\s*,{_NAME}')


def _bare_users(text: str) -> Iterator[str]:
    """Read users of Servers without a link: objects that open with a name or key, and the actors of a role."""
    for name in {*chain.from_iterable(_BARE_USER.findall(text)), *_ROLE_ACTOR.findall(text)} - {""}:
        yield f"user:{_plain(name)}"


_TRANSITIONS = re.compile(rb'"transitions"\s*:\s*\[')
_SUM = re.compile(rb'"aggregate(?:progress|time[a-z]+)"\s*:')


def _is_worked_out(body: bytes, words: set[str]) -> bool:
    """Tell whether an answer says what follows from issues that it does not name.

    The sums of an issue's times are over its subtasks as well, which it may have been asked not to show; and which
    transitions an issue may make, workflows have depend on what its subtasks and other issues are like.
    """
    if "transitions" in words and _TRANSITIONS.search(body):
        return True
    return "aggregate" in words and b'"subtasks"' not in body and bool(_SUM.search(body))


_FILTER = re.compile(r'"filter"\s*:\s*\{\s*"id"\s*:\s*"?([0-9]+)')
_CONFIGURATION = 8192


def _filters(body: bytes) -> Iterator[str]:
    """Read the filter of a board's configuration, which is among its first members.

    It may lack a link, and the brace in its midst forbids to look for it where repetitions are left out.
    """
    for number in _FILTER.findall(_unescaped(body[:_CONFIGURATION])):
        yield f"filter:{number}"


def _plain(string: str) -> str:
    """Undo what is left of JSON's escapes."""
    plain = _utf8(string)
    try:
        return str(json.loads(f'"{plain}"', strict=False)) if "\\" in plain else plain
    except ValueError:
        return plain
