"""Which searches a change concerns: those whose query may match a changed issue, as it was or as it is.

Everything unknown counts as concerned. A search that shows a changed issue is made old by that issue's tag.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import blake2b
from urllib.parse import parse_qsl

import orjson

from policies import jql
from policies.canon_jql import canonical_jql
from policies.change import Change, Changed
from policies.jql.likeness import home
from policies.model import EVERYTHING, Live, Read, Request
from policies.names import Names

ISSUES = "issues"
"""The tag of all lists of issues of which we do not know what selects them."""

SEARCHES = "searches"
"""The tag of all lists of issues that a query selects which we understand."""

LEAST = 256
"""Characters that a query counts for besides its text: compiled, the shortest one takes about ten KiB, some forty times
as much as that, as long ones do of their text."""

_ANY_ISSUE = "type:issue"
_LONGEST_TRIP = 600.0
_SHORT = 400
_LONGEST_QUERY = 4 * 1024  # characters; a longer one would hold everybody up while it is read, and weigh too much
_LONGEST_SPELLED = 4 * _LONGEST_QUERY  # with whatever white space a program puts between the words
# Fields to order by that change without an event.
_UNTOLD = frozenset({"lastviewed", "votes", "watchers", "watches"})
# What a custom field that is a date, which a query does not tell, would take for a time before or after now.
_RELATIVE = re.compile(r"(?<!\w)[+-]?\d+[yMwdhm]\b")
_KEY = re.compile(r"\b[A-Za-z][A-Za-z0-9_]*-\d+\b")
_KEY_TAG = re.compile(r"issue:([A-Z][A-Z0-9_]*)-\d+")
_PROJECT_TAG = re.compile(r"project:([^:]+):issues")


@dataclass(frozen=True, slots=True)
class Understood:
    """A query, ready to be asked of issues; `projects` None: it may show issues of any.

    One that is not `steady` may change its answer without any event: by the time of day, or by who logs in.
    """

    matcher: jql.Matcher
    projects: frozenset[str] | None
    steady: bool


def understood(text: str) -> Understood | None:
    """Parse and compile canonical JQL as `_understood` does. What is long is remembered for fewer: it weighs more."""
    return _short(text) if len(text) <= _SHORT else _long(text)


def _understood(text: str) -> Understood | None:
    """Parse and compile canonical JQL; None if we cannot read it, or not in time, whatever Jira can.

    None also for a query whose answer depends on what other issues are like: no look at a changed one tells anything.
    """
    if len(text) > _LONGEST_QUERY:
        return None
    try:
        query = jql.parse(text)
    except jql.JqlError:
        return None
    if jql.looks_at_other_issues(query):
        return None
    return Understood(jql.compile_query(query), jql.projects(query), _is_steady(query))


_short = lru_cache(maxsize=4_000)(_understood)
_long = lru_cache(maxsize=200)(_understood)


def _is_steady(query: jql.Query) -> bool:
    moves = jql.unknown(query) or _RELATIVE.search(str(query))
    return not moves and not any(each.field.name.lower() in _UNTOLD for each in query.order)


def live(request: Request, read: Read) -> tuple[Read, Live | None]:
    """Make a search stand for itself: old by its own tag, instead of with every list of issues.

    None where the query is not told or not understood. An answer that may change without any event, or of which we do
    not know whether it does, never gets the TTL of those that webhooks look after.
    """
    asked = _asked(request) if read.jql else None
    text = None if asked is None or len(asked) > _LONGEST_SPELLED else canonical_jql(asked)
    query = None if text is None else understood(text)
    if text is None or query is None:
        return (_unsteady(read) if ISSUES in read.tags else read), None
    if not query.steady:
        read = _unsteady(read)
    policy = read.policy
    life = (
        max(policy.ttl, policy.ttl_with_webhooks or 0.0)
        + max(policy.stale_while_revalidate, policy.stale_if_error)
        + _LONGEST_TRIP
    )
    tag = f"search:{blake2b(text.encode(errors='surrogateescape'), digest_size=12).hexdigest()}"
    # Jira finds a moved issue by its former keys too, which no event tells: the keys that the query names are its tags.
    named = [f"issue:{key.upper()}" for key in _KEY.findall(text)]
    tags = [one for one in read.tags if one != ISSUES]
    return replace(read, tags=(*tags, SEARCHES, tag, *named)), Live(tag, text, life)


def _unsteady(read: Read) -> Read:
    if read.policy.ttl_with_webhooks is None:
        return read
    return replace(read, policy=replace(read.policy, ttl_with_webhooks=None))


def _asked(request: Request) -> str | None:
    """Read the query as it was asked: none at all asks for every issue."""
    if request.method != "POST":
        asked = [value for name, value in parse_qsl(request.query, keep_blank_values=True) if name == "jql"]
        return "".join(asked) if len(asked) < 2 else None  # noqa: PLR2004 - which of two Jira takes is not known
    try:
        body = orjson.loads(request.body)
    except orjson.JSONDecodeError:
        return None
    told = body.get("jql") if isinstance(body, dict) else 0
    return "" if told is None else told if isinstance(told, str) else None


def of_write(tags: Collection[str], names: Names) -> Change:
    """Tell the change that a write's tags stand for. A write tells which issues it changed, but not how."""
    touched = frozenset(tags)
    if EVERYTHING in touched or not _touches_issues(touched):
        return Change(touched)
    named = [_projects(tag, names) for tag in touched if tag.startswith("issue:") or _PROJECT_TAG.fullmatch(tag)]
    if not named or not all(named) or _ANY_ISSUE in touched:
        return Change(touched, everything=True)
    return Change(touched, projects=frozenset().union(*named))


