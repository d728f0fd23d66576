"""A small Jira with everything that makes names confusing, and a second, two-valued reading of JQL.

Nothing here knows of the matcher. A `Jira` of the test knows all there is, resolves literals as Jira does and answers
yes or no. Where Jira's versions differ, or we are not sure, it has a switch, and every setting must agree with ours.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

import pytest

from policies.jql.query import And, Call, Comparison, Empty, History, Not, Number, Or, Text, Values

PROJECTS = [
    {"id": "10000", "key": "ALPHA", "name": "Alpha project"},
    {"id": "10001", "key": "BETA", "name": "ALPHA"},
    {"id": "10002", "key": "GAMMA", "name": "10000"},
]
STATUSES = [
    {"id": "1", "name": "Open", "statusCategory": {"id": 2, "key": "new", "name": "To Do"}},
    {"id": "2", "name": "1", "statusCategory": {"id": 4, "key": "indeterminate", "name": "In Progress"}},
    {"id": "3", "name": "Erledigt ß", "statusCategory": {"id": 3, "key": "done", "name": "Done"}},
    {"id": "4", "name": "open", "statusCategory": {"id": 2, "key": "new", "name": "To Do"}},
]
NAMED = [{"id": "7", "name": "v1"}, {"id": "8", "name": "7"}, {"id": "9", "name": "V1"}, {"id": "10", "name": "José"}]
RESOLUTIONS = [{"id": "1", "name": "Done"}, {"id": "2", "name": "Duplicate"}]
OPTIONS = [
    {"self": "https://jira.test/rest/api/2/customFieldOption/20", "id": "20", "value": "Red"},
    {"self": "https://jira.test/rest/api/2/customFieldOption/21", "id": "21", "value": "20"},
]
CLOUD_USERS = [
    {"accountId": "5a" * 12, "displayName": "Alice", "emailAddress": "alice@test.example"},
    {"accountId": "6b" * 12, "displayName": "bob", "emailAddress": "b@test.example"},
    {"accountId": "7c" * 12, "displayName": "b@test.example", "emailAddress": "c@test.example"},
]
SERVER_USERS = [
    {"name": "alice", "key": "JIRAUSER1", "displayName": "Alice A", "emailAddress": "alice@test.example"},
    {"name": "bob", "key": "bob", "displayName": "alice", "emailAddress": "b@test.example"},
    {"name": "b@test.example", "key": "carl", "displayName": "Carl", "emailAddress": "c@test.example"},
]
LABELS = ["red", "Red", "blue", "7"]
KEYS = ["ALPHA-1", "ALPHA-2", "BETA-1", "GAMMA-12"]


@dataclass
class Jira:
    """A site: who its users are, and how its version reads what the documentation leaves open."""

    users: list[dict[str, Any]]
    me: int = 0
    members: frozenset[int] = frozenset()
    zone: timedelta = timedelta()
    labels_fold: bool = True
    not_is_logic: bool = False
    custom_applies: bool = True
    dates_end_with_the_day: bool = False
    luck: frozenset[str] = frozenset()  # the clauses that are true though nothing in the issue tells why

    def matches(self, query, issue):
        """Answer a whole query about an issue of which everything is known."""
        return query.where is None or self._clause(query.where, issue, negated=False)

    def _clause(self, clause, issue, *, negated):
        match clause:
            case Not(inner) if self.not_is_logic:
                return not self._clause(inner, issue, negated=False)
            case Not(inner):
                return self._clause(inner, issue, negated=not negated)
            case And(parts) | Or(parts):
                results = [self._clause(each, issue, negated=negated) for each in parts]
                return all(results) if isinstance(clause, And) != negated else any(results)
            case History():
                return (str(clause) in self.luck) != negated
            case Comparison(name, operator, operand):
                return self._compare(name.name.lower(), self._operator(operator, negated), operand, issue, str(clause))

    @staticmethod
    def _operator(operator, negated):
        pairs = [("=", "!="), ("IN", "NOT IN"), ("IS", "IS NOT"), ("~", "!~"), ("<", ">="), (">", "<=")]
        flipped = dict(pairs) | {b: a for a, b in pairs}
        return flipped[str(operator)] if negated else str(operator)

    def _compare(self, name, operator, operand, issue, text):
        if name not in ACTUAL:
            return (f"{operator}{text}" in self.luck) or text in self.luck
        actual = ACTUAL[name](issue)
        values = operand.values if isinstance(operand, Values) else (operand,)
        if operator in {"=", "IN", "IS"}:
            return any(self._is(name, actual, value) for value in values)
        if operator in {"!=", "NOT IN", "IS NOT"}:
            return bool(actual) and not any(self._is(name, actual, value) for value in values)
        if operator == "!~":
            return text in self.luck
        return bool(actual) and self._ordered(name, operator, actual, values[0], text)

    def _is(self, name, actual, value):
        if isinstance(value, Empty) or (
            name == "resolution" and isinstance(value, Text) and value.text.lower() == "unresolved"
        ):
            return not actual and (self.custom_applies or not name.startswith("cf["))
        if name in DATES:
            return any(low <= moment <= high for moment in actual for low, high in self._ranges(value))
        return not actual.isdisjoint(self._resolve(name, value))

    def _ordered(self, name, operator, actual, value, text):
        ranges = list(self._ranges(value)) if name in DATES else []
        if not ranges:
            return text in self.luck
        low, high = ranges[0]
        (moment,) = actual
        bound = high if self.dates_end_with_the_day and operator in {">", "<="} else low
        return {"<": moment < bound, "<=": moment <= bound, ">": moment > bound, ">=": moment >= bound}[operator]

    def _ranges(self, value):
        if not isinstance(value, Text):
            return
        for form, length in (("%Y-%m-%d", 86399), ("%Y/%m/%d", 86399), ("%Y-%m-%d %H:%M", 59)):
            try:
                start = datetime.strptime(value.text, form).replace(tzinfo=UTC).timestamp() - self.zone.total_seconds()
            except ValueError:
                continue
            yield start, start + length

    def _resolve(self, name, value):
        if isinstance(value, Call):
            return self._called(name, value)
        text = str(value.number) if isinstance(value, Number) else value.text
        if name in {"assignee", "reporter", "creator", "cf[4]"}:
            return self._user(text)
        if name == "labels":
            return {
                label
                for label in [text, *LABELS]
                if label == text or (self.labels_fold and label.lower() == text.lower())
            }
        if name in {"key", "issue", "parent", "epic link"}:
            return {text.upper()} | {key for key in KEYS if f"1{KEYS.index(key)}" == text}
        if name == "cf[3]":
            return {float(text)} if text.lstrip("-").replace(".", "", 1).isdigit() else set()
        return _entities(CATALOGUES[name], text, number=isinstance(value, Number), keyed=name == "project")

    def _called(self, name, call):
        if name in {"assignee", "reporter", "creator", "cf[4]"}:
            return self.members if call.name == "membersOf" else {self.me}
        return {text for text in self.luck if text in {"1", "2", "7", "red"}}

    def _user(self, text):
        """Cloud: account id, else full name or address. Elsewhere: login first, else full name or address."""
        for parts in (("accountId", "name"), ("displayName", "emailAddress")):
            found = {
                number
                for number, user in enumerate(self.users)
                if text.lower() in {str(user.get(part, "")).lower() for part in parts} - {""}
            }
            if found:
                return found
        return set()


def _entities(catalogue: Iterable[dict[str, Any]], text: str, *, number: bool, keyed: bool) -> set[str]:
    by_id = {str(each["id"]) for each in catalogue if str(each["id"]) == text}
    by_key = {str(each["id"]) for each in catalogue if keyed and each["key"].lower() == text.lower()}
    by_name = {str(each["id"]) for each in catalogue if each.get("name", each.get("value")).lower() == text.lower()}
    named = by_key or by_name
    return (by_id or named) if number else (named or by_id)


def _categories(catalogue):
    """Categories are found by id, name, key or any of their older names."""
    return [{"id": str(each["statusCategory"]["id"]), "name": each["statusCategory"]["name"]} for each in catalogue]


@dataclass
class Known:
    """An issue of which everything is known. Things are numbers of the catalogues."""

    key: int = 0
    project: int = 0
    status: int = 0
    resolution: int | None = None
    assignee: int | None = None
    reporter: int | None = None
    labels: list[str] = field(default_factory=list)
    versions: list[int] = field(default_factory=list)
    parent: int | None = None
    epic: int | None = None
    created: float = 0.0
    due: float | None = None
    option: int | None = None
    amount: float | None = None
    reviewer: int | None = None

    def body(self, users):
        """Show all fields as a webhook would."""
        return {
            "project": PROJECTS[self.project],
            "status": STATUSES[self.status],
            "resolution": _pick(RESOLUTIONS, self.resolution),
            "assignee": _pick(users, self.assignee),
            "reporter": _pick(users, self.reporter),
            "creator": users[0],
            "labels": list(self.labels),
            "fixVersions": [NAMED[number] for number in self.versions],
            "parent": None if self.parent is None else {"id": f"1{self.parent}", "key": KEYS[self.parent]},
            "created": _iso(self.created),
            "updated": _iso(self.created + 1),
            "duedate": None if self.due is None else _iso(self.due)[:10],
            "customfield_2": _pick(OPTIONS, self.option),
            "customfield_3": self.amount,
            "customfield_4": self._reviewer(users),
            "customfield_5": None if self.epic is None else KEYS[self.epic],
        }

    def _reviewer(self, users):
        user = _pick(users, self.reviewer)
        return user and {"self": "https://jira.test/rest/api/2/user?accountId=x", **user}


def _pick(catalogue, number):
    return None if number is None else catalogue[number]


def _iso(moment):
    return datetime.fromtimestamp(moment, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def _one(part):
    return lambda issue: set() if getattr(issue, part) is None else {getattr(issue, part)}


def _identifier(part, catalogue):
    return lambda issue: {catalogue[number]["id"] for number in _one(part)(issue)}


ACTUAL = {
    "project": _identifier("project", PROJECTS),
    "status": _identifier("status", STATUSES),
    "statuscategory": lambda issue: {str(STATUSES[issue.status]["statusCategory"]["id"])},
    "resolution": _identifier("resolution", RESOLUTIONS),
    "assignee": _one("assignee"),
    "reporter": _one("reporter"),
    "creator": lambda _: {0},
    "labels": lambda issue: set(issue.labels),
    "fixversion": lambda issue: {NAMED[number]["id"] for number in issue.versions},
    "key": lambda issue: {KEYS[issue.key]},
    "issue": lambda issue: {KEYS[issue.key]},
    "parent": lambda issue: {KEYS[number] for number in _one("parent")(issue)},
    "epic link": lambda issue: {KEYS[number] for number in _one("epic")(issue)},
    "created": _one("created"),
    "due": _one("due"),
    "cf[2]": _identifier("option", OPTIONS),
    "cf[3]": _one("amount"),
    "cf[4]": _one("reviewer"),
}
DATES = {"created", "due"}
CATALOGUES = {
    "project": PROJECTS,
    "status": STATUSES,
    "statuscategory": _categories(STATUSES),
    "resolution": RESOLUTIONS,
    "fixversion": NAMED,
    "cf[2]": OPTIONS,
}


@pytest.fixture(scope="session")
def world():
    """Hand out the parts of the test's Jira."""
    return _World()


class _World:
    jira = Jira
    known = Known
    clouds = CLOUD_USERS
    servers = SERVER_USERS
    keys = KEYS
    fields = (*ACTUAL, "text", "votes", "My field")
    words = tuple(
        {
            str(each.get(part))
            for each in (*PROJECTS, *STATUSES, *NAMED, *RESOLUTIONS, *OPTIONS)
            for part in ("id", "key", "name", "value")
        }
        | {str(user[part]) for user in (*CLOUD_USERS, *SERVER_USERS) for part in user}
        | {*KEYS, *LABELS, "10", "12", "Unresolved", "OPEN", "erledigt SS", "jose", "nobody", "to do", "done", "5.5"}
    )
    usual = MappingProxyType(
        {
            "project": tuple(each[part] for each in PROJECTS for part in each),
            "key": tuple(KEYS),
            "parent": tuple(KEYS),
            "epic link": tuple(KEYS),
            "labels": tuple(LABELS),
            "cf[3]": ("5", "5.5", "7", "20"),
        }
    )
    days = ("2024-01-01", "2024/03/05", "2024-03-06 12:30", "-5d", "2024-03-07", "2024-12-31")
