"""How many searches survive a change that does not concern them.

200 live searches over 10 projects, 500 updates of issues as webhooks announce them. A search is truly affected if the
issue is, or was, in its answer; the others should live. Compared with dropping all searches at each change.
"""

import random
import re
import time
from collections.abc import Iterator

from bench.tables import Table
from policies.change import Change, Changed
from policies.jql import Issue, before, issue_view
from policies.model import Live
from policies.names import Names
from policies.searches import Index

PROJECTS = [f"PRJ{letter}" for letter in "ABCDEFGHIJ"]
STATUSES = ["Open", "In Progress", "In Review", "Done"]
TYPES = ["Bug", "Task", "Story"]
PEOPLE = [f"5b10ac8d82e05b22cc7d4e{number:02}" for number in range(8)]
LABELS = ["backend", "frontend", "security", "flaky"]
SEARCHES, UPDATES = 200, 500

Fields = dict[str, str]


def queries(dice: random.Random) -> Iterator[str]:
    """Make up the searches of dashboards, bots and people."""
    forms = [
        lambda: f"project = {dice.choice(PROJECTS)} ORDER BY updated DESC",
        lambda: f"project = {dice.choice(PROJECTS)} AND status = '{dice.choice(STATUSES)}'",
        lambda: f"project = {dice.choice(PROJECTS)} AND assignee = '{dice.choice(PEOPLE)}' AND status = 'In Progress'",
        lambda: (
            f"project = {dice.choice(PROJECTS)} AND issuetype = {dice.choice(TYPES)} AND labels = {dice.choice(LABELS)}"
        ),
        lambda: f"assignee = '{dice.choice(PEOPLE)}' AND status = 'Open' AND labels = {dice.choice(LABELS)}",
    ]
    while True:
        yield dice.choice(forms)()


def matches(query: str, key: str, fields: Fields) -> bool:
    """Tell whether an issue is in a search's answer; an evaluation of its own, of just the forms above."""
    shown = {"project": key.partition("-")[0], **fields}
    clauses = re.findall(r"(\w+) = '?([\w ]+?)'?(?: AND| ORDER|$)", query)
    return all(shown[name] == value for name, value in clauses)


def view(key: str, number: int, fields: Fields) -> Issue:
    """Show an issue as the webhook does."""
    project = key.partition("-")[0]
    told = {
        "project": {"id": str(PROJECTS.index(project) + 1), "key": project, "name": f"Project {project}"},
        "status": {"id": str(STATUSES.index(fields["status"])), "name": fields["status"]},
        "issuetype": {"id": str(TYPES.index(fields["issuetype"])), "name": fields["issuetype"]},
        "assignee": {"accountId": fields["assignee"]},
        "labels": [fields["labels"]],
    }
    return issue_view(told, id=str(10_000 + number), key=key)


def updates(dice: random.Random) -> Iterator[tuple[str, int, Fields, Fields]]:
    """Change one field of some issue after the other."""
    issues = {
        f"{project}-{number}": {
            "status": dice.choice(STATUSES),
            "issuetype": dice.choice(TYPES),
            "assignee": dice.choice(PEOPLE),
            "labels": dice.choice(LABELS),
        }
        for project in PROJECTS
        for number in range(50)
    }
    keys = list(issues)
    choices = {"status": STATUSES, "assignee": PEOPLE, "labels": LABELS}
    while True:
        key, name = dice.choice(keys), dice.choice(list(choices))
        was = issues[key]
        issues[key] = was | {name: dice.choice([each for each in choices[name] if each != was[name]])}
        yield key, keys.index(key), was, issues[key]


def changelog(was: Fields, now: Fields) -> list[dict[str, str | None]]:
    """List what changed, as Jira does."""
    ids = {"status": STATUSES.index, "assignee": str, "labels": lambda _: None}
    return [
        {
            "field": name,
            "fieldId": name,
            "from": _text(ids[name](was[name])),
            "fromString": was[name],
            "to": _text(ids[name](now[name])),
            "toString": now[name],
        }
        for name in now
        if was[name] != now[name]
    ]


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def measure() -> Iterator[Table]:
    """Run the workload and tell what survived."""
    dice = random.Random(7)
    texts = list(dict.fromkeys(next(queries(dice)) for _ in range(SEARCHES * 4)))[:SEARCHES]
    index = Index()
    index.add(Live(f"search:{number}", text, 60) for number, text in enumerate(texts))
    names, unconcerned, survived, missed, spent = Names(), 0, 0, 0, 0.0
    stream = updates(dice)
    for _ in range(UPDATES):
        key, number, was, now = next(stream)
        truly = {at for at, text in enumerate(texts) if matches(text, key, was) or matches(text, key, now)}
        began = time.process_time()
        after = view(key, number, now)
        change = Change(frozenset(), (Changed(before(after, changelog(was, now)), after),))
        hit = {int(tag.partition(":")[2]) for tag in index.concerned(change, names)}
        spent += time.process_time() - began
        missed += len(truly - hit)
        unconcerned += len(texts) - len(truly)
        survived += len(texts) - len(hit | truly)
    rows = [
        ("evaluated by their JQL", f"{survived / unconcerned:.1%}", str(missed), f"{spent / UPDATES * 1e6:.0f}"),
        ("all dropped", "0.0%", "0", "-"),
    ]
    columns = ("", "rightly alive", "wrongly alive", "CPU µs per update")
    yield Table(f"JQL: {len(texts)} live searches, {UPDATES} updates of issues", columns, rows)