def _touches_issues(tags: Collection[str]) -> bool:
    return any(tag in (ISSUES, _ANY_ISSUE) or tag.startswith("issue:") for tag in tags)


def _projects(tag: str, names: Names) -> frozenset[str]:
    """Tell the keys of the projects that a tag's issues may be in, for they may have moved; none if unknown."""
    if project := _PROJECT_TAG.fullmatch(tag):
        keys = {key.removeprefix("project:") for key in names.keys_of(f"project:{project[1]}")}
        return frozenset(keys if project[1].isdigit() else {project[1], *keys})
    issues = (_KEY_TAG.fullmatch(name) for name in (tag, *names.keys_of(tag)))
    return frozenset(issue[1] for issue in issues if issue)


class Index:
    """The live searches of a tenant, by the projects that their queries allow."""

    def __init__(self) -> None:
        self._matchers: dict[str, jql.Matcher | None] = {}  # None: not understood, so always concerned
        self._by_project: defaultdict[str, set[str]] = defaultdict(set)
        self._anywhere: set[str] = set()
        self.weight = 0  # characters of the queries, and LEAST for each

    def __len__(self) -> int:
        return len(self._matchers)

    def add(self, searches: Iterable[Live]) -> None:
        """Take in searches; those that are known stay as they are."""
        for search in searches:
            if search.tag in self._matchers:
                continue
            self.weight += LEAST + len(search.jql)
            query = understood(search.jql)
            self._matchers[search.tag] = None if query is None else query.matcher
            if query is None or query.projects is None:
                self._anywhere.add(search.tag)
                continue
            for project in query.projects:
                self._by_project[project].add(search.tag)

    def concerned(self, change: Change, names: Names) -> frozenset[str]:
        """Name the searches that `change` may have changed the answer of."""
        if change.everything:
            return frozenset({SEARCHES})
        hit: set[str] = set()
        for changed in change.issues:
            hit |= self._matching(changed)
        if change.projects:
            hit |= self._in_projects(change.projects, names)
        return frozenset(hit)

    def _matching(self, changed: Changed) -> set[str]:
        matchers, after, before = self._matchers, changed.after, changed.before
        return {
            tag
            for tag in self._candidates(changed)
            if (matcher := matchers[tag]) is None or jql.may_affect(matcher, after, before)
        }

    def _candidates(self, changed: Changed) -> set[str]:
        homes = [issue.homes for issue in (changed.before, changed.after) if issue is not None]
        if any(home is None for home in homes):
            return set(self._matchers)
        projects = frozenset().union(*(home for home in homes if home is not None))
        return self._anywhere.union(*(self._by_project.get(project, ()) for project in projects))

    def _in_projects(self, keys: frozenset[str], names: Names) -> set[str]:
        """Find what may show issues of these projects. A query names a project by key, id or name.

        Jira tries the key first, so a key that we know to be another project's rules these out; an id likewise; a word
        that we do not know may be their name.
        """
        hit = set(self._anywhere)
        for word, tags in self._by_project.items():
            if not _another(word, keys, names):
                hit |= tags
        return hit


def _another(word: str, keys: frozenset[str], names: Names) -> bool:
    """Tell whether `word`, as a query names a project, is surely none of those with these keys."""
    if any(word in home(key) for key in keys):
        return False
    known = {key.removeprefix("project:") for key in names.keys_of(f"project:{word}")}
    return bool(known) and known.isdisjoint(keys)
