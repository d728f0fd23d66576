"""Made-up issues in the shape of Jira's, alone and on a page of search results."""

import json
from functools import cache
from itertools import accumulate
from random import Random
from typing import Any

import orjson

ISSUES = 50
PAGE_SIZE, ISSUE_SIZE = 250_000, 9_216
SITE = "https://acme.example/rest/api/3"
SERVER = "https://jira.example/rest/api/2"


def cloud_user(number: int) -> dict[str, Any]:
    """Make a user as Jira Cloud embeds it."""
    account = f"5b10ac8d82e05b22cc7d{number:04}"
    link = f"{SITE}/user?accountId={account}"
    return {
        "self": link,
        "accountId": account,
        **_face(number),
        "timeZone": "Europe/Berlin",
        "accountType": "atlassian",
    }


def server_user(number: int) -> dict[str, Any]:
    """Make a user as Jira Data Center embeds it."""
    name = f"user{number}"
    return {"self": f"{SERVER}/user?username={name}", "name": name, "key": f"JIRAUSER{number}", **_face(number)}


def _face(number: int) -> dict[str, Any]:
    initials = "https%3A%2F%2Favatar-management--avatars.example%2Finitials%2FAB-3.png"  # as long as Jira's are
    avatar = f"https://secure.gravatar.example/avatar/{number:032x}?d={initials}&size="
    avatars = {f"{n}x{n}": f"{avatar}{n}" for n in (48, 24, 16, 32)}
    return {"emailAddress": f"user{number}@acme.example", "avatarUrls": avatars, "displayName": f"User {number}"}


def named(kind: str, number: int) -> dict[str, Any]:
    """Make a status, priority, version or the like."""
    return {"self": f"{SITE}/{kind}/{number}", "description": "", "name": f"{kind} {number}", "id": str(number)}


def status(number: int) -> dict[str, Any]:
    """Make a status with its category."""
    category = {"self": f"{SITE}/statuscategory/2", "id": 2, "key": "new", "colorName": "blue-gray", "name": "To Do"}
    return {**named("status", number), "statusCategory": category}


def names(number: int) -> dict[str, Any]:
    """Name an issue."""
    return {"id": str(10_000 + number), "self": f"{SITE}/issue/{10_000 + number}", "key": f"PROJ-{number}"}


def linked(number: int) -> dict[str, Any]:
    """Make an issue inside another one."""
    return {**names(number), "fields": {"summary": f"Linked {number}", "status": status(number % 5)}}


def issue(number: int, *, cloud: bool) -> dict[str, Any]:
    """Make one issue of the page, without its text."""
    user = cloud_user if cloud else server_user
    project = {"self": f"{SITE}/project/10000", "id": "10000", "key": "PROJ", "name": "Project"}
    sprint = {"id": number % 3 + 1, "name": "Sprint", "state": "active", "boardId": 3, "goal": ""}
    fields = {
        "summary": f"Summary {number}",
        "issuetype": named("issuetype", number % 4),
        "project": project,
        "priority": named("priority", number % 4),
        "status": status(number % 5),
        "assignee": user(number % 12),
        "reporter": user(number * 7 % 12),
        "created": "2024-05-01T10:11:12.000+0200",
        "updated": "2024-05-02T10:11:12.000+0200",
        "components": [named("component", number % 6)],
        "fixVersions": [named("version", number % 6)],
        "parent": linked(500 + number) if number % 2 else None,
        "issuelinks": [{"id": str(number), "outwardIssue": linked(700 + number)}] * (number % 4 == 0),
        "watches": {"self": f"{SITE}/issue/PROJ-{number}/watchers", "watchCount": 1, "isWatching": False},
        "customfield_10014": f"PROJ-{500 + number}",
        "customfield_10020": [sprint],
    }
    return {"expand": "names,schema", **names(number), "fields": {**fields, **dict.fromkeys(_customs())}}


def _customs() -> list[str]:
    return [f"customfield_{10_100 + n}" for n in range(40)]


def page(*, cloud: bool) -> bytes:
    """Make a page of results, filled up with descriptions to its size."""
    issues = [issue(n, cloud=cloud) for n in range(1, ISSUES + 1)]
    bare = len(orjson.dumps({"issues": issues}))
    dice = Random(1)
    marks = ['"quoted" ', "line\n", "well-known ", "a/b ", "{code} "]
    words = ["lorem ", "ipsum ", "dolor ", "sit ", "amet "] * 10 + marks
    for made in issues:
        length = (PAGE_SIZE - bare) // ISSUES - 30
        made["fields"]["description"] = "".join(dice.choices(words, k=length))[:length]
    return json.dumps({"startAt": 0, "maxResults": ISSUES, "issues": issues}, separators=(",", ":")).encode()


def alone(number: int, site: str) -> bytes:
    """Make the answer to GET issue/PROJ-`number`: ISSUE_SIZE bytes, with the links of a Jira at `site`."""
    made = issue(number, cloud=False)
    made["fields"]["description"] = ""
    made["fields"]["description"] = prose(Random(number), ISSUE_SIZE - len(_linked(made, site)))
    return _linked(made, site)


def prose(dice: Random, length: int) -> str:
    """Write so many letters and spaces, a few words often and many seldom, as people do."""
    words, often = _vocabulary()
    return " ".join(dice.choices(words, cum_weights=often, k=length // 3))[:length]


@cache
def _vocabulary() -> tuple[list[str], list[float]]:
    dice = Random(0)
    syllables = [first + second + third for first in "bdfklmnprst" for second in "aeiou" for third in "nrs"]
    words = ["".join(dice.choices(syllables, k=dice.randint(1, 4))) for _ in range(2_000)]
    return words, list(accumulate(1 / rank for rank in range(1, len(words) + 1)))


def _linked(made: dict[str, Any], site: str) -> bytes:
    body = orjson.dumps(made)
    for origin in (SITE, SERVER):
        body = body.replace(origin.partition("/rest/")[0].encode(), site.encode())
    return body
